"""The rules that a line of a table names (rules.py), as lines of Python."""

from collections.abc import Callable
from inspect import isfunction
from typing import Any

from pilothouse.api.types.schema import Type
from pilothouse.api.validate.declare import Matches
from pilothouse.api.validate.tables.clauses import flag
from pilothouse.api.validate.tables.lines import COMPARED, RANGE, Line, TableError
from pilothouse.api.validate.tables.members import NUMBERS
from pilothouse.api.validate.tables.source import OUTER, Source, text
from pilothouse.api.values import names

_SHOWN = {"": '""', "null": "None", "omit": "OMIT"}
_BOUNDS = {
    ">=": "must be greater than or equal to",
    "<=": "must be less than or equal to",
    ">": "must be greater than",
    "<": "must be less than",
}


class Words:
    """Writes the lines for rules, and the calls of those that are functions, which `find` gives by name."""

    def __init__(self, source: Source, find: Callable[[str, Type], Any]) -> None:
        self._source = source
        self._find = find

    def rule(self, word: str, struct: str, value: str, at: str, why: str, shown: str) -> None:
        """The lines for one rule on a value."""
        if word[0] == "$":
            self._under_flag(word, struct, value, at, why, shown)
        elif (span := RANGE.fullmatch(word)) is not None:
            low, high = int(span[1]), int(span[2])
            self._number(
                value, f"not {low} <= {value} <= {high}", shown, at, why or names.in_range(low, high)
            )
        elif (compared := COMPARED.fullmatch(word)) is not None:
            sign, bound = compared.groups()
            other = self._bound(bound, struct)
            self._number(value, f"not {value} {sign} {other}", shown, at, why or f"{_BOUNDS[sign]} {bound}")
        elif word == "never":
            self._source.cause("invalid", at, f"{shown}, {why!r}")
        elif word == "unique":
            seen = self._source.seen()
            with self._source.block(f"if {value} in {seen}"):
                self._source.cause("duplicate", at, value)
            self._source.write(f"{seen}.add({value})")
        elif word.startswith("max:"):
            with self._source.block(f"if size({value}) > {word[4:]}"):
                self._source.cause("too_long", at, word[4:])
        elif word.startswith("only:") or "|" in word:
            valid = (word[5:],) if word.startswith("only:") else tuple(word.split("|"))
            with self._source.block(f"if {value} not in {valid}"):
                self._source.cause("not_supported", at, f"{value}, {valid}")
        else:
            self.call(word, value, at)

    def _under_flag(self, word: str, struct: str, value: str, at: str, why: str, shown: str) -> None:
        """`$a?x:y`: the rule x where the flag is set, else y."""
        name, _, rules = word.partition("?")
        tests = (f"if {flag(name)}", f"if not {flag(name)}")
        for test, rule in zip(tests, rules.split(":"), strict=True):
            if rule:
                with self._source.block(test):
                    self.rule(rule, struct, value, at, why, shown)

    def _bound(self, bound: str, struct: str) -> str:
        """The expression for a number, or for that of a member."""
        if bound[0] not in "./":
            return bound
        holder = struct if bound[0] == "." else OUTER
        self._source.member(holder, bound[1:])
        return f"{holder}.get({bound[1:]!r}, 0)"

    def _number(self, value: str, test: str, shown: str, at: str, why: str) -> None:
        type = self._source.types[value]
        if type.kind != "any" and type.kind not in NUMBERS:
            raise TableError(f"a rule for numbers, but the type is {type.go or type.kind}")
        with self._source.block(f"if {test}"):
            self._source.cause("invalid", at, f"{shown}, {why!r}")

    def shown(self, line: Line, value: str, default: str) -> str:
        """The form of a value in a message: the value itself, or what `show:` says."""
        form = line.options().get("show")
        if form is None or "by" in line.options():
            return default
        if form.startswith("api.") or form == "label-selector":
            return f"shown({value}, {form!r})"
        return _SHOWN.get(form, repr(form))

    def call(self, name: str, value: str, at: str) -> None:
        """The call of a rule; one that matches a text is written out."""
        rule = self._find(name, self._source.types[value])
        if isinstance(rule, Matches) and rule.joined is None and rule.text == "{}":
            message = self._source.new()
            with self._source.block(f"for {message} in {self._source.outside(f'{name}.check')}({value})"):
                self._source.cause("invalid", at, f"{value}, {message}")
        else:
            more = ", around" if _takes_around(rule) else ""
            self._source.write(f"{self._source.outside(name)}({value}, {text(at)}, errs{more})")


def _takes_around(rule: Any) -> bool:
    """Whether a rule is a table, or a function with a fourth argument that is needed or called `around`."""
    function = rule if isfunction(rule) else type(rule).__call__
    before = 3 if function is rule else 4
    code = function.__code__
    needed = code.co_argcount - len(function.__defaults__ or ())
    return needed > before or code.co_varnames[before : code.co_argcount][:1] == ("around",)
