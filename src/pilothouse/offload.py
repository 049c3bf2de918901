"""Runs long steps on two threads beside the event loop, within a budget of CPU time and fairly between users.

A request whose body, or whose object, is larger than INLINE bytes enters the `Offload` of its server: it is
let in while the bytes of those that are in stay within bounds, and each of its long steps (decoding,
patching, validating) runs on a thread. A step that uses up the processor time of its request is stopped by an
exception that is raised in its thread, so that no rule, however slow, holds a thread for ever.

The threads share the interpreter with the loop. While they work, the interpreter switches between threads
every SWITCH seconds, so a request that the loop answers waits for a few of these turns at the most.
"""

import asyncio
import contextlib
import ctypes
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from pilothouse import errors, logs

P = ParamSpec("P")
T = TypeVar("T")

INLINE = 16 * 1024
"""Bytes up to which work stays on the loop: some 2 ms at the usual cost of a create."""

THREADS = 2
"""One for each of two users at a time: more of them would keep the loop waiting for the interpreter."""

SWITCH = 0.0002
"""Seconds between two switches of the interpreter while a step runs;
Python's own 5 ms are too long for a GET."""

SWITCH_INTERVAL = 0.005
"""Seconds between two switches otherwise: Python's default."""

SECONDS, SECONDS_PER_BYTE = 2.0, 3e-6
"""The processor time of a request: linear work on bodies takes about 1 us a byte,
YAML and long error lists more."""

LOOK = 0.1
"""Seconds between two looks at the clock of a running step."""

ROOM, ROOM_OF_USER = 8 << 20, 4 << 20
"""Bytes of bodies and objects that may be worked on at the same time: in total, and by one user. Decoded
objects take up to twenty times as much memory. One request is always admitted."""

QUEUE, QUEUE_OF_USER = 64 << 20, 24 << 20
"""Bytes that may wait to be admitted: in total, and by one user.
Requests above that are answered with 429."""


class Stopped(BaseException):
    """Raised inside a call that has used up its time.
    It is no Exception, so that `except Exception` does not catch it."""


class Stoppable:
    """A call on a thread that other threads can end, as soon as it runs Python again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._clock = 0
        self._begun = 0.0
        self._stopped = False

    def used(self) -> float:
        """Processor seconds of the running call so far."""
        with self._lock:
            return time.clock_gettime(self._clock) - self._begun if self._thread else 0.0

    def stop(self) -> None:
        """Have the call end early, once."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                if self._thread:
                    _raise_in(self._thread, Stopped)

    def make(self, call: Callable[[], T]) -> T:
        """Make the call on this thread; raises Stopped when it is ended, or was before it began."""
        thread = threading.get_ident()
        try:
            with self._lock:
                if self._stopped:
                    raise Stopped
                self._clock, self._begun = time.pthread_getcpuclockid(thread), time.thread_time()
                self._thread = thread
            return call()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Protect the thread from `stop`: no exception is raised in it any more,
        and one that is pending ends here.

        Python can withdraw a pending exception as well (PyThreadState_SetAsyncExc with NULL).
        CPython 3.11 takes that for another signal, and waits for it forever in a thread that is traced.
        It also forgets that one is pending in this thread when another thread raises its own.
        A thread that takes the interpreter again is told once more.
        """
        while True:
            try:
                with self._lock:
                    self._thread = 0
                if self._stopped:
                    time.sleep(0)  # takes the interpreter anew, which raises what is pending
                return
            except Stopped:
                continue


class Turns:
    """How often the interpreter switches between threads:
    more often while calls run on other threads than the loop's."""

    def __init__(self) -> None:
        self.calls = 0
        """Calls that run on other threads now."""

    def begin(self) -> None:
        """A call begins on another thread."""
        if not self.calls:
            sys.setswitchinterval(SWITCH)
        self.calls += 1

    def end(self) -> None:
        """A call has ended."""
        self.calls -= 1
        if not self.calls:
            sys.setswitchinterval(SWITCH_INTERVAL)


