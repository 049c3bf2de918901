"""Readers whose objects a test changes."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

Rows: TypeAlias = list[Any]

GROUP = "flowcontrol.apiserver.k8s.io"
REJECT = {
    "type": "Limited",
    "limited": {"nominalConcurrencyShares": 10, "limitResponse": {"type": "Reject"}},
}


class Live:
    """Objects whose every change is told."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Callable[..., None]]] = {}
        self.objects: dict[tuple[str, str], Any] = {}

    def subscribe(self, resource: str, callback: Callable[..., None]) -> None:
        self.callbacks.setdefault(resource, []).append(callback)

    def follow(self, resource: str, callback: Callable[..., None]) -> Rows:
        self.subscribe(resource, callback)
        return self.list(resource)

    def judged(self, name: Any, resources: Any, judge: Any) -> None:
        return None

    def indexed(self, name: str, resources: Any, make: Any) -> Any:
        index = make()
        for resource in resources:
            self.subscribe(resource, partial(index.put, resource))
        return index

    def put(self, plural: str, obj: Any) -> None:
        key = (plural, obj["metadata"]["name"])
        for callback in self.callbacks.get(f"{plural}.{GROUP}", ()):
            callback("k", obj, self.objects.get(key))
        self.objects[key] = obj

    def delete(self, plural: str, name: str) -> None:
        old = self.objects.pop((plural, name))
        for callback in self.callbacks[f"{plural}.{GROUP}"]:
            callback("k", None, old)

    def get(self, resource: str, namespace: str, name: str) -> Any:
        return self.objects.get((resource.partition(".")[0], name))

    def list(self, resource: str, namespace: str = "") -> Rows:
        plural = resource.partition(".")[0]
        return [obj for (kind, _), obj in sorted(self.objects.items()) if kind == plural]

    def by_kind(self, group: str, version: str, kind: str) -> Any:
        return None

    def revision(self, resource: str) -> int:
        return 0

    def selected(self, resource: str, field: str, value: str) -> Rows:
        return []
