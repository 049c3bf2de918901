"""Watches whose events wait for their conversion."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from converters import MERGE, METADATA_LIST, TABLE, V1, V2, Boxes, Fake, box, path

from pilothouse import errors
from pilothouse.endpoints.objects.watch_conversion import BATCH, LOW, ConvertedSink, StoredEvents
from pilothouse.registry.conversion import Conversion

Object = dict[str, Any]
SIZE = {"width": 2, "height": 3}


@pytest.fixture
def boxes(rig: Any, runner: asyncio.Runner) -> Iterator[Boxes]:
    made = Boxes(rig)
    runner.run(made.start())
    yield made
    runner.run(made.stop())


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_there_and_what_comes(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a", "b")
    stream = await rig.watch(path() + "?watch=1&resourceVersion=0")
    stored = await rig.watch(path("v1") + "?watch=1&resourceVersion=0")
    await turns()
    assert [call.names for call in boxes.fake.calls] == [["a", "b"]]
    events = stream.events()
    assert [(e["type"], e["object"]["apiVersion"], e["object"]["spec"]) for e in events] == [
        ("ADDED", V2, SIZE)
    ] * 2
    boxes.fake.calls.clear()
    await rig.ok("PATCH", path("v1", "a"), {"spec": {"size": "4x5"}}, headers=MERGE)
    await rig.ok("DELETE", path("v1", "a"))
    await turns()
    events = stream.events()
    assert [(e["type"], e["object"]["spec"]["width"]) for e in events] == [("MODIFIED", 4), ("DELETED", 4)]
    assert {event["object"]["apiVersion"] for event in stored.events()} == {V1}


async def test_events_that_come_meanwhile_are_the_next_batch(rig: Any, runner: Any, boxes: Boxes) -> None:
    stream = await rig.watch(path() + "?watch=1")
    boxes.fake.held = True
    await rig.ok("POST", path("v1"), box("a", V1))
    first = await boxes.called(1)
    for name in ("b", "c"):
        await rig.ok("POST", path("v1"), box(name, V1))
    await turns()
    assert len(boxes.fake.calls) == 1 and not stream.events()
    first.release()
    second = await boxes.called(2)
    assert (first.names, second.names) == (["a"], ["b", "c"])
    assert stream.seen() == [("ADDED", "a")]
    second.release()
    await turns()
    assert stream.seen() == [("ADDED", "b"), ("ADDED", "c")]


async def test_a_slow_conversion_delays_no_other_watch(rig: Any, runner: Any, boxes: Boxes) -> None:
    one = await rig.watch(path() + "?watch=1")
    boxes.fake.held = True
    await rig.ok("POST", path("v1"), box("a", V1))
    slow = await boxes.called(1)
    other = await rig.watch(path() + "?watch=1&resourceVersion=0")
    as_stored = await rig.watch(path("v1") + "?watch=1&resourceVersion=0")
    fast = await boxes.called(2)
    await rig.ok("POST", path("v1"), box("b", V1))
    fast.release()
    (await boxes.called(3)).release()
    await turns()
    assert other.seen() == as_stored.seen() == [("ADDED", "a"), ("ADDED", "b")]
    assert one.seen() == []
    slow.release()
    (await boxes.called(4)).release()
    await turns()
    assert one.seen() == [("ADDED", "a"), ("ADDED", "b")]


async def test_bookmarks_keep_their_place(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    boxes.fake.held = True
    query = "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    stream = await rig.watch(path() + query)
    call = await boxes.called()
    await turns()
    assert not stream.events()
    call.release()
    await turns()
    added, bookmark = stream.events()
    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert bookmark["object"]["apiVersion"] == V2 and bookmark["object"]["kind"] == "Box"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) >= int(
        added["object"]["metadata"]["resourceVersion"]
    )


async def test_a_client_that_leaves(rig: Any, runner: Any, boxes: Boxes) -> None:
    stream = await rig.watch(path() + "?watch=1")
    boxes.fake.held = True
    await rig.ok("POST", path("v1"), box("a", V1))
    call = await boxes.called()
    await rig.ok("POST", path("v1"), box("b", V1))
    stream.close()
    await turns()
    assert call.cancelled and len(boxes.fake.calls) == 1 and not stream.events()
    resource = rig.catalog.get("boxes.example.com", "v1", "boxes")
    assert rig.store.cache(resource).watchers == 0


async def test_an_error_is_an_event_and_ends_the_watch(rig: Any, runner: Any, boxes: Boxes) -> None:
    stream = await rig.watch(path() + "?watch=1")
    await rig.ok("POST", path("v1"), box("a", V1))
    await turns()
    boxes.fake.broken = "no converter today"
    await rig.ok("POST", path("v1"), box("b", V1))
    await turns()
    added, error = stream.events()
    assert (added["type"], error["type"]) == ("ADDED", "ERROR")
    assert error["object"]["kind"] == "Status" and error["object"]["code"] == 500
    assert error["object"]["message"] == "no converter today" and stream.closed and not stream.aborted
    assert (await rig.ok("GET", path("v1")))["kind"] == "BoxList"


async def test_tables_convert_and_metadata_does_not(rig: Any, runner: Any, boxes: Boxes) -> None:
    await boxes.fill("a")
    metadata = {"accept": METADATA_LIST["accept"].replace("List;", ";")}
    stream = await rig.watch(path() + "?watch=1&resourceVersion=0", headers=metadata)
    assert [e["object"]["kind"] for e in stream.events()] == ["PartialObjectMetadata"]
    assert not boxes.fake.calls
    stream = await rig.watch(path() + "?watch=1&resourceVersion=0", headers=TABLE)
    await turns()
    (event,) = stream.events()
    assert event["object"]["rows"][0]["cells"] == ["a", 2] and len(event["object"]["columnDefinitions"]) == 2


async def test_fields_of_the_version_that_is_not_stored(rig: Any, runner: Any, boxes: Boxes) -> None:
    """An event tells that an object is selected now, still, or no longer."""
    await boxes.fill("a", "b")
    at = (await rig.ok("GET", path("v1")))["metadata"]["resourceVersion"]

    async def size(name: str, text: str) -> None:
        await rig.ok("PATCH", path("v1", name), {"spec": {"size": text}}, headers=MERGE)

    await size("b", "1x1")
    chosen = f"{path()}?watch=true&fieldSelector=spec.width%3D2"
    streams = [
        await rig.watch(chosen),
        await rig.watch(f"{chosen}&resourceVersion={at}"),
        await rig.watch(f"{chosen}&resourceVersion={at}", headers=METADATA_LIST),
        await rig.watch(f"{chosen}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"),
    ]
    await size("a", "2x4")
    await size("a", "3x4")
    await size("b", "2x5")
    await rig.ok("DELETE", path("v1", "a"))
    await rig.ok("DELETE", path("v1", "b"))
    for _ in range(200):
        await asyncio.sleep(0)
    news = [("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b"), ("DELETED", "b")]
    assert [stream.seen() for stream in streams] == [
        [("ADDED", "a"), *news],
        [("DELETED", "b"), *news],
        [("DELETED", "b"), *news],
        news,
    ]


async def test_a_definition_that_goes(rig: Any, runner: Any, boxes: Boxes) -> None:
    """Events that wait when the resource is served no longer are sent before the end."""
    await boxes.fill("a")
    stream = await rig.watch(path() + "?watch=1")
    await turns()
    assert stream.seen() == [("ADDED", "a")]
    boxes.fake.calls.clear()
    boxes.fake.held = True
    await rig.ok("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boxes.boxes.example.com")
    await rig.settle()
    call = await boxes.called()
    assert not stream.closed
    call.release()
    await turns()
    assert stream.seen() == [("DELETED", "a")] and stream.closed


# The sink alone


class Peer:
    """A stream whose client reads when the test says so."""

    def __init__(self) -> None:
        self.frames: list[Object] = []
        self.pending = 0
        self.closed = False
        self.error: BaseException | None = None
        self.closers: list[Any] = []
        self.drainers: list[Any] = []

    def write(self, data: bytes) -> None:
        self.frames.append(orjson.loads(data))
        self.pending += len(data)

    def buffered(self) -> int:
        return self.pending

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for callback in self.closers:
                callback()

    def abort(self, error: BaseException | None = None) -> None:
        self.error = error
        self.close()

    def on_close(self, callback: Any) -> None:
        self.closers.append(callback)

    def on_drain(self, callback: Any) -> None:
        self.drainers.append(callback)

    def read(self) -> None:
        self.pending = 0
        for callback in self.drainers:
            callback()


class Plain:
    """Encodes events as JSON."""

    def encode(self, type: str, value: bytes, entry: Any) -> bytes:
        return orjson.dumps({"type": type, "object": orjson.loads(value)})

    def event(self, type: str, obj: Object) -> bytes:
        return orjson.dumps({"type": type, "object": obj})


EVENTS = StoredEvents("Box", V2)


def sink_of(fake: Any) -> tuple[ConvertedSink, Peer]:
    conversion = Conversion(
        present=lambda obj: obj, store=lambda obj: obj, converter=fake, served=V2, stored=V1
    )
    peer = Peer()
    return ConvertedSink(peer, conversion, Plain()), peer


def added(name: str, pad: int = 0) -> bytes:
    obj = box(name, V1, annotations={"pad": "x" * pad})
    return EVENTS.encode("ADDED", orjson.dumps(obj), None)


async def test_what_waits_counts_as_not_taken(runner: Any) -> None:
    fake = Fake()
    fake.held = True
    sink, peer = sink_of(fake)
    asked: list[int] = []
    sink.on_drain(lambda: asked.append(sink.buffered()))
    size = len(added("a", LOW))
    sink.write(added("a", LOW))
    assert sink.buffered() == size
    await turns()
    assert sink.buffered() == size and not asked
    fake.calls[0].release()
    await turns()
    assert sink.buffered() == peer.pending > LOW and not asked  # now it is the client that is slow
    peer.read()
    assert asked == [0]


async def test_batches_are_bounded(runner: Any) -> None:
    fake = Fake()
    sink, peer = sink_of(fake)
    names = [f"b{i}" for i in range(7)]
    for name in names:
        sink.write(added(name, BATCH // 3))
    await turns()
    assert [call.names for call in fake.calls] == [names[0:2], names[2:4], names[4:6], names[6:]]
    assert [frame["object"]["metadata"]["name"] for frame in peer.frames] == names


async def test_an_end_comes_behind_what_waits(runner: Any) -> None:
    fake = Fake()
    fake.held = True
    sink, peer = sink_of(fake)
    sink.write(added("a"))
    await turns()
    sink.close()
    sink.write(added("b"))
    assert not peer.closed
    fake.calls[0].release()
    await turns()
    assert peer.closed and [frame["object"]["spec"] for frame in peer.frames] == [SIZE]
    sink, peer = sink_of(fake)
    sink.close()
    assert peer.closed
    sink, peer = sink_of(fake)
    closed: list[int] = []
    sink.on_close(lambda: closed.append(1))
    sink.abort(OSError("cut"))
    assert peer.closed and closed == [1] and isinstance(peer.error, OSError)


async def test_an_error_takes_the_events_behind_it(runner: Any) -> None:
    fake = Fake()
    fake.held = True
    sink, peer = sink_of(fake)
    sink.write(added("a"))
    await turns()
    sink.write(added("b"))
    fake.calls[0].fail("broken")
    await turns()
    assert [frame["type"] for frame in peer.frames] == ["ERROR"] and peer.closed
    assert len(fake.calls) == 1


async def test_a_mistake_of_a_converter_ends_the_watch(runner: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong:
        async def convert(self, objects: Any, to: str) -> list[Object]:
            return []

    sink, peer = sink_of(Wrong())
    sink.write(added("a"))
    await turns()
    assert peer.closed and not peer.frames
    assert "its events could not be converted" in caplog.text


async def test_errors_and_bookmarks_are_not_converted(runner: Any) -> None:
    fake = Fake()
    sink, peer = sink_of(fake)
    sink.write(EVENTS.bookmark(7))
    sink.write(EVENTS.encode("ERROR", orjson.dumps(errors.Expired("old").status()), None))
    await turns()
    assert [frame["type"] for frame in peer.frames] == ["BOOKMARK", "ERROR"] and not fake.calls
    assert peer.frames[0]["object"] == {
        "kind": "Box",
        "apiVersion": V2,
        "metadata": {"resourceVersion": "7"},
    }
