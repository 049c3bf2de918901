"""Reads that must not be stale while the cache cannot follow the store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod
from metric_samples import samples
from virtual_time import VirtualLoop

from pilothouse.registry.consistent import CATCH_UP
from pilothouse.storage.interface import Behind, StorageError, StorageEvent, Subscription, Unavailable
from pilothouse.storage.memory import MemoryStorage


class Stalling(MemoryStorage):
    """A store shared with others whose watches may say nothing for a while."""

    others_write = True

    def __init__(self) -> None:
        super().__init__()
        self.stalled = False
        self.broken = False
        self._held: list[Callable[[], None]] = []

    async def current_revision(self) -> int:
        if self.broken:
            raise Unavailable("no leader")
        if self.stalled:
            raise Behind("the watch does not keep up")
        return await super().current_revision()

    async def get(self, key: str, revision: int = 0) -> Any:
        if self.broken:
            raise Unavailable("no leader")
        return await super().get(key, revision)

    def watch(
        self,
        prefix: str,
        revision: int,
        on_events: Callable[[list[StorageEvent]], None],
        on_error: Callable[[StorageError], None],
        **options: Any,
    ) -> Subscription:
        def held(events: list[StorageEvent]) -> None:
            if self.stalled:
                self._held.append(lambda: on_events(events))
            else:
                on_events(events)

        return super().watch(prefix, revision, held, on_error, **options)

    def release(self) -> None:
        self.stalled = False
        for call in self._held:
            call()
        self._held = []

    async def elsewhere(self, name: str, value: str) -> None:
        """Write an object as another server does."""
        key = f"/registry/configmaps/default/{name}"
        known = await self.get(key)
        obj = (
            b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"%s","namespace":"default",'
            % name.encode()
        )
        obj += b'"labels":{"v":"%s"}},"data":{"v":"%s"}}' % (value.encode(), value.encode())
        if known is None:
            await self.create(key, obj)
        else:
            await self.update(key, obj, known.mod)


@asynccontextmanager
async def behind() -> AsyncIterator[tuple[Rig, Stalling]]:
    """A server whose cache has two config maps in an old state, and lacks a third."""
    storage = Stalling()
    async with Rig(storage=storage) as rig:
        for name in ("a", "b"):
            await rig.config_map(name, data={"v": "old"})
        storage.stalled = True
        await storage.elsewhere("a", "new")
        await storage.elsewhere("c", "new")
        yield rig, storage


def counted(rig: Rig) -> dict[tuple[str, ...], float]:
    return {k: v for k, v in rig.consistent_reads.reads.values.items() if k[2] == "configmaps"}


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test in virtual time: nobody waits for the seconds that a read gives the cache."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


def test_an_object_is_read_from_the_store() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            found = await rig.ok("GET", f"{CONFIG_MAPS}/a")
            assert found["data"] == {"v": "new"}
            assert int(found["metadata"]["resourceVersion"]) == storage.revision - 1
            assert (await rig.ok("GET", f"{CONFIG_MAPS}/a?resourceVersion=0"))["data"] == {"v": "old"}
            await rig.fail(404, "GET", f"{CONFIG_MAPS}/none")
            assert counted(rig) == {("true", "", "configmaps", "true"): 2}
            storage.release()
            assert (await rig.ok("GET", f"{CONFIG_MAPS}/c"))["data"] == {"v": "new"}
            assert counted(rig)["false", "", "configmaps", "true"] == 1

    run(main())


def test_a_list_is_read_from_the_store() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            listed = await rig.ok("GET", CONFIG_MAPS)
            assert [(i["metadata"]["name"], i["data"]["v"]) for i in listed["items"]] == [
                ("a", "new"),
                ("b", "old"),
                ("c", "new"),
            ]
            assert listed["metadata"]["resourceVersion"] == str(storage.revision)
            chosen = await rig.ok("GET", f"{CONFIG_MAPS}?labelSelector=v%3Dnew&limit=1")
            assert [i["metadata"]["name"] for i in chosen["items"]] == ["a"]
            assert chosen["metadata"]["continue"] and "remainingItemCount" not in chosen["metadata"]
            stale = await rig.ok("GET", f"{CONFIG_MAPS}?resourceVersion=0")
            assert len(stale["items"]) == 2

    run(main())


def test_pages_are_of_one_revision() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            first = await rig.ok("GET", f"{CONFIG_MAPS}?limit=2")
            meta = first["metadata"]
            assert [i["metadata"]["name"] for i in first["items"]] == ["a", "b"]
            assert meta["remainingItemCount"] == 1
            await storage.elsewhere("c", "newer")
            rest = await rig.ok("GET", f"{CONFIG_MAPS}?limit=2&continue={meta['continue']}")
            assert [i["data"]["v"] for i in rest["items"]] == ["new"]
            assert rest["metadata"]["resourceVersion"] == meta["resourceVersion"]
            exact = f"{CONFIG_MAPS}?resourceVersionMatch=Exact&resourceVersion={meta['resourceVersion']}"
            assert [i["data"]["v"] for i in (await rig.ok("GET", exact))["items"]] == ["new", "old", "new"]

    run(main())


@pytest.mark.parametrize("path", [f"{CONFIG_MAPS}/a", CONFIG_MAPS])
def test_a_version_that_the_cache_has_not_reached_is_too_large(path: str) -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            answer = await rig.call("GET", f"{path}?resourceVersion={storage.revision}")
            assert answer.status == 504 and answer.headers["retry-after"] == "1"
            assert answer.body["details"]["causes"] == [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ]
            wanted = (
                f"Timeout: Too large resource version: {storage.revision}, current: {storage.revision - 2}"
            )
            assert answer.body["message"] == wanted
            assert counted(rig) == {}

    run(main())


def test_a_revision_that_no_store_has_is_too_large() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            query = f"resourceVersionMatch=Exact&resourceVersion={storage.revision + 9}"
            text = await rig.fail(504, "GET", f"{CONFIG_MAPS}?{query}")
            assert text.endswith(f"{storage.revision + 9}, current: {storage.revision}")

    run(main())


def test_writes_and_reads_that_need_the_cache_say_why_not() -> None:
    async def main() -> None:
        async with behind() as (rig, _):
            for method, path, body in (
                ("POST", CONFIG_MAPS, config_map("d")),
                ("DELETE", f"{CONFIG_MAPS}/a", None),
                ("GET", "/api/v1/namespaces/default/pods/p/log", None),
            ):
                assert "does not keep up" in await rig.fail(500, method, path, body)

    run(main())


def test_watches_that_show_the_newest_state_are_refused_others_go_on() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            for query in (
                "",
                "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1",
            ):
                refused = await rig.watch(f"{CONFIG_MAPS}?watch=1{query}")
                [event] = refused.events()
                assert (event["type"], event["object"]["code"]) == ("ERROR", 504) and refused.closed
            cached = await rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion=0")
            assert cached.seen() == [("ADDED", "a"), ("ADDED", "b")]
            changes = "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
            stream = await rig.watch(f"{CONFIG_MAPS}?watch=1{changes}")
            storage.release()
            assert cached.seen() == stream.seen() == [("MODIFIED", "a"), ("ADDED", "c")]

    run(main())


def test_a_store_that_is_gone_is_told() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            storage.broken = True
            assert "no leader" in await rig.fail(500, "GET", f"{CONFIG_MAPS}/a")

    run(main())


def test_a_cache_that_is_late_is_waited_for() -> None:
    async def main() -> None:
        async with behind() as (rig, storage):
            storage.current_revision = MemoryStorage.current_revision.__get__(storage)  # type: ignore[method-assign]
            asyncio.get_running_loop().call_later(CATCH_UP - 0.1, storage.release)
            assert (await rig.ok("GET", f"{CONFIG_MAPS}/c"))["data"] == {"v": "new"}
            assert counted(rig) == {("false", "", "configmaps", "true"): 1}
            name = "apiserver_watch_cache_read_wait_seconds_count"
            waits = samples(rig.consistent_reads)
            assert int(waits[f'{name}{{group="",resource="configmaps"}}']) >= 1
            assert float(waits[f'{name.removesuffix("_count")}_sum{{group="",resource="configmaps"}}']) > 0

    run(main())


def test_every_view_of_an_object_can_come_from_the_store() -> None:
    async def scenario() -> None:
        async with behind() as (rig, storage):
            storage.release()
            await rig.ok("POST", PODS, pod("p"))
            storage.stalled = True
            for sub in ("", "/status", "/ephemeralcontainers", "/resize"):
                assert (await rig.ok("GET", f"{PODS}/p{sub}"))["metadata"]["name"] == "p"
            await rig.fail(500, "GET", f"{PODS}/p/log")
            await rig.fail(500, "GET", f"{PODS}/p/proxy/")

    run(scenario())
