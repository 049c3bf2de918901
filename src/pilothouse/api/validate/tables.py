"""Tables of rules as text: one line for each check of a kind, in upstream's order, compiled when it is first used.

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
    @order                                              a function that judges the struct as a whole

What follows ` : ` is the message of the mark, or without a mark, of the last rule; any other word is
the name of a rule in declare.py, or of a function of the file (Rules). `as:name` replaces the member's name in paths, `as:` leaves
it out. `max:63` are bytes of a text. `=0` after a member: its zero value is a number.
"""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from operator import eq, ne
from typing import Any, NamedTuple

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.declare import Change, Rule, Step, Whole
from pilothouse.api.validate.shown import go

_MEMBER = re.compile(r"([^\[\]?!*+=-][^\[\]?!*+=]*?)(\[\])?(=0)?(-\?|[?!*+-])?")
_RANGE = re.compile(r"(-?\d+)\.\.(\d+)")
_NUMBERS = frozenset(("port", "user-id", "port-or-name"))
_MARKS: dict[str, Callable[..., Step]] = {
    "?": d.given, "+": d.filled, "!": d.required, "*": d.nonnull, "-": d.forbidden, "-?": d.unset,
}  # fmt: skip

Test = Callable[[Object], Any]
Given = dict[str, Any]
"""The functions that a table may name."""


class Rules:
    """The functions that the tables of a file may name, beside those of declare.py: by their names, without a leading
    underscore or `validate_`, and with dashes."""

    def __init__(self, *functions: Rule, **named: Rule) -> None:
        self._named: Given = {_name(function): function for function in functions}
        self._named |= {name.replace("_", "-"): function for name, function in named.items()}

    def __call__(self, function: Rule) -> Rule:
        """Decorates a function that tables name."""
        self._named[_name(function)] = function
        return function

    def add(self, name: str, text: str) -> Rule:
        """A table that others name."""
        self._named[name] = made = self.table(text)
        return made

    def table(self, text: str) -> Rule:
        """The rule for a struct, or for what a single line without a member says."""
        compiled: list[Rule] = []

        def check(value: Any, path: str, errs: Errors) -> None:
            if not compiled:
                compiled.append(_struct(_lines(text), self._named))
            compiled[0](value, path, errs)

        return check

    def kind(self, text: str) -> Whole:
        """The rules for an object."""
        compiled: list[Rule] = []

        def check(obj: Object, errs: Errors) -> None:
            if not compiled:
                compiled.append(_struct(_lines(text), self._named, ""))
            compiled[0](obj, "", errs)

        return check

    def change(self, text: str) -> Change:
        """The rules for a changed object that look at the new one alone."""
        return d.anew(self.kind(text))


def _name(function: Rule) -> str:
    return function.__name__.removeprefix("_").removeprefix("validate_").replace("_", "-")


class _Line(NamedTuple):
    subject: str
    words: list[str]
    message: str
    below: "list[_Line]"


def _lines(text: str) -> list[_Line]:
    """The lines as a tree, by their indentation."""
    out: list[_Line] = []
    open_: list[tuple[int, list[_Line]]] = [(-1, out)]
    for raw in text.splitlines():
        words, _, message = raw.partition(" : ")
        if not words.strip():
            continue
        depth = len(raw) - len(raw.lstrip())
        while open_[-1][0] >= depth:
            open_.pop()
        subject, *rest = words.split()
        line = _Line(subject, rest, message.strip(), [])
        open_[-1][1].append(line)
        open_.append((depth, line.below))
    return out


def _steps(lines: list[_Line], given: Given, dot: str = ".") -> Iterator[Step | Rule]:
    """`dot` comes before the names of members, which have none at the root."""
    for line, following in zip_longest(lines, lines[1:]):
        if line.subject == "if":
            other = following.below if following is not None and following.subject == "else" else []
            then, otherwise = (_struct(part, given, dot) for part in (line.below, other))
            yield _when(_condition(line.words), then, otherwise)
        elif line.subject.startswith("@"):
            yield given[line.subject[1:]]
        elif line.subject in _ACTIONS:
            yield _ACTIONS[line.subject](line.message)
        elif line.subject != "else":
            yield _step(line, given)


def _struct(lines: list[_Line], given: Given, dot: str = ".") -> Rule:
    return d.struct(*_steps(lines, given, dot), dot=dot)


