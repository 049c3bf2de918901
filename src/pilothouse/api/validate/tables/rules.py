"""Tables of rules as text: a line for each check of a type, in upstream's order, compiled to a function at its first use.

docs/rules.md has the grammar.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

from pilothouse.api.types.schema import Type
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.declare import Change
from pilothouse.api.validate.tables import members
from pilothouse.api.validate.tables.compiler import HEAD, written
from pilothouse.api.validate.tables.lines import TableError
from pilothouse.api.values.fields import Errors, Object

Rule = Callable[..., None]
Function = TypeVar("Function", bound=Rule)


class Table:
    """A rule made of a table: of a value, its path (text, or what becomes text), and what is around it."""

    __slots__ = ("_function", "_name", "_path", "_rules", "_text", "_type")

    def __init__(self, rules: "Rules", name: str, type: str | Type, text: str, path: str) -> None:
        self._rules = rules
        self._name = name
        self._type = type
        self._text = text
        self._path = path
        self._function: Rule | None = None

    def __call__(self, value: Any, path: object, errs: Errors, around: Any = None, /) -> None:
        (self._function or self.function())(value, path, errs, around)

    def function(self) -> Rule:
        """The function, compiled when it is asked for first; tables that call each other get the table meanwhile."""
        if self._function is None:
            self._function = self
            names: dict[str, Any] = {}
            try:
                exec(compile(HEAD + self.written("make"), f"<table {self._name}>", "exec"), names)
                self._function = names["make"](self._rules.bound)
            finally:
                if self._function is self:
                    self._function = None
        return self._function

    def written(self, name: str, every: bool = False) -> str:
        """The text of the function `name` that makes this table's; raises TableError.

        every: compiles the table for each of the types that share it, too.
        """
        try:
            types = [self._type] if isinstance(self._type, Type) else members.named(self._type)
            find = self._rules.__getitem__
            first, *more = [
                written(name, type, self._text, self._path, find) for type in types[: None if every else 1]
            ]
            if any(text != first for text in more):
                raise TableError("the types that share it have members with other zero values")
            return first
        except TableError as error:
            raise TableError(f"{self._rules.file}, table {self._name}, {error}") from None


class Kind:
    """The rules of a table for an object."""

    __slots__ = ("_table",)

    def __init__(self, table: Table) -> None:
        self._table = table

    def __call__(self, obj: Object, errs: Errors, around: Any = None, /) -> None:
        self._table.function()(obj, "", errs, around)


class Rules:
    """The functions that the tables of a file may name, beside those of declare.py: by their names, without a leading
    underscore or `validate_`, and with dashes.

    file: the name of its module.
    """

    def __init__(self, file: str, *functions: "Rule | Rules", **named: Rule) -> None:
        """`functions` may also be the rules of another file, all of which can be named then."""
        self.file = file
        self.tables: list[Table] = []
        self._named: dict[str, Rule] = {}
        for one in functions:
            self._named |= one._named if isinstance(one, Rules) else {_name(one): one}
        self._named |= {name.replace("_", "-"): function for name, function in named.items()}

    def __call__(self, function: Function) -> Function:
        """Decorates a function that tables name."""
        self._named[_name(function)] = function
        return function

    def add(self, name: str, rule: Rule) -> None:
        """A rule that tables name."""
        self._named[name] = rule

    def define(self, text: str) -> None:
        """Several tables that others name: at the margin stand the name of each and the type, its lines below it."""
        for block in re.split(r"\n(?=\S)", text.strip()):
            head, _, lines = block.partition("\n")
            name, _, type = head.partition(" ")
            self._named[name] = self._table(name, type.strip(), lines, "{path}")

    def __getitem__(self, name: str) -> Rule:
        found = self._named.get(name) or getattr(d, name.replace("-", "_"), None)
        if found is None:
            near = get_close_matches(name, self._named, 1)
            raise TableError(f"no rule is named `{name}`{f'; the nearest is `{near[0]}`' if near else ''}")
        rule: Rule = found
        return rule

    def bound(self, name: str) -> Any:
        """What a table's function calls by a name: the function itself where it is a table, too."""
        rule = self[name.removesuffix(".check")]
        if isinstance(rule, d.Matches) and name.endswith(".check"):
            return rule.check
        return rule.function() if isinstance(rule, Table) else rule

    def table(self, type: str | Type) -> Callable[[str], Table]:
        """Takes the text of the rule for a value of a type, such as `api.core.v1.Probe` or `[]api.core.v1.Toleration`."""
        return lambda text: self._table(str(type), type, text, "{path}")

    def untyped(self, text: str) -> Table:
        """The rule for a struct that no type of the schema has: its members are not known, and all may be absent."""
        return self._table("without a type", members.ANY, text, "{path}")

    def kind(self, kind: str | Type) -> Callable[[str], Kind]:
        """Takes the text of the rules for an object of a kind, such as `batch/v1 Job`."""
        return lambda text: Kind(self._table(str(kind), kind, text, ""))

    def change(self, kind: str | Type) -> Callable[[str], Change]:
        """Takes the text of the rules for a changed object that look at the new one alone."""
        return lambda text: d.anew(self.kind(kind)(text))

    def _table(self, name: str, type: str | Type, text: str, path: str) -> Table:
        made = Table(self, name, type, text, path)
        self.tables.append(made)
        return made


def _name(function: Callable[..., Any]) -> str:
    return function.__name__.removeprefix("_").removeprefix("validate_").replace("_", "-")
