"""Functions on lists (Kubernetes' pkg/cel/library/lists.go)."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from pilothouse.api.cel._cel import Duration, EvaluationError, UInt, equal, items_of, order, total, type_name
from pilothouse.api.cel.functions import STRING_FACTOR, Functions, Overload, member
from pilothouse.api.cel.libraries.strings import index_estimate
from pilothouse.api.cel.types import BOOL, COMPARABLE, DOUBLE, DURATION, INT, UINT, CelType, list_of, param

_SUMMABLE: dict[CelType, Any] = {INT: 0, UINT: UInt(0), DOUBLE: 0.0, DURATION: Duration(0)}
_A = param("A")


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


def for_each(kinds: Iterable[CelType], build: Callable[[CelType], Overload]) -> tuple[Overload, ...]:
    return tuple(map(build, kinds))


_walked: dict[str, Any] = {"cost": _traversal, "estimate": index_estimate}
FUNCTIONS: Functions = {
    "isSorted": for_each(
        COMPARABLE,
        lambda one: member(f"list_{one}_is_sorted_bool", (list_of(one),), BOOL, _is_sorted, **_walked),
    ),
    "sum": for_each(
        _SUMMABLE,
        lambda one: member(f"list_{one}_sum_{one}", (list_of(one),), one, _sum(_SUMMABLE[one]), **_walked),
    ),
    "max": for_each(
        COMPARABLE,
        lambda one: member(f"list_{one}_max_{one}", (list_of(one),), one, _extreme("max", -1), **_walked),
    ),
    "min": for_each(
        COMPARABLE,
        lambda one: member(f"list_{one}_min_{one}", (list_of(one),), one, _extreme("min", 1), **_walked),
    ),
    "indexOf": (member("list_a_index_of_int", (list_of(_A), _A), INT, _index_of, **_walked),),
    "lastIndexOf": (member("list_a_last_index_of_int", (list_of(_A), _A), INT, _last_index_of, **_walked),),
}
