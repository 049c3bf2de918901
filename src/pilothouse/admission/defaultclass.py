"""Chooses the default among several classes that are marked as default."""

from collections.abc import Iterable, Sequence

from pilothouse.api.values.fields import Object


def default_class(classes: Iterable[Object], annotations: Sequence[str]) -> Object | None:
    """The newest class with a true default annotation; classes of the same age are chosen by name."""
    marked = [
        c
        for c in classes
        if any((c["metadata"].get("annotations") or {}).get(a) == "true" for a in annotations)
    ]
    if not marked:
        return None
    marked.sort(key=lambda c: c["metadata"]["name"])
    return max(marked, key=lambda c: c["metadata"].get("creationTimestamp", ""))
