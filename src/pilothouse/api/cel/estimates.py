"""Estimates that several functions share (cel-go checker/cost.go)."""

from pilothouse.api.cel.functions import REGEX_FACTOR, STRING_FACTOR
from pilothouse.api.cel.sizes import UNKNOWN, Estimate, Range, Sized, Sizer, fixed

LIST_COST = 10
"""The cost of making a list."""


def known(one: Sized) -> Range:
    """The size that the expression itself tells, unbounded when it tells none."""
    return one.size if one.size is not None else UNKNOWN


def walk_target(self: Sizer, target: Sized | None, args: list[Sized]) -> Estimate | None:
    """A walk over the target, which the result is as long as."""
    if target is None:
        return None
    size = self.size_of(target)
    return Estimate(size.times(STRING_FACTOR), size)


def walk_argument(self: Sizer, target: Sized | None, args: list[Sized]) -> Estimate:
    """A walk over the argument."""
    return Estimate(self.size_of(args[0]).times(STRING_FACTOR))


def walk_own_argument(self: Sizer, target: Sized | None, args: list[Sized]) -> Estimate:
    """The same where only what the expression itself tells counts."""
    return Estimate(known(args[0]).times(STRING_FACTOR))


def contained(self: Sizer, target: Sized | None, args: list[Sized]) -> Estimate | None:
    if target is None:
        return None
    return Estimate(known(target).times(STRING_FACTOR) * known(args[0]).times(STRING_FACTOR))


def matched(self: Sizer, target: Sized | None, args: list[Sized]) -> Estimate | None:
    """The search for a regular expression."""
    if target is None:
        return None
    text = (known(target) + fixed(1)).times(STRING_FACTOR)
    return Estimate(text * known(args[0]).times(REGEX_FACTOR))


def found(self: Sizer, target: Sized | None, args: list[Sized]) -> Estimate | None:
    """The same with a result no longer than the text."""
    if target is None:
        return None
    size = self.size_of(target)
    text = (size + fixed(1)).times(STRING_FACTOR)
    return Estimate(text * self.size_of(args[0]).times(REGEX_FACTOR), Range(0, size.most))


def allocated(factor: float, size: Range) -> Estimate:
    """A function that makes a list."""
    return Estimate(size.times(factor) + fixed(1 + LIST_COST), size)
