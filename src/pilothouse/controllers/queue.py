"""Work queue of a controller: one task per key at a time,
with repetition of changed keys and retry of failed ones."""

import asyncio
from collections.abc import Awaitable, Callable

from pilothouse import errors
from pilothouse.api.values.clock import Alarm, CallLater, on_loop
from pilothouse.logs import Logger
from pilothouse.registry.client_metrics import ClientMetrics
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

FIRST_DELAY, LAST_DELAY = 0.05, 30.0


class WorkQueue:
    """Runs `handle(key)`, which returns None,
    or the number of seconds after which to handle the key again; they are those of `call_later`."""

    def __init__(
        self,
        name: str,
        handle: Callable[[str], Awaitable[float | None]],
        workers: int = 8,
        *,
        metrics: ClientMetrics | None = None,
        call_later: CallLater = on_loop,
    ) -> None:
        self.name = name
        self._call_later = call_later
        self._counts = (metrics or ClientMetrics()).queue(name)
        self._handle = handle
        self._limit = workers
        self._running: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._waiting: dict[str, None] = {}
        self._failures: dict[str, int] = {}
        self._timers: dict[str, Alarm] = {}
        self._closed = False

    def add(self, key: str) -> None:
        """Queue a key now."""
        if self._closed:
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._counts.added(key)
        if key in self._running:
            self._again.add(key)
        elif len(self._running) < self._limit and not self._waiting:
            self._start(key)
        else:
            self._waiting[key] = None

    def add_later(self, key: str, seconds: float) -> None:
        """Queue a key after a number of seconds, unless it is queued earlier."""
        if self._closed or key in self._running or key in self._waiting:
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._counts.retried(key, seconds)
        self._timers[key] = self._call_later(seconds, lambda: self.add(key))

    def _start(self, key: str) -> None:
        self._counts.begun(key)
        self._running[key] = asyncio.get_running_loop().create_task(self._run(key), name=f"{self.name}:{key}")

    async def _run(self, key: str) -> None:
        later: float | None = None
        try:
            later = await self._handle(key)
            self._failures.pop(key, None)
        except (StorageError, errors.StatusError) as err:  # a full quota, a policy, an outage: no bug
            later = self._delay(key)
            log.warning(
                "A controller was refused", err=err, controller=self.name, key=key, againSeconds=later
            )
        except Exception:
            later = self._delay(key)
            log.exception(
                "A controller failed on an object", controller=self.name, key=key, againSeconds=later
            )
        finally:
            self._running.pop(key, None)
            self._counts.ended(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif later is not None:
            self.add_later(key, later)
        while self._waiting and len(self._running) < self._limit and not self._closed:
            following = next(iter(self._waiting))
            del self._waiting[following]
            self._start(following)

    def _delay(self, key: str) -> float:
        """Seconds after which a key that has failed once more is handled again."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        return min(FIRST_DELAY * (1 << min(count, 20)), LAST_DELAY)

    async def close(self) -> None:
        """Drop queued keys, cancel running tasks and wait until they have ended."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._counts.waiting.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
