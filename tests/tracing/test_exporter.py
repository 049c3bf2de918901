"""Spans on their way to a collector."""

import asyncio
import time

import pytest
from eventually import aeventually

pytest.importorskip("opentelemetry.sdk")

from collector import Collector

from pilothouse.spans import CLIENT, SERVER, Parent, Span, Trace
from pilothouse.testing.ports import free_ports
from pilothouse.tracing.exporter import MOST, Exporter
from pilothouse.tracing.metrics import NOT_TAKEN, QUEUE_FULL, TracingMetrics

REMOTE = Parent(7, 8, True, "vendor=1")


def trace(*, remote: Parent | None = None, link: Parent | None = None, calls: int = 1) -> Trace:
    """A request with calls of other servers, each of which has failed."""
    made = Trace(1 << 100, "id", remote, link)
    own = Span(made, "POST", kind=SERVER, attributes={"a": "b", "n": 1, "yes": True})
    made.add(own)
    own.event("now", {"len": 3})
    for _ in range(calls):
        with pytest.raises(OSError, match="gone"), own.child("HTTP POST", kind=CLIENT):
            raise OSError("gone")
    own.ended = time.perf_counter()
    return made


async def test_spans_arrive_as_they_were_made(runner: asyncio.Runner) -> None:
    metrics = TracingMetrics()
    before = time.time_ns()
    with Collector() as collector:
        exporter = Exporter(collector.endpoint, "apiserver-x", metrics, delay=0.01)
        exporter.take(trace(remote=REMOTE))
        exporter.take(trace(link=REMOTE))
        await aeventually(lambda: len(collector.spans) == 4, "the spans")
        await aeventually(lambda: metrics.exported.values[()] == 4, "their count")
        await exporter.close()
    own, call, other, _ = collector.spans
    assert own.service == {"service.name": "apiserver", "service.instance.id": "apiserver-x"}
    assert (own.name, own.kind, own.trace_id, own.parent) == ("POST", 2, f"{1 << 100:032x}", f"{8:016x}")
    assert own.attributes == {"a": "b", "n": 1, "yes": True} and own.events == [("now", {"len": 3})]
    assert own.state == "vendor=1" and not own.failed and own.links == []
    assert before - 10**7 < own.started < own.ended < time.time_ns() + 10**7
    assert (call.kind, call.parent, call.failed, call.error) == (3, own.id, True, "gone")
    assert other.parent == "" and other.links == [f"{7:032x}"] and other.state == ""


async def test_nobody_waits_for_a_collector_that_does_not_answer(runner: asyncio.Runner) -> None:
    metrics = TracingMetrics()
    with Collector() as collector:
        collector.answering.clear()
        exporter = Exporter(collector.endpoint, "x", metrics, delay=0.01)
        for _ in range(3):
            exporter.take(trace(calls=999))
        assert metrics.dropped.values == {(QUEUE_FULL,): 3000 - MOST}
        started = time.monotonic()
        await exporter.close()
        assert time.monotonic() - started < 8


@pytest.mark.parametrize("there", [False, True])
async def test_what_a_collector_does_not_take_is_counted(runner: asyncio.Runner, there: bool) -> None:
    metrics = TracingMetrics()
    with Collector() as collector:
        collector.refusing = True
        [unused] = free_ports(1)
        exporter = Exporter(collector.endpoint if there else f"127.0.0.1:{unused}", "x", metrics, delay=0.01)
        exporter.take(trace())
        if there:
            await aeventually(lambda: metrics.dropped.values == {(NOT_TAKEN,): 2}, "the count")
            exporter.take(trace())
        await exporter.close()
        assert metrics.exported.values == {(): 0}
        await aeventually(lambda: metrics.dropped.values == {(NOT_TAKEN,): 4 if there else 2}, "the count")


async def test_there_is_room_again_when_the_collector_comes_back(runner: asyncio.Runner) -> None:
    metrics = TracingMetrics()
    with Collector() as collector:
        collector.answering.clear()
        exporter = Exporter(collector.endpoint, "x", metrics, delay=0.01)
        for _ in range(3):
            exporter.take(trace(calls=999))
        collector.answering.set()
        await aeventually(lambda: metrics.exported.values[()] == MOST, "the spans that had room")
        exporter.take(trace())
        await aeventually(lambda: metrics.exported.values[()] == MOST + 2, "the spans that came later")
        await exporter.close()
