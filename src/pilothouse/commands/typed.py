"""The keys that somebody types while a command shows something."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Wait = Callable[[float], str]
"""Waits for some seconds, or for a key that is typed before; returns the key or ""."""


@contextmanager
def keys() -> Iterator[Wait]:
    """Keys of the terminal come one by one within the block, without Enter and without being shown.
    Where standard input is no terminal, there are none."""
    if not sys.stdin.isatty():
        yield _none
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield lambda seconds: _key(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _key(terminal: int, seconds: float) -> str:
    ready, _, _ = select.select([terminal], [], [], seconds)
    return os.read(terminal, 32).decode(errors="replace")[:1] if ready else ""  # of an arrow, its Escape


def _none(seconds: float) -> str:
    time.sleep(seconds)
    return ""
