"""The watch cache compared with naive filtering of all past states, over both embedded stores."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.cached_pods import JSON, P, Sink, fields, pod

from pilothouse.api._json import JsonEncoder
from pilothouse.api.values._selectors import Requirement, Selector
from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.interface import Compacted, FutureRevision, KeyValue, Op, Unavailable
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.watchcache import Cacher, Entry, ResourceCache


def label(key: str, value: str) -> Selector:
    return Selector([Requirement(key, "=", (value,))])


def node(name: str) -> Selector:
    return Selector(fields=[("spec.nodeName", "=", name)])


def names(entries: list[Entry]) -> list[str]:
    return [entry.key.removeprefix(P) for entry in entries]


def metadata(name: str, members: dict[str, Any]) -> bytes:
    """A pod with further members in its metadata."""
    obj = json.loads(pod(name))
    obj["metadata"] |= members
    return json.dumps(obj, separators=(",", ":")).encode()


def run(body: Callable[[MemoryStorage, Cacher, ResourceCache], Awaitable[None]]) -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        cacher = Cacher(store)
        await cacher.start()
        await body(store, cacher, cacher.resource(P, fields, ("spec.nodeName",)))
        await cacher.close()
        await store.close()

    asyncio.run(main())


def test_get_and_list() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        for key in ("b/x", "a/y", "a-b/x", "a/x"):
            await store.create(P + key, pod(key[-1]))
        assert names(pods.list(P).entries) == ["a-b/x", "a/x", "a/y", "b/x"]
        listing = pods.list(P + "a/")
        assert names(listing.entries) == ["a/x", "a/y"]
        assert listing.revision == store.revision == pods.last_change
        page = pods.list(P, limit=1, after=P + "a-b/x")
        assert (names(page.entries), page.more, page.remaining) == (["a/x"], True, 2)
        page = pods.list(P, limit=2, after=P + "a/x")
        assert (names(page.entries), page.more, page.remaining) == (["a/y", "b/x"], False, 0)
        entry = pods.get(P + "a/x")
        assert entry is not None
        assert entry.value == pod("x").replace(b'{"name', b'{"resourceVersion":"%d","name' % entry.rev)
        assert entry.create_rev == entry.rev
        assert entry.value[entry.head :].startswith(b'"metadata"')
        assert pods.get(P + "a/z") is None
        assert pods.count == 4

    run(body)


def test_more_means_that_keys_follow_the_last_one_selected() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        for name, half in (("a", "0"), ("b", "1"), ("c", "0"), ("d", "1")):
            await store.create(f"{P}n/{name}", pod(name, labels={"half": half}))
        page = pods.list(P + "n/", label("half", "0"), limit=2)
        assert (names(page.entries), page.more, page.remaining) == (["n/a", "n/c"], True, -1)
        page = pods.list(P + "n/", label("half", "1"), limit=2)
        assert (names(page.entries), page.more) == (["n/b", "n/d"], False)
        page = pods.list(P + "n/", label("half", "0"), limit=2, after=page.entries[1].key)
        assert (page.entries, page.more) == ([], False)

    run(body)


def test_snapshots() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        a = await store.create(P + "n/a", pod("a"))
        b = await store.create(P + "n/b", pod("b"))
        await store.delete(P + "n/a", a.mod)
        await store.create(P + "n/c", pod("c"))
        old = pods.list(P, at=b.mod)
        assert (names(old.entries), old.revision) == (["n/a", "n/b"], b.mod)
        page = pods.list(P, at=b.mod, limit=1)
        assert (names(page.entries), page.more, page.remaining) == (["n/a"], True, 1)
        assert names(pods.list(P, at=b.mod, after=P + "n/a").entries) == ["n/b"]
        with pytest.raises(FutureRevision):
            pods.list(P, at=store.revision + 1)
        pods.forget_history(store.revision)
        await store.create(P + "n/d", pod("d"))
        with pytest.raises(Compacted):
            pods.list(P, at=b.mod)

    run(body)


def test_restart_keeps_the_recent_history() -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        first = await store.create(P + "n/a", pod("a"))
        await store.update(P + "n/a", pod("a", "n1"), first.mod)
        cacher = Cacher(store)
        pods = cacher.resource(P, fields)
        await cacher.start()
        assert pods.oldest < first.mod
        sink = Sink()
        pods.watch(P, "", None, first.mod, JSON, sink)
        assert sink.events == [("MODIFIED", "a", first.mod + 1)]
        assert [e.rev for e in pods.list(P, at=first.mod).entries] == [first.mod]
        await cacher.close()
        await store.close()

    asyncio.run(main())


def test_resources_are_found_by_the_longest_prefix() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        first = await store.create("/registry/example.com/widgets/n/a", pod("a"))
        await store.create("/registry/example.com/gadgets/n/a", pod("a"))
        await store.create("/registry/services/specs/n/a", pod("a"))
        await store.create("/elsewhere/a", b"no json")
        await store.create("/registry/broken/a", b"no json")
        widgets = cacher.resource("/registry/example.com/widgets/", fields)
        specs = cacher.resource("/registry/services/specs/", fields)
        assert cacher.resource("/registry/example.com/widgets/", fields) is widgets
        assert [e.key for e in widgets.list(widgets.prefix).entries] == ["/registry/example.com/widgets/n/a"]
        assert specs.count == 1
        sink = Sink()
        widgets.watch(widgets.prefix, "", None, first.mod - 1, JSON, sink)
        await store.create("/registry/example.com/widgets/n/b", pod("b"))
        assert [e[:2] for e in sink.events] == [("ADDED", "a"), ("ADDED", "b")]
        assert pods.count == 0
        cacher.drop(widgets.prefix)
        assert sink.closed
        again = cacher.resource("/registry/example.com/widgets/", fields)
        assert again is not widgets
        assert again.count == 2
        assert len(again.list(again.prefix, at=first.mod).entries) == 1

    run(body)


def test_objects_go_with_their_resource() -> None:
    def check(cache: ResourceCache, keys: list[str]) -> None:
        entries = [entry for key in keys if (entry := cache.get(key)) is not None]
        assert [entry.key for entry in entries] == cache.keys == sorted(keys)
        assert cache.stored_bytes == sum(len(entry.value) for entry in entries)

    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        prefixes = {f"/registry/{name}/": size for name, size in (("c", 1), ("a", 30), ("b", 3), ("ab", 0))}
        keys = {prefix: [f"{prefix}n/{at:02}" for at in range(size)] for prefix, size in prefixes.items()}
        every = sorted(key for some in keys.values() for key in some)
        for key in every:
            await store.create(key, pod(key[-2:], pad=len(key)))
        rest = cacher.find("/registry/nobody/")
        for prefix in prefixes:
            check(cacher.resource(prefix, fields), keys[prefix])
            check(rest, [key for key in every if not key.startswith(prefix)])
            assert rest.get(keys[prefix][0] if keys[prefix] else prefix) is None
            cacher.drop(prefix)
            check(rest, every)

    run(body)


@pytest.mark.parametrize("full", [False, True])
def test_watch_of_a_selection(full: bool) -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        sink, scoped, named = sinks = Sink(), Sink(), Sink()
        for each in sinks:
            each.waiting = 1 << 21 if full else 0
        pods.watch(P, "", node("n1"), None, JSON, sink)
        pods.watch(P + "n/", "", None, None, JSON, scoped)
        pods.watch(P + "n/", "a", None, None, JSON, named)
        kv = await store.create(P + "n/a", pod("a", "n0"))
        await store.create(P + "m/a", pod("a", "n0"))
        kv = await store.update(P + "n/a", pod("a", "n1"), kv.mod)
        kv = await store.update(P + "n/a", pod("a", "n1", {"x": "y"}), kv.mod)
        kv = await store.update(P + "n/a", pod("a", "n2"), kv.mod)
        kv = await store.delete(P + "n/a", kv.mod)
        assert [len(each.frames) for each in sinks] == ([1, 1, 1] if full else [3, 5, 5])
        for each in sinks:
            each.take()
        assert sink.events == [("ADDED", "a", 4), ("MODIFIED", "a", 5), ("DELETED", "a", 6)]
        left = json.loads(sink.frames[-1])["object"]
        assert left["spec"]["nodeName"] == "n1"
        assert left["metadata"]["labels"] == {"x": "y"}
        wanted = [("ADDED", "a", 2), ("MODIFIED", "a", 4), ("MODIFIED", "a", 5), ("MODIFIED", "a", 6)]
        assert scoped.events == named.events == [*wanted, ("DELETED", "a", 7)]

    run(body)


def test_frames_are_built_once() -> None:
    class Counting:
        key = "counting"
        calls = 0

        def encode(self, kind: str, value: bytes, entry: Entry) -> bytes:
            Counting.calls += 1
            return value

        def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
            return b""

    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        sinks = [Sink() for _ in range(500)]
        for sink in sinks:
            pods.watch(P, "", None, None, Counting(), sink)
        kv = await store.create(P + "n/a", pod("a"))
        assert Counting.calls == 1
        await store.delete(P + "n/a", kv.mod)
        assert Counting.calls == 2
        late = Sink()
        pods.watch(P, "", None, kv.mod - 1, Counting(), late)
        assert Counting.calls == 2
        assert all(len(sink.frames) == 2 and sink.frames[0] is sinks[0].frames[0] for sink in [*sinks, late])
        assert pods.watchers == 501
        for sink in sinks:
            sink.gone[0]()
        assert pods.watchers == 1

    run(body)


def test_initial_events_with_back_pressure() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        for i in range(400):
            await store.create(f"{P}n/{i:03}", pod(f"{i:03}", pad=10_000))
        listing = pods.list(P)
        sink = Sink(room=100_000)
        watcher = pods.watch(P, "", None, listing.revision, JSON, sink)
        watcher.initial(listing.entries)
        watcher.bookmark(listing.revision, {"k8s.io/initial-events-end": "true"})
        await store.create(P + "n/late", pod("late"))
        assert 30 < len(sink.frames) < 60
        while len(sink.frames) < 402:
            before = len(sink.frames)
            sink.take()
            assert len(sink.frames) > before
        assert [e[1] for e in sink.events] == [f"{i:03}" for i in range(400)] + ["", "late"]
        assert json.loads(sink.frames[400])["object"] == {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": str(listing.revision),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        }

    run(body)


def test_socket_that_takes_everything_needs_no_drain() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        for i in range(400):
            await store.create(f"{P}n/{i:03}", pod(f"{i:03}", pad=10_000))
        sink = Sink(room=0)
        watcher = pods.watch(P, "", None, None, JSON, sink)
        watcher.initial(pods.list(P).entries)
        for _ in range(20):
            sink.waiting = 0
            await asyncio.sleep(0)
        assert len(sink.frames) == 400

    run(body)


def test_watch_from_the_past_and_too_far() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        kvs = [await store.create(f"{P}n/{i}", pod(str(i))) for i in range(5)]
        sink = Sink()
        pods.watch(P, "", None, kvs[2].mod, JSON, sink)
        assert [e[1] for e in sink.events] == ["3", "4"]
        future = Sink()
        pods.watch(P, "", None, store.revision + 1, JSON, future)
        await store.create(f"{P}n/5", pod("5"))
        await store.create(f"{P}n/6", pod("6"))
        assert [e[1] for e in future.events] == ["6"]
        pods.forget_history(kvs[3].mod)
        with pytest.raises(Compacted):
            pods.watch(P, "", None, kvs[2].mod, JSON, Sink())
        with pytest.raises(Compacted):
            pods.check(kvs[2].mod)

    run(body)


@pytest.mark.parametrize(("size", "kept"), [(50_000, 16 << 20), (1_000_000, 6 << 20)])
def test_ring_is_bounded_by_bytes(size: int, kept: int) -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        kv = await store.create(P + "n/a", pod("a", pad=size))
        for _ in range(25_000_000 // size):
            kv = await store.update(P + "n/a", pod("a", pad=size), kv.mod)
        assert 0.8 * kept < (kv.mod - pods.oldest) * size <= kept + size

    run(body)


def test_failure_of_one_does_not_reach_others() -> None:
    class Broken(JsonEncoder):
        key = "broken"

        def encode(self, kind: str, value: bytes, entry: object) -> bytes:
            raise RuntimeError("boom")

    def boom(new: Entry | None, old: Entry | None) -> None:
        raise RuntimeError("boom")

    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        good, bad, chosen = Sink(), Sink(), Sink()
        pods.watch(P, "", None, None, Broken("Pod", "v1"), bad)
        pods.watch(P, "", None, None, JSON, good)
        pods.watch(P, "", node("n1"), None, JSON, chosen)
        pods.subscribe(boom)
        await store.create(P + "n/a", b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}')
        await store.create(P + "n/b", pod("b", "n1"))
        assert bad.closed
        assert not bad.frames
        assert [e[1] for e in good.events] == ["a", "b"]
        assert [e[1] for e in chosen.events] == ["b"]
        assert cacher.ready
        assert pods.watchers == 2

    run(body)


def test_bookmarks_come_by_themselves() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        sink, silent = Sink(), Sink()
        pods.watch(P, "", None, None, JSON, sink, bookmarks=True)
        pods.watch(P, "", None, None, JSON, silent)
        await store.create("/registry/secrets/n/a", pod("a"))
        for _ in range(60):
            cacher._tick()
            assert cacher._timer is not None
            cacher._timer.cancel()
        assert sink.events == [("BOOKMARK", "", store.revision)]
        assert silent.frames == []

    run(body)


def test_listeners() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        seen: list[tuple[int, int]] = []
        end = pods.subscribe(lambda new, old: seen.append((new.rev if new else 0, old.rev if old else 0)))
        kv = await store.create(P + "n/a", pod("a"))
        await store.delete(P + "n/a", kv.mod)
        end()
        await store.create(P + "n/b", pod("b"))
        assert seen == [(kv.mod, 0), (0, kv.mod)]

    run(body)


def test_listeners_to_what_is_tied_to_others() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        owned: dict[str, Any] = {"ownerReferences": []}
        leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
        seen: list[tuple[int, int]] = []
        before = await store.create(P + "n/a", metadata("a", owned))
        await store.create(P + "n/z", pod("z"))
        elsewhere = await store.create("/registry/others/a", metadata("a", owned))
        cacher.subscribe_tied(lambda new, old: seen.append((new.rev if new else 0, old.rev if old else 0)))
        plain = await store.create(P + "n/b", metadata("b", {"annotations": {"x": '"ownerReferences"'}}))
        tied = await store.update(P + "n/b", metadata("b", owned), plain.mod)
        free = await store.update(P + "n/b", pod("b"), tied.mod)
        freer = await store.update(P + "n/b", pod("b", node="n1"), free.mod)
        last = await store.update(P + "n/b", metadata("b", leaving), freer.mod)
        await store.delete(P + "n/b", last.mod)
        other = await store.create(P + "n/c", pod("c"))
        await store.delete(P + "n/c", other.mod)
        later = await store.create("/registry/later/a", metadata("a", owned))
        cacher.resource("/registry/later/", fields)  # has its cache from now on
        leaves = await store.update("/registry/later/a", metadata("a", leaving), later.mod)
        assert seen == [
            (elsewhere.mod, 0),
            (before.mod, 0),
            (tied.mod, plain.mod),
            (free.mod, tied.mod),
            (last.mod, freer.mod),
            (0, last.mod),
            (0, other.mod),
            (later.mod, 0),
            (leaves.mod, later.mod),
        ]
        entry = pods.get(P + "n/a")
        assert entry is not None and entry.owned and not entry.deleting

    run(body)


def test_wait_for() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        assert await cacher.wait_for(store.revision)
        assert not await cacher.wait_for(store.revision + 1, 0.01)
        waiting = asyncio.create_task(cacher.wait_for(store.revision + 1, 5))
        await asyncio.sleep(0)
        await store.create(P + "n/a", pod("a"))
        assert await waiting

    run(body)


def test_recovers_from_a_lost_watch() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        a = await store.create(P + "n/a", pod("a"))
        b = await store.create(P + "n/b", pod("b"))
        sink = Sink()
        pods.watch(P, "", None, None, JSON, sink)
        store._feed.close(Unavailable("lost"))
        assert not cacher.ready
        await store.update(P + "n/a", pod("a", "n1"), a.mod)
        await store.delete(P + "n/b", b.mod)
        c = await store.create(P + "n/c", pod("c"))
        assert await cacher.wait_for(store.revision, 5)
        for _ in range(5):
            await asyncio.sleep(0)
        assert cacher.ready
        assert sink.events == [("MODIFIED", "a", 4), ("ADDED", "c", c.mod), ("DELETED", "b", c.mod)]
        await store.create(P + "n/d", pod("d"))
        assert sink.events[-1] == ("ADDED", "d", c.mod + 1)
        with pytest.raises(Compacted):
            pods.check(b.mod)

    run(body)


def test_transform() -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        await store.create(P + "n/a", pod("a")[::-1])
        cacher = Cacher(store, lambda key, value: value[::-1])
        pods = cacher.resource(P, fields)
        await cacher.start()
        entry = pods.get(P + "n/a")
        assert entry is not None
        assert json.loads(entry.value)["metadata"]["name"] == "a"
        await cacher.close()
        await store.close()

    asyncio.run(main())


def test_plain_values_are_not_transformed() -> None:
    read: list[str] = []

    def transform(key: str, value: bytes) -> bytes:
        read.append(key.removeprefix(P))
        return value.rstrip()

    async def main() -> None:
        store = MemoryStorage()
        await store.start()
        cacher = Cacher(store, transform, plain=True)
        pods = cacher.resource(P, fields)
        await cacher.start()
        await store.create(P + "n/plain", pod("plain"))
        await store.create(P + "n/others", pod("others") + b"\n")
        await store.create(
            P + "n/leaving", metadata("leaving", {"deletionTimestamp": "2026-01-01T00:00:00Z"})
        )
        assert read == ["n/others", "n/leaving"]
        assert sorted(names(pods.list(P).entries)) == ["n/leaving", "n/others", "n/plain"]
        for value in (b"", b"{", b"}"):
            await store.create(f"{P}n/{len(read)}", value)
        assert len(read) == 5 and len(cacher.unreadable) == 3
        await cacher.close()
        await store.close()

    asyncio.run(main())


def test_memory_of_an_object() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        for i in range(300):
            await store.create(f"{P}n/pod-{i}", pod(f"pod-{i}"))
        entries = pods.list(P).entries
        bodies = sum(sys.getsizeof(e) + sys.getsizeof(e.value) - len(e.value) for e in entries)
        places = 2 * 8 + 60
        assert bodies / len(entries) + places < 250
        assert "_fields" not in dir(entries[0])

    run(body)


SELECTORS: list[Selector | None] = [
    None,
    Selector(),
    label("app", "a"),
    node("n1"),
    node(""),
    Selector([Requirement("app", "!=", ("a",))]),
    Selector([Requirement("app", "exists")], [("spec.nodeName", "!=", "n1")]),
    Selector([Requirement("app", "=", ("a",)), Requirement("x", "!")], [("spec.nodeName", "=", "n2")]),
    Selector(fields=[("metadata.name", "=", "p1")]),
    Selector(fields=[("metadata.namespace", "=", "b")]),
    Selector(nothing=True),
]

KEYS = st.sampled_from([f"{ns}/{name}" for ns in ("a", "a-b", "b") for name in ("p1", "p2")])
STEP = st.tuples(
    KEYS,
    st.sampled_from(["", "n1", "n2", "delete"]),
    st.sampled_from([None, {"app": "a"}, {"app": "b", "x": "1"}]),
)


def chosen(selector: Selector | None, key: str, value: bytes) -> bool:
    """The naive oracle: decode and ask."""
    if selector is None or selector.empty:
        return True
    obj = json.loads(value)
    seen = {**fields(obj), "metadata.namespace": key.removeprefix(P).split("/")[0]}
    return (
        not selector.nothing
        and selector.matches_labels(obj["metadata"].get("labels") or {})
        and selector.matches_fields(seen)
    )


async def play(
    store: MemoryStorage | SqliteStorage, steps: list[tuple[str, str, Any]], register_late: bool
) -> None:
    await store.start()
    cacher = Cacher(store)
    if not register_late:
        cacher.resource(P, fields, ("spec.nodeName",))
    await cacher.start()
    first = store.revision
    states: list[dict[str, KeyValue]] = [{}]
    half = len(steps) // 2
    pods: ResourceCache | None = None
    watches: list[tuple[str, str, Selector | None, int, Sink]] = []

    def open_watches(since: int) -> None:
        assert pods is not None
        for selector in SELECTORS:
            for scope, name in ((P, ""), (P + "a/", ""), (P + "a/", "p1")):
                sink = Sink()
                pods.watch(scope, name, selector, since, JSON, sink)
                watches.append((scope, name, selector, since, sink))

    for number, (name, what, labels) in enumerate(steps):
        if number == half:
            pods = cacher.resource(P, fields, ("spec.nodeName",))
            open_watches(first)
            open_watches(store.revision)
        key = P + name
        state = dict(states[-1])
        current = state.get(key)
        value = pod(name.split("/")[1], what, labels)
        if what == "delete":
            if current is None:
                continue
            await store.delete(key, current.mod)
            del state[key]
        elif current is None:
            state[key] = await store.create(key, value)
        else:
            state[key] = await store.update(key, value, current.mod)
        states.append(state)
    pods = cacher.resource(P, fields, ("spec.nodeName",))
    open_watches(first)
    check_lists(pods, states, first)
    for *watch, sink in watches:
        assert sink.events == expected(states, first, tuple(watch))
    await cacher.close()
    await store.close()


def check_lists(pods: ResourceCache, states: list[dict[str, KeyValue]], first: int) -> None:
    for back, state in enumerate(states):
        for selector in SELECTORS:
            for scope in (P, P + "a/"):
                keys = [k for k in sorted(state) if k.startswith(scope)]
                wanted = [state[k] for k in keys if chosen(selector, k, state[k].value)]
                at = first + back if back < len(states) - 1 else 0
                found = pods.list(scope, selector, at=at)
                assert [(e.key, e.rev) for e in found.entries] == [(kv.key, kv.mod) for kv in wanted]
                paged: list[Entry] = []
                page = pods.list(scope, selector, at=at, limit=2)
                while True:
                    paged += page.entries
                    if page.entries:
                        assert page.more == (len(page.entries) == 2 and page.entries[-1].key != keys[-1])
                    if not page.more:
                        break
                    page = pods.list(scope, selector, at=at, limit=2, after=page.entries[-1].key)
                assert paged == found.entries


def expected(
    states: list[dict[str, KeyValue]], first: int, watch: tuple[Any, ...]
) -> list[tuple[str, str, int]]:
    scope, name, selector, since = watch
    out = []
    for back in range(1, len(states)):
        revision = first + back
        before, after = states[back - 1], states[back]
        for key in sorted({*before, *after}):
            if revision <= since or before.get(key) == after.get(key) or not key.startswith(scope):
                continue
            short = key.rpartition("/")[2]
            if name and short != name:
                continue
            was = key in before and chosen(selector, key, before[key].value)
            is_now = key in after and chosen(selector, key, after[key].value)
            if was or is_now:
                kind = "DELETED" if not is_now else "MODIFIED" if was else "ADDED"
                out.append((kind, short, revision))
    return out


@settings(max_examples=15 * SCALE, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=16), st.booleans())
def test_against_naive_filtering(steps: list[tuple[str, str, Any]], register_late: bool) -> None:
    asyncio.run(play(MemoryStorage(), steps, register_late))


def test_over_sqlite(tmp_path: Path) -> None:
    steps = [
        (f"{ns}/{name}", what, {"app": "a"} if what else None)
        for what in ("", "n1", "n2", "delete", "n1")
        for ns in ("a", "b")
        for name in ("p1", "p2")
    ]
    asyncio.run(play(SqliteStorage(tmp_path), steps, True))


def test_answer_comes_after_the_cache(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStorage(tmp_path)
        await store.start()
        cacher = Cacher(store)
        await cacher.start()
        pods = cacher.resource(P, fields)

        async def write(i: int) -> None:
            kv = await store.create(f"{P}n/{i}", pod(str(i)))
            entry = pods.get(kv.key)
            assert entry is not None
            assert entry.rev == kv.mod
            gone = await store.delete(kv.key, kv.mod)
            assert gone.value == pod(str(i))
            assert pods.get(kv.key) is None

        await asyncio.gather(*(write(i) for i in range(100)))
        await store.txn([Op(f"{P}n/x", pod("x"), 0), Op(f"{P}n/y", pod("y"), 0)])
        assert names(pods.list(P).entries) == ["n/x", "n/y"]
        await cacher.close()
        await store.close()

    asyncio.run(main())


def test_from_a_number_of_objects_on_fields_are_indexed_unasked() -> None:
    """A list or a watch by field is the same, whenever the number is reached."""

    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        sink = Sink()
        pods.watch(P, "", node("n3"), store.revision, JSON, sink)
        for i in range(1005):
            await store.create(f"{P}a/p{i:04}", pod(f"p{i:04}", f"n{i % 7}"))
        wanted = [f"a/p{i:04}" for i in range(1005) if i % 7 == 3]
        assert names(pods.list(P, node("n3")).entries) == wanted
        assert [(kind, f"a/{name}") for kind, name, _ in sink.events] == [("ADDED", name) for name in wanted]
        again = Cacher(store)
        await again.start()
        assert names(again.resource(P, fields, ("spec.nodeName",)).list(P, node("n3")).entries) == wanted
        await again.close()

    run(body)


def test_a_cache_begins_as_others_of_the_same_state_until_something_has_changed() -> None:
    others = "/registry/others/"
    pairs = [KeyValue(f"{P}a/{name}", pod(name), at, at) for at, name in enumerate("zyx", 4)]

    async def main() -> None:
        base = BaseState([*pairs, KeyValue(others + "o", b"{}", 7, 7)], 7)
        journals = {name: MemoryStorage() for name in ("one", "two")}

        async def opened(name: str) -> tuple[KeyspaceStorage, Cacher]:
            store = KeyspaceStorage(journals[name], name, base)
            await store.start()
            cacher = Cacher(store, base=base)
            await cacher.start()
            cacher.resource(others, fields)
            return store, cacher

        for journal in journals.values():
            await journal.start()
        for name in journals:
            store, cacher = await opened(name)
            pods = cacher.resource(P, fields)
            assert names(pods.list(P).entries) == ["a/x", "a/y", "a/z"]
            assert [entry.key for entry in base.ordered] == base.keys
            assert all(pods.get(key) is base.entries[key] for key in (P + "a/x", P + "a/z"))
            assert (
                cacher.is_in_common(P) and cacher.is_in_common(others) and not cacher.is_in_common("/none/")
            )
            await store.delete(P + "a/y", 5)
            assert not cacher.is_in_common(P) and cacher.is_in_common(others)
            assert names(pods.list(P).entries) == ["a/x", "a/z"]
            await cacher.close()
            await store.close()
        store, cacher = await opened("two")
        assert names(cacher.resource(P, fields).list(P).entries) == ["a/x", "a/z"]
        assert not cacher.is_in_common(P), "nobody knows what a deletion left"
        assert len(base.ordered) == 4
        await cacher.close()
        await store.close()

    asyncio.run(main())


def test_stores_without_a_common_state_have_nothing_in_common() -> None:
    async def body(store: MemoryStorage, cacher: Cacher, pods: ResourceCache) -> None:
        assert not cacher.is_in_common(P)

    run(body)
    assert not EMPTY.ordered


def test_caches_of_several_stores_have_common_entries_of_a_base_state() -> None:
    async def main() -> None:
        base = BaseState([KeyValue(P + "a/x", pod("x"), 5, 5), KeyValue(P + "a/y", pod("y"), 6, 6)], 6)
        decoded = 0

        def transform(key: str, value: bytes) -> bytes:
            nonlocal decoded
            decoded += 1
            return value

        stores, caches = [], []
        for name in ("one", "two"):
            journal = MemoryStorage()
            await journal.start()
            store = KeyspaceStorage(journal, name, base)
            await store.start()
            cacher = Cacher(store, transform, base=base)
            await cacher.start()
            stores.append(store)
            caches.append(cacher.resource(P, fields, ("spec.nodeName",)))
        one, two = caches
        assert decoded == 2
        assert one.get(P + "a/x") is two.get(P + "a/x") is base.entries[P + "a/x"]
        changed = await stores[0].update(P + "a/x", pod("x", "changed"), 5)
        await stores[0].delete(P + "a/y", 6)
        await asyncio.sleep(0)
        mine = one.get(P + "a/x")
        assert mine is not None and mine.rev == changed.mod
        assert one.get(P + "a/y") is None
        for key in ("a/x", "a/y"):
            assert two.get(P + key) is base.entries[P + key]
        assert base.entries.keys() == base.current.keys()
        added = await stores[1].create(P + "a/z", pod("z"))
        await asyncio.sleep(0)
        assert added.key not in base.entries and two.get(added.key) is not None and one.get(added.key) is None

    asyncio.run(main())
