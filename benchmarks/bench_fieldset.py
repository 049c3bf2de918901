"""Managed fields: what the update of a pod of about 6 KB costs (pytest-benchmark)."""

from typing import Any

import orjson

from pilothouse.api import codec
from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.changes import managed
from pilothouse.api.types import schema
from pilothouse.api.values.fields import Object

POD = schema.builtin("io.k8s.api.core.v1.Pod")
NOW = "2026-01-01T00:00:00Z"


def pod() -> Object:
    containers = [
        {
            "name": f"c{i}",
            "image": f"registry.example/app/{i}:1.2.3",
            "env": [{"name": f"VARIABLE_{n}", "value": "some text"} for n in range(10)],
            "ports": [{"containerPort": 8080 + i}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        for i in range(3)
    ]
    spec = {"containers": containers, "volumes": [{"name": "data", "emptyDir": {}}], "nodeName": "n"}
    raw = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}},
        "spec": spec,
    }
    obj: Object = codec.decode_value(raw, POD)[0]
    managed.update(None, obj, type=POD, manager="client", api_version="v1", now=NOW)
    return obj


def changed(live: Object) -> Object:
    new: Object = orjson.loads(orjson.dumps(live))
    new["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return new


def test_update_of_a_pod(benchmark: Any) -> None:
    live = pod()
    new = changed(live)

    def update() -> None:
        managed.update(
            live, new, type=POD, manager="kubelet", api_version="v1", subresource="status", now=NOW
        )

    benchmark(update)
    assert len(new["metadata"]["managedFields"]) == 2


def test_creation_of_a_pod(benchmark: Any) -> None:
    new = pod()
    benchmark(lambda: managed.update(None, new, type=POD, manager="client", api_version="v1", now=NOW))


def test_compare(benchmark: Any) -> None:
    live = pod()
    new = changed(live)
    added, _, _ = benchmark(fieldset.compare, POD, live, new)
    assert added
