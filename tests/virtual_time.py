"""An event loop whose time the test moves:
timers, deadlines, back-off and leases without waiting for them."""

import asyncio
import selectors
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

from event_loops import StrictLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(StrictLoop):
    """A loop that jumps to its next timer when nothing else is left to do.

    `time` is the clock to hand to code that reads one: in seconds, it moves with the timers and never by
    itself. It stands still while a function runs in an executor of this loop, inside `hold()`, and while
    something is under way that it was told of by `hold_while()`; the loop then waits for real. A socket of
    another process or a thread that the loop did not start needs one of these, or a real loop.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._holds = 0
        self._under_way: list[Callable[[], object]] = []
        super().__init__(_Selector(self._jump))

    def time(self) -> float:
        return self._now

    async def advance(self, seconds: float) -> None:
        """Let this many seconds pass, with all timers that are due in them."""
        await asyncio.sleep(seconds)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let no time pass: for what the loop waits for and does not know of."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def hold_while(self, under_way: Callable[[], object]) -> None:
        """Let no time pass, from here on, while this is true; it must end by a callback of the loop."""
        self._under_way.append(under_way)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._holds += 1
        future.add_done_callback(self._release)
        return future

    def _release(self, _: object) -> None:
        self._holds -= 1

    def _jump(self, seconds: float) -> bool:
        """Move the time on, unless it is held."""
        if self._holds or any(check() for check in self._under_way):
            return False
        self._now += seconds
        return True


class _Selector(selectors.DefaultSelector):
    """A loop's selector: it looks once whether a file is ready, and has the loop jump when none is."""

    def __init__(self, jump: Callable[[float], bool]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None and self._jump(timeout):
            return []
        return super().select(None)
