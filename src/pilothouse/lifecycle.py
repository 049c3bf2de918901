"""Parts with start() and close(), and the stack on which a server opens and closes them."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable

from pilothouse.logs import Logger

log = Logger(__name__)


class Background(ABC):
    """Something that runs beside the requests: a controller, a loop, a timer."""

    @abstractmethod
    def start(self) -> None:
        """Begin, on the running loop."""

    @abstractmethod
    async def close(self) -> None:
        """Stop, and wait until it has; does nothing to what was not started."""


class BackgroundTask(Background):
    """One task that runs `_run` on the loop."""

    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=type(self).__name__)

    async def close(self) -> None:
        """Cancel the task, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    @abstractmethod
    async def _run(self) -> None:
        """The work; it runs until it is cancelled."""


class StartsInTurn(BackgroundTask):
    """Starts parts one after the other, each in a turn of the loop of its own:
    requests are answered in between. They are closed together, the last first."""

    def __init__(self, parts: Iterable[Background]) -> None:
        self._parts = tuple(parts)
        self._opened = Opened()

    async def close(self) -> None:
        """Start no more, and close those that were started."""
        await super().close()
        await self._opened.aclose()

    async def _run(self) -> None:
        for part in self._parts:
            await asyncio.sleep(0)
            self._opened.start(part)


class Opened(contextlib.AsyncExitStack):
    """The parts that have been opened so far.
    `aclose`, and leaving the `async with`, closes them: the last first.

    A close that fails is logged, and the rest is closed all the same.
    """

    def on_close(self, name: str, close: Callable[[], Awaitable[object] | object]) -> None:
        """Have `close` called, and awaited where it is a coroutine;
        `name` says in the log what could not be closed.

        To be called before the thing is opened, so that one that fails half-way is closed, too.
        """

        async def safely() -> None:
            try:
                waiting = close()
                if isinstance(waiting, Awaitable):
                    await waiting
            except Exception:
                log.exception("A part cannot be closed", part=name)

        self.push_async_callback(safely)

    def start(self, part: Background) -> None:
        """Start a part that is closed with the others."""
        self.on_close(type(part).__name__, part.close)
        part.start()
