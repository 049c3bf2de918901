"""Selectable fields: the names allowed in a resource's `fieldSelector`, and how their values are read."""

from collections.abc import Callable
from functools import lru_cache, partial

from pilothouse.api.values.fields import Object
from pilothouse.registry.conventions import CUSTOM
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Path


def _text(obj: Object, path: Path) -> str:
    value: object = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def extractor(resource: Resource) -> Callable[[Object], dict[str, str]]:
    """Returns a function from an object to the values of all its selectable fields."""
    return _extractor(resource) if resource.conventions is CUSTOM else _shared_extractor(resource)


@lru_cache(maxsize=256)
def _shared_extractor(resource: Resource) -> Callable[[Object], dict[str, str]]:
    """The function of a built-in resource, whose record all servers share."""
    return _extractor(resource)


def _extractor(resource: Resource) -> Callable[[Object], dict[str, str]]:
    readers = [
        (label, source if callable(source) else partial(_text, path=source))
        for label, source in resource.selectable.items()
    ]
    namespaced = resource.namespaced

    def read(obj: Object) -> dict[str, str]:
        metadata = obj["metadata"]
        out = {"metadata.name": metadata.get("name", "")}
        if namespaced:
            out["metadata.namespace"] = metadata.get("namespace", "")
        for label, source in readers:
            out[label] = source(obj)
        return out

    return read


def stored_label(resource: Resource, label: str) -> str | None:
    """The stored record's name for a field label of `resource`; None if the label is not selectable."""
    if label == "metadata.name":
        return label
    if label == "metadata.namespace":
        return label if resource.namespaced or f'"{label}"' in resource.field_error else None
    source = resource.selectable.get(label)
    if source is None:
        return None
    stored = resource.storage
    if stored is None or label in stored.selectable:
        return label
    for name, other in stored.selectable.items():
        if other == source:
            return name
    return None if callable(source) else ".".join(source)
