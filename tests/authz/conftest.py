"""Readers over plain dicts that notify their subscribers of every change."""

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest


class LiveReaders:
    def __init__(self) -> None:
        self.objects: dict[Any, Any] = {}
        self.callbacks: dict[Any, Any] = {}
        self.changes = 0
        self.revisions: dict[Any, Any] = {}
        self.loaded: list[Any] = []
        """The objects that were decoded for `selected`, in that order."""

    def revision(self, resource: Any) -> Any:
        return self.changes

    def selected(self, resource: Any, field: Any, value: Any) -> Iterator[Any]:
        for place, obj in self.objects.items():
            found = obj
            for name in field.split("."):
                found = found.get(name, {})
            if place[0] == resource and found == value:
                yield "/".join(place), self.revisions[place], partial(self._load, obj)

    def _load(self, obj: Any) -> Any:
        self.loaded.append(obj)
        return obj

    def subscribe(self, resource: Any, callback: Any) -> None:
        self.callbacks.setdefault(resource, []).append(callback)
        for (kind, namespace, name), obj in self.objects.items():
            if kind == resource:
                callback(f"/{namespace}/{name}", obj, None)

    def indexed(self, name: str, resources: Any, make: Any) -> Any:
        index = make()
        for resource in resources:
            self.subscribe(resource, partial(index.put, resource))
        return index

    def put(self, resource: Any, obj: Any) -> None:
        metadata = obj["metadata"]
        place = (resource, metadata.get("namespace", ""), metadata["name"])
        self._tell(place, obj)
        self.objects[place] = obj

    def delete(self, resource: Any, namespace: str, name: str) -> None:
        self._tell((resource, namespace, name), None)
        del self.objects[resource, namespace, name]

    def _tell(self, place: Any, new: Any) -> None:
        self.changes += 1
        self.revisions[place] = self.changes
        for callback in self.callbacks.get(place[0], ()):
            callback("/".join(place), new, self.objects.get(place))

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        return self.objects.get((resource, namespace, name))

    # RBAC in short.

    def role(self, name: str, *rules: Any, namespace: str = "", **more: Any) -> Any:
        kind = "roles" if namespace else "clusterroles"
        obj = {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules), **more}
        self.put(f"{kind}.rbac.authorization.k8s.io", obj)
        return obj

    def bind(
        self, name: str, role: Any, *subjects: Any, namespace: str = "", kind: str = "ClusterRole"
    ) -> Any:
        resource = "rolebindings" if namespace else "clusterrolebindings"
        obj = {
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": list(subjects),
        }
        self.put(f"{resource}.rbac.authorization.k8s.io", obj)
        return obj


@pytest.fixture(scope="session")
def ever_new_overlaps() -> tuple[Any, list[dict[str, Any]]]:
    """Held rules and wanted ones that take more steps to compare than are allowed."""
    listed = [f"t{i}" for i in range(400)]
    pick = random.Random(1).sample
    held = [{name: pick(listed, 200) for name in ("verbs", "apiGroups", "resources")} for _ in range(60)]
    held += [{"verbs": [t], "apiGroups": ["*"], "resources": ["*"]} for t in listed]
    return held, [{"verbs": listed, "apiGroups": listed, "resources": listed}]


@pytest.fixture(scope="session")
def new_readers() -> Any:
    return LiveReaders


@pytest.fixture
def readers() -> LiveReaders:
    return LiveReaders()
