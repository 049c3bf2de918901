"""apiextensions.k8s.io/v1: custom resource definitions."""

from pilothouse.registry.groups.records import COUNTS_SPEC, STATUS_APART, any_name, resource, status_strategy
from pilothouse.registry.strategy import Strategy

GROUP = "apiextensions.k8s.io"

DEFINITION = Strategy(name_check=any_name, unconditional_update=False, **COUNTS_SPEC, **STATUS_APART)

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "jfWCUB31mvA=",
        DEFINITION,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        key_prefix="/registry/apiextensions.k8s.io/customresourcedefinitions/",
        status=status_strategy(DEFINITION),
    ),
]
