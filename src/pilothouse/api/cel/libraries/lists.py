"""Functions on lists (Kubernetes' pkg/cel/library/lists.go, cel-go ext/lists.go version 3, ext/sets.go)."""

from collections.abc import Callable
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from pilothouse._cel import (
    CostLimitExceeded,
    Duration,
    EvaluationError,
    UInt,
    equal,
    items_of,
    order,
    size_of,
    total,
    type_name,
)
from pilothouse.api.cel import estimates, sizes
from pilothouse.api.cel.estimates import LIST_COST
from pilothouse.api.cel.functions import STRING_FACTOR, Functions, Overload
from pilothouse.api.cel.libraries.strings import index_estimate
from pilothouse.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    list_of,
    param,
)

_SUMMABLE: dict[CelType, Any] = {INT: 0, UINT: UInt(0), DOUBLE: 0.0, DURATION: Duration(0)}
_COMPARABLE = (INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES)
_RUNTIME_NAMES = {TIMESTAMP: "google.protobuf.Timestamp", DURATION: "google.protobuf.Duration"}
_A, _T = param("A"), param("T")
_LIST = list_of(_T)
_MOST_RANGE = 1_000_000
"""Items that `lists.range` makes at most: more cost more than a call may."""


def _traversal(value: Any, *_: Any) -> int:
    """The cost of looking at everything in a value once."""
    kind = type_name(value)
    if kind == "string":
        return int(len(value.encode("utf-8", "surrogatepass")) * STRING_FACTOR)
    if kind == "bytes":
        return int(len(value) * STRING_FACTOR)
    if kind == "list":
        return sum(map(_traversal, items_of(value)))
    if isinstance(value, dict):
        return sum(_traversal(key) + _traversal(one) for key, one in value.items())
    return 1


def _is_sorted(items: Any) -> bool:
    listed = items_of(items)
    return all(order(one, other) <= 0 for one, other in pairwise(listed))


def _sum(start: Any) -> Callable[[Any], Any]:
    def summed(items: Any) -> Any:
        out = start
        for one in items_of(items):
            out = total(out, one)
        return out

    return summed


def _extreme(name: str, wanted: int) -> Callable[[Any], Any]:
    def extreme(items: Any) -> Any:
        listed = items_of(items)
        if not listed:
            raise EvaluationError(f"{name} called on empty list")
        out = listed[0]
        for one in listed[1:]:
            if order(out, one) == wanted:
                out = one
        return out

    return extreme


def _index_of(items: Any, item: Any) -> int:
    for i, one in enumerate(items_of(items)):
        if equal(one, item):
            return i
    return -1


def _last_index_of(items: Any, item: Any) -> int:
    listed = items_of(items)
    for i in range(len(listed) - 1, -1, -1):
        if equal(listed[i], item):
            return i
    return -1


def _member(id: str, params: tuple[CelType, ...], result: CelType, function: Any, **more: Any) -> Overload:
    return Overload(id, params, result, function, member=True, **more)


def _for(kinds: Any, build: Callable[[CelType], Overload]) -> tuple[Overload, ...]:
    return tuple(build(one) for one in kinds)


_walked: dict[str, Any] = {"cost": _traversal, "estimate": index_estimate}
KUBERNETES: Functions = {
    "isSorted": _for(
        _COMPARABLE,
        lambda one: _member(f"list_{one}_is_sorted_bool", (list_of(one),), BOOL, _is_sorted, **_walked),
    ),
    "sum": _for(
        _SUMMABLE,
        lambda one: _member(f"list_{one}_sum_{one}", (list_of(one),), one, _sum(_SUMMABLE[one]), **_walked),
    ),
    "max": _for(
        _COMPARABLE,
        lambda one: _member(f"list_{one}_max_{one}", (list_of(one),), one, _extreme("max", -1), **_walked),
    ),
    "min": _for(
        _COMPARABLE,
        lambda one: _member(f"list_{one}_min_{one}", (list_of(one),), one, _extreme("min", 1), **_walked),
    ),
    "indexOf": (_member("list_a_index_of_int", (list_of(_A), _A), INT, _index_of, **_walked),),
    "lastIndexOf": (_member("list_a_last_index_of_int", (list_of(_A), _A), INT, _last_index_of, **_walked),),
}


# The extension of the language.


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
    if kind not in {_RUNTIME_NAMES.get(one, one.name) for one in _COMPARABLE}:
        raise EvaluationError("list elements must be comparable")
    if any(type_name(one) != kind for one in by):
        raise EvaluationError("list elements must have the same type")

    def compare(one: int, other: int) -> int:
        return order(by[one], by[other])

    places: list[int] = sorted(range(len(by)), key=cmp_to_key(compare))
    return [listed[place] for place in places]


