"""Runs coroutines that must complete without waiting."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def at_once(coro: Coroutine[Any, Any, T]) -> T:
    """Return or raise the result of a coroutine that waits for nothing: no loop is needed."""
    try:
        waits_for = coro.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coro.close()
    raise AssertionError(f"it waits for {waits_for!r}")
