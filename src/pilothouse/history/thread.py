"""A thread of the history, which leaves the interpreter to the loop in short turns."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from pilothouse.offload import Turns, settle

Job = tuple[Callable[..., Any], tuple[Any, ...], "asyncio.Future[Any]"]


class HistoryThread:
    """One thread for the calls that a file needs. turns: those of the server, which tell how often the
    interpreter switches between threads.

    PERF: an executor makes a future and five locks of its own for each call, which take twice as long as to
    read one state.
    """

    def __init__(self, name: str, turns: Turns | None = None) -> None:
        self._turns = turns or Turns()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._begun = self._closed = False

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """The outcome of a call on the thread. RuntimeError: it was closed before."""
        if self._closed:
            raise RuntimeError(f"the thread {self._thread.name} is closed")
        if not self._begun:
            self._begun = True
            self._thread.start()
        future = asyncio.get_running_loop().create_future()
        self._turns.begin()
        self._jobs.put((call, args, future))
        try:
            return await future
        finally:
            self._turns.end()
            del future  # it holds an error, which leads back to this frame

    def close(self) -> None:
        """End the thread when it has done what it was given."""
        self._closed = True
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            _make(*job)
            del job  # with all that it refers to


def _make(call: Callable[..., Any], args: tuple[Any, ...], future: "asyncio.Future[Any]") -> None:
    """Make a call, unless nobody waits for it any more, and hand its outcome to the loop."""
    outcome: Any = None
    error: BaseException | None = None
    if future.cancelled():
        return
    try:
        outcome = call(*args)
    except BaseException as err:
        error = err
    with contextlib.suppress(RuntimeError):  # the loop has gone in the meantime
        future.get_loop().call_soon_threadsafe(settle, future, outcome, error)
    del error  # it leads back to this frame
