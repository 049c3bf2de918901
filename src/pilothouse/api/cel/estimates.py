"""Estimates that several functions share (cel-go checker/cost.go)."""

from pilothouse.api.cel.functions import REGEX_FACTOR, STRING_FACTOR
from pilothouse.api.cel.sizes import UNKNOWN, Estimate, Range, Sized, Sizer, fixed

LIST_COST = 10
"""The cost of making a list."""


def known(one: Sized) -> Range:
    """The size that the expression itself tells, unbounded when it tells none."""
    return one.size if one.size is not None else UNKNOWN


def walked(sizer: Sizer, value: Sized, *_: Sized) -> Estimate:
    """A walk over a text."""
    return Estimate(sizer.size_of(value).times(STRING_FACTOR))


def copied(sizer: Sizer, value: Sized, *_: Sized) -> Estimate:
    """A walk over a text, which the result is as long as."""
    size = sizer.size_of(value)
    return Estimate(size.times(STRING_FACTOR), size)


def bordered(sizer: Sizer, text: Sized, part: Sized) -> Estimate:
    """The comparison of a part with the beginning or the end of a text."""
    return Estimate(known(part).times(STRING_FACTOR))


def contained(sizer: Sizer, text: Sized, part: Sized) -> Estimate:
    """The search for a part of a text."""
    return Estimate(known(text).times(STRING_FACTOR) * known(part).times(STRING_FACTOR))


def matched(sizer: Sizer, text: Sized, pattern: Sized) -> Estimate:
    """The search for a regular expression."""
    return Estimate(_searched(known(text), known(pattern)))


def found(sizer: Sizer, text: Sized, pattern: Sized, *_: Sized) -> Estimate:
    """The search for a regular expression, with a result no longer than the text."""
    size = sizer.size_of(text)
    return Estimate(_searched(size, sizer.size_of(pattern)), Range(0, size.most))


def _searched(text: Range, pattern: Range) -> Range:
    return (text + fixed(1)).times(STRING_FACTOR) * pattern.times(REGEX_FACTOR)


def allocated(factor: float, size: Range) -> Estimate:
    """A function that makes a list."""
    return Estimate(size.times(factor) + fixed(1 + LIST_COST), size)


# Operators.


def compared(sizer: Sizer, left: Sized, right: Sized) -> Estimate:
    """The comparison of two values: it ends with the shorter one."""
    most = min(known(left).most, known(right).most)
    return Estimate(Range(1 if most > 0 else 0, most).times(STRING_FACTOR))


def concatenated(sizer: Sizer, left: Sized, right: Sized) -> Estimate:
    """Two texts become one."""
    size = known(left) + known(right)
    return Estimate(size.times(STRING_FACTOR), size)


def linked(sizer: Sizer, left: Sized, right: Sized) -> Estimate:
    """Two lists become one; no item is read."""
    return Estimate(fixed(1), known(left) + known(right))


def listed(sizer: Sizer, item: Sized, items: Sized) -> Estimate:
    """The search for an item in a list."""
    return Estimate(known(items))
