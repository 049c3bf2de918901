"""Sizes and costs that are known before an expression is evaluated:
the types that functions and estimates share."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from pilothouse.api.cel.types import CelType

MOST = (1 << 64) - 1
"""Stands for no bound."""

ValuePath = tuple[str, ...]


class Range(NamedTuple):
    """The least and the most that a size or a cost may be."""

    least: int
    most: int

    def __add__(self, other: "Range") -> "Range":  # type: ignore[override]
        return Range(min(self.least + other.least, MOST), min(self.most + other.most, MOST))

    def __mul__(self, other: "Range") -> "Range":  # type: ignore[override]
        return Range(min(self.least * other.least, MOST), min(self.most * other.most, MOST))

    def times(self, factor: float) -> "Range":
        """Times what each unit costs, rounded up."""
        return Range(_times(self.least, factor), _times(self.most, factor))

    def union(self, other: "Range") -> "Range":
        return Range(min(self.least, other.least), max(self.most, other.most))


def _times(size: int, factor: float) -> int:
    if size > 0 and factor > 0 and float(size) > MOST / factor:
        return MOST
    return min(math.ceil(float(size) * factor), MOST)


def fixed(size: int) -> Range:
    return Range(size, size)


UNKNOWN = Range(0, MOST)
NOTHING = fixed(0)


def total(costs: Iterable[Range]) -> Range:
    return sum(costs, start=NOTHING)


Sizes = Callable[[ValuePath], Range | None]
"""The size of what stands at a path, which begins with a variable; None where nothing is known."""


class Entries(NamedTuple):
    """The sizes of the keys and values of a list or map that an expression makes."""

    container: str
    key: Range
    value: Range

    def union(self, other: "Entries | None") -> "Entries | None":
        if other is None:
            return None
        return Entries(self.container, self.key.union(other.key), self.value.union(other.value))


class Sized(NamedTuple):
    """A part of an expression: where its value comes from, its type,
    its value if it is a literal, its size if the expression tells it.
    """

    path: ValuePath
    type: CelType
    literal: Any
    size: Range | None


class Estimate(NamedTuple):
    """The cost of a call, and the size of its result if it is known."""

    cost: Range
    size: Range | None = None


class Sizer(Protocol):
    """Tells what is known of the sizes of an expression's parts (cost.Estimator)."""

    def size_of(self, one: Sized) -> Range:
        """The size of a part of an expression, unbounded when nothing tells it."""

    def item_of(self, one: Sized) -> Sized | None:
        """An item of a list, None for what is none."""
