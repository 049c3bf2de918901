"""Which nodes a daemon set's pods run on: by name, node affinity and taints."""

from collections.abc import Iterable
from typing import Any

from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
NODE = "node.kubernetes.io/"
TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
"""Taints that every pod of a daemon set tolerates."""


def tolerations(spec: Object) -> list[Object]:
    """The tolerations of a daemon set's pod: its template's, and those that all of them have."""
    found = list(spec.get("tolerations") or ())
    names = [*TOLERATED, *([("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else [])]
    for name, effect in names:
        one = {"key": NODE + name, "operator": "Exists", "effect": effect}
        if one not in found:
            found.append(one)
    return found


def tolerates(listed: Iterable[Object], taint: Object) -> bool:
    """Whether one of the tolerations is about a taint."""
    return any(_tolerates(one, taint) for one in listed)


def _tolerates(one: Object, taint: Object) -> bool:
    if one.get("effect") and one["effect"] != taint.get("effect"):
        return False
    if one.get("key") and one["key"] != taint["key"]:
        return False
    exists = one.get("operator") == "Exists"
    return exists if not one.get("key") or exists else one.get("value", "") == taint.get("value", "")


def runs_on(spec: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod of a template should run on a node, and whether one that runs there may stay."""
    name = node["metadata"]["name"]
    if spec.get("nodeName") not in (None, "", name) or not fits_affinity(spec, node):
        return False, False
    listed = tolerations(spec)
    taints = [taint for taint in (node.get("spec") or {}).get("taints") or () if not tolerates(listed, taint)]
    hard = {taint.get("effect") for taint in taints} & {"NoSchedule", "NoExecute"}
    return not hard, "NoExecute" not in hard


def fits_affinity(spec: Object, node: Object) -> bool:
    """Whether the node selector and the required node affinity of a pod allow a node."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    if required is None:
        return True
    return any(_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def _matches(term: Object, node: Object) -> bool:
    """Whether all requirements of a term hold; a term without any matches nothing."""
    labels, fields = node["metadata"].get("labels") or {}, {"metadata.name": node["metadata"]["name"]}
    listed = [(one, labels) for one in term.get("matchExpressions") or ()]
    listed += [(one, fields) for one in term.get("matchFields") or ()]
    return bool(listed) and all(_holds(one, texts.get(one["key"])) for one, texts in listed)


def _holds(requirement: Object, value: str | None) -> bool:
    values: list[Any] = requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            if value is None or not value.lstrip("-").isdecimal():
                return False
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])


def pinned(spec: Object, node: str) -> Object:
    """The spec of a pod for one node: bound to it by affinity, with the tolerations that all have."""
    made: Object = copy(spec)
    affinity = made.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity[REQUIRED] = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    made["tolerations"] = tolerations(spec)
    return made
