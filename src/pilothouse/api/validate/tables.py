"""Tables of rules as text: a line for each check of a kind,
in upstream's order, compiled to a function at its first use.

    spec.handler!           dns-label                   a text that must not be empty, and is a DNS label
    spec.replicas?          >=0                         checked if it is there (a pointer in Go)
    spec.effects*           None|NoneOnDryRun : must ...  a pointer that must be there; one of these texts
    spec.weight             1..100                      checked also if it is absent, then as its zero value
    spec.group+             dns-subdomain               checked unless it is empty or zero
    spec.volumeName-        : may not be set            must be empty, or it is forbidden; `-?` = must not be there
    spec.rules[]!           most:20 unique:name         a list, which must not be empty; its lines below are for each item
      action!               Count|Ignore
    spec.strategy           by:type                     a struct whose member `type` says which of the parts applies
      when Recreate
        rollingUpdate-?     : may not be specified
    if spec.type == A and not spec.b                    lines that apply under a condition; `else` may follow
    first-of                : one is enough / needed    of the members below, one must be there, and the first is judged
      secret                dns-label second:other      `second`: its name in the path when it is not the first;
      claim                 dns-label @own              functions with `@` at the end judge the struct around
    a-?,b-?                 : may not be set            members with the same rules
    @order                                              a function that judges the struct as a whole

What follows ` : ` is the message of the mark, or without a mark, of the rules; any other word is the name of
a rule in declare.py, or of a function of the file (Rules). `as:name` replaces the member's name in paths,
`as:` leaves it out, `as-root:name` is the whole path.
`max:63` are bytes of a text. `=0` after a member: its zero value is a number.

A list: `items[]` are its items, `items[=]` those whose causes stand at the list itself, `[]` those of the
table's own value. `unique:name` names the member by which items must differ, `unique:` the item itself;
`unique:.name` tells of it at that member, and `unique-first:` before other causes of the item. `unique` among
the rules of an item's member: it must differ from that of the items before.

A condition: `a`, `a given`, `a == X`, `a > 1`, `a in X|Y`, `a has X` (a list), `#a > 1` (items), `none-of
a,b`, `several-of a,b` (given), each with `not` before it, joined by `and` or `or`; `elif` and `else` may
follow. `/a` is a member of the table's own struct, `$` what the caller says is around it, `$a` an attribute
of that, false where nothing is around; a function with a fourth argument gets it as well. `$a?x:y` among
rules is the rule x under that condition, else y; either may be left out.

`required`, `forbidden` and `invalid` are causes against the struct itself, or `at:a` against a member of it;
`never` refuses a member's value. `show:` says what `never`, `invalid` and comparisons show: `null`, `omit`
(nothing), `label-selector`, Go's form of a type such as `api.core.v1.Volume`, or a text.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.compiler import compiled
from pilothouse.api.validate.declare import Change
from pilothouse.api.values.fields import Errors, Object

Function = TypeVar("Function", bound=Callable[..., None])


class Table(Protocol):
    """A rule made of a table: of a value, its path (text, or what becomes text), and what is around it."""

    def __call__(self, value: Any, path: object, errs: Errors, around: Any = None, /) -> None: ...


class Kind(Protocol):
    """The rules of a table for an object."""

    def __call__(self, obj: Object, errs: Errors, around: Any = None, /) -> None: ...


class Rules:
    """The functions that the tables of a file may name, beside those of declare.py: by their names, without a
    leading underscore or `validate_`, and with dashes."""

    def __init__(self, *functions: "Callable[..., None] | Rules", **named: Callable[..., None]) -> None:
        """`functions` may also be the rules of another file, all of which can be named then."""
        self._named: dict[str, Callable[..., None]] = {}
        for one in functions:
            self._named |= one._named if isinstance(one, Rules) else {_name(one): one}
        self._named |= {name.replace("_", "-"): function for name, function in named.items()}
        self._tables: list[tuple[str, str]] = []

    def __call__(self, function: Function) -> Function:
        """Decorates a function that tables name."""
        self._named[_name(function)] = function
        return function

    def add(self, name: str, rule: Callable[..., None]) -> None:
        """A rule that tables name."""
        self._named[name] = rule

    def define(self, text: str) -> None:
        """Several tables that others name: each name stands at the margin, its lines below it."""
        for block in re.split(r"\n(?=\S)", text.strip()):
            name, _, lines = block.partition("\n")
            self._named[name] = self.table(lines)

    def __getitem__(self, name: str) -> Callable[..., None]:
        return self._named[name]

    def table(self, text: str) -> Table:
        """The rule for a struct."""
        self._tables.append((text, "{path}"))
        made: Callable[..., None] | None = None

        def check(value: Any, path: object, errs: Errors, around: Any = None) -> None:
            nonlocal made
            if made is None:
                made = compiled(text, self._named, "{path}")
            made(value, path, errs, around)

        return check

    def kind(self, text: str) -> Kind:
        """The rules for an object."""
        self._tables.append((text, ""))
        made: Callable[..., None] | None = None

        def check(obj: Object, errs: Errors, around: Any = None) -> None:  # PERF: no call of a rule between
            nonlocal made
            if made is None:
                made = compiled(text, self._named, "")
            made(obj, "", errs, around)

        return check

    def compile_all(self) -> int:
        """Compiles every table, so that a test finds names that are not known; the number of tables."""
        return len([compiled(text, self._named, path) for text, path in self._tables])

    def change(self, text: str) -> Change:
        """The rules for a changed object that look at the new one alone."""
        return d.anew(self.kind(text))


def _name(function: Callable[..., Any]) -> str:
    return function.__name__.removeprefix("_").removeprefix("validate_").replace("_", "-")
