"""Lists and watches of some namespaces, compared with naive filtering of all past states."""

import asyncio
import json
from typing import Any

from example_scale import SCALE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storage.cached_pods import JSON, P, Sink, fields, pod
from storage.test_watchcache import chosen, label, node

from pilothouse.api.values._selectors import Requirement, Selector
from pilothouse.storage._watchers import PermittedWatcher
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher, Entry, ResourceCache

NAMES = ("a", "a-b", "b")
SELECTORS = (
    None,
    label("app", "a"),
    Selector([Requirement("app", "!", ())]),
    node("n1"),
    Selector(fields=[("spec.nodeName", "!=", "n1")]),
    Selector(fields=[("metadata.name", "=", "p1")]),
    Selector(nothing=True),
)
KEYS = st.builds("{}/{}".format, st.sampled_from(NAMES), st.sampled_from(["p1", "p2", "p3"]))
STEP = st.tuples(
    KEYS, st.sampled_from(["", "n1", "delete"]), st.sampled_from([None, {"app": "a"}, {"app": "b"}])
)
SOME = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)


async def opened() -> tuple[MemoryStorage, Cacher, ResourceCache]:
    store = MemoryStorage()
    await store.start()
    cacher = Cacher(store)
    await cacher.start()
    return store, cacher, cacher.resource(P, fields, ("spec.nodeName",))


def watch(pods: ResourceCache, *namespaces: str, selector: Selector | None = None) -> tuple[Any, Sink]:
    sink = Sink()
    watcher = pods.watch(P, "", selector, None, JSON, sink, namespaces=frozenset(namespaces))
    assert isinstance(watcher, PermittedWatcher)
    return watcher, sink


@settings(max_examples=30 * SCALE, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=14), some=SOME, limit=st.integers(1, 4))
def test_against_naive_filtering(steps: list[tuple[str, str, Any]], some: list[str], limit: int) -> None:
    async def body() -> None:
        store, cacher, pods = await opened()
        first = store.revision
        watches = [(selector, *watch(pods, *some, selector=selector)) for selector in SELECTORS]
        states: list[dict[str, KeyValue]] = [{}]
        changed: list[str] = []
        for name, what, labels in steps:
            key, state = P + name, dict(states[-1])
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
            changed.append(key)
        scopes = tuple(sorted(f"{P}{name}/" for name in some))
        for back, state in enumerate(states):
            at = first + back if back < len(states) - 1 else 0
            for selector in SELECTORS:
                check_pages(pods, state, scopes, selector, at, limit)
        for selector, _, sink in watches:
            wanted = []
            for before, after, key in zip(states, states[1:], changed, strict=False):
                was = key in before and chosen(selector, key, before[key].value)
                now = key in after and chosen(selector, key, after[key].value)
                if key.startswith(scopes) and (was or now):
                    kind = "DELETED" if not now else "MODIFIED" if was else "ADDED"
                    wanted.append((kind, key.rpartition("/")[2]))
            assert [event[:2] for event in sink.events] == wanted
        await cacher.close()
        await store.close()

    asyncio.run(body())


def check_pages(
    pods: ResourceCache,
    state: dict[str, KeyValue],
    scopes: tuple[str, ...],
    selector: Selector | None,
    at: int,
    limit: int,
) -> None:
    """The list, whole and in pages, is what is there in the namespaces;
    no page says that more follow when none do."""
    there = [key for key in sorted(state) if key.startswith(scopes)]
    wanted = [key for key in there if chosen(selector, key, state[key].value)]
    found = pods.list_among(scopes, selector, at=at)
    assert [entry.key for entry in found.entries] == wanted and not found.more
    paged: list[Entry] = []
    after = ""
    while True:
        page = pods.list_among(scopes, selector, at=at, limit=limit, after=after)
        paged += page.entries
        if selector is None:
            assert page.remaining == len(wanted) - len(paged)
        assert page.more == (len(page.entries) == limit and page.entries[-1].key != there[-1])
        if not page.more:
            break
        after = page.entries[-1].key
    assert [entry.key for entry in paged] == wanted


def test_keys_stand_for_themselves() -> None:
    async def body() -> None:
        store, cacher, _ = await opened()
        prefix = "/registry/namespaces/"
        spaces = cacher.resource(prefix, fields)
        for name in NAMES:
            await store.create(prefix + name, pod(name, labels={"app": name}))
        before = store.revision
        sink = Sink()
        spaces.watch(prefix, "", None, None, JSON, sink, namespaces=frozenset(["a"]))
        made = await store.create(prefix + "c", pod("c"))
        await store.delete(prefix + "c", made.mod)
        await store.update(prefix + "a", pod("a", "n", {"app": "a"}), before - 2)
        scopes = (prefix + "a", prefix + "b", prefix + "none")
        for selector, wanted in (
            (None, ["a", "b"]),
            (label("app", "a-b"), []),
            (label("app", "b"), ["b"]),
            (Selector(fields=[("metadata.name", "=", "b")]), ["b"]),
            (Selector(fields=[("metadata.name", "=", "a-b")]), []),
        ):
            for at in (before, 0):
                found = spaces.list_among(scopes, selector, at=at)
                assert [entry.key.removeprefix(prefix) for entry in found.entries] == wanted
        assert [event[:2] for event in sink.events] == [("MODIFIED", "a")]
        await cacher.close()
        await store.close()

    asyncio.run(body())


def test_a_held_watch_sends_nothing_until_it_is_released() -> None:
    async def body() -> None:
        store, cacher, pods = await opened()
        watcher, sink = watch(pods, "a")
        watcher.hold()
        await store.create(P + "a/x", pod("x"))
        watcher.bookmark(store.revision)
        for go_on in (watcher.resume, watcher.recheck, sink.take):
            go_on()
        assert not sink.frames
        watcher.release()
        assert [event[1] for event in sink.events] == ["x", ""]
        watcher.release()
        await store.create(P + "a/y", pod("y"))
        assert [event[1] for event in sink.events] == ["x", "", "y"]
        await cacher.close()
        await store.close()

    asyncio.run(body())


def test_a_watch_that_fails_drops_what_waits() -> None:
    async def body() -> None:
        store, cacher, pods = await opened()
        watcher, sink = watch(pods, "a")
        watcher.hold()
        await store.create(P + "a/x", pod("x"))
        watcher.fail(b'{"kind":"Status"}')
        watcher.fail(b'{"kind":"Status"}')
        watcher.release()
        assert [json.loads(frame)["type"] for frame in sink.frames] == ["ERROR"]
        assert sink.closed and pods.watchers == 0
        await cacher.close()
        await store.close()

    asyncio.run(body())


def test_a_held_watch_takes_no_more_than_a_slow_one() -> None:
    async def body() -> None:
        store, cacher, pods = await opened()
        watcher, sink = watch(pods, "a")
        watcher.hold()
        for i in range(120):
            await store.create(f"{P}a/{i}", pod(str(i), pad=100_000))
        assert sink.closed and not sink.frames
        await cacher.close()
        await store.close()

    asyncio.run(body())
