"""The tree of a parsed expression. `at` is the offset in the text that errors point to;
the checker fills in `type`."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pilothouse.api.cel.functions import Overload
from pilothouse.api.cel.types import DYN, CelType

RESULT = "@result"
"""The accumulator of a macro: no name that an expression can use."""
UNUSED = "#unused"


class Expr:
    """A part of an expression."""

    __slots__ = ("at", "type")

    def __init__(self, at: int) -> None:
        self.at = at
        self.type: CelType = DYN

    def children(self) -> "list[Expr]":
        """The parts right below this one, in the order in which the text has them."""
        return []


class LiteralExpr(Expr):
    __slots__ = ("value",)

    def __init__(self, at: int, value: Any) -> None:
        super().__init__(at)
        self.value = value


class IdentExpr(Expr):
    """A name. `constant`: the type that it stands for, if it is the name of one."""

    __slots__ = ("constant", "name")

    def __init__(self, at: int, name: str) -> None:
        super().__init__(at)
        self.name = name
        self.constant: str | None = None


class SelectExpr(Expr):
    """`operand.field`; with `test`, `has(operand.field)`. `key` is the member that the field stands for."""

    __slots__ = ("field", "key", "operand", "qualified", "test", "typed")

    def __init__(self, at: int, operand: Expr, field: str, test: bool = False) -> None:
        super().__init__(at)
        self.operand = operand
        self.field = field
        self.test = test
        self.key = field
        self.typed = False
        self.qualified: IdentExpr | None = None

    def children(self) -> list[Expr]:
        return [self.operand]


class CallExpr(Expr):
    """`function(args)`, `target.function(args)`, and all operators. `overloads`: the signatures that fit."""

    __slots__ = ("args", "function", "overloads", "select", "target")

    def __init__(self, at: int, function: str, args: list[Expr], target: Expr | None = None) -> None:
        super().__init__(at)
        self.function = function
        self.args = args
        self.target = target
        self.overloads: tuple[Overload, ...] = ()
        self.select: SelectExpr | None = None

    def children(self) -> list[Expr]:
        return self.args if self.target is None else [self.target, *self.args]


class ListExpr(Expr):
    """`[a, ?b]`; `optional` are the indexes of those behind a question mark."""

    __slots__ = ("items", "optional")

    def __init__(self, at: int, items: list[Expr], optional: frozenset[int] = frozenset()) -> None:
        super().__init__(at)
        self.items = items
        self.optional = optional

    def children(self) -> list[Expr]:
        return self.items


class MapEntry(NamedTuple):
    """An entry of a map, or a field of a struct (there `key` is its name)."""

    at: int
    key: Any
    value: Expr
    optional: bool


class MapExpr(Expr):
    __slots__ = ("entries",)

    def __init__(self, at: int, entries: list[MapEntry]) -> None:
        super().__init__(at)
        self.entries = entries

    def children(self) -> list[Expr]:
        return [part for entry in self.entries for part in (entry.key, entry.value)]


class StructExpr(Expr):
    """`name{field: value}`."""

    __slots__ = ("entries", "name")

    def __init__(self, at: int, name: str, entries: list[MapEntry]) -> None:
        super().__init__(at)
        self.name = name
        self.entries = entries

    def children(self) -> list[Expr]:
        return [entry.value for entry in self.entries]


class Comprehension(Expr):
    """A macro as cel-go expands it: for each item of `over`, while `condition` holds, `accu = step`;
    then `result`.

    macro: what it was (all, exists, one, list, map, entry, bind); test, value: its own arguments.
    """

    __slots__ = (
        "accu", "condition", "init", "macro", "over", "result", "step", "test", "value", "var", "var2",
    )  # fmt: skip

    def __init__(
        self,
        at: int,
        macro: str,
        over: Expr,
        names: tuple[str, str | None],
        *,
        init: Expr,
        step: Expr,
        accu: str = RESULT,
        condition: Expr | None = None,
        result: Expr | None = None,
        test: Expr | None = None,
        value: Expr | None = None,
    ) -> None:
        """Without `condition` the loop runs to its end; without `result` its value is the accumulator."""
        super().__init__(at)
        self.macro = macro
        self.over = over
        self.var, self.var2 = names
        self.accu = accu
        self.init = init
        self.condition = condition if condition is not None else LiteralExpr(at, True)
        self.step = step
        self.result = result if result is not None else IdentExpr(at, accu)
        self.test = test
        self.value = value

    def children(self) -> list[Expr]:
        return [self.over, self.init, self.condition, self.step, self.result]


def parts_of(expr: Expr) -> Iterator[Expr]:
    """An expression and all parts of it, in the order in which the text has them."""
    stack = [expr]
    while stack:
        one = stack.pop()
        yield one
        stack.extend(reversed(one.children()))


def qualified_name(expr: Expr) -> str | None:
    """`a.b.c` for a chain of names, None for all else."""
    if isinstance(expr, IdentExpr):
        return expr.name
    if isinstance(expr, SelectExpr) and not expr.test:
        prefix = qualified_name(expr.operand)
        return None if prefix is None else f"{prefix}.{expr.field}"
    return None
