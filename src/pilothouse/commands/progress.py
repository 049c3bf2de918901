"""Shows how far a command has come that takes longer than two seconds."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0
"""Seconds without a bar."""


@contextlib.contextmanager
def shown(
    what: str, clock: Callable[[], float] = time.monotonic, out: TextIO | None = None
) -> Iterator[Callable[[int, int], None]]:
    """A function that is told how much of how much is done; a bar on `out` (standard error) follows it on a terminal."""
    began, file = clock(), out or sys.stderr
    with contextlib.ExitStack() as stack:
        bar: list[Progress] = []

        def tell(done: int, total: int) -> None:
            if not bar and clock() - began > PATIENCE and file.isatty():
                from rich.console import Console
                from rich.progress import Progress

                bar.append(stack.enter_context(Progress(console=Console(file=file), transient=True)))
                bar[0].add_task(what)
            if bar:
                bar[0].update(bar[0].task_ids[0], completed=min(done, total), total=total)

        yield tell
