"""Work that goes on beside the requests, from start() to close()."""

import asyncio
from abc import ABC, abstractmethod


class Background(ABC):
    """One task that runs `_run` on the loop."""

    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Cancel the task, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    @abstractmethod
    async def _run(self) -> None:
        """The work; it runs until it is cancelled."""
