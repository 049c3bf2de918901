"""node.k8s.io/v1: runtime classes."""

from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import resource
from pilothouse.registry.strategy import Strategy, UpdateCheck, WriteContext

GROUP = "node.k8s.io"


def _warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    selector = (obj.get("scheduling") or {}).get("nodeSelector") or {}
    return rules.node_labels.map_warnings(selector, "scheduling.nodeSelector")


RUNTIME_CLASS = Strategy(
    finalizer_checks=frozenset(),
    create_on_update=True,
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.node.validate_runtime_class(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.node.validate_runtime_class_update(obj, old, errs),
    update_order=(UpdateCheck.METADATA, UpdateCheck.METADATA_CHANGE, UpdateCheck.RULES),
    warnings=_warnings,
)

RESOURCES = [
    resource(
        GROUP,
        "RuntimeClass",
        "runtimeclasses",
        "WQTu1GL3T2Q=",
        RUNTIME_CLASS,
    ),
]
