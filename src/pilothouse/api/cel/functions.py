"""How a function is declared: its signatures, what each does, what each costs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pilothouse.api.cel._cel import CostLimitExceeded, EvaluationError, size_of
from pilothouse.api.cel.limits import MAX_RESULT
from pilothouse.api.cel.sizes import Estimate
from pilothouse.api.cel.types import CelType

Estimating = Callable[..., Estimate]
"""The estimate of a call's cost, from a Sizer and what is known of the arguments (Sized).
A target is the first of them."""


class Overload:
    """One signature. The types of a member begin with that of its target.

    cost: units of a call, or what computes them from the arguments.
    estimate: the same before the values are known, None for the default of 1.
    names: of its type parameters.
    """

    __slots__ = ("cost", "estimate", "function", "id", "member", "names", "params", "result")

    def __init__(
        self,
        id: str,
        params: tuple[CelType, ...],
        result: CelType,
        function: Callable[..., Any] | None = None,
        member: bool = False,
        cost: int | Callable[..., int] = 1,
        estimate: Estimating | None = None,
    ) -> None:
        self.id = id
        self.params = params
        self.result = result
        self.function = function
        self.member = member
        self.cost = cost
        self.estimate = estimate
        self.names = tuple(sorted({name for one in (*params, result) for name in _parameters(one)}))


def _parameters(type: CelType) -> list[str]:
    if type.kind == "param":
        return [type.name]
    return [name for one in type.params for name in _parameters(one)]


def member(
    id: str,
    params: tuple[CelType, ...],
    result: CelType,
    function: Callable[..., Any] | None = None,
    **more: Any,
) -> Overload:
    """A signature of a function that is called on its first argument."""
    return Overload(id, params, result, function, member=True, **more)


Functions = Mapping[str, tuple[Overload, ...]]


def merge(libraries: Iterable[Functions]) -> dict[str, tuple[Overload, ...]]:
    """The functions of several libraries; signatures of one name are put one behind the other."""
    out: dict[str, tuple[Overload, ...]] = {}
    for functions in libraries:
        for name, overloads in functions.items():
            out[name] = out.get(name, ()) + overloads
    return out


def succeeds(function: Callable[..., Any]) -> Callable[..., bool]:
    """The test whether a function has a value for its arguments."""

    def test(*args: Any) -> bool:
        try:
            function(*args)
        except EvaluationError:
            return False
        return True

    return test


# What calls cost.


def bounded(size: int, most: int = MAX_RESULT) -> None:
    """Stop the evaluation of a call that would make or walk over more than that."""
    if size > most:
        raise CostLimitExceeded("operation cancelled: actual cost limit exceeded")


STRING_FACTOR = 0.1
REGEX_FACTOR = 0.25


def units(size: int, factor: float) -> int:
    """A size times what each of its units costs, rounded up."""
    exact = size * factor
    return int(exact) + (exact > int(exact))


def walk(value: Any, *_: Any) -> int:
    """One walk over a text."""
    return units(size_of(value), STRING_FACTOR)


def walk_twice(value: Any, *_: Any) -> int:
    """A walk over a text, and the making of another one."""
    return units(size_of(value), 2 * STRING_FACTOR)


def search(text: Any, pattern: Any, *_: Any) -> int:
    """The search for a regular expression in a text."""
    return units(size_of(text) + 1, STRING_FACTOR) * units(size_of(pattern), REGEX_FACTOR)
