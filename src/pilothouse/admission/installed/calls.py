"""Runs the code of one plugin beside the server's event loop,
so that no plugin, however slow, keeps other requests waiting.

A `def` runs on one of a few threads, an `async def` on an event loop of the plugin's own, which has a thread
to itself. A call that takes too long is ended: a thread gets an exception as soon as it runs Python again, a
coroutine is cancelled. What blocks in C, or does not let itself be ended, keeps its thread; the calls behind
it then fail by their time, and the server goes on.
"""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from pilothouse.offload import Stoppable, Turns

THREADS = 2
"""Threads of a plugin: as many of its calls of a `def` run at the same time.
Two that compute without end let the p99 of reads rise by half, four by a
factor of thirty: the loop waits for the interpreter behind each of them."""

MOST = 256
"""Calls of a plugin that are under way or wait for a thread; one more fails at once.
Each holds its request's objects."""


class Busy(Exception):
    """The plugin has too many calls that are not answered."""


class CallOutcome(NamedTuple):
    """The value that a call has returned, or the error that it has raised."""

    value: Any
    error: BaseException | None


class Calls:
    """The calls of one plugin on one server. `turns` is told of those that run."""

    def __init__(self, name: str, turns: Turns) -> None:
        self._name = name
        self._turns = turns
        self._open: set[_Call] = set()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._ready: deque[_Threaded] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, code: Callable[[], Any], seconds: float) -> CallOutcome:
        """Call `code`: on the plugin's event loop if it is an `async def`, else on a thread.

        Raises TimeoutError when it takes longer than `seconds`, and Busy.
        """
        if len(self._open) >= MOST:
            raise Busy
        call = _Awaited(self, code) if inspect.iscoroutinefunction(code) else _Threaded(self, code)
        self._open.add(call)
        self._turns.begin()
        call.begin()
        try:
            async with asyncio.timeout(seconds):
                return await call.future
        finally:
            if not call.delivered:
                call.stop()

    def close(self) -> None:
        """End what still runs, and the threads once they are free."""
        for call in list(self._open):
            call.stop()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.call_soon_threadsafe(loop.stop)

    def ended(self, call: "_Call") -> None:
        """A call has ended: it may be long after its time."""
        self._open.discard(call)
        self._turns.end()

    def enqueue(self, call: "_Threaded") -> None:
        """Hand a call to a thread that is free."""
        with self._wake:
            self._ready.append(call)
            if self._idle < len(self._ready) and len(self._threads) < THREADS:
                thread = threading.Thread(target=self._serve, name=f"admission {self._name}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._wake.notify()

    def withdraw(self, call: "_Threaded") -> bool:
        """Take back a call that no thread has begun; False when one has."""
        with self._wake:
            if call not in self._ready:
                return False
            self._ready.remove(call)
            return True

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._idle += 1
                while not self._ready:
                    if self._closed:
                        return
                    self._wake.wait()
                self._idle -= 1
                call = self._ready.popleft()
            call.run()
            del call

    def own_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the plugin; the first call starts it."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            name = f"admission {self._name}"
            threading.Thread(target=_serve_loop, args=(self._loop,), name=name, daemon=True).start()
        return self._loop


def _serve_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


class _Call:
    """One call. Its outcome is delivered once, on the loop of the server,
    also when nobody waits for it any more."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[CallOutcome] = self.loop.create_future()
        self.delivered = False

    def begin(self) -> None:
        """Have the code called."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the call as soon as that is possible."""
        raise NotImplementedError

    def hand_over(self, outcome: CallOutcome) -> None:
        """Called on the thread of the plugin when the code has ended."""
        try:
            self.loop.call_soon_threadsafe(self.deliver, outcome)
        except RuntimeError:  # the server has gone in the meantime
            pass

    def deliver(self, outcome: CallOutcome) -> None:
        """Called on the loop of the server."""
        self.delivered = True
        if not self.future.done():
            self.future.set_result(outcome)
        self.calls.ended(self)


class _Threaded(_Call):
    def __init__(self, calls: Calls, code: Callable[[], Any]) -> None:
        super().__init__(calls)
        self._code = code
        self._stoppable = Stoppable()

    def begin(self) -> None:
        self.calls.enqueue(self)

    def stop(self) -> None:
        if self.calls.withdraw(self):
            self.deliver(CallOutcome(None, asyncio.CancelledError()))
        else:
            self._stoppable.stop()

    def run(self) -> None:
        """Called on a thread of the plugin."""
        try:
            outcome = CallOutcome(self._stoppable.make(self._code), None)
        except BaseException as err:
            outcome = CallOutcome(None, err)
        self.hand_over(outcome)
        # An error leads back to this frame: the two would keep each other until the next collection.
        del outcome


class _Awaited(_Call):
    def __init__(self, calls: Calls, code: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        super().__init__(calls)
        self._code = code
        self._task: asyncio.Task[CallOutcome] | None = None
        self._own = calls.own_loop()

    def begin(self) -> None:
        self._own.call_soon_threadsafe(self._start)

    def stop(self) -> None:
        self._own.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        self._task = self._own.create_task(self._run())
        self._task.add_done_callback(self._done)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> CallOutcome:
        try:
            return CallOutcome(await self._code(), None)
        except BaseException as err:
            return CallOutcome(None, err)

    def _done(self, task: asyncio.Task[CallOutcome]) -> None:
        self.hand_over(CallOutcome(None, asyncio.CancelledError()) if task.cancelled() else task.result())