class _Step(Stoppable, Generic[T]):
    """One step of a request that a thread runs; its outcome goes to a future of the loop."""

    def __init__(self, work: "Work", call: Callable[[], T | None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.work = work
        self.call: Callable[[], T | None] = partial(logs.context().run, call)
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def run(self) -> None:
        """Called on a thread: make the call and hand its outcome to the loop."""
        outcome: Any = None
        error: BaseException | None = None
        begun = time.thread_time()
        try:
            outcome = self.make(self.call)
        except Stopped:
            error = Stopped()
        except BaseException as err:
            error = err
        spent = time.thread_time() - begun
        self.call = _nothing  # and with it all that it refers to
        with contextlib.suppress(RuntimeError):  # the server has gone in the meantime
            self.loop.call_soon_threadsafe(self._deliver, outcome, error, spent)
        # An error leads back to this frame: the two would keep each other until the next collection.
        del outcome, error

    def _deliver(self, outcome: Any, error: BaseException | None, spent: float) -> None:
        self.work.left -= spent
        settle(self.future, outcome, self.work.exhausted() if isinstance(error, Stopped) else error)
        del self.future  # it holds the error, which leads back to the frame of run() and so to this step
        self.work.offload._ended(self)


def settle(future: "asyncio.Future[Any]", outcome: Any, error: BaseException | None) -> None:
    """Give a future, unless it is done, what a call on a thread has returned, or raised."""
    if future.done():
        return
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)


def _nothing() -> None:
    return None


def _raise_in(thread: int, exception: type[BaseException]) -> None:
    """Raise an exception in a thread at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


class Work:
    """The long steps of one request. They run on the loop until `enter` finds that they are long.

    `leave` must be called when the request has been answered.
    """

    __slots__ = ("bytes", "given", "left", "offload", "user")

    def __init__(self, offload: "Offload", user: str) -> None:
        self.offload = offload
        self.user = offload.payer or user
        self.bytes = 0
        """The bytes that the request was admitted with; 0 before it is admitted."""
        self.given = self.left = 0.0
        """Processor seconds: the budget of the request, and what is left of it."""

    async def enter(self, size: int, *, patient: bool = False) -> None:
        """Have the request's steps run on a thread when `size` bytes are too many for the loop.

        Raises TooManyRequests when too many bytes wait already.
        """
        if size <= INLINE or size <= self.bytes:
            return
        if self.bytes:
            added = SECONDS_PER_BYTE * (size - self.bytes)
            self.offload._grow(self, size)
        else:
            added = SECONDS + SECONDS_PER_BYTE * size
            await self.offload._admit(self, size, patient)
        self.given += added
        self.left += added

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The outcome of a call that touches nothing which the loop changes;
        RequestEntityTooLarge when its time is up."""
        if not self.bytes:
            return call(*args, **kwargs)
        return await self.offload._run(self, lambda: call(*args, **kwargs))

    def leave(self) -> None:
        """Give back the request's share of the budget; called once it is answered."""
        if self.bytes:
            self.offload._leave(self)
            self.bytes = 0

    def exhausted(self) -> errors.RequestEntityTooLarge:
        """The error of a request that took too much processor time."""
        return errors.RequestEntityTooLarge(
            f"Request takes too much work: it has used the {self.given:.1f} seconds of processor time that a"
            " request of its size is given; send less at a time"
        )


class Inline:
    """The work of callers that serve no request: writes of controllers run on the loop."""

    bytes = 0

    async def enter(self, size: int) -> None:
        """Do nothing: the work stays on the loop, whatever its size."""

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The outcome of a call."""
        return call(*args, **kwargs)

    def leave(self) -> None:
        """Do nothing: no budget was taken."""


INLINE_WORK = Inline()


class Offload:
    """The threads of one server, and the admission of requests to them."""

    payer = ""
    """The one user that all requests count for, "" for their own; see Share."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._wake = threading.Condition()
        self._ready: deque[_Step[Any]] = deque()
        self._closed = False
        self._steps: dict[str, deque[_Step[Any]]] = {}  # by user, those that wait for a thread
        self._running: dict[_Step[Any], None] = {}
        self._waiting: dict[str, deque[tuple[Work, int, asyncio.Future[None]]]] = {}  # for room, by user
        self._in: dict[str, int] = {}
        self._queued: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.turns = Turns()

    @property
    def running(self) -> int:
        """Steps that run on a thread now."""
        return len(self._running)

    def close(self) -> None:
        """Stop running steps, drop those that wait for a thread, and end the threads."""
        for steps in self._steps.values():
            for step in steps:
                step.future.cancel()
        self._steps.clear()
        for step in list(self._running):
            step.future.cancel()
            step.stop()
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    # --- room

    async def _admit(self, work: Work, size: int, patient: bool) -> None:
        if self._fits(work.user, size) and not self._waiting:
            self._take(work, size)
            return
        mine = self._queued.get(work.user, 0)
        full = mine + size > QUEUE_OF_USER or sum(self._queued.values()) + size > QUEUE
        if full and not patient:
            raise errors.TooManyRequests(
                "too many large requests wait to be worked on, please try again later",
                details={"retryAfterSeconds": 1},
                headers=[("Retry-After", "1")],
            )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queued[work.user] = mine + size
        self._waiting.setdefault(work.user, deque()).append((work, size, future))
        self._let_in()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                work.leave()  # it was let in at the same moment
            raise

    def _fits(self, user: str, size: int) -> bool:
        if not self._in:
            return True
        mine = self._in.get(user, 0)
        return (not mine or mine + size <= ROOM_OF_USER) and sum(self._in.values()) + size <= ROOM

    def _take(self, work: Work, size: int) -> None:
        work.bytes = size
        self._in[work.user] = self._in.get(work.user, 0) + size

    def _grow(self, work: Work, size: int) -> None:
        """Raise the size of a request that was admitted already; it does not wait again."""
        self._in[work.user] += size - work.bytes
        work.bytes = size

    def _leave(self, work: Work) -> None:
        rest = self._in[work.user] - work.bytes
        if rest:
            self._in[work.user] = rest
        else:
            del self._in[work.user]
        self._let_in()

    def _let_in(self) -> None:
        """Admit waiting requests within the budget, one of each user in turn."""
        for user in list(self._waiting):
            waiting = self._waiting[user]
            while waiting:
                work, size, future = waiting[0]
                if not future.done():
                    if not self._fits(user, size):
                        break
                    self._take(work, size)
                    future.set_result(None)
                waiting.popleft()
                self._queued[user] -= size
                if not future.cancelled():
                    break
            del self._waiting[user]
            if waiting:
                self._waiting[user] = waiting  # behind the others
            elif not self._queued[user]:
                del self._queued[user]

    # --- steps

    async def _run(self, work: Work, call: Callable[[], T]) -> T:
        if work.left <= 0:
            raise work.exhausted()
        if self._closed:  # the threads are gone, and so is the server that would answer
            raise asyncio.CancelledError
        step = _Step(work, call, asyncio.get_running_loop())
        self._steps.setdefault(work.user, deque()).append(step)
        self._dispatch()
        del call
        try:
            return await step.future
        except asyncio.CancelledError:
            step.stop()
            if step in self._running:  # what it works on is not let go before the thread has
                await asyncio.shield(step.ended)
            else:
                self._drop(step)
            raise
        finally:
            del step  # its future holds the error, which leads back to this frame

    def _drop(self, step: _Step[Any]) -> None:
        waiting = self._steps.get(step.work.user)
        if waiting is not None and step in waiting:
            waiting.remove(step)
            if not waiting:
                del self._steps[step.work.user]

    def _dispatch(self) -> None:
        """Hand steps to threads that are free: one thread for each user, the users in turn."""
        busy = {step.work.user for step in self._running}
        for user in list(self._steps):
            if len(self._running) >= THREADS:
                return
            if user in busy:
                continue
            steps = self._steps.pop(user)
            step = steps.popleft()
            if steps:
                self._steps[user] = steps
            self._begin(step)

    def _begin(self, step: _Step[Any]) -> None:
        self.turns.begin()
        if self._timer is None:
            self._timer = step.loop.call_later(LOOK, self._look)
        self._running[step] = None
        if len(self._threads) < len(self._running):
            thread = threading.Thread(target=self._serve, name="offload", daemon=True)
            self._threads.append(thread)
            thread.start()
        with self._wake:
            self._ready.append(step)
            self._wake.notify()

    def _ended(self, step: _Step[Any]) -> None:
        del self._running[step]
        step.ended.set_result(None)
        self._dispatch()
        self.turns.end()
        if not self._running and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Stop the steps whose processor time is used up; look again while any runs."""
        for step in self._running:
            if step.used() > step.work.left:
                step.stop()
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._ready:
                    if self._closed:
                        return
                    self._wake.wait()
                step = self._ready.popleft()
            step.run()
            del step


class Share(Offload):
    """The threads of another Offload for one of several clusters.
    The cluster counts as one user, however many it has."""

    def __init__(self, offload: Offload, cluster: str) -> None:
        self.payer = f"cluster {cluster}"
        self.turns = offload.turns
        self._offload = offload
        self._admit = offload._admit  # type: ignore[method-assign]
        self._grow = offload._grow  # type: ignore[method-assign]
        self._leave = offload._leave  # type: ignore[method-assign]
        self._run = offload._run  # type: ignore[method-assign]
        self._ended = offload._ended  # type: ignore[method-assign]

    @property
    def running(self) -> int:
        return self._offload.running

    def close(self) -> None:
        """Do nothing: the threads belong to the other one."""
