"""Arithmetic of resource lists (apiserver pkg/quota/v1/resources.go)."""

from collections.abc import Iterable

from pilothouse.api.values import quantity
from pilothouse.api.values.pod_resources import Amounts

ZERO, ONE = quantity.parse("0"), quantity.parse("1")


def count(number: int) -> quantity.Quantity:
    """A number of things."""
    return quantity.Quantity(number)


def grown(new: Amounts, old: Amounts) -> Amounts:
    """The amounts that have grown: the positive differences only."""
    out = {}
    for name, amount in new.items():
        more = amount - old[name] if name in old else amount
        if more > ZERO:
            out[name] = more
    return out


def largest(lists: Iterable[Amounts]) -> Amounts:
    """The largest amount of each name."""
    out: Amounts = {}
    for one in lists:
        for name, amount in one.items():
            if name not in out or amount > out[name]:
                out[name] = amount
    return out


def show(listed: Amounts, names: Iterable[str]) -> str:
    """The named amounts as messages have them: `a=1,b=2`, sorted."""
    return ",".join(f"{name}={listed[name]}" for name in sorted(names) if name in listed)
