"""Readers over plain dicts that notify their subscribers of every change."""

import random
from functools import partial

import pytest


class LiveReaders:
    def __init__(self):
        self.objects = {}
        self.callbacks = {}
        self.changes = 0
        self.revisions = {}
        self.loaded = []
        """The objects that were decoded for `selected`, in that order."""

    def revision(self, resource):
        return self.changes

    def selected(self, resource, field, value):
        for place, obj in self.objects.items():
            found = obj
            for name in field.split("."):
                found = found.get(name, {})
            if place[0] == resource and found == value:
                yield "/".join(place), self.revisions[place], partial(self._load, obj)

    def _load(self, obj):
        self.loaded.append(obj)
        return obj

    def subscribe(self, resource, callback):
        self.callbacks.setdefault(resource, []).append(callback)
        for (kind, namespace, name), obj in self.objects.items():
            if kind == resource:
                callback(f"/{namespace}/{name}", obj, None)

    def put(self, resource, obj):
        metadata = obj["metadata"]
        place = (resource, metadata.get("namespace", ""), metadata["name"])
        self._tell(place, obj)
        self.objects[place] = obj

    def delete(self, resource, namespace, name):
        self._tell((resource, namespace, name), None)
        del self.objects[resource, namespace, name]

    def _tell(self, place, new):
        self.changes += 1
        self.revisions[place] = self.changes
        for callback in self.callbacks.get(place[0], ()):
            callback("/".join(place), new, self.objects.get(place))

    def get(self, resource, namespace, name):
        return self.objects.get((resource, namespace, name))

    # RBAC in short.

    def role(self, name, *rules, namespace="", **more):
        kind = "roles" if namespace else "clusterroles"
        obj = {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules), **more}
        self.put(f"{kind}.rbac.authorization.k8s.io", obj)
        return obj

    def bind(self, name, role, *subjects, namespace="", kind="ClusterRole"):
        resource = "rolebindings" if namespace else "clusterrolebindings"
        obj = {
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": list(subjects),
        }
        self.put(f"{resource}.rbac.authorization.k8s.io", obj)
        return obj


@pytest.fixture(scope="session")
def ever_new_overlaps():
    """Held rules and wanted ones that take more steps to compare than are allowed."""
    listed = [f"t{i}" for i in range(400)]
    pick = random.Random(1).sample
    held = [{name: pick(listed, 200) for name in ("verbs", "apiGroups", "resources")} for _ in range(60)]
    held += [{"verbs": [t], "apiGroups": ["*"], "resources": ["*"]} for t in listed]
    return held, [{"verbs": listed, "apiGroups": listed, "resources": listed}]


@pytest.fixture(scope="session")
def new_readers():
    return LiveReaders


@pytest.fixture
def readers():
    return LiveReaders()
