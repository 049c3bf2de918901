"""Shared by the strategies of all kinds with a pod template: warnings and the Scale object."""

from collections.abc import Callable

from pilothouse.api.values import names, selectors
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import spec_of
from pilothouse.registry.strategy import WriteContext

Warnings = Callable[[WriteContext, Object, Object | None], list[str]]

TEMPLATE = "spec.template"


def name_warnings(obj: Object) -> list[str]:
    """Warn about a name that is not a DNS label, because pods use it in their host names."""
    wrong = names.dns_label((obj.get("metadata") or {}).get("name", ""))
    if not wrong:
        return []
    return [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
        f"a DNS label is recommended: [{' '.join(wrong)}]"
    ]


def pod_template_warnings(obj: Object, old: Object | None) -> list[str]:
    """Warnings about spec.template; for an update only if it changes the generation."""
    if old is not None and not generation_changes(obj, old):
        return []
    return rules.pod_warnings.template_warnings(spec_of(obj).get("template") or {}, TEMPLATE)


def generation_changes(obj: Object, old: Object) -> bool:
    new, before = obj["metadata"].get("generation"), old["metadata"].get("generation")
    return bool(new != before)


def workload_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    """Warnings of deployments and replica sets."""
    out = name_warnings(obj) if old is None else []
    return out + pod_template_warnings(obj, old)


def scale_of(obj: Object) -> Object:
    """The autoscaling/v1 Scale of a deployment, replica set or stateful set."""
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    shown: Object = {"replicas": status.get("replicas", 0)}
    text = selectors.from_label_selector(spec_of(obj).get("selector")).label_text
    if text:
        shown["selector"] = text
    replicas = spec_of(obj).get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {m: metadata[m] for m in kept if metadata.get(m)},
        "spec": {"replicas": replicas} if replicas else {},
        "status": shown,
    }


def set_scale(obj: Object, scale: Object) -> None:
    """Set the workload's replicas from a Scale."""
    obj.setdefault("spec", {})["replicas"] = spec_of(scale).get("replicas", 0)
