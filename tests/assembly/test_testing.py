"""Tests move a server, and its controllers have settled when the call returns."""

import asyncio

from harness import Rig

from pilothouse.assembly.testing import Settling
from pilothouse.controllers.queue import WorkQueue


async def test_it_waits_for_keys_that_are_worked_on_or_come_soon(rig: Rig) -> None:
    told: list[str] = []

    async def handle(key: str) -> float | None:
        told.append(key)
        await asyncio.sleep(0.005)
        return 0.05 if len(told) < 3 else None

    queue = WorkQueue("slow", handle, metrics=rig.client().metrics)
    queue.add("a")
    await Settling(rig.registry)()
    assert told == ["a"] * 3
    await queue.close()


async def test_what_takes_long_is_not_waited_for(rig: Rig) -> None:
    settled = Settling(rig.registry, patience=0.05)

    async def never(key: str) -> float | None:
        await asyncio.Event().wait()
        return None

    queue = WorkQueue("stuck", never, metrics=rig.client().metrics)
    queue.add("a")
    await asyncio.wait_for(settled(), 2)
    await queue.close()
    later = WorkQueue("later", lambda key: asyncio.sleep(0, 3600.0), metrics=rig.client().metrics)
    later.add("a")
    await asyncio.wait_for(settled(), 2)
    await later.close()


async def test_writes_are_waited_for(rig: Rig) -> None:
    wrote: list[str] = []

    async def chain() -> None:
        for number in range(5):
            await asyncio.sleep(0)
            await rig.config_map(f"m{number}")
            wrote.append(f"m{number}")

    task = asyncio.create_task(chain())
    await Settling(rig.registry)()
    assert len(wrote) == 5
    await task
