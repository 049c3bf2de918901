"""apiregistration.k8s.io/v1: APIServices, local and aggregated."""

from pilothouse.api.values import names
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    META,
    SPEC,
    STATUS_APART,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_WITHIN, Strategy, WriteContext
from pilothouse.storage.keys import ROOT

GROUP = "apiregistration.k8s.io"


def local_condition(now: str) -> Object:
    """The condition Available of an APIService whose group version this server answers itself."""
    return {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "Local",
        "message": "Local APIServices are always available",
    }


def _prepare(ctx: WriteContext, obj: Object) -> None:
    obj["status"] = {}
    if spec_of(obj).get("service") is None:
        obj["status"]["conditions"] = [local_condition(ctx.now)]


SERVICE = Strategy(
    name_check=names.path_segment,
    unconditional_update=False,
    prepare_create=_prepare,
    validate=lambda ctx, obj, errs: rules.apiregistration.validate_api_service(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.apiregistration.validate_api_service_update(
        obj, old, errs
    ),
    update_order=WHOLE_WITHIN,
    finalizer_checks=frozenset(),
    **STATUS_APART,
)
_KEPT = ("labels", "annotations", "finalizers", "ownerReferences")

RESOURCES = [
    resource(
        GROUP,
        "APIService",
        "apiservices",
        "InPBPD7+PqM=",
        SERVICE,
        categories=("api-extensions",),
        key_prefix=f"{ROOT}apiregistration.k8s.io/apiservices/",
        status=status_strategy(
            SERVICE,
            lambda ctx, obj, old, errs: rules.apiregistration.validate_api_service_status(obj, old, errs),
            keep_on_update=(SPEC, *(("metadata", m) for m in _KEPT)),
            apply_reset=(SPEC, META),
        ),
        status_tables=False,
    ),
]
