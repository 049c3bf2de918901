"""The estimated cost of an expression before its values are known (cel-go checker/cost.go).

The figures decide which definitions are accepted, so they are upstream's to the unit.
"""

from typing import NamedTuple

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
from pilothouse.api.cel.estimates import LIST_COST, known
from pilothouse.api.cel.functions import STRING_FACTOR, Overload
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
        if isinstance(expr, LiteralExpr):
            return NOTHING
        if isinstance(expr, IdentExpr):
            return self.ident(expr)
        if isinstance(expr, SelectExpr):
            return self.select(expr)
        if isinstance(expr, CallExpr):
            return self.call(expr)
        if isinstance(expr, ListExpr):
            return self.new_list(expr)
        if isinstance(expr, MapExpr):
            return self.new_map(expr)
        if isinstance(expr, StructExpr):
            return self.sum([entry.value for entry in expr.entries]) + fixed(STRUCT_COST)
        assert isinstance(expr, Comprehension)
        return self.bind(expr) if expr.macro == "bind" else self.comprehension(expr)

    def sum(self, exprs: list[Expr]) -> Range:
        out = NOTHING
        for one in exprs:
            out = out + self.cost(one)
        return out

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
        args = [self.sized(one) for one in expr.args]
        out, target = NOTHING, None
        if expr.target is not None:
            out = self.cost(expr.target)
            target = self.sized(expr.target)
        if not expr.overloads:
            return NOTHING
        cost, size = Range(MOST, 0), None
        for overload in expr.overloads:
            found = self.overload(expr, overload, target, args, costs)
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
        return out + cost

    def overload(
        self, expr: CallExpr, overload: Overload, target: Sized | None, args: list[Sized], costs: list[Range]
    ) -> Estimate:
        """The cost of a call of one signature, its arguments included."""
        total = NOTHING
        for one in costs:
            total = total + one
        if overload.estimate is not None:
            found = overload.estimate(self, target, args)
            if found is not None:
                return Estimate(found.cost + total, found.size)
        special = _SPECIAL.get(expr.function)
        if special is not None and (found := special(self, expr, overload, args, costs, total)) is not None:
            return found
        return Estimate(fixed(1) + total)

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


# The operators, whose costs depend on their arguments.


def _junction(
    self: Estimator, expr: CallExpr, overload: Overload, args: list[Sized], costs: list[Range], total: Range
) -> Estimate:
    return Estimate(Range(costs[0].least, total.most))


def _condition(
    self: Estimator, expr: CallExpr, overload: Overload, args: list[Sized], costs: list[Range], total: Range
) -> Estimate:
    _, yes, no = expr.args
    entries = self.entry_sizes(yes)
    if entries is not None and (joined := entries.union(self.entry_sizes(no))) is not None:
        self.entries[id(expr)] = joined
    size = known(args[1]).union(known(args[2]))
    return Estimate(costs[0] + costs[1].union(costs[2]), size)


def _addition(
    self: Estimator, expr: CallExpr, overload: Overload, args: list[Sized], costs: list[Range], total: Range
) -> Estimate | None:
    if overload.id not in ("add_string", "add_bytes", "add_list"):
        return None
    size = known(args[0]) + known(args[1])
    entries = self.entry_sizes(expr.args[0])
    if entries is not None and (joined := entries.union(self.entry_sizes(expr.args[1]))) is not None:
        self.entries[id(expr)] = joined
    cost = fixed(1) if overload.id == "add_list" else size.times(STRING_FACTOR)
    return Estimate(cost + total, size)


def _comparison(
    self: Estimator, expr: CallExpr, overload: Overload, args: list[Sized], costs: list[Range], total: Range
) -> Estimate | None:
    if not (overload.id in ("equals", "not_equals") or overload.id.endswith(("_string", "_bytes"))):
        return None
    if overload.id == "equals" and (cost := _library_equality(args)) is not None:
        return Estimate(cost + total)
    most = min(known(args[0]).most, known(args[1]).most)
    return Estimate(Range(1 if most > 0 else 0, most).times(STRING_FACTOR) + total)


_CHEAP = frozenset(
    (
        "net.IP", "net.CIDR", "kubernetes.Quantity", "kubernetes.Semver",
        "kubernetes.authorization.Authorizer", "kubernetes.authorization.PathCheck",
        "kubernetes.authorization.GroupCheck",
        "kubernetes.authorization.ResourceCheck", "kubernetes.authorization.Decision",
    )
)  # fmt: skip
_MAX_FORMAT = 64


def _library_equality(args: list[Sized]) -> Range | None:
    """The cost of comparing two values of a type of Kubernetes' libraries."""
    left, right = args
    if left.type.text != right.type.text or left.type.kind not in ("opaque", "struct"):
        return None
    if left.type.name in _CHEAP:
        return fixed(1)
    if left.type.name == "kubernetes.NamedFormat":
        return Range(1, _MAX_FORMAT).times(STRING_FACTOR)
    if left.type.name == "kubernetes.URL":
        most = right.size.most if right.size is not None else 1
        return Range(1, most).times(STRING_FACTOR)
    return None


def _membership(
    self: Estimator, expr: CallExpr, overload: Overload, args: list[Sized], costs: list[Range], total: Range
) -> Estimate | None:
    return Estimate(known(args[1]) + total) if overload.id == "in_list" else None


_SPECIAL = {
    "_&&_": _junction,
    "_||_": _junction,
    "_?_:_": _condition,
    "_+_": _addition,
    "@in": _membership,
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), _comparison),
}
