"""Finds the type of each part of an expression,
and which signatures its calls have (cel-go checker/checker.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.cel import types
from pilothouse.api.cel._cel import UInt
from pilothouse.api.cel.ast import (
    CallExpr,
    Comprehension,
    Expr,
    IdentExpr,
    ListExpr,
    LiteralExpr,
    MapEntry,
    MapExpr,
    SelectExpr,
    StructExpr,
    qualified_name,
)
from pilothouse.api.cel.errors import Issues
from pilothouse.api.cel.functions import Functions, Overload
from pilothouse.api.cel.scopes import Scopes
from pilothouse.api.cel.tokens import RESERVED
from pilothouse.api.cel.types import (
    BOOL,
    DYN,
    ERROR,
    INT,
    CelType,
    Substitutions,
    list_of,
    map_of,
    optional_of,
    unwrap,
)

_LITERALS = {
    bool: BOOL, int: INT, UInt: types.UINT, float: types.DOUBLE, str: types.STRING, bytes: types.BYTES,
    type(None): types.NULL,
}  # fmt: skip


class Checker:
    """One check of one expression."""

    def __init__(self, functions: Functions, scopes: Scopes, issues: Issues) -> None:
        self.functions = functions
        self.scopes = scopes
        self.issues = issues
        self.mapping = Substitutions()
        self.seen: list[Expr] = []

    def whole(self, expr: Expr) -> CelType:
        """The type of an expression; what is wrong with it stands in `issues`."""
        self.check(expr)
        for one in self.seen:
            one.type = self.mapping.substitute(one.type, dynamic=True)
        return expr.type

    def check(self, expr: Expr) -> CelType:
        check: Callable[[Checker, Any], CelType] = _CHECKS[type(expr)]
        found = check(self, expr)
        expr.type = found
        self.seen.append(expr)
        return found

    def mismatch(self, at: int, expected: CelType, found: CelType) -> None:
        self.issues.add(at, f"expected type '{expected}' but found '{found}'")

    def undeclared(self, at: int, name: str) -> CelType:
        self.issues.add(at, f"undeclared reference to '{name}' (in container '')")
        return ERROR

    # Names and fields.

    def literal(self, expr: LiteralExpr) -> CelType:
        return _LITERALS[type(expr.value)]

    def ident(self, expr: IdentExpr) -> CelType:
        found = self.scopes.lookup(expr.name)
        if found is None:
            return self.undeclared(expr.at, expr.name)
        self.scopes.resolve(expr, expr.name)
        return found

    def select(self, expr: SelectExpr) -> CelType:
        name = qualified_name(expr)
        if name is not None and (found := self.scopes.lookup_qualified(name)) is not None:
            expr.qualified = IdentExpr(expr.at, name)
            self.scopes.resolve(expr.qualified, name)
            expr.qualified.type = found
            return found
        found = self.field(expr, expr.operand, expr.field, False)
        return BOOL if expr.test else self.mapping.substitute(found)

    def field(self, expr: SelectExpr, operand: Expr, field: str, is_optional: bool) -> CelType:
        """The type of a field; `expr` learns which member of the object it is."""
        self.check(operand)
        target, was_optional = unwrap(self.mapping.substitute(operand.type))
        result = ERROR
        if target.kind == "map":
            result = target.params[1]
        elif target.kind == "struct":
            result = self.struct_field(expr, target, field)
        elif target.kind == "param":
            self.mapping.assignable(DYN, target)
            result = DYN
        else:
            if not target.is_dynamic:
                self.issues.add(expr.at, f"type '{target}' does not support field selection")
            result = DYN
        return optional_of(result) if was_optional or is_optional else result

    def struct_field(self, expr: SelectExpr, target: CelType, field: str) -> CelType:
        if target.fields is None:
            return DYN
        found = target.fields.get(field)
        if found is None and field in RESERVED:
            found = target.fields.get(f"__{field}__")
        if found is None:
            self.issues.add(expr.at, f"undefined field '{field}'")
            return ERROR
        expr.key, expr.typed = found.key, True
        return found.type

    # Calls.

    def call(self, expr: CallExpr) -> CelType:
        if expr.function == "_?._":
            field = expr.args[1]
            assert isinstance(field, LiteralExpr)
            expr.select = SelectExpr(expr.at, expr.args[0], field.value)
            found = self.field(expr.select, expr.args[0], field.value, True)
            field.type = types.STRING
            expr.overloads = (_OPTIONAL_FIELD,)
            return self.mapping.substitute(found)
        for one in expr.args:
            self.check(one)
        if expr.target is None:
            function = expr.function.removeprefix(".")
            overloads = self.functions.get(function)
            if overloads is None:
                return self.undeclared(expr.at, expr.function)
            expr.function = function
            return self.overload(expr, overloads, expr.args)
        prefix = qualified_name(expr.target)
        if prefix is not None:
            overloads = self.functions.get(f"{prefix}.{expr.function}".removeprefix("."))
            if overloads is not None:
                expr.function, expr.target = f"{prefix}.{expr.function}".removeprefix("."), None
                return self.overload(expr, overloads, expr.args)
        self.check(expr.target)
        overloads = self.functions.get(expr.function)
        if overloads is None:
            return self.undeclared(expr.at, expr.function)
        return self.overload(expr, overloads, [expr.target, *expr.args])

    def overload(self, expr: CallExpr, overloads: tuple[Overload, ...], args: list[Expr]) -> CelType:
        """The type of a call; `expr` learns which signatures may be meant."""
        if expr.function in ("_&&_", "_||_"):
            return self.junction(expr, overloads, args)
        given = tuple(one.type for one in args)
        member = expr.target is not None
        fitting: list[Overload] = []
        result: CelType | None = None
        for one in overloads:
            if one.member != member or len(one.params) != len(given):
                continue
            *wanted, outcome = self.mapping.instance(one.names, (*one.params, one.result))
            if not self.mapping.all_assignable(given, wanted):
                continue
            fitting.append(one)
            outcome = self.mapping.substitute(outcome)
            if result is None:
                result = outcome
            elif not result.is_dynamic and not types.same(result, outcome):
                result = DYN
        expr.overloads = tuple(fitting)
        return result if result is not None else self.no_overload(expr, given)

    def no_overload(self, expr: CallExpr, given: tuple[CelType, ...]) -> CelType:
        shown = [str(self.mapping.substitute(one, dynamic=True)) for one in given]
        target = f"{shown.pop(0)}." if expr.target is not None else ""
        words = f"found no matching overload for '{expr.function}' applied to '{target}({', '.join(shown)})'"
        self.issues.add(expr.at, words)
        return ERROR

    def junction(self, expr: CallExpr, overloads: tuple[Overload, ...], args: list[Expr]) -> CelType:
        result = BOOL
        for one in args:
            if not self.mapping.assignable(one.type, BOOL):
                self.mismatch(one.at, BOOL, one.type)
                result = ERROR
        expr.overloads = overloads
        return result

    # Literals of lists, maps and structs.

    def new_list(self, expr: ListExpr) -> CelType:
        common: CelType | None = None
        for i, one in enumerate(expr.items):
            found = self.check(one)
            if i in expr.optional:
                found = self.unwrapped(one, found)
            common = self.join(one, common, found)
        return list_of(common if common is not None else self.mapping.unknown())

    def unwrapped(self, expr: Expr, found: CelType) -> CelType:
        """The type inside an optional one."""
        inner, is_optional = unwrap(found)
        if not is_optional and not inner.is_dynamic:
            self.mismatch(expr.at, optional_of(inner), inner)
        return inner

    def new_map(self, expr: MapExpr) -> CelType:
        keys: CelType | None = None
        values: CelType | None = None
        for entry in expr.entries:
            keys = self.join(entry.key, keys, self.check(entry.key))
            found = self.check(entry.value)
            if entry.optional:
                found = self.unwrapped(entry.value, found)
            values = self.join(entry.value, values, found)
        if keys is None or values is None:
            return map_of(self.mapping.unknown(), self.mapping.unknown())
        return map_of(keys, values)

    def join(self, expr: Expr, common: CelType | None, found: CelType) -> CelType:
        """The type that two items of a literal share."""
        if common is None:
            return found
        if self.mapping.assignable(common, found):
            return types.most_general(common, found)
        return DYN

    def new_struct(self, expr: StructExpr) -> CelType:
        name = expr.name.removeprefix(".")
        found = self.scopes.named(name)
        if found is None:
            for entry in expr.entries:
                self.check(entry.value)
            return self.undeclared(expr.at, expr.name)
        expr.name = name
        if found.kind != "struct":
            self.issues.add(expr.at, f"'{found.name}' is not a message type")
            found = ERROR
        for entry in expr.entries:
            self.check_entry(found, entry)
        return found

    def check_entry(self, struct: CelType, entry: MapEntry) -> None:
        value = self.check(entry.value)
        if entry.optional:
            value = self.unwrapped(entry.value, value)
        wanted = DYN
        if struct.fields is not None:
            field = struct.fields.get(entry.key)
            if field is None:
                self.issues.add(entry.at, f"undefined field '{entry.key}'")
                return
            wanted = field.type
        if not self.mapping.assignable(wanted, value):
            words = f"expected type of field '{entry.key}' is '{wanted}' but provided type is '{value}'"
            self.issues.add(entry.at, words)

    # Macros.

    def comprehension(self, expr: Comprehension) -> CelType:
        self.check(expr.over)
        accu = self.check(expr.init)
        over = self.mapping.substitute(expr.over.type)
        first, second = self.range_types(expr, over)
        self.scopes.inner.append({expr.accu: accu})
        inner = {expr.var: first}
        if expr.var2 is not None:
            inner[expr.var2] = second
        self.scopes.inner.append(inner)
        self.check(expr.condition)
        self.assert_type(expr.condition, BOOL)
        self.check(expr.step)
        self.assert_type(expr.step, accu)
        self.scopes.inner.pop()
        result = self.check(expr.result)
        self.scopes.inner.pop()
        return self.mapping.substitute(result)

    def range_types(self, expr: Comprehension, over: CelType) -> tuple[CelType, CelType]:
        """The types of the variables of a macro over a range."""
        if over.kind == "list":
            item = over.params[0]
            return (INT, item) if expr.var2 is not None else (item, DYN)
        if over.kind == "map":
            return over.params[0], over.params[1]
        if over.kind in ("dyn", "error", "param"):  # not "any": cel-go makes that difference
            self.mapping.assignable(DYN, over)
            return DYN, DYN
        words = (
            f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
        )
        self.issues.add(expr.over.at, words)
        return ERROR, ERROR

    def assert_type(self, expr: Expr, wanted: CelType) -> None:
        if not self.mapping.assignable(wanted, expr.type):
            self.mismatch(expr.at, wanted, expr.type)


_OPTIONAL_FIELD = Overload("select_optional_field", (), DYN)
_CHECKS: dict[type[Expr], Any] = {
    LiteralExpr: Checker.literal,
    IdentExpr: Checker.ident,
    SelectExpr: Checker.select,
    CallExpr: Checker.call,
    ListExpr: Checker.new_list,
    MapExpr: Checker.new_map,
    StructExpr: Checker.new_struct,
    Comprehension: Checker.comprehension,
}
