"""The walk of a decoded pod by its type, compiled, against the plain Python walk that it replaces."""

from typing import Any

import orjson
import pytest

from pilothouse.api import _schema, codec
from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type
from pilothouse.api.values import quantity, times

POD_KIND = ("", "v1", "Pod")


def container(number: int) -> dict[str, Any]:
    return {
        "name": f"c{number}",
        "image": f"registry.example.com/team/app-{number}:1.2.3",
        "command": ["/bin/app", "--listen", ":8080"],
        "env": [{"name": f"VAR_{i}", "value": "value-of-some-length"} for i in range(8)],
        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
        "resources": {
            "limits": {"cpu": "500m", "memory": "512Mi"},
            "requests": {"cpu": "100m", "memory": "128Mi"},
        },
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/config", "readOnly": True}],
        "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
    }


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-7d4b9c6f5-x2x9k",
        "namespace": "shop",
        "labels": {"app": "web", "pod-template-hash": "7d4b9c6f5"},
        "annotations": {"example.com/note": "x" * 600},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u"}],
    },
    "spec": {
        "containers": [container(number) for number in range(5)],
        "volumes": [{"name": "config", "configMap": {"name": "web"}}],
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
    },
    "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"},
}
BODY = orjson.dumps(POD)
TEXT = {"quantity": quantity.canonical, "time": times.time, "microtime": times.micro_time}
SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int32": (int,),
    "int64": (int,),
    "bool": (bool,),
    "number": (int, float),
    "bytes": (str,),
    "intorstring": (int, str),
}


def plain_walk(kind: Type, value: Any, path: str, unknown: list[str]) -> Any:
    """The same outcome for a good body, without messages about wrong types."""
    if kind.kind == "struct":
        out = {}
        for name, item in value.items():
            field = kind.fields.get(name)
            if field is None:
                unknown.append(f"{path}.{name}")
            elif item is not None:
                walked = plain_walk(field.type, item, f"{path}.{name}", unknown)
                if walked or field.pointer or not field.omit:
                    out[name] = walked
        for name, field in kind.fields.items():
            if name not in out:
                if field.default is not None:
                    out[name] = field.default
                elif not field.omit:
                    out[name] = plain_walk(field.type, {}, path, []) if field.type.kind == "struct" else None
        return out
    if kind.kind == "list":
        assert kind.items is not None
        return [plain_walk(kind.items, item, f"{path}[{i}]", unknown) for i, item in enumerate(value)]
    if kind.kind == "map":
        assert kind.items is not None
        return {key: plain_walk(kind.items, item, f"{path}.{key}", unknown) for key, item in value.items()}
    if kind.kind in TEXT:
        return TEXT[kind.kind](value)
    if kind.kind in SCALARS and not isinstance(value, SCALARS[kind.kind]):
        raise TypeError(path)
    return value


def test_walk_compiled(benchmark: Any) -> None:
    kind = schema.for_kind(*POD_KIND)
    value = orjson.loads(BODY)
    benchmark(lambda: _schema.Walk(exact=False).run(kind, value))


def test_walk_plain(benchmark: Any) -> None:
    kind = schema.for_kind(*POD_KIND)
    value = orjson.loads(BODY)
    benchmark(lambda: plain_walk(kind, value, "", []))


def test_count_colons(benchmark: Any) -> None:
    benchmark(_schema.count_colons, BODY)


def test_scan_exactly(benchmark: Any) -> None:
    benchmark(_schema.scan, BODY)


@pytest.mark.parametrize("validation", [codec.IGNORE, codec.STRICT])
def test_decode_pod(benchmark: Any, validation: str) -> None:
    kind = schema.for_kind(*POD_KIND)
    benchmark(codec.decode, BODY, codec.JSON, kind, POD_KIND, validation)


def test_encode_pod(benchmark: Any) -> None:
    obj, _ = codec.decode(BODY, codec.JSON, schema.for_kind(*POD_KIND), POD_KIND)
    benchmark(codec.encode, obj, "Pod", "v1")
