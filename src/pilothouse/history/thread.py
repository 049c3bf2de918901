"""A thread of the history, which leaves the interpreter to the loop in short turns."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pilothouse.offload import Turns


class HistoryThread:
    """One thread for the calls that a file needs. turns: those of the server, which tell how often the
    interpreter switches between threads."""

    def __init__(self, name: str, turns: Turns | None = None) -> None:
        self._executor = ThreadPoolExecutor(1, name)
        self._turns = turns or Turns()

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """The outcome of a call on the thread."""
        self._turns.begin()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call, *args)
        finally:
            self._turns.end()

    def close(self) -> None:
        """End the thread when it has done what it was given."""
        self._executor.shutdown(wait=False)
