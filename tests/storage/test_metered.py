"""A store whose requests are counted and timed, and take part in traces."""

import asyncio

import pytest

from pilothouse import spans
from pilothouse.spans import Span, Trace
from pilothouse.storage.interface import KeyExists
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.metered import MeteredStorage
from pilothouse.storage.metrics import StorageMetrics


async def test_each_request_is_a_span_of_the_request_that_is_served(runner: asyncio.Runner) -> None:
    inner = MemoryStorage()
    storage = MeteredStorage(inner, StorageMetrics(inner, lambda key: key), "etcd3")
    await storage.start()
    first = await storage.create("/a", b"1")
    trace = Trace(1, "id")
    with Span(trace, "Create") as create:
        second = await storage.update("/a", b"2", first.mod)
        await storage.get("/a")
        await storage.range("/")
        with pytest.raises(KeyExists):
            await storage.create("/a", b"3")
        await storage.delete("/a", second.mod)
    await storage.close()
    assert [(span.name, span.parent == create.id, span.attributes["key"]) for span in trace.spans] == [
        ("GuaranteedUpdate etcd3", True, "/a"),
        ("Get etcd3", True, "/a"),
        ("List(recursive=true) etcd3", True, "/"),
        ("Create etcd3", True, "/a"),
        ("Delete etcd3", True, "/a"),
    ]
    told = [[event.name for event in span.events] for span in trace.spans]
    assert told == [["Txn call succeeded"]] * 3 + [["Txn call failed"]] + [["Txn call succeeded"]]
    assert spans.current.get() is None
