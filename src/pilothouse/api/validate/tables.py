"""Tables of rules as text: a line for each check of a kind, in upstream's order, compiled to a function at its first use.

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

What follows ` : ` is the message of the mark, or without a mark, of the rules; any other word is the name of a rule in
declare.py, or of a function of the file (Rules). `as:name` replaces the member's name in paths, `as:` leaves it out,
`as-root:name` is the whole path. `max:63` are bytes of a text. `=0` after a member: its zero value is a number.
`unique:name` names the member by which items must differ, `unique:` the item itself; `unique:.name` tells of it at that
member, and `unique-first:` before other causes of the item.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.compiler import compiled
from pilothouse.api.validate.declare import Change, Rule, Whole

Function = TypeVar("Function", bound=Callable[..., None])


class Rules:
    """The functions that the tables of a file may name, beside those of declare.py: by their names, without a leading
    underscore or `validate_`, and with dashes."""

    def __init__(self, *functions: Rule, **named: Rule) -> None:
        self._named: dict[str, Rule] = {_name(function): function for function in functions}
        self._named |= {name.replace("_", "-"): function for name, function in named.items()}
        self._tables: list[tuple[str, str]] = []

    def __call__(self, function: Function) -> Function:
        """Decorates a function that tables name."""
        self._named[_name(function)] = function
        return function

    def add(self, name: str, rule: str | Rule) -> Rule:
        """A rule, or the text of a table, that others name."""
        self._named[name] = made = self.table(rule) if isinstance(rule, str) else rule
        return made

    def define(self, text: str) -> None:
        """Several tables that others name: each name stands at the margin, its lines below it."""
        for block in re.split(r"\n(?=\S)", text.strip()):
            name, _, lines = block.partition("\n")
            self.add(name, lines)

    def __getitem__(self, name: str) -> Rule:
        return self._named[name]

    def table(self, text: str) -> Rule:
        """The rule for a struct."""
        self._tables.append((text, "{path}"))
        made: Rule | None = None

        def check(value: Any, path: str, errs: Errors) -> None:
            nonlocal made
            if made is None:
                made = compiled(text, self._named, "{path}")
            made(value, path, errs)

        return check

    def kind(self, text: str) -> Whole:
        """The rules for an object."""
        self._tables.append((text, ""))
        made: Rule | None = None

        def check(obj: Object, errs: Errors) -> None:  # PERF: no call of a rule between
            nonlocal made
            if made is None:
                made = compiled(text, self._named, "")
            made(obj, "", errs)

        return check

    def compile_all(self) -> int:
        """Compiles every table, so that a test finds names that are not known; the number of tables."""
        return len([compiled(text, self._named, path) for text, path in self._tables])

    def change(self, text: str) -> Change:
        """The rules for a changed object that look at the new one alone."""
        return d.anew(self.kind(text))


def _name(function: Callable[..., Any]) -> str:
    return function.__name__.removeprefix("_").removeprefix("validate_").replace("_", "-")
