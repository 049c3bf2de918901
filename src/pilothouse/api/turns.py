"""Long steps in parts, between which other threads may run."""

from collections.abc import Iterable
from heapq import merge
from typing import TypeVar

T = TypeVar("T")

PART = 8000
"""Texts that are sorted in one go, in some milliseconds."""


def in_order(texts: Iterable[str]) -> list[str]:
    """The texts, sorted. A sort is one step for other threads, so many are sorted in parts, which are merged then."""
    texts = list(texts)
    if len(texts) <= PART:
        return sorted(texts)
    return list(merge(*[sorted(texts[at : at + PART]) for at in range(0, len(texts), PART)]))


def sorted_members(value: dict[str, T]) -> dict[str, T]:
    """The same object with its members in order."""
    if len(value) <= PART:
        return dict(sorted(value.items()))
    return {name: value[name] for name in in_order(value)}