_ACTIONS: dict[str, Callable[[str], Rule]] = {
    "required": lambda why: lambda value, path, errs: errs.required(path, why),
    "forbidden": lambda why: lambda value, path, errs: errs.forbidden(path, why),
    "invalid": lambda why: lambda value, path, errs: errs.invalid(path, "", why),
}
"""What is said of the struct itself, under a condition. Invalid ones are shown as an empty text."""


def _step(line: _Line, given: Given) -> Step:
    found = _MEMBER.fullmatch(line.subject)
    if found is None:
        raise ValueError(f"no member: {line.subject}")
    member, listed, number, mark = found.groups()
    options = {
        name: value
        for name, colon, value in (w.partition(":") for w in line.words)
        if colon and name in _OPTIONS
    }
    words = [word for word in line.words if word.partition(":")[0] not in _OPTIONS]
    at = options.get("as")
    if "by" in options:
        parts = {value: _struct(part.below, given) for part in line.below for value in part.words}
        show, kind_at = options.get("show"), options.get("at", "")
        union = d.by_kind(
            member, options["by"], parts, show=show and (lambda value: go(value, show)), at=kind_at
        )
        return union if mark != "?" else union._replace(zero=None)
    why = line.message
    rules = [_rule(word, "" if mark in ("!", "*") and not listed else why, given) for word in words]
    if line.below:
        rules.append(_struct(line.below, given))
    if listed:
        return Step(member, _items(rules, options, line.message if mark == "!" else None), (), at)
    if mark in ("-", "-?"):
        return _MARKS[mark](member, why, at=at)
    if mark in ("!", "*"):
        return _MARKS[mark](member, *rules, why=why, at=at)
    if mark:
        return _MARKS[mark](member, *rules, at=at)
    zero = {} if line.below else 0 if number or all(map(_is_number, words)) else ""
    return Step(member, d.every(*rules), zero, at)


_OPTIONS = frozenset(("as", "by", "show", "at", "most", "unique", "unique-first"))


def _items(rules: list[Rule], options: dict[str, str], need: str | None) -> Rule:
    first = options.get("unique-first")
    key = options.get("unique") if first is None else first
    double = key if key and key.startswith(".") else ""
    name = None if key is None else key.removeprefix(".")
    most = int(options.get("most", 0))
    return d.items(*rules, key=name, double=double, early=first is not None, most=most, need=need)


def _is_number(word: str) -> bool:
    return word in _NUMBERS or word[0] in "<>" or _RANGE.fullmatch(word) is not None


def _rule(word: str, why: str, given: Given) -> Rule:
    span = _RANGE.fullmatch(word)
    if span is not None:
        return d.between(int(span[1]), int(span[2]), why)
    for sign, least in ((">=", 0), (">", 1)):
        if word.startswith(sign):
            return d.at_least(int(word.removeprefix(sign)) + least, why)
    if word.startswith("<="):
        return d.at_most(int(word[2:]), why)
    name, colon, value = word.partition(":")
    if colon and name == "only":
        return d.one_of(value)
    if colon and name == "max":
        return d.max_bytes(int(value))
    if word == "never":
        return d.holds(lambda value: False, why)
    if "|" in word:
        return d.one_of(*word.split("|"))
    found: Rule = given[word] if word in given else getattr(d, word.replace("-", "_"))
    return found


# Conditions


def _when(test: Test, then: Rule, other: Rule) -> Rule:
    def rule(value: Any, path: str, errs: Errors) -> None:
        (then if test(value) else other)(value, path, errs)

    return rule


def _condition(words: list[str]) -> Test:
    """`a`, `a given`, `a == X`, `a in X|Y`, each with `not` before it, joined by `and` or `or`."""
    if "or" in words:
        at = words.index("or")
        one, two = _condition(words[:at]), _condition(words[at + 1 :])
        return lambda value: one(value) or two(value)
    if "and" in words:
        at = words.index("and")
        first, second = _condition(words[:at]), _condition(words[at + 1 :])
        return lambda value: first(value) and second(value)
    if words[0] == "not":
        inner = _condition(words[1:])
        return lambda value: not inner(value)
    path = words[0].split(".")
    if len(words) == 1:
        return lambda value: d.found(value, path)
    if words[1] == "given":
        return lambda value: d.found(value, path) is not None
    wanted: Any = int(words[2]) if words[2].isdigit() else words[2]
    zero: Any = 0 if isinstance(wanted, int) else ""
    if words[1] == "in":
        several = wanted.split("|")
        return lambda value: d.found(value, path, zero) in several
    same = {"==": eq, "!=": ne}[words[1]]
    return lambda value: same(d.found(value, path, zero), wanted)
