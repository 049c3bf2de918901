"""Macros, expanded as cel-go expands them
(parser/macro.go, ext/comprehensions.go, ext/bindings.go, cel/libraries.go).

The loops that they become are what the checker and the estimate of costs see;
the evaluator has nodes of its own for them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pilothouse.api.cel.ast import (
    RESULT,
    UNUSED,
    CallExpr,
    Comprehension,
    Expr,
    IdentExpr,
    ListExpr,
    LiteralExpr,
    MapExpr,
    SelectExpr,
)


class MacroError(Exception):
    """A macro's arguments are not what it needs; `at` is where."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


Expander = Callable[[int, Any, list[Expr]], Expr | None]
"""The expression for a call, from its place, its target if it is a member, and its arguments."""
Names = tuple[str, str | None]
"""The variables of a loop."""
Macros = Mapping[tuple[str, int, bool], Expander]
"""Expanders by name, number of arguments, and whether the macro is a member."""


def expand(known: Macros, at: int, name: str, target: Expr | None, args: list[Expr]) -> Expr | None:
    """The expression that a call stands for, None if it is no macro."""
    expander = known.get((name, len(args), target is not None))
    return expander(at, target, args) if expander is not None else None


def _name(expr: Expr, message: str) -> str:
    if not isinstance(expr, IdentExpr):
        raise MacroError(expr.at, message)
    if expr.name in (RESULT, "__result__"):
        raise MacroError(expr.at, "iteration variable overwrites accumulator variable")
    return expr.name


def _names(args: list[Expr]) -> tuple[str, str]:
    words = "argument must be a simple name"
    for one in args[:2]:
        if not isinstance(one, IdentExpr):
            raise MacroError(one.at, words)
    first, second = args[0], args[1]
    assert isinstance(first, IdentExpr) and isinstance(second, IdentExpr)
    if first.name == second.name:
        raise MacroError(second.at, f"duplicate variable name: {first.name}")
    return _name(first, words), _name(second, words)


def _one_name(args: list[Expr], message: str = "argument must be a simple name") -> tuple[str, None]:
    return _name(args[0], message), None


def _has(at: int, target: None, args: list[Expr]) -> Expr:
    operand = args[0]
    if isinstance(operand, SelectExpr) and not operand.test:
        return SelectExpr(at, operand.operand, operand.field, test=True)
    raise MacroError(operand.at, "invalid argument to has() macro")


# Loops, which keep what they have found so far in the accumulator.


def _so_far(at: int) -> Expr:
    return IdentExpr(at, RESULT)


def _all(at: int, over: Expr, names: Names, test: Expr) -> Expr:
    condition = CallExpr(at, "@not_strictly_false", [_so_far(at)])
    step = CallExpr(at, "_&&_", [_so_far(at), test])
    return Comprehension(
        at, "all", over, names, init=LiteralExpr(at, True), condition=condition, step=step, test=test
    )


def _exists(at: int, over: Expr, names: Names, test: Expr) -> Expr:
    condition = CallExpr(at, "@not_strictly_false", [CallExpr(at, "!_", [_so_far(at)])])
    step = CallExpr(at, "_||_", [_so_far(at), test])
    return Comprehension(
        at, "exists", over, names, init=LiteralExpr(at, False), condition=condition, step=step, test=test
    )


def _one(at: int, over: Expr, names: Names, test: Expr) -> Expr:
    more = CallExpr(at, "_+_", [_so_far(at), LiteralExpr(at, 1)])
    result = CallExpr(at, "_==_", [_so_far(at), LiteralExpr(at, 1)])
    step = _if(at, test, more)
    return Comprehension(at, "one", over, names, init=LiteralExpr(at, 0), step=step, result=result, test=test)


def _list(at: int, over: Expr, names: Names, test: Expr | None, value: Expr) -> Expr:
    step = _if(at, test, CallExpr(at, "_+_", [_so_far(at), ListExpr(at, [value])]))
    return Comprehension(at, "list", over, names, init=ListExpr(at, []), step=step, test=test, value=value)


def _to_map(at: int, macro: str, over: Expr, names: tuple[str, str], test: Expr | None, value: Expr) -> Expr:
    key = [] if macro == "entry" else [IdentExpr(at, names[0])]
    step = _if(at, test, CallExpr(at, "cel.@mapInsert", [_so_far(at), *key, value]))
    return Comprehension(at, macro, over, names, init=MapExpr(at, []), step=step, test=test, value=value)


