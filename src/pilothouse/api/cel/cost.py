"""The estimated cost of an expression before its values are known (cel-go checker/cost.go).

The figures decide which definitions are accepted, so they are upstream's to the unit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pilothouse.api.cel.ast import (
    RESULT,
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
from pilothouse.api.cel.estimates import LIST_COST
from pilothouse.api.cel.sizes import (
    MOST,
    NOTHING,
    UNKNOWN,
    Entries,
    Estimate,
    Range,
    Sized,
    Sizes,
    ValuePath,
    fixed,
    total,
)
from pilothouse.api.cel.types import CelType, unwrap

MAP_COST, STRUCT_COST = 30, 40


class _Local(NamedTuple):
    path: ValuePath
    size: Range | None
    entries: Entries | None


class Estimator:
    """One estimate of one expression."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.paths: dict[int, ValuePath] = {}
        self.known: dict[int, Range] = {}
        self.entries: dict[int, Entries] = {}
        self.locals: dict[str, list[_Local]] = {}

    def cost(self, expr: Expr) -> Range:
        """The least and the greatest cost of an expression."""
        return _COSTS[type(expr)](self, expr)

    def literal(self, expr: LiteralExpr) -> Range:
        return NOTHING

    def new_struct(self, expr: StructExpr) -> Range:
        return total(self.cost(entry.value) for entry in expr.entries) + fixed(STRUCT_COST)

    # Names and fields.

    def local(self, name: str) -> _Local | None:
        stack = self.locals.get(name)
        return stack[-1] if stack else None

    def ident(self, expr: IdentExpr) -> Range:
        local = self.local(expr.name)
        self.paths[id(expr)] = local.path if local is not None else (expr.name,)
        return fixed(1)

    def path(self, expr: Expr) -> ValuePath:
        if isinstance(expr, IdentExpr) and (local := self.local(expr.name)) is not None:
            return local.path
        return self.paths.get(id(expr), ())

    def select(self, expr: SelectExpr) -> Range:
        if expr.qualified is not None:
            return self.ident(expr.qualified)
        out = self.cost(expr.operand)
        if expr.test:
            return out
        if expr.operand.type.kind in ("map", "struct", "param"):
            out = out + fixed(1)
        self.paths[id(expr)] = (*self.path(expr.operand), expr.field)
        return out

    # Sizes.

    def size(self, expr: Expr) -> Range | None:
        """The size of a value, None when nothing tells it."""
        found = self.known.get(id(expr))
        if found is None:
            found = _own_size(expr)
        if found is not None:
            return found
        found = self.sizes(self.path(expr))
        if found is not None:
            self.known[id(expr)] = found
            return found
        if _is_scalar(expr.type):
            return fixed(1)
        if isinstance(expr, IdentExpr) and (local := self.local(expr.name)) is not None:
            return local.size
        return None

    def size_or_unknown(self, expr: Expr) -> Range:
        found = self.size(expr)
        return found if found is not None else UNKNOWN

    def entry_sizes(self, expr: Expr) -> Entries | None:
        found = self.entries.get(id(expr))
        if found is None and isinstance(expr, IdentExpr) and (local := self.local(expr.name)) is not None:
            return local.entries
        return found

    def sized(self, expr: Expr) -> Sized:
        path = self.path(expr)
        if path and path[0] == RESULT:
            path = ()
        return Sized(path, expr.type, expr.value if isinstance(expr, LiteralExpr) else None, self.size(expr))

    def size_of(self, one: Sized) -> Range:
        """The size of a part of an expression, unbounded when nothing tells it."""
        found = one.size if one.size is not None else self.sizes(one.path)
        return found if found is not None else UNKNOWN

    def item_of(self, one: Sized) -> Sized | None:
        """An item of a list, None for what is none."""
        if not one.type.params:
            return None
        return Sized((*one.path, "@items") if one.path else (), one.type.params[0], None, None)

    # Calls.

    def call(self, expr: CallExpr) -> Range:
        if expr.function == "dyn":
            out = fixed(1) + self.cost(expr.args[0])
            self.copy_sizes(expr, expr.args[0])
            return out
        costs = [self.cost(one) for one in expr.args]
        out = self.cost(expr.target) if expr.target is not None else NOTHING
        parts = [self.sized(one) for one in expr.children()]
        if not expr.overloads:
            return NOTHING
        if expr.function in ("_&&_", "_||_"):
            return Range(costs[0].least, total(costs).most)
        if expr.function == "_?_:_":
            return self.condition(expr, costs)
        cost, size = Range(MOST, 0), None
        for overload in expr.overloads:
            found = overload.estimate(self, *parts) if overload.estimate is not None else Estimate(fixed(1))
            cost = cost.union(found.cost)
            if found.size is not None:
                size = found.size if size is None else size.union(found.size)
            if overload.id in ("index_list", "index_map"):
                entries = self.entry_sizes(expr.args[0])
                size = entries.value if entries is not None else None
                step = "@items" if overload.id == "index_list" else "@values"
                self.paths[id(expr)] = (*self.path(expr.args[0]), step)
            if size is None:
                size = self.size(expr)
        if size is not None:
            self.known[id(expr)] = size
        if expr.function == "_+_":
            self.join_entries(expr, *expr.args)
        return out + cost + total(costs)

    def condition(self, expr: CallExpr, costs: list[Range]) -> Range:
        _, yes, no = expr.args
        self.known[id(expr)] = self.size_or_unknown(yes).union(self.size_or_unknown(no))
        self.join_entries(expr, yes, no)
        return costs[0] + costs[1].union(costs[2])

    def join_entries(self, expr: Expr, one: Expr, other: Expr) -> None:
        """Keep what the entries of either part are at least and at most."""
        entries = self.entry_sizes(one)
        if entries is not None and (joined := entries.union(self.entry_sizes(other))) is not None:
            self.entries[id(expr)] = joined

    def copy_sizes(self, target: Expr, source: Expr) -> None:
        if (size := self.size(source)) is not None:
            self.known[id(target)] = size
        if (entries := self.entry_sizes(source)) is not None:
            self.entries[id(target)] = entries

    # Literals.

    def new_list(self, expr: ListExpr) -> Range:
        out, items = NOTHING, Range(0 if not expr.items else MOST, 0)
        for one in expr.items:
            out = out + self.cost(one)
            items = items.union(self.size_or_unknown(one))
        self.entries[id(expr)] = Entries("list", fixed(1), items)
        return out + fixed(LIST_COST)

    def new_map(self, expr: MapExpr) -> Range:
        least = 0 if not expr.entries else MOST
        out, keys, values = NOTHING, Range(least, 0), Range(least, 0)
        for entry in expr.entries:
            out = out + self.cost(entry.key) + self.cost(entry.value)
            keys = keys.union(self.size_or_unknown(entry.key))
            values = values.union(self.size_or_unknown(entry.value))
        self.entries[id(expr)] = Entries("map", keys, values)
        return out + fixed(MAP_COST)

    # Macros.

    def comprehension(self, expr: Comprehension) -> Range:
        if expr.macro == "bind":
            return self.bind(expr)
        out = self.cost(expr.over) + self.cost(expr.init)
        self.push(expr.accu, self.path(expr.init), self.size(expr.init), self.entry_sizes(expr.init))
        if expr.var2 is not None:
            self.push_iteration(expr.var, expr.over, "key")
            self.push_iteration(expr.var2, expr.over, "value")
        else:
            self.push_iteration(expr.var, expr.over, "single")
        loop = self.cost(expr.condition)
        step = self.cost(expr.step)
        self.locals[expr.var].pop()
        if expr.var2 is not None:
            self.locals[expr.var2].pop()
        out = out + self.cost(expr.result)
        self.locals[expr.accu].pop()
        times = self.size_or_unknown(expr.over)
        out = out + times * (step + loop)
        if isinstance(expr.init, LiteralExpr):
            if (size := self.size(expr.init)) is not None:
                self.known[id(expr)] = size
        else:
            self.known[id(expr)] = times
            if (entries := self.entry_sizes(expr.step)) is not None:
                self.entries[id(expr)] = entries
        return out

    def push(self, name: str, path: ValuePath, size: Range | None, entries: Entries | None) -> None:
        self.locals.setdefault(name, []).append(_Local(path, size, entries))

    def push_iteration(self, name: str, over: Expr, role: str) -> None:
        """A variable of a macro: the key, the value, or whichever of them a single variable is."""
        entries = self.entry_sizes(over)
        container = entries.container if entries is not None else over.type.kind
        as_value = role == "value" or (role == "single" and container == "list")
        if as_value:
            step = "@items" if container == "list" else "@values"
        else:
            step = "@indices" if container == "list" else "@keys"
        size = None
        if entries is not None:
            size = entries.value if as_value else entries.key
        self.push(name, (*self.path(over), step), size, None)

    def bind(self, expr: Comprehension) -> Range:
        out = self.cost(expr.over) + self.cost(expr.init)
        self.push(expr.accu, self.path(expr.init), self.size(expr.init), self.entry_sizes(expr.init))
        out = out + self.cost(expr.result)
        self.locals[expr.accu].pop()
        self.copy_sizes(expr, expr.result)
        return out


def _own_size(expr: Expr) -> Range | None:
    """The size that a literal has."""
    if isinstance(expr, LiteralExpr):
        return fixed(len(expr.value)) if isinstance(expr.value, str | bytes) else fixed(1)
    if isinstance(expr, ListExpr):
        return fixed(len(expr.items))
    if isinstance(expr, MapExpr):
        return fixed(len(expr.entries))
    return None


def _is_scalar(type: CelType) -> bool:
    inner, _ = unwrap(type)
    return inner.kind in ("bool", "double", "duration", "int", "timestamp", "uint")


_COSTS: dict[type[Expr], Callable[[Estimator, Any], Range]] = {
    LiteralExpr: Estimator.literal,
    IdentExpr: Estimator.ident,
    SelectExpr: Estimator.select,
    CallExpr: Estimator.call,
    ListExpr: Estimator.new_list,
    MapExpr: Estimator.new_map,
    StructExpr: Estimator.new_struct,
    Comprehension: Estimator.comprehension,
}
