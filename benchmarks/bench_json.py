"""Splicing and list bodies against plain Python: `pytest benchmarks/bench_json.py`."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pilothouse.api._json import Encoded, encoded, event, labels, splice
from pilothouse.endpoints.answers._listbody import ListBody

POD = orjson.dumps(
    {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "pod-1", "namespace": "default", "labels": {"app": "a", "tier": "b"}},
        "spec": {
            "containers": [{"name": "c", "env": [{"name": f"E{i}", "value": "x" * 40} for i in range(90)]}]
        },
    }
)
PREFIX, SUFFIX = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[', b"]}\n"


def plain_splice(value: bytes, revision: int) -> bytes:
    obj = orjson.loads(value)
    obj["metadata"] = {"resourceVersion": str(revision), **obj["metadata"]}
    return orjson.dumps(obj)


def sliced(prefix: bytes, entries: list[Encoded], suffix: bytes) -> int:
    """The size of the body as the server writes it: one slice at a time."""
    return sum(len(piece) for piece in ListBody(prefix, entries, suffix))


def plain_list(prefix: bytes, entries: list[Encoded], suffix: bytes) -> bytes:
    return b"".join((prefix, b",".join([b"{" + e.value[e.head :] for e in entries]), suffix))


def joined(prefix: bytes, entries: list[Encoded], suffix: bytes) -> bytes:
    return b"".join([e.value for e in entries])


@pytest.mark.parametrize("call", [splice, plain_splice])
def test_splice(benchmark: Any, call: Callable[..., bytes]) -> None:
    assert benchmark(call, POD, 12345)


@pytest.mark.parametrize("call", [sliced, plain_list, joined])
def test_list_of_5000(benchmark: Any, call: Callable[..., Any]) -> None:
    entries = [encoded(POD, i + 1) for i in range(5000)]
    assert benchmark(call, PREFIX, entries, SUFFIX)


def test_event(benchmark: Any) -> None:
    assert benchmark(event, "MODIFIED", POD)


def test_labels(benchmark: Any) -> None:
    entry = encoded(POD, 1)
    assert benchmark(labels, entry.value, entry.head) == {"app": "a", "tier": "b"}
