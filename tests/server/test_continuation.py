"""The rest of a request that waits for one future, compared with a task that does the same."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from pilothouse.server._continuation import Continuation
from pilothouse.waiting import as_task, in_task

Carry = Callable[[Coroutine[Any, Any, Any]], Any]
Body = Callable[["asyncio.Future[Any]"], Coroutine[Any, Any, Any]]
PLACE: ContextVar[str] = ContextVar("place", default="nowhere")


def continued(coro: Coroutine[Any, Any, Any]) -> Any:
    return Continuation(coro, coro.send(None), copy_context())


def tasked(coro: Coroutine[Any, Any, Any]) -> Any:
    return as_task(coro, coro.send(None))


async def gives(future: "asyncio.Future[Any]") -> Any:
    return await future, asyncio.current_task() is None


async def catches(future: "asyncio.Future[Any]") -> Any:
    try:
        return await future
    except BaseException as err:
        return type(err)


async def raises(future: "asyncio.Future[Any]") -> Any:
    await future
    raise KeyError("a")


async def waits_again(future: "asyncio.Future[Any]") -> Any:
    first = await future
    await asyncio.sleep(0)
    await in_task()
    async with asyncio.timeout(1):
        await asyncio.sleep(0)
    return first, PLACE.get()


async def wants_a_task(future: "asyncio.Future[Any]") -> Any:
    await future
    await in_task()
    return asyncio.current_task() is not None


async def never_ends(future: "asyncio.Future[Any]") -> Any:
    await future
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        return "cancelled"


async def outcome(carried: Any) -> Any:
    """How it has ended."""
    try:
        found = await carried
    except BaseException as err:
        found = type(err), str(err)
        if not carried.cancelled():
            assert carried.exception() is err
    else:
        assert carried.result() == found and carried.exception() is None
    assert carried.done() and not carried.cancel()
    return found, carried.cancelled()


def both(future: "asyncio.Future[Any]", carried: Any) -> None:
    """Cancel what goes on already, for its future is done."""
    future.set_result(7)
    carried.cancel()


def twice(future: "asyncio.Future[Any]", carried: Any) -> None:
    carried.cancel()
    carried.cancel()


ACTS: dict[str, Callable[["asyncio.Future[Any]", Any], object]] = {
    "result": lambda future, carried: future.set_result(7),
    "exception": lambda future, carried: future.set_exception(ValueError("b")),
    "future cancelled": lambda future, carried: future.cancel(),
    "cancelled": lambda future, carried: carried.cancel(),
    "cancelled twice": twice,
    "cancelled when the future is done": both,
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("body", [gives, catches, raises, waits_again, wants_a_task])
def test_it_ends_as_a_task_does(body: Body, act: str) -> None:
    async def play(carry: Carry) -> Any:
        PLACE.set("here")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        carried = carry(body(future))
        PLACE.set("there")
        await asyncio.sleep(0)
        ACTS[act](future, carried)
        return await outcome(carried)

    plain, short = asyncio.run(play(tasked)), asyncio.run(play(continued))
    if body is gives and act == "result":
        assert (plain, short) == (((7, False), False), ((7, True), False)), "it has no task"
    else:
        assert plain == short


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_callbacks_are_called_in_the_turn_in_which_it_ends() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        carried = continued(gives(future))
        seen: list[Any] = []
        removed = seen.append
        carried.add_done_callback(removed)
        assert carried.remove_done_callback(removed) == 1
        carried.add_done_callback(lambda one: seen.append((one is carried, PLACE.get())))
        context = copy_context()
        context.run(PLACE.set, "context")
        carried.add_done_callback(lambda one: 1 / 0)
        carried.add_done_callback(lambda one: seen.append(PLACE.get()), context=context)
        future.add_done_callback(lambda _: seen.append("after"))
        future.set_result(1)
        await asyncio.sleep(0)
        assert seen == [(True, "nowhere"), "context", "after"]
        carried.add_done_callback(lambda one: seen.append("late"))
        assert seen[-1] == "after"
        await asyncio.sleep(0)
        assert seen[-1] == "late"

    run(main())


def test_a_cancel_reaches_the_task_that_it_has_become() -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        carried = continued(never_ends(future))
        future.set_result(1)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not carried.done()
        with pytest.raises(asyncio.InvalidStateError):
            carried.result()
        with pytest.raises(asyncio.InvalidStateError):
            carried.exception()
        assert carried.cancel()
        assert await carried == "cancelled"

    run(main())


def test_several_wait_for_it() -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        carried = continued(gives(future))

        async def waits(one: Awaitable[Any]) -> Any:
            return await one

        pair = asyncio.gather(waits(carried), asyncio.shield(carried))
        await asyncio.sleep(0)
        future.set_result(1)
        assert list(await pair) == [(1, True)] * 2
        assert asyncio.isfuture(carried) and await asyncio.wait_for(carried, 1) == (1, True)

    run(main())


def test_an_exit_is_not_kept_from_the_loop() -> None:
    async def exits(future: "asyncio.Future[Any]") -> Any:
        await future
        raise SystemExit(3)

    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        carried = continued(exits(future))
        future.set_result(1)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            with pytest.raises(SystemExit):
                carried.result()

    with pytest.raises(SystemExit, match="3"):
        asyncio.run(main())


def test_nothing_is_held_when_it_has_ended() -> None:
    class Held:
        pass

    async def holds(future: "asyncio.Future[Any]", held: Held) -> None:
        await future

    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        held = Held()
        found = weakref.ref(held)
        carried = continued(holds(future, held))
        del held
        gc.disable()
        try:
            future.set_result(1)
            await carried
            assert found() is None
        finally:
            gc.enable()

    run(main())
