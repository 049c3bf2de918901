"""The helpers for time: the virtual loop and the bounded wait."""

import asyncio
import threading
import time

import pytest
from eventually import aeventually, eventually
from harness import Rig
from virtual_time import VirtualLoop


async def test_time_jumps_to_the_next_timer(virtual: VirtualLoop) -> None:
    begun, real, seen = virtual.time(), time.monotonic(), []
    virtual.call_later(3600, lambda: seen.append(virtual.time() - begun))
    await virtual.advance(7200)
    assert seen == [3600] and virtual.time() - begun == 7200
    assert time.monotonic() - real < 1


async def test_deadlines_are_in_virtual_time(virtual: VirtualLoop) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await asyncio.Event().wait()
    assert virtual.time() == 1100


async def test_time_stands_still_while_a_thread_works(virtual: VirtualLoop) -> None:
    go, late = threading.Event(), virtual.call_later(5, lambda: None)
    work = virtual.run_in_executor(None, go.wait)
    asyncio.get_running_loop().call_soon(go.set)
    assert await work and virtual.time() < late.when()
    with virtual.hold():
        done = asyncio.Event()
        thread = threading.Thread(target=virtual.call_soon_threadsafe, args=(done.set,))
        thread.start()
        await done.wait()
    thread.join()
    assert virtual.time() < late.when()


async def test_sockets_are_served_before_time_moves(virtual: VirtualLoop) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, asyncio.timeout(1):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()


async def test_a_rig_beside_it_runs_on_it(virtual: VirtualLoop, rig: Rig) -> None:
    assert asyncio.get_running_loop() is virtual
    assert (await rig.config_map("a"))["metadata"]["name"] == "a"


async def test_time_stands_still_while_a_rig_works_on_a_thread(virtual: VirtualLoop, rig: Rig) -> None:
    begun = virtual.time()
    await rig.config_map("large", data={"k": "x" * 500_000})
    assert virtual.time() == begun


def test_a_wait_returns_what_it_found() -> None:
    answers = iter([0, 0, 7])
    assert eventually(lambda: next(answers), "seven") == 7


def test_a_wait_says_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for rain"):
        eventually(lambda: False, "rain", 0.01)


async def test_a_wait_on_the_loop_awaits_its_check(virtual: VirtualLoop) -> None:
    begun = virtual.time()

    async def look() -> bool:
        return virtual.time() > begun + 5

    assert await aeventually(look, "five seconds")
    with pytest.raises(AssertionError, match="waited 3 s for snow"):
        await aeventually(lambda: False, "snow", 3)