def _if(at: int, test: Expr | None, step: Expr) -> Expr:
    """A step that is left out where the test fails."""
    return step if test is None else CallExpr(at, "_?_:_", [test, step, _so_far(at)])


def _let(at: int, name: str, init: Expr, body: Expr) -> Expr:
    """`body` with a name for the value of `init`."""
    return Comprehension(
        at,
        "bind",
        ListExpr(at, []),
        (UNUSED, None),
        accu=name,
        init=init,
        condition=LiteralExpr(at, False),
        step=IdentExpr(at, name),
        result=body,
    )


def _bind(at: int, target: Expr, args: list[Expr]) -> Expr | None:
    if not isinstance(target, IdentExpr) or target.name != "cel":
        return None
    if not isinstance(args[0], IdentExpr):
        raise MacroError(args[0].at, "cel.bind() variable names must be simple identifiers")
    return _let(at, args[0].name, args[1], args[2])


def _optional_map(flat: bool) -> Expander:
    macro = "optFlatMap" if flat else "optMap"

    def expander(at: int, target: Expr, args: list[Expr]) -> Expr:
        if not isinstance(args[0], IdentExpr):
            raise MacroError(args[0].at, f"{macro}() variable name must be a simple identifier")
        inner = _let(at, args[0].name, CallExpr(at, "value", [], target), args[1])
        some = inner if flat else CallExpr(at, "optional.of", [inner])
        return CallExpr(
            at, "_?_:_", [CallExpr(at, "hasValue", [], target), some, CallExpr(at, "optional.none", [])]
        )

    return expander


def _sort_by(at: int, target: Expr, args: list[Expr]) -> Expr:
    name = "@__sortBy_input__"
    if not isinstance(target, ListExpr | SelectExpr | IdentExpr | Comprehension | CallExpr):
        words = "sortBy can only be applied to a list, identifier, comprehension, call or select expression"
        raise MacroError(target.at, words)
    names = _one_name(args, "argument is not an identifier")
    keys = _list(at, IdentExpr(at, name), names, None, args[1])
    return _let(at, name, target, CallExpr(at, "@sortByAssociatedKeys", [keys], IdentExpr(at, name)))


def _quantifier(build: Callable[[int, Expr, Names, Expr], Expr], names: int) -> Expander:
    def expander(at: int, target: Expr, args: list[Expr]) -> Expr:
        return build(at, target, _names(args) if names == 2 else _one_name(args), args[names])

    return expander


def _map(at: int, target: Expr, args: list[Expr]) -> Expr:
    names = _one_name(args, "argument is not an identifier")
    return _list(at, target, names, args[1] if len(args) == 3 else None, args[-1])


def _filter(at: int, target: Expr, args: list[Expr]) -> Expr:
    names = _one_name(args, "argument is not an identifier")
    return _list(at, target, names, args[1], args[0])


def _transform_list(at: int, target: Expr, args: list[Expr]) -> Expr:
    return _list(at, target, _names(args), args[2] if len(args) == 4 else None, args[-1])


def _transform_map(macro: str) -> Expander:
    def expander(at: int, target: Expr, args: list[Expr]) -> Expr:
        return _to_map(at, macro, target, _names(args), args[2] if len(args) == 4 else None, args[-1])

    return expander


STANDARD: Macros = {
    ("has", 1, False): _has,
    ("all", 2, True): _quantifier(_all, 1),
    ("exists", 2, True): _quantifier(_exists, 1),
    ("exists_one", 2, True): _quantifier(_one, 1),
    ("existsOne", 2, True): _quantifier(_one, 1),
    ("map", 2, True): _map,
    ("map", 3, True): _map,
    ("filter", 2, True): _filter,
}
TWO_VARIABLES: Macros = {
    ("all", 3, True): _quantifier(_all, 2),
    ("exists", 3, True): _quantifier(_exists, 2),
    ("exists_one", 3, True): _quantifier(_one, 2),
    ("existsOne", 3, True): _quantifier(_one, 2),
    ("transformList", 3, True): _transform_list,
    ("transformList", 4, True): _transform_list,
    ("transformMap", 3, True): _transform_map("map"),
    ("transformMap", 4, True): _transform_map("map"),
    ("transformMapEntry", 3, True): _transform_map("entry"),
    ("transformMapEntry", 4, True): _transform_map("entry"),
}
OPTIONALS: Macros = {
    ("optMap", 2, True): _optional_map(flat=False),
    ("optFlatMap", 2, True): _optional_map(flat=True),
}
BINDINGS: Macros = {("bind", 3, True): _bind}
SORTING: Macros = {("sortBy", 2, True): _sort_by}
