"""Validates node.k8s.io/v1: runtime classes."""

from collections.abc import Hashable

from pilothouse.api import names
from pilothouse.api.equality import identity
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import immutable_field, report, validate_labels
from pilothouse.api.validate.pod.scheduling import validate_tolerations
from pilothouse.api.validate.resources import validate_requirements


def validate_runtime_class(obj: Object, errs: Errors) -> None:
    handler, scheduling = obj.get("handler", ""), obj.get("scheduling")
    if not handler:
        errs.required("handler")
    else:
        report("handler", handler, names.dns_label(handler), errs)
    if obj.get("overhead") is not None:
        validate_requirements({"limits": obj["overhead"].get("podFixed")}, "overhead", errs)
    if scheduling is not None:
        _node_selector(scheduling.get("nodeSelector"), errs)
        _tolerations(scheduling.get("tolerations") or [], errs)


def _node_selector(selector: dict[str, str] | None, errs: Errors) -> None:
    validate_labels(selector, "scheduling.nodeSelector", errs)


def _tolerations(tolerations: list[Object], errs: Errors) -> None:
    """Tolerations as in pods, but without duplicates."""
    path = "scheduling.tolerations"
    validate_tolerations(tolerations, path, errs)
    seen: set[Hashable] = set()
    for i, toleration in enumerate(tolerations):
        same = identity(toleration)
        if same in seen:
            errs.duplicate(f"{path}[{i}]", _toleration_shown(toleration))
        seen.add(same)


def _toleration_shown(toleration: Object) -> Object:
    shown = {m.capitalize(): toleration.get(m, "") for m in ("key", "operator", "value", "effect")}
    return {**shown, "TolerationSeconds": toleration.get("tolerationSeconds")}


def validate_runtime_class_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_runtime_class(obj, errs)
    immutable_field(obj.get("handler", ""), old.get("handler", ""), "handler", errs)
