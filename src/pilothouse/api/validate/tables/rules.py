"""Tables of rules as text: a line for each check of a type, in upstream's order, compiled at its first use.

docs/rules.md has the grammar.
"""

import re
from collections.abc import Callable
from itertools import islice
from types import FunctionType
from typing import Any, TypeVar

from pilothouse.api.types.schema import Type
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.declare import Change
from pilothouse.api.validate.shown import go, shown
from pilothouse.api.validate.tables import members
from pilothouse.api.validate.tables.compiler import written
from pilothouse.api.validate.tables.lines import TableError
from pilothouse.api.values import names
from pilothouse.api.values.fields import OMIT, Errors, Object

Rule = Callable[..., None]
_BUILT_IN: dict[str, Any] = {"EMPTY": {}, "OMIT": OMIT, "go": go, "shown": shown, "size": names.size}
"""The names that the functions of all tables use."""
Function = TypeVar("Function", bound=Rule)


class Table:
    """A rule made of a table: of a value, its path (text, or what becomes text), and what is around it.

    made: its function, once it was compiled; until then, functions of other tables call the table itself.
    """

    __slots__ = ("_callers", "_name", "_path", "_rules", "_text", "_type", "made")

    def __init__(self, rules: "Rules", name: str, type: str | Type, text: str, path: str) -> None:
        self._rules = rules
        self._name = name
        self._type = type
        self._text = text
        self._path = path
        self._callers: list[tuple[dict[str, Any], str]] = []
        self.made: FunctionType | None = None

    def __call__(self, value: Any, path: object, errs: Errors, around: Any = None, /) -> None:
        (self.made or self.compiled())(value, path, errs, around)

    def compiled(self) -> FunctionType:
        """The function; those that called the table up to now call it from now on."""
        text, used = self.written()
        file = f"{self._rules.file}, table {self._name}"
        outside = {**_BUILT_IN, "__name__": file, "__loader__": self}
        for variable, name in used.items():
            self._rules.bind(name, outside, variable)
        exec(compile(text, file, "exec"), outside)  # noqa: S102 -- tables of the package
        made: FunctionType = outside["check"]
        self.made = made
        for others, variable in self._callers:
            others[variable] = made
        self._callers.clear()
        return made

    def get_source(self, name: str) -> str:
        """The text of the function, for tracebacks: they ask the loader of what has no file."""
        return self.written()[0]

    def bind(self, outside: dict[str, Any], variable: str) -> None:
        """Gives a function, whose globals these are, what it calls."""
        outside[variable] = self.made or self
        if self.made is None:
            self._callers.append((outside, variable))

    def _types(self) -> list[str]:
        return members.alternatives(str(self._type))

    def check_type(self, type: Type) -> None:
        """Raises TableError if the table is for other types. Those without a name in the schema pass."""
        name = members.name_of(type)
        if name and isinstance(self._type, str) and name not in self._types():
            raise TableError(f"{self._name} is a table for {self._type}, and not for {name}")

    def written(self, every: bool = False) -> tuple[str, dict[str, str]]:
        """The text of the function, and the rules that it calls; raises TableError.

        every: for each of the types that share the table, not only for the first.
        """
        try:
            types = [self._type] if isinstance(self._type, Type) else map(members.named, self._types())
            wanted = list(types if every else islice(types, 1))
            first, *more = [written(type, self._text, self._path, self._rules.find) for type in wanted]
            if any(one != first for one in more):
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
        (self._table.made or self._table.compiled())(obj, "", errs, around)


class Rules:
    """The functions that the tables of a file may name, beside those of declare.py: by their names, without a
    leading underscore or `validate_`, and with dashes.

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
        """Several tables that others name: name and type of each stand at the margin, its lines below."""
        for block in re.split(r"\n(?=\S)", text.strip()):
            head, _, lines = block.partition("\n")
            name, _, type = head.partition(" ")
            self._named[name] = self._table(name, type.strip(), lines, "{path}")

    def __getitem__(self, name: str) -> Rule:
        found = self._named.get(name) or getattr(d, name.replace("-", "_"), None)
        if found is None:
            from difflib import get_close_matches

            near = get_close_matches(name, self._named, 1)
            raise TableError(f"no rule is named `{name}`{f'; the nearest is `{near[0]}`' if near else ''}")
        rule: Rule = found
        return rule

    def find(self, name: str, type: Type) -> Rule:
        """The rule that a table calls by a name for a value of a type; raises TableError."""
        rule = self[name]
        if isinstance(rule, Table):
            rule.check_type(type)
        return rule

    def bind(self, name: str, outside: dict[str, Any], variable: str) -> None:
        """Gives a function of a table, whose globals these are, what it calls by a name."""
        rule = self[name.removesuffix(".check")]
        if isinstance(rule, Table):
            rule.bind(outside, variable)
        elif isinstance(rule, d.Matches) and name.endswith(".check"):
            outside[variable] = rule.check
        else:
            outside[variable] = rule

    def table(self, type: str | Type) -> Callable[[str], Table]:
        """Takes the text of the rule for a value of a type, such as `api.core.v1.Probe`."""
        return lambda text: self._table(str(type), type, text, "{path}")

    def untyped(self, text: str) -> Table:
        """The rule for a struct without a type in the schema: all members are known, and may be absent."""
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
