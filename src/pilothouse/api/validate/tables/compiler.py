"""Compiles tables of rules (rules.py) to Python: a check costs what it would cost if it were written by hand.

The function has a line or two for each check. It looks into each struct once, and makes a path only where a
cause or a called rule needs it. The type of what it judges (members.py) says which members there are, what
their zero values are, and which may be absent.
"""

from collections.abc import Callable
from typing import Any

from pilothouse.api.types.schema import Type
from pilothouse.api.validate.tables import members
from pilothouse.api.validate.tables.clauses import expression
from pilothouse.api.validate.tables.lines import MEMBER, Line, TableError, parse
from pilothouse.api.validate.tables.source import OUTER, Source, below
from pilothouse.api.validate.tables.words import Words

_CAUSES = frozenset(("required", "forbidden", "invalid"))

Find = Callable[[str, Type], Any]
"""Gives a rule by its name, for a value of a type; raises TableError."""


def written(type: Type, table: str, path: str, find: Find) -> tuple[str, dict[str, str]]:
    """The text of the function `check` for a table, and variable -> name of the rules that it calls.

    path: how paths begin, "{path}" with what the function is called with, "" at the root.
    """
    source = Source(type)
    _Writer(source, find).steps(parse(table), OUTER, path)
    return "\n".join(["def check(value, path, errs, around=None):", *source.lines, ""]), source.used


