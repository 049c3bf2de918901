"""Shows that a command goes on which takes longer than two seconds, and how far it has come."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TextIO

PATIENCE = 2.0
"""Seconds without a bar."""


@contextlib.contextmanager
def shown(
    what: str, patience: float = PATIENCE, out: TextIO | None = None
) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal (standard error) from `patience` seconds on; nothing elsewhere, nor without rich.

    It moves to and fro until the function that is returned is told how much of how much is done.
    """
    file = out or sys.stderr
    if not file.isatty() or find_spec("rich") is None:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(file=file), transient=True)
    task = bar.add_task(what, total=None)
    timer = threading.Timer(patience, bar.start)
    timer.start()
    try:
        yield lambda done, total: bar.update(task, completed=min(done, total), total=total or None)
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:
            bar.stop()
