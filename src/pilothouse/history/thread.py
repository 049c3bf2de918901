"""A thread of the history, which leaves the interpreter to the loop in short turns."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from pilothouse.offload import SWITCH, Turns, settle


class HistoryThread:
    """One thread for the calls that a file needs.

    turns: those of the server, which tell how often the interpreter switches between threads. patience:
    seconds for which the loop waits for a short call.

    PERF: an executor makes a future and five locks of its own for each call, which take twice as long as to
    read one state.
    """

    def __init__(self, name: str, turns: Turns | None = None, patience: float = SWITCH) -> None:
        self._turns = turns or Turns()
        self._patience = patience
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._begun = self._closed = False
        self._awaited = 0
        """Calls whose outcomes are awaited."""
        self._quick = True
        """Whether the last short call took no longer than the patience."""
        self._made = threading.Lock()
        """Released when the call for which the loop waits was made."""
        self._made.acquire()

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """The outcome of a call on the thread. RuntimeError: it was closed before."""
        return await self._outcome(_Job(call, args))

    async def run_short(self, call: Callable[..., Any], *args: Any) -> Any:
        """Like run(), of a call that is shorter than a turn of the interpreter unless the disk is slow.

        The loop waits for it up to its patience. It goes on at once where other calls come first, or where
        the last short call took longer.

        PERF: a request that waits needs a task. While the interpreter switches often, to hand a call over
        takes 25 us more: a thread that waits for the interpreter sets a timer, which comes before the next
        tick of the system then.
        """
        job = _Job(call, args)
        job.short = True
        if self._awaited or not self._quick:
            return await self._outcome(job)
        job.claim = threading.Lock()
        self._put(job)
        try:
            if not self._made.acquire(timeout=self._patience):
                job.future = asyncio.get_running_loop().create_future()
                if job.claim.acquire(blocking=False):
                    return await self._later(job.future)
                self._made.acquire()  # the call was made in the meantime
            return job.result()
        finally:
            del job  # it holds an error, which leads back to this frame

    async def _outcome(self, job: "_Job") -> Any:
        job.future = asyncio.get_running_loop().create_future()
        self._put(job)
        return await self._later(job.future)

    async def _later(self, future: "asyncio.Future[Any]") -> Any:
        """The outcome that the thread gives to a future."""
        self._awaited += 1
        self._turns.begin()
        try:
            return await future
        finally:
            self._awaited -= 1
            self._turns.end()
            del future  # it holds an error, which leads back to this frame

    def _put(self, job: "_Job") -> None:
        if self._closed:
            raise RuntimeError(f"the thread {self._thread.name} is closed")
        if not self._begun:
            self._begun = True
            self._thread.start()
        self._jobs.put(job)

    def close(self) -> None:
        """End the thread when it has done what it was given."""
        self._closed = True
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if job.short:
                begun = time.perf_counter()
                job.make()
                self._quick = time.perf_counter() - begun <= self._patience
            else:
                job.make()
            if job.claim is not None and job.claim.acquire(blocking=False):
                self._made.release()
            else:
                job.tell()
            del job  # with all that it refers to


class _Job:
    """A call on the thread."""

    short = False
    future: "asyncio.Future[Any] | None" = None
    """Tells the loop of the outcome."""
    claim: "threading.Lock | None" = None
    """Of a call for which the loop waits without a future: taken by the thread when the call was made, or by
    the loop when it waits no longer."""
    outcome: Any = None
    error: BaseException | None = None

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.call, self.args = call, args

    def make(self) -> None:
        """Make the call, unless nobody waits for it any more."""
        if self.future is not None and self.future.cancelled():
            return
        try:
            self.outcome = self.call(*self.args)
        except BaseException as error:
            self.error = error

    def result(self) -> Any:
        """The outcome of the call, or the error that it has raised."""
        if self.error is None:
            return self.outcome
        try:
            raise self.error
        finally:
            self.error = None

    def tell(self) -> None:
        """Hand the outcome to the loop."""
        assert self.future is not None
        with contextlib.suppress(RuntimeError):  # the loop has gone in the meantime
            self.future.get_loop().call_soon_threadsafe(settle, self.future, self.outcome, self.error)
