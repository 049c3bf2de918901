"""node.k8s.io/v1: runtime classes."""

from pilothouse.api.validate import node as rules
from pilothouse.api.validate.node_labels import DEPRECATED
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups.records import on_create, on_update, resource
from pilothouse.registry.strategy import Strategy, UpdateCheck, WriteContext

GROUP = "node.k8s.io"


def _warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    selector = (obj.get("scheduling") or {}).get("nodeSelector") or {}
    return [f"scheduling.nodeSelector[{k}]: {DEPRECATED[k]}" for k in sorted(selector) if k in DEPRECATED]


RUNTIME_CLASS = Strategy(
    finalizer_checks=frozenset(),
    create_on_update=True,
    unconditional_update=False,
    validate=on_create(rules.validate_runtime_class),
    validate_update=on_update(rules.validate_runtime_class_update),
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
