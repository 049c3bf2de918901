"""Requests for which there is no memory wait, or are refused before anything of them is made; in the rig."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, Rig, config_map

from pilothouse.flowcontrol.memory import BUFFERS, MemoryBudget

pytestmark = pytest.mark.usefixtures("virtual")

LONG = {"k": "x" * 200_000}
ROOM = 100 << 20


class Limited:
    """A rig with a budget, of which a test takes as much as it wants; `jane` may do everything."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.call, self.respond = rig.call, rig.respond

    @property
    def memory(self) -> MemoryBudget:
        assert self.rig.handlers.memory is not None
        return self.rig.handlers.memory

    def leave_room(self, size: int) -> None:
        self.memory.limit = self.memory.used + size

    async def refused(self, *args: Any, **kwargs: Any) -> Any:
        """The details of a refusal."""
        answer = await self.call(*args, user="jane", **kwargs)
        assert answer.status == 429 and answer.body["reason"] == "TooManyRequests"
        assert answer.headers["retry-after"] == "1" and answer.body["details"]["retryAfterSeconds"] == 1
        [cause] = answer.body["details"]["causes"]
        return cause


@contextlib.asynccontextmanager
async def limited() -> AsyncIterator[Limited]:
    async with Rig(modes=("AlwaysAllow",), flags=("--max-memory=64Gi",)) as rig:
        for number in range(3):
            await rig.config_map(f"long-{number}", data=LONG)
        yield Limited(rig)


async def test_a_list_is_charged_until_it_has_been_sent() -> None:
    async with limited() as small:
        response = await small.respond("GET", CONFIG_MAPS, user="jane")
        assert 600_000 < small.memory.charged < 2 * BUFFERS
        small.rig.answer(response)
        assert small.memory.charged == 0
        assert (
            await small.call("GET", f"{CONFIG_MAPS}?limit=0&labelSelector=a%3Db", user="jane")
        ).status == 200
        assert small.memory.charged == 0


async def test_a_long_list_waits_for_room_and_is_refused_in_the_end() -> None:
    async with limited() as small:
        small.leave_room(1000)
        loop = asyncio.get_running_loop()
        start = loop.time()
        cause = await small.refused("GET", f"{CONFIG_MAPS}?timeout=20s")
        assert cause["reason"] == "Memory" and f"of {small.memory.limit} are in use" in cause["message"]
        assert loop.time() - start == pytest.approx(5, abs=0.5), "a quarter of its time"
        assert small.memory.charged == 0
        waits = asyncio.ensure_future(small.call("GET", CONFIG_MAPS, user="jane"))
        await asyncio.wait([waits], timeout=1)
        assert not waits.done()
        small.leave_room(ROOM)
        await small.memory.look()
        assert (await waits).status == 200 and small.memory.charged == 0


async def test_small_requests_administrators_and_probes_go_on() -> None:
    async with limited() as small:
        small.leave_room(1000)
        assert (await small.call("GET", f"{CONFIG_MAPS}/long-0", user="jane")).status == 200
        assert (
            await small.call("GET", "/api/v1/namespaces/kube-system/configmaps", user="jane")
        ).status == 200
        assert (await small.call("GET", "/api/v1/pods", user="jane")).status == 200
        assert (await small.call("POST", CONFIG_MAPS, config_map("a"), user="jane")).status == 201
        assert (await small.call("GET", CONFIG_MAPS, user="admin")).status == 200
        assert (await small.call("POST", CONFIG_MAPS, config_map("b", data=LONG), user="admin")).status == 201
        assert (await small.call("GET", "/version", user="jane")).status == 200
        version = small.rig.storage.revision
        stream = await small.rig.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion={version}", user="jane")
        await small.rig.config_map("seen")
        assert stream.seen() == [("ADDED", "seen")]
        stream.close()


async def test_a_large_body_is_refused_before_it_is_decoded() -> None:
    async with limited() as small:
        small.leave_room(1000)
        cause = await small.refused("POST", f"{CONFIG_MAPS}?timeout=4s", b"{" * 300_000)
        assert cause["reason"] == "Memory"
        small.leave_room(ROOM)
        answer = await small.call("POST", CONFIG_MAPS, config_map("c", data=LONG), user="jane")
        assert answer.status == 201 and small.memory.charged == 0
        assert (await small.call("POST", CONFIG_MAPS, b"{" * 300_000, user="jane")).status == 400
        assert small.memory.charged == 0, "an error gives it back as well"


async def test_what_is_read_from_the_store_is_charged_whole() -> None:
    async with limited() as small:
        newest = small.rig.storage.revision
        await small.rig.config_map("later")
        cache = small.rig.store.cache(small.rig.catalog.get("", "v1", "configmaps"))
        cache.forget_history(small.rig.storage.revision)
        target = f"{CONFIG_MAPS}?resourceVersion={newest}&resourceVersionMatch=Exact&timeout=4s"
        small.leave_room(900_000)
        assert (await small.refused("GET", target))["reason"] == "Memory"
        assert small.memory.charged == 0
        small.leave_room(ROOM)
        answer = await small.call("GET", target, user="jane")
        assert answer.status == 200 and len(answer.body["items"]) == 3 and small.memory.charged == 0


async def test_a_client_that_leaves_while_it_waits_holds_nothing() -> None:
    async with limited() as small:
        small.leave_room(1000)
        task = small.rig.handle("GET", CONFIG_MAPS, user="jane")
        await asyncio.wait([task], timeout=1)
        task.cancel()
        await asyncio.wait([task])
        await small.memory.look()
        assert small.memory.charged == 0


async def test_its_metrics() -> None:
    async with limited() as small:
        small.leave_room(1000)
        await small.refused("GET", f"{CONFIG_MAPS}?timeout=4s")
        text = (await small.rig.metrics.expose()).decode()
        assert 'pilothouse_memory_refused_requests_total{reason="time-out"} 1' in text
        for name in ("limit_bytes", "used_bytes", "charged_bytes", "waiting_requests", "reliefs_total"):
            assert f"\npilothouse_memory_{name} " in text
