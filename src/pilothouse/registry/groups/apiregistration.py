"""apiregistration.k8s.io/v1: API services, local and aggregated."""

from pilothouse.registry.groups.records import META, SPEC, STATUS_APART, any_name, resource, status_strategy
from pilothouse.registry.strategy import Strategy

GROUP = "apiregistration.k8s.io"

SERVICE = Strategy(name_check=any_name, unconditional_update=False, **STATUS_APART)

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "APIService",
        "apiservices",
        "InPBPD7+PqM=",
        SERVICE,
        categories=("api-extensions",),
        key_prefix="/registry/apiregistration.k8s.io/apiservices/",
        status=status_strategy(
            SERVICE,
            keep_on_update=(
                SPEC,
                *(("metadata", m) for m in ("labels", "annotations", "finalizers", "ownerReferences")),
            ),
            apply_reset=(SPEC, META),
        ),
    ),
]
