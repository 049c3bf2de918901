"""The extension of the language for lists (cel-go ext/lists.go, version 3)."""

from functools import cmp_to_key
from typing import Any

from pilothouse.api.cel import estimates, sizes
from pilothouse.api.cel._cel import EvaluationError, equal, items_of, order, size_of, type_name
from pilothouse.api.cel.estimates import LIST_COST
from pilothouse.api.cel.functions import STRING_FACTOR, Functions, Overload, bounded, member
from pilothouse.api.cel.libraries.lists import for_each
from pilothouse.api.cel.types import BYTES, COMPARABLE, DYN, INT, STRING, CelType, list_of, param

_LIST = list_of(param("T"))
_NAMES = frozenset(one.runtime_name for one in COMPARABLE)
_MOST_RANGE = 1_000_000
"""Items that `lists.range` makes at most: more cost more than a call may."""


def _slice(items: Any, start: int, end: int) -> list[Any]:
    listed = items_of(items)
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        words = "start index must be less than or equal to end index"
        raise EvaluationError(f"cannot slice({start}, {end}), {words}")
    if len(listed) < end:
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(listed)}")
    return list(listed[start:end])


def _flatten(items: Any, depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    out: list[Any] = []
    for one in items_of(items):
        if depth > 0 and type_name(one) == "list":
            out.extend(_flatten(one, depth - 1))
        else:
            out.append(one)
    return out


def _sort(items: Any) -> list[Any]:
    return _sort_by(items, items)


def _sort_by(items: Any, keys: Any) -> list[Any]:
    listed, by = items_of(items), items_of(keys)
    if len(listed) != len(by):
        words = (
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got"
        )
        raise EvaluationError(f"{words} {len(listed)} and {len(by)} elements respectively")
    if not listed:
        return []
    kind = type_name(by[0])
    if kind not in _NAMES:
        raise EvaluationError("list elements must be comparable")
    if any(type_name(one) != kind for one in by):
        raise EvaluationError("list elements must have the same type")

    def compare(one: int, other: int) -> int:
        return order(by[one], by[other])

    places: list[int] = sorted(range(len(by)), key=cmp_to_key(compare))
    return [listed[place] for place in places]


def _range(count: int) -> list[int]:
    bounded(count, _MOST_RANGE)
    return list(range(count))


def _reverse(items: Any) -> list[Any]:
    return list(reversed(items_of(items)))


def _distinct(items: Any) -> list[Any]:
    out: list[Any] = []
    for one in items_of(items):
        if not any(equal(one, other) for other in out):
            out.append(one)
    return out


def _made(size: int, factor: float = 1) -> int:
    return min(int(size * factor), _DEAR) + 1 + LIST_COST


_DEAR = 1 << 62
"""More than anything may cost."""


def _compared(*lists: Any) -> int:
    """The cost of comparing all items, or their keys, which come last, with each other."""
    size = size_of(lists[-1])
    factor = 2.0
    if size and type_name(items_of(lists[-1])[0]) in ("string", "bytes"):
        factor += STRING_FACTOR
    return _made(size * size, factor)


def _flatten_cost(items: Any, depth: int = 1) -> int:
    return _made(size_of(items), max(depth, 0))


def _slice_cost(items: Any, start: int, end: int) -> int:
    return _made(max(min(end, size_of(items)) - start, 0))


def _range_cost(count: int) -> int:
    return _made(max(count, 0))


def _reverse_cost(items: Any) -> int:
    return _made(size_of(items))


def _literal(one: sizes.Sized, otherwise: int) -> int:
    value = one.literal
    return max(value, 0) if type(value) is int else otherwise


def _slice_estimate(
    sizer: sizes.Sizer, items: sizes.Sized, start: sizes.Sized, end: sizes.Sized
) -> sizes.Estimate:
    size = _literal(end, sizer.size_of(items).most) - _literal(start, 0)
    return estimates.allocated(1, sizes.fixed(size & sizes.MOST))


def _flatten_estimate(sizer: sizes.Sizer, items: sizes.Sized, *depth: sizes.Sized) -> sizes.Estimate:
    levels = _literal(depth[0], sizes.MOST) if depth else 1
    return estimates.allocated(float(levels), sizer.size_of(items))


def _range_estimate(sizer: sizes.Sizer, count: sizes.Sized) -> sizes.Estimate:
    return estimates.allocated(1, sizes.fixed(_literal(count, sizes.MOST)))


def _reverse_estimate(sizer: sizes.Sizer, items: sizes.Sized) -> sizes.Estimate:
    return estimates.allocated(1, sizer.size_of(items))


def _comparing(factor: float) -> dict[str, Any]:
    """The costs of comparing all items, or their keys, which come last, with each other."""

    def estimate(sizer: sizes.Sizer, *lists: sizes.Sized) -> sizes.Estimate:
        size = sizer.size_of(lists[-1])
        return estimates.allocated(factor, size * size)

    return {"cost": _compared, "estimate": estimate}


def _sort_of(kind: CelType) -> Overload:
    of = list_of(kind)
    return member(f"list_{kind.runtime_name}_sort", (of,), of, _sort, **_sorting(kind))


def _sort_by_of(kind: CelType) -> Overload:
    id = f"list_{kind.runtime_name}_sortByAssociatedKeys"
    return member(id, (_LIST, list_of(kind)), _LIST, _sort_by, **_sorting(kind))


def _sorting(kind: CelType) -> dict[str, Any]:
    return _comparing(2 + (STRING_FACTOR if kind in (STRING, BYTES) else 0))


_SLICING: dict[str, Any] = {"cost": _slice_cost, "estimate": _slice_estimate}
_FLATTENING: dict[str, Any] = {"cost": _flatten_cost, "estimate": _flatten_estimate}
_COUNTING: dict[str, Any] = {"cost": _range_cost, "estimate": _range_estimate}
_REVERSING: dict[str, Any] = {"cost": _reverse_cost, "estimate": _reverse_estimate}
FUNCTIONS: Functions = {
    "slice": (member("list_slice", (_LIST, INT, INT), _LIST, _slice, **_SLICING),),
    "flatten": (
        member("list_flatten", (list_of(_LIST),), _LIST, _flatten, **_FLATTENING),
        member("list_flatten_int", (list_of(DYN), INT), list_of(DYN), _flatten, **_FLATTENING),
    ),
    "sort": for_each(COMPARABLE, _sort_of),
    "@sortByAssociatedKeys": for_each(COMPARABLE, _sort_by_of),
    "lists.range": (Overload("lists_range", (INT,), list_of(INT), _range, **_COUNTING),),
    "reverse": (member("list_reverse", (_LIST,), _LIST, _reverse, **_REVERSING),),
    "distinct": (member("list_distinct", (_LIST,), _LIST, _distinct, **_comparing(2)),),
}
