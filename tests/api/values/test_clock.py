"""The real time."""

import asyncio
import time

from virtual_time import VirtualLoop

from pilothouse.api.values.clock import SYSTEM


async def test_it_is_the_real_time_and_that_of_the_loop(virtual: VirtualLoop) -> None:
    assert SYSTEM.time is time.time, "what is bound costs what it has cost"
    ran: list[int] = []
    SYSTEM.call_later(0.005, lambda: ran.append(1))
    SYSTEM.call_later(0.005, lambda: ran.append(2)).cancel()
    sleeping = asyncio.ensure_future(SYSTEM.sleep(0.01))
    await virtual.advance(0.006)
    assert ran == [1] and not sleeping.done()
    await virtual.advance(1)
    assert sleeping.done()
