"""Turns a checked expression into the nodes that evaluate it
(what cel-go's planner does, constants folded as it does)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pilothouse.api.cel import _cel
from pilothouse.api.cel._cel import Node, UInt
from pilothouse.api.cel.ast import (
    CallExpr,
    Comprehension,
    Expr,
    IdentExpr,
    ListExpr,
    LiteralExpr,
    MapExpr,
    SelectExpr,
    StructExpr,
)
from pilothouse.api.cel.functions import Overload
from pilothouse.api.cel.libraries.regex import compiled
from pilothouse.api.cel.types import CelType

_CONVERSIONS = frozenset(
    ("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint")
)
_TEXT_TESTS = frozenset(("startsWith", "endsWith", "contains"))
_PATTERNS = frozenset(("matches", "find", "findAll"))
_GUARDS = frozenset(
    ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "timestamp", "duration", "type")
)


class Compiler:
    """The nodes of one expression. Variables of the environment that it uses get the first slots."""

    def __init__(self, variables: Mapping[str, CelType]) -> None:
        self.variables = variables
        self.names: dict[str, int] = {}
        self.locals: list[tuple[str, int]] = []
        self.slots = 0

    def whole(self, expr: Expr) -> Node:
        """The node of an expression; EvaluationError when a constant in it is wrong."""
        for name in _used(expr, self.variables):
            self.names[name] = self.slots
            self.slots += 1
        return self.node(expr)

    def node(self, expr: Expr) -> Node:
        return _NODES[type(expr)](self, expr)

    def new_slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def literal(self, expr: LiteralExpr) -> Node:
        return _cel.Const(expr.value)

    def ident(self, expr: IdentExpr) -> Node:
        if expr.constant is not None:
            return _cel.Const(_cel.TypeValue(expr.constant))
        for name, slot in reversed(self.locals):
            if name == expr.name:
                return _cel.Var(slot, name)
        return _cel.Var(self.names[expr.name], expr.name)

    def select(self, expr: SelectExpr) -> Node:
        if expr.qualified is not None:
            return self.ident(expr.qualified)
        operand = self.node(expr.operand)
        if expr.test:
            return _cel.Has(operand, expr.key, expr.typed)
        is_int = expr.typed and expr.type.kind == "int"
        return _cel.Select(operand, expr.key, expr.field, expr.typed, False, is_int)

    def new_list(self, expr: ListExpr) -> Node:
        items = [self.node(one) for one in expr.items]
        node = _cel.NewList(items, expr.optional)
        return _fold(node) if not expr.optional and _constant(*items) else node

    def new_map(self, expr: MapExpr) -> Node:
        keys = [self.node(entry.key) for entry in expr.entries]
        values = [self.node(entry.value) for entry in expr.entries]
        optional = frozenset(i for i, entry in enumerate(expr.entries) if entry.optional)
        node = _cel.NewMap(keys, values, optional)
        return _fold(node) if not optional and _constant(*keys, *values) else node

    def new_struct(self, expr: StructExpr) -> Node:
        values = [self.node(entry.value) for entry in expr.entries]
        optional = frozenset(i for i, entry in enumerate(expr.entries) if entry.optional)
        return _cel.NewStruct(expr.name, [entry.key for entry in expr.entries], values, optional)

    # Calls.

    def call(self, expr: CallExpr) -> Node:
        function = expr.function
        if function == "_?._":
            assert expr.select is not None
            one = expr.select
            return _cel.Select(self.node(one.operand), one.key, one.field, one.typed, True, False)
        args = [self.node(one) for one in expr.children()]
        if (node := self.operator(expr, function, args)) is not None:
            return node
        candidates = [_candidate(one, expr) for one in expr.overloads]
        call = _cel.Call(function, args, candidates)
        if function in _CONVERSIONS and len(args) == 1 and _constant(*args):
            return _fold(call)
        if function in _PATTERNS and isinstance(args[1], _cel.Const) and isinstance(args[1].value, str):
            compiled(args[1].value)
        return call

    def operator(self, expr: CallExpr, function: str, args: list[Node]) -> Node | None:
        """The node of an operator or of a function that has a node of its own."""
        if (build := _OPERATORS.get(function)) is not None:
            return build(args)
        if function == "@in":
            return _membership(expr, args)
        if function in _TEXT_TESTS and expr.target is not None:
            return _cel.TextTest(function, args[0], args[1])
        return None

    # Macros.

    def comprehension(self, expr: Comprehension) -> Node:
        if expr.macro == "bind":
            return self.bind(expr)
        over = self.node(expr.over)
        first = self.new_slot()
        second = self.new_slot() if expr.var2 is not None else -1
        self.locals.append((expr.var, first))
        if expr.var2 is not None:
            self.locals.append((expr.var2, second))
        test = self.node(expr.test) if expr.test is not None else None
        value = self.node(expr.value) if expr.value is not None else None
        del self.locals[-(1 if expr.var2 is None else 2) :]
        if expr.macro in ("all", "exists"):
            assert test is not None
            return _cel.Quantifier(over, first, second, test, expr.macro == "exists")
        if expr.macro == "one":
            return _cel.ExistsOne(over, first, second, test, None)
        assert value is not None
        if expr.macro == "list":
            return _cel.ToList(over, first, second, test, value)
        return _cel.ToMap(over, first, second, test, value, expr.macro == "entry")

    def bind(self, expr: Comprehension) -> Node:
        init = self.node(expr.init)
        slot = self.new_slot()
        self.locals.append((expr.accu, slot))
        body = self.node(expr.result)
        self.locals.pop()
        return _cel.Bind(slot, init, body)


def _used(expr: Expr, variables: Mapping[str, CelType]) -> list[str]:
    """The variables of the environment that an expression may read."""
    found: dict[str, None] = {}
    stack = [expr]
    while stack:
        one = stack.pop()
        if isinstance(one, SelectExpr) and one.qualified is not None:
            one = one.qualified
        if isinstance(one, IdentExpr):
            if one.constant is None and one.name in variables:
                found[one.name] = None
            continue
        stack.extend(one.children())
    return list(found)


def _constant(*nodes: Node) -> bool:
    return all(isinstance(one, _cel.Const) for one in nodes)


def _fold(node: Node) -> Node:
    """The constant that a node of constants is."""
    return _cel.Const(_cel.run(node, (), (), 0, {}, 1 << 62)[0])


def _binary(node: Callable[[str, Node, Node], Node], function: str, args: list[Node]) -> Node:
    return node(function, args[0], args[1])


def _membership(expr: CallExpr, args: list[Node]) -> Node:
    """`in`; among constants, a look-up."""
    known = args[1]
    if len(expr.overloads) == 1 and expr.overloads[0].id == "in_list" and isinstance(known, _cel.Const):
        values = known.value
        if isinstance(values, list):
            if not values:
                return _cel.Const(False)
            if all(type(one) in (str, int, bool, float, UInt) for one in values):
                return _cel.InConstants(args[0], values)
    return _cel.In(args[0], args[1])


def _candidate(one: Overload, expr: CallExpr) -> Any:
    """A signature, and which of the values have to be looked at to see that it is meant.

    The type of anything but a literal may have been concluded from a use of a dynamic value elsewhere.
    """
    guards: list[str | None] = []
    for param, arg in zip(one.params, expr.children(), strict=True):
        sure = isinstance(arg, LiteralExpr) and len(expr.overloads) == 1
        guards.append(None if sure else _guard(param))
    return _cel.Candidate(one.function, tuple(guards) if any(guards) else None, one.cost)


def _guard(param: CelType) -> str | None:
    if param.kind in _GUARDS:
        return param.kind
    if param.kind == "null":
        return "null_type"
    return param.name if param.kind in ("opaque", "struct") else None


_NODES: dict[type, Callable[[Compiler, Any], Node]] = {
    LiteralExpr: Compiler.literal,
    IdentExpr: Compiler.ident,
    SelectExpr: Compiler.select,
    CallExpr: Compiler.call,
    ListExpr: Compiler.new_list,
    MapExpr: Compiler.new_map,
    StructExpr: Compiler.new_struct,
    Comprehension: Compiler.comprehension,
}
_OPERATORS: dict[str, Callable[[list[Node]], Node]] = {
    "_&&_": _cel.And,
    "_||_": _cel.Or,
    "_?_:_": lambda args: _cel.Condition(*args),
    "_==_": lambda args: _cel.Equals(args[0], args[1], False),
    "_!=_": lambda args: _cel.Equals(args[0], args[1], True),
    "_[_]": lambda args: _cel.Index(args[0], args[1], False),
    "_[?_]": lambda args: _cel.Index(args[0], args[1], True),
    "or": lambda args: _cel.Otherwise(args[0], args[1], False),
    "orValue": lambda args: _cel.Otherwise(args[0], args[1], True),
    "!_": lambda args: _cel.Not(args[0]),
    "-_": lambda args: _cel.Negate(args[0]),
    "size": lambda args: _cel.Size(args[0]),
    **{name: partial(_binary, _cel.Order, name) for name in ("_<_", "_<=_", "_>_", "_>=_")},
    **{name: partial(_binary, _cel.Arithmetic, name) for name in ("_+_", "_-_", "_*_", "_/_", "_%_")},
}
