"""The metrics of auditing, and the one line a minute about lost events."""

import asyncio
import logging

import pytest
from clocks import Clock
from logged import pairs
from virtual_time import VirtualLoop

from pilothouse.audit.metrics import AuditMetrics, Losses, Telling
from pilothouse.metrics.instruments import MetricsRegistry


def test_names_and_values() -> None:
    registry = MetricsRegistry()
    metrics = registry.add(AuditMetrics())
    metrics.event_counts[0] += 3
    metrics.level_counts[1] += 2
    metrics.losses.add("log", 4, "full")
    metrics.rejected.inc()
    metrics.buffers["log"] = lambda: 7
    text = asyncio.run(registry.expose()).decode()
    for line in (
        "apiserver_audit_event_total 3",
        'apiserver_audit_level_total{level="Metadata"} 2',
        'apiserver_audit_error_total{plugin="log"} 4',
        "apiserver_audit_requests_rejected_total 1",
        'pilothouse_audit_buffered_bytes{backend="log"} 7',
    ):
        assert f"\n{line}\n" in text
    registry.reset()
    text = asyncio.run(registry.expose()).decode()
    assert "apiserver_audit_event_total 0\n" in text and "error_total{" not in text


def test_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    losses = Losses(clock)
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            losses.add("webhook", 2, "refused")
        clock.now += 59
        losses.tell()
        assert [pairs(record)["events"] for record in caplog.records] == [2]
        clock.now += 1
        losses.tell()
        losses.tell()
        assert [pairs(record)["events"] for record in caplog.records] == [2, 8]
        losses.add("log", 1, "full")
        losses.tell(last=True)
    assert pairs(caplog.records[-1]) == {"plugin": "log", "events": 1, "err": "full"}
    assert losses.totals() == {("webhook",): 10, ("log",): 1}


async def test_the_last_losses_are_told(virtual: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
    """Losses after the last line are told a minute later, though nothing is lost any more."""
    losses = Losses(virtual.time)
    telling = Telling(losses)
    telling.start()
    losses.add("log", 1, "full")
    losses.add("log", 2, "full")
    await virtual.advance(70)
    await telling.close()
    assert [pairs(record)["events"] for record in caplog.records] == [1, 2]
