"""Watches whose clients are too slow:
they end so that the client can resume, and take a bounded memory until then."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from storage.cached_pods import JSON, P, Sink, fields, pod

from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher, ResourceCache

MOST = 4 << 20
"""Bytes of events that may wait for a slow client."""
KEPT = 256 << 10
"""Bytes that its sink may hold, and the last event above them."""

Body = Callable[[MemoryStorage, ResourceCache], Awaitable[None]]


def run(body: Body) -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        cacher = Cacher(store)
        await cacher.start()
        await body(store, cacher.resource(P, fields, ("spec.nodeName",)))
        await cacher.close()
        await store.close()

    asyncio.run(main())


async def write(store: MemoryStorage, count: int, size: int, first: int = 0) -> list[int]:
    """The revisions of `count` new pods."""
    return [
        (await store.create(f"{P}n/{i:05}", pod(str(i), pad=size))).mod for i in range(first, first + count)
    ]


def revisions(sink: Sink) -> list[int]:
    return [revision for kind, _, revision in sink.events if kind != "BOOKMARK"]


@pytest.mark.parametrize("size", [200, 6_000, 100_000])
def test_a_slow_client_resumes_by_the_bookmark(size: int) -> None:
    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        sink = Sink(room=0)
        pods.watch(P, "", None, None, JSON, sink, bookmarks=True)
        written: list[int] = []
        while not sink.closed:
            written += await write(store, 1, size, len(written))
        assert pods.terminated == 1 and pods.watchers == 0
        *_, (kind, _, revision) = sink.events
        assert kind == "BOOKMARK"
        written += await write(store, 5, size, len(written))
        again = Sink()
        pods.watch(P, "", None, revision, JSON, again)
        assert revisions(sink) and revisions(again)[-5:] == written[-5:]
        assert revisions(sink) + revisions(again) == written

    run(body)


def test_what_waits_for_a_slow_client_is_bounded() -> None:
    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        sink = Sink(room=0)
        pods.watch(P, "", None, None, JSON, sink, bookmarks=True)
        written = 0
        while not sink.closed:
            written += len(await write(store, 1, 10_000, written))
        assert sum(map(len, sink.frames)) < KEPT + 50_000
        assert MOST < written * 10_000 < MOST + KEPT + 200_000

    run(body)


def test_a_watcher_of_few_resumes_where_its_last_event_is_long_past() -> None:
    """The bookmark helps here: the revision of the last event has left the ring,
    that of the bookmark has not."""

    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        sink = Sink(room=0)
        pods.watch(P + "n/", "", None, None, JSON, sink, bookmarks=True)
        await write(store, 1, KEPT + 10)
        kv = await store.create(P + "other/a", pod("a", pad=10_000))
        for _ in range(2_000):
            kv = await store.update(P + "other/a", pod("a", pad=10_000), kv.mod)
        count = 1
        while not sink.closed:
            count += len(await write(store, 1, 60_000, count))
        [(_, _, last), (kind, _, revision)] = sink.events
        assert kind == "BOOKMARK" and last < pods.oldest <= revision
        again = Sink()
        pods.watch(P + "n/", "", None, revision, JSON, again)
        assert [name for _, name, _ in again.events] == [str(i) for i in range(1, count)]

    run(body)


def test_no_bookmark_for_who_did_not_ask_for_it() -> None:
    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        sink = Sink(room=0)
        pods.watch(P, "", None, None, JSON, sink)
        await write(store, 60, 100_000)
        assert sink.closed and {kind for kind, _, _ in sink.events} == {"ADDED"}

    run(body)


def test_no_bookmark_before_the_initial_events_have_been_sent() -> None:
    """A client that resumed by the bookmark would miss the objects that it was not sent."""

    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        await write(store, 20, 100_000)
        sink = Sink(room=0)
        watcher = pods.watch(P, "", None, None, JSON, sink, bookmarks=True)
        watcher.initial(pods.list(P).entries)
        watcher.bookmark(store.revision, {"k8s.io/initial-events-end": "true"})
        await write(store, 60, 100_000, first=20)
        assert sink.closed and len(sink.frames) < 20
        assert {kind for kind, _, _ in sink.events} == {"ADDED"}

    run(body)


def test_bookmarks_that_wait_are_sent_before_the_last_one() -> None:
    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        await write(store, 3, 100_000)
        sink = Sink(room=0)
        watcher = pods.watch(P, "", None, None, JSON, sink, bookmarks=True)
        watcher.initial(pods.list(P).entries)
        watcher.bookmark(store.revision, {"k8s.io/initial-events-end": "true"})
        listed = store.revision
        await write(store, 60, 100_000, first=3)
        assert sink.closed
        assert [kind for kind, _, _ in sink.events] == ["ADDED"] * 3 + ["BOOKMARK"] * 2
        first, last = [json.loads(frame)["object"]["metadata"] for frame in sink.frames[-2:]]
        assert first["annotations"] and "annotations" not in last
        assert int(first["resourceVersion"]) == int(last["resourceVersion"]) == listed

    run(body)


def test_what_a_client_has_missed_does_not_make_it_slow() -> None:
    """A long replay waits until it has been sent; only what comes meanwhile counts."""

    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        await write(store, 1, 10, first=5_000)
        since = store.revision
        missed = await write(store, 1_000, 10_000)
        sink = Sink(room=0)
        pods.watch(P, "", None, since, JSON, sink, bookmarks=True)
        missed += await write(store, 300, 10_000, first=1_000)
        assert not sink.closed
        while len(sink.frames) < len(missed):
            before = len(sink.frames)
            sink.take()
            assert len(sink.frames) > before
        assert revisions(sink) == missed
        sink.room = 0
        later = await write(store, 500, 10_000, first=2_000)
        assert sink.closed, "what was replayed makes no room once it was sent"
        assert revisions(sink)[len(missed) :] == later[: len(revisions(sink)) - len(missed)]

    run(body)


def test_an_encoder_that_fails_ends_its_watch_alone() -> None:
    class Broken:
        key = "broken"

        def encode(self, kind: str, value: bytes, entry: object) -> bytes:
            return b"x" * 300_000

        def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
            raise RuntimeError("no bookmark")

    async def body(store: MemoryStorage, pods: ResourceCache) -> None:
        broken, other = Sink(room=0), Sink()
        pods.watch(P, "", None, None, Broken(), broken, bookmarks=True)
        pods.watch(P, "", None, None, JSON, other)
        written = await write(store, 60, 100_000)
        assert broken.closed and revisions(other) == written

    run(body)


def test_short_memory_ends_the_watches_for_whose_clients_events_wait() -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        cacher = Cacher(store)
        await cacher.start()
        pods = cacher.resource(P, fields)
        slow, quick = Sink(room=0), Sink()
        pods.watch(P, "", None, None, JSON, slow, bookmarks=True)
        pods.watch(P, "", None, None, JSON, quick)
        written = await write(store, 10, 100_000)
        cacher.end_slow_watches()
        assert slow.closed and not quick.closed and pods.watchers == pods.terminated == 1
        *_, (kind, _, revision) = slow.events
        again = Sink()
        pods.watch(P, "", None, revision, JSON, again)
        assert kind == "BOOKMARK" and revisions(slow) + revisions(again) == written == revisions(quick)
        await cacher.close()
        await store.close()

    asyncio.run(main())
