"""Patches of a deployment-sized object (pytest-benchmark)."""

from typing import Any

import orjson

from pilothouse.api import codec
from pilothouse.api.changes import apply, patch, strategic
from pilothouse.api.types import schema
from pilothouse.api.values.fields import Object

DEPLOYMENT = schema.builtin("io.k8s.api.apps.v1.Deployment")
CONFIG = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {
                "containers": [{"name": "c", "image": "i", "env": [{"name": f"V{n}"} for n in range(20)]}]
            },
        },
    },
}
LIVE = codec.decode_value(CONFIG, DEPLOYMENT)[0]
STRATEGIC = orjson.dumps({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "j"}]}}}})
MERGE = orjson.dumps({"spec": {"replicas": 3}, "metadata": {"labels": {"a": "b"}}})
JSON = orjson.dumps([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "j"}])
NOW = "2026-01-01T00:00:00Z"


def applied(live: Object | None, config: Object) -> Object | None:
    return apply.apply(
        live,
        config,
        type=DEPLOYMENT,
        manager="m",
        force=False,
        api_version="apps/v1",
        kind="Deployment",
        now=NOW,
    )


def test_json_patch(benchmark: Any) -> None:
    benchmark(patch.apply_json_patch, LIVE, JSON)


def test_merge_patch(benchmark: Any) -> None:
    benchmark(patch.apply_merge_patch, LIVE, MERGE)


def test_strategic_merge_patch(benchmark: Any) -> None:
    benchmark(strategic.apply_patch, LIVE, STRATEGIC, DEPLOYMENT)


def test_apply_without_change(benchmark: Any) -> None:
    live = applied(None, CONFIG)
    assert benchmark(applied, live, CONFIG) == live