class _Writer:
    """Writes the function's lines: those for members, and by way of Words those for rules."""

    def __init__(self, source: Source, find: Find) -> None:
        self._source = source
        self._words = Words(source, find)

    def steps(self, lines: list[Line], struct: str, path: str) -> None:
        """The checks of a struct's members."""
        if not lines:
            self._source.write("pass")
        for line in lines:
            try:
                self._step(line, struct, path)
            except TableError as error:
                raise error if error.located else TableError(f"{line}: {error}", located=True) from None

    def _step(self, line: Line, struct: str, path: str) -> None:
        subject, source = line.subject, self._source
        if subject == "if":
            with source.block(f"if {expression(line.words, struct, source)}"):
                self.steps(line.below, struct, path)
        elif subject in ("elif", "else"):
            test = expression(line.words, struct, source, inline=True) if line.words else ""
            with source.block(f"{subject} {test}".strip()):
                self.steps(line.below, struct, path)
        elif subject == "first-of":
            self._first(line, struct, path)
        elif subject.startswith("@"):
            self._words.call(subject[1:], struct, path)
        elif subject in _CAUSES:
            at = below(path, line.options()["at"]) if "at" in line.options() else path
            shown = [self._words.shown(line, struct, '""')] if subject == "invalid" else []
            source.cause(subject, at, ", ".join((*shown, repr(line.message))))
        else:
            self._member(line, struct, path)

    def _member(self, line: Line, struct: str, path: str) -> None:
        found = MEMBER.fullmatch(line.subject)
        if found is None:
            raise TableError(f"`{line.subject}` is no member")
        dotted, listed, mark = found.groups()
        *outer, member = dotted.split(".")
        for name in outer:
            struct, path = self._source.struct(struct, name), below(path, name)
        shown = line.options().get("as", member)
        at = line.options().get("as-root") or (below(path, shown) if shown else path)
        if listed:
            self._list(line, struct, member, at if member else path, "=" in listed, mark)
        else:
            self._one(line, struct, member, at, mark or "")

    def _one(self, line: Line, struct: str, member: str, at: str, mark: str) -> None:
        source = self._source
        type, zero, optional = source.member(struct, member)
        always = mark == "~" or not (mark or optional)
        value = source.new(type)
        get = f"{struct}.get({member!r}"
        if not always:
            get += ")"
        else:  # an empty text is not the zero value of a number or text
            get += f", {zero})" if type.kind == "intorstring" else f") or {zero}"
        source.write(f"{value} = {get}")
        if mark in ("-", "-?"):
            with source.block(f"if {value}" if mark == "-" else f"if {value} is not None"):
                source.cause("forbidden", at, repr(line.message))
        elif mark in ("!", "*"):
            with source.block(f"if not {value}" if mark == "!" else f"if {value} is None"):
                source.cause("required", at, repr(line.message))
            if line.words or line.below:
                with source.block("else"):
                    self._value(line, struct, value, at, "")
        elif not always:
            with source.block(f"if {value}" if mark == "+" else f"if {value} is not None"):
                self._value(line, struct, value, at, line.message)
        else:
            self._value(line, struct, value, at, line.message)

    def _list(self, line: Line, struct: str, member: str, at: str, at_list: bool, mark: str | None) -> None:
        source, options = self._source, line.options()
        type = source.member(struct, member).type if member else source.types[struct]
        listed, index, item = source.new(type), source.new(), source.new(members.items(type))
        source.write(f"{listed} = {f'{struct}.get({member!r})' if member else struct}")
        if mark == "!":
            with source.block(f"if not {listed}"):
                source.cause("required", at, repr(line.message))
        if "most" in options:
            with source.block(f"if {listed} and len({listed}) > {options['most']}"):
                source.cause("too_many", at, f"len({listed}), {options['most']}")
        early, key = "unique-first" in options, options.get("unique-first", options.get("unique"))
        if not line.rules() and not line.below and key is None:
            return
        here = at if at_list else f"{at}[{{{index}}}]"
        with source.block(f"if {listed}"), source.loop(f"for {index}, {item} in enumerate({listed})"):
            seen = source.seen() if key is not None else ""
            if key is not None and early:
                self._unique(item, key, seen, here)
            self._value(line, "EMPTY", item, here, "" if mark == "!" else line.message)
            if key is not None and not early:
                self._unique(item, key, seen, here)

    def _unique(self, item: str, key: str, seen: str, here: str) -> None:
        source, member = self._source, key.removeprefix(".")
        name = source.new()
        zero = source.member(item, member).zero if member else ""
        source.write(f"{name} = {item}.get({member!r}, {zero})" if member else f"{name} = {item}")
        with source.block(f"if {name} in {seen}"):
            source.cause("duplicate", below(here, member) if key.startswith(".") else here, name)
        source.write(f"{seen}.add({name})")

    def _value(self, line: Line, struct: str, value: str, at: str, why: str) -> None:
        """The rules for a value, then the lines for its members."""
        options = line.options()
        for word in line.rules():
            self._words.rule(word, struct, value, at, why, self._words.shown(line, value, value))
        if "by" in options:
            self._union(line, value, at)
        elif line.below:
            self.steps(line.below, value, at)
        elif not line.rules():
            self._source.write("pass")

    def _union(self, line: Line, value: str, at: str) -> None:
        source, options = self._source, line.options()
        kind = source.new()
        source.write(f"{kind} = {value}.get({options['by']!r}, {source.member(value, options['by']).zero})")
        kinds: list[str] = []
        for part in line.below:
            kinds += part.words
            with source.block(f"{'if' if part is line.below[0] else 'elif'} {kind} in {tuple(part.words)}"):
                self.steps(part.below, value, at)
        with source.block("else"):
            if "show" in options:
                source.cause("not_supported", at, f"go({value}, {options['show']!r}), {tuple(kinds)}")
            else:
                where = below(at, options.get("at", options["by"]))
                source.cause("not_supported", where, f"{kind}, {tuple(kinds)}")

    def _first(self, line: Line, struct: str, path: str) -> None:
        """The first of these members is judged by its rules, others that are there are forbidden."""
        source = self._source
        more, _, none = line.message.partition(" / ")
        count, given, name = source.new(), source.new(), source.new()
        members = tuple(part.subject for part in line.below)
        known = "{" + ", ".join(map(repr, members)) + "}"  # Python makes a constant of it
        source.write(f"{count} = 0")
        source.write(f"{given} = [m for m, x in {struct}.items() if m in {known} and x is not None]")
        with source.block(f"if len({given}) > 1"):
            source.write(f"{given}.sort(key={members}.index)")
        with source.block(f"for {name} in {given}"):
            for part in line.below:
                member, options = part.subject, part.options()
                value = source.new(source.member(struct, member).type)
                with source.block(f"{'if' if part is line.below[0] else 'elif'} {name} == {member!r}"):
                    source.write(f"{value} = {struct}[{member!r}]")
                    second = options.get("second", member)
                    with source.block(f"if {count} and {second!r}"):
                        source.cause("forbidden", below(path, second), repr(more))
                    with source.block("else"):
                        own = part._replace(words=[word for word in part.words if word[0] != "@"])
                        self._value(own, struct, value, below(path, options.get("as", member)), part.message)
                        for word in part.words[len(own.words) :]:
                            self._words.call(word[1:], struct, path)
            source.write(f"{count} += 1")
        with source.block(f"if not {count}"):
            source.cause("required", path, repr(none))