def _range(count: int) -> list[int]:
    if count > _MOST_RANGE:
        raise CostLimitExceeded("operation cancelled: actual cost limit exceeded")
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


def _compared(items: Any) -> int:
    """The cost of comparing all items with each other."""
    size = size_of(items)
    factor = 2.0
    if size and type_name(items_of(items)[0]) in ("string", "bytes"):
        factor += STRING_FACTOR
    return _made(size * size, factor)


def _flatten_cost(items: Any, depth: int = 1) -> int:
    return _made(size_of(items), max(depth, 0))


def _literal(one: sizes.Sized, otherwise: int) -> int:
    value = one.literal
    return max(value, 0) if type(value) is int else otherwise


def _slice_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    end = _literal(args[1], self.size_of(target).most)
    return estimates.allocated(1, sizes.fixed((end - _literal(args[0], 0)) & sizes.MOST))


def _flatten_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    depth = _literal(args[0], sizes.MOST) if args else 1
    return estimates.allocated(float(depth), self.size_of(target))


def _range_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    return estimates.allocated(1, sizes.fixed(_literal(args[0], sizes.MOST)))


def _reverse_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    return estimates.allocated(1, self.size_of(target))


def _distinct_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    size = self.size_of(target)
    return estimates.allocated(2, size * size)


def _sort_estimate(kind: CelType, by_keys: bool) -> Any:
    factor = 2 + (STRING_FACTOR if kind.kind in ("string", "bytes") else 0)

    def estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
        size = self.size_of(args[0] if by_keys else target)
        return estimates.allocated(factor, size * size)

    return estimate


def _runtime_name(one: CelType) -> str:
    return _RUNTIME_NAMES.get(one, one.name)


EXTENSION: Functions = {
    "slice": (
        _member(
            "list_slice", (_LIST, INT, INT), _LIST, _slice, estimate=_slice_estimate,
            cost=lambda items, start, end: _made(max(min(end, size_of(items)) - start, 0)),
        ),
    ),
    "flatten": (
        _member(
            "list_flatten", (list_of(_LIST),), _LIST, _flatten, cost=_flatten_cost, estimate=_flatten_estimate
        ),
        _member(
            "list_flatten_int", (list_of(DYN), INT), list_of(DYN), _flatten, cost=_flatten_cost,
            estimate=_flatten_estimate,
        ),
    ),
    "sort": _for(
        _COMPARABLE,
        lambda one: _member(
            f"list_{_runtime_name(one)}_sort", (list_of(one),), list_of(one), _sort, cost=_compared,
            estimate=_sort_estimate(one, False),
        ),
    ),
    "@sortByAssociatedKeys": _for(
        _COMPARABLE,
        lambda one: _member(
            f"list_{_runtime_name(one)}_sortByAssociatedKeys", (_LIST, list_of(one)), _LIST, _sort_by,
            cost=lambda items, keys: _compared(keys), estimate=_sort_estimate(one, True),
        ),
    ),
    "lists.range": (
        Overload(
            "lists_range", (INT,), list_of(INT), _range, cost=lambda count: _made(max(count, 0)),
            estimate=_range_estimate,
        ),
    ),
    "reverse": (
        _member(
            "list_reverse", (_LIST,), _LIST, _reverse, cost=lambda items: _made(size_of(items)),
            estimate=_reverse_estimate,
        ),
    ),
    "distinct": (
        _member(
            "list_distinct", (_LIST,), _LIST, _distinct, cost=_compared, estimate=_distinct_estimate
        ),
    ),
}  # fmt: skip


# Sets.


def _contains(items: Any, others: Any) -> bool:
    listed = items_of(items)
    return all(any(equal(one, other) for one in listed) for other in items_of(others))


def _equivalent(items: Any, others: Any) -> bool:
    return _contains(items, others) and _contains(others, items)


def _intersects(items: Any, others: Any) -> bool:
    listed = items_of(others)
    return any(any(equal(one, other) for other in listed) for one in items_of(items))


def _set(id: str, function: Any, factor: int) -> tuple[Overload, ...]:
    def units(items: Any, others: Any) -> int:
        return size_of(items) * size_of(others) * factor + 1

    def estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
        return sizes.Estimate((self.size_of(args[0]) * self.size_of(args[1])).times(factor) + sizes.fixed(1))

    return (Overload(id, (_LIST, _LIST), BOOL, function, cost=units, estimate=estimate),)


SETS: Functions = {
    "sets.contains": _set("list_sets_contains_list", _contains, 1),
    "sets.equivalent": _set("list_sets_equivalent_list", _equivalent, 2),
    "sets.intersects": _set("list_sets_intersects_list", _intersects, 1),
}
