"""Formats values as messages show upstream's internal types: sorted map keys, Go field names."""

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.api.fields import Object

_META = (
    "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
    "managedFields",
)  # fmt: skip
_OWNER = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_ENTRY = ("manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource")


def object_meta(metadata: Object) -> Object:
    """An ObjectMeta, which has JSON names in Go as well."""
    shown: Object = {name: metadata[name] for name in _META if metadata.get(name)}
    if metadata.get("deletionGracePeriodSeconds") == 0:
        shown = {
            name: metadata[name] for name in _META if name in shown or name == "deletionGracePeriodSeconds"
        }
    for name in ("labels", "annotations"):
        if name in shown:
            shown[name] = sorted_map(shown[name])
    for name, order in (("ownerReferences", _OWNER), ("managedFields", _ENTRY)):
        if name in shown:
            shown[name] = [{m: one[m] for m in order if one.get(m) is not None} for one in shown[name]]
    return shown


def sorted_map(members: Mapping[str, Any] | None) -> Object | None:
    """A map with sorted keys; None if it is empty, because absent and empty maps are the same in Go."""
    return dict(sorted(members.items())) if members else None


def label_selector(selector: Object | None) -> Object | None:
    """A meta/v1 LabelSelector with its fields in the type's order."""
    if selector is None:
        return None
    out: Object = {}
    if selector.get("matchLabels"):
        out["matchLabels"] = sorted_map(selector["matchLabels"])
    if selector.get("matchExpressions"):
        out["matchExpressions"] = [_expression(e) for e in selector["matchExpressions"]]
    return out


def node_selector(selector: Object | None) -> Object | None:
    """A core NodeSelector with Go field names, since its internal type has no JSON names."""
    if selector is None:
        return None
    return {"NodeSelectorTerms": node_selector_terms(selector.get("nodeSelectorTerms") or ())}


def node_selector_terms(terms: Sequence[Object]) -> list[Object] | None:
    """The terms of a core NodeSelector."""
    return [node_selector_term(term) for term in terms] or None


def node_selector_term(term: Object) -> Object:
    """One term of a core NodeSelector."""
    return {m[0].upper() + m[1:]: _requirements(term.get(m)) for m in ("matchExpressions", "matchFields")}


def _requirements(requirements: Sequence[Object] | None) -> list[Object] | None:
    return [
        {"Key": r.get("key", ""), "Operator": r.get("operator", ""), "Values": r.get("values") or None}
        for r in requirements or ()
    ] or None


def _expression(expression: Object) -> Object:
    out = {"key": expression.get("key", ""), "operator": expression.get("operator", "")}
    if expression.get("values"):
        out["values"] = expression["values"]
    return out
