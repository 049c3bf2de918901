"""Lists as sets (cel-go ext/sets.go)."""

from typing import Any

from pilothouse.api.cel import sizes
from pilothouse.api.cel._cel import equal, items_of, size_of
from pilothouse.api.cel.functions import Functions, Overload
from pilothouse.api.cel.types import BOOL, list_of, param

_LIST = list_of(param("T"))


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

    def estimate(sizer: sizes.Sizer, items: sizes.Sized, others: sizes.Sized) -> sizes.Estimate:
        return sizes.Estimate((sizer.size_of(items) * sizer.size_of(others)).times(factor) + sizes.fixed(1))

    return (Overload(id, (_LIST, _LIST), BOOL, function, cost=units, estimate=estimate),)


FUNCTIONS: Functions = {
    "sets.contains": _set("list_sets_contains_list", _contains, 1),
    "sets.equivalent": _set("list_sets_equivalent_list", _equivalent, 2),
    "sets.intersects": _set("list_sets_intersects_list", _intersects, 1),
}
