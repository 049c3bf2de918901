"""Events of controllers: as many of an object as upstream lets through."""

import asyncio
from typing import Any

from pilothouse.simulate.workloads.events import AGAIN, BURST, FORGOTTEN, REFILL, SIMILAR, EventQueue


def about(uid: str) -> Any:
    metadata = {"name": "a", "namespace": "default", "uid": uid}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


async def told(cluster: Any) -> list[str]:
    await cluster.settle()
    return [note for _, note in await cluster.events()]


async def test_an_object_has_a_share(cluster: Any) -> None:
    events = EventQueue(cluster.client(), cluster.clock, "test")
    for number in range(BURST + 5):
        events.normal(about("1"), f"Reason{number}", f"note {number}")
    events.normal(about("2"), "Reason", "another object")
    assert len(await told(cluster)) == BURST + 1
    cluster.clock.advance(2 * REFILL)
    for number in range(3):
        events.warning(about("1"), "Reason", f"later {number}")
    assert sorted(note for note in await told(cluster) if "later" in note) == ["later 0", "later 1"]
    await events.close()


async def test_many_similar_events_are_told_by_one(cluster: Any) -> None:
    events = EventQueue(cluster.client(), cluster.clock, "test")
    for number in range(SIMILAR + 3):
        events.normal(about("1"), "Created", f"note {number}")
    events.normal(about("1"), "Deleted", "another reason")
    await cluster.settle()
    items = (await cluster.get("events"))["items"]
    counts = {one["message"]: one["count"] for one in items}
    assert counts == {
        **{f"note {number}": 1 for number in range(SIMILAR - 1)},
        f"(combined from similar events): note {SIMILAR + 2}": 4,
        "another reason": 1,
    }
    cluster.clock.advance(FORGOTTEN + 1)
    events.normal(about("1"), "Created", "later")
    assert "later" in await told(cluster)
    await events.close()


async def test_an_event_is_not_repeated_at_once(cluster: Any) -> None:
    events = EventQueue(cluster.client(), cluster.clock, "test")
    for _ in range(3):
        events.normal(about("1"), "One", "note")
        events.normal(about("1"), "Two", "note")
    await cluster.settle()
    cluster.clock.advance(AGAIN)
    events.normal(about("1"), "One", "note")
    await cluster.settle()
    items = (await cluster.get("events"))["items"]
    assert sorted((one["reason"], one["count"]) for one in items) == [("One", 2), ("Two", 1)]
    await events.close()


async def test_an_end_in_between(cluster: Any) -> None:
    events = EventQueue(cluster.client(), cluster.clock, "test")
    events.normal(about("1"), "Reason", "note")
    await asyncio.wait_for(events.close(), 1)
