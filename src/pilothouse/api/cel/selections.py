"""Looks at the members that an expression reads: `a.b`, `has(a.b)` and `a.?b`."""

from collections.abc import Iterator

from pilothouse.api.cel.ast import CallExpr, Expr, IdentExpr, SelectExpr, parts_of
from pilothouse.api.cel.escaping import unescape


def unescape_members(expr: Expr) -> None:
    """Let `a.b__dot__c` read the member `b.c` of a map:
    so do expressions over claims (apiserver pkg/cel/lazy)."""
    for one in _selections(expr):
        if not one.typed:
            one.key = unescape(one.field) or one.field


def selects(expr: Expr, variable: str, member: str) -> bool:
    """Whether an expression reads this member of a variable somewhere."""
    return any(
        one.field == member and isinstance(one.operand, IdentExpr) and one.operand.name == variable
        for one in _selections(expr)
    )


def _selections(expr: Expr) -> Iterator[SelectExpr]:
    for one in parts_of(expr):
        if isinstance(one, SelectExpr):
            yield one
        elif isinstance(one, CallExpr) and one.select is not None:
            yield one.select
