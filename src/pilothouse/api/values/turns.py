"""Sorts large collections in parts, so that other threads can run between them."""

from collections.abc import Iterable
from heapq import merge
from typing import TypeVar

T = TypeVar("T")

PART = 8000
"""Texts that are sorted in one step, which takes some milliseconds."""


def in_order(texts: Iterable[str]) -> list[str]:
    """Sort texts. One sort holds the GIL, so large inputs are sorted in parts, which are then merged."""
    texts = list(texts)
    if len(texts) <= PART:
        texts.sort()
        return texts
    return list(merge(*[sorted(texts[at : at + PART]) for at in range(0, len(texts), PART)]))


def sorted_members(value: dict[str, T]) -> dict[str, T]:
    """The object with its members sorted by name."""
    return {name: value[name] for name in (sorted(value) if len(value) <= PART else in_order(value))}
