"""Compiles tables of rules (tables.py) to Python:
what a table checks costs what it would cost if it were written by hand.

The function has a line or two for each check. It looks into each struct once, and makes a path only where a
cause or a called rule needs it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any, NamedTuple

from pilothouse.api.validate import declare
from pilothouse.api.validate.shown import go, shown
from pilothouse.api.values import names
from pilothouse.api.values.fields import OMIT, Object

_MEMBER = re.compile(r"([^\[\]?!*+=-][^\[\]?!*+=]*?|(?=\[))(\[=?\])?(=0)?(-\?|[?!*+-])?")
_RANGE = re.compile(r"(-?\d+)\.\.(\d+)")
_COMPARED = re.compile(r"(>=|<=|>|<)(-?\d+|[./]\w+)")
_OPTIONS = frozenset(("as", "as-root", "by", "show", "at", "most", "unique", "unique-first", "second"))
_NUMBERS = frozenset(("port", "user-id", "port-or-name"))
_CAUSES = frozenset(("required", "forbidden", "invalid"))
_SHOWN = {"": '""', "null": "None"}
_BOUNDS = {
    ">=": "must be greater than or equal to",
    "<=": "must be less than or equal to",
    ">": "must be greater than",
    "<": "must be less than",
}
_INLINE: dict[str, Callable[[Any], Any]] = {
    "dns-label": names.dns_label,
    "dns1035-label": names.dns1035_label,
    "dns-subdomain": names.dns_subdomain,
    "qualified-name": names.qualified_name,
    "path-segment": names.path_segment,
    "label-value": names.label_value,
    "port": names.port_number,
    "port-name": names.port_name,
    "user-id": names.user_id,
}
"""Rules of which a cause is made for each message, without a call between."""


class _Line(NamedTuple):
    """A line of a table, and the lines that are indented below it."""

    subject: str
    words: list[str]
    message: str
    below: "list[_Line]"

    def options(self) -> dict[str, str]:
        parts = (word.partition(":") for word in self.words)
        return {name: value for name, colon, value in parts if colon and name in _OPTIONS}

    def rules(self) -> list[str]:
        return [word for word in self.words if ":" not in word or word.partition(":")[0] not in _OPTIONS]


def compiled(text: str, functions: Mapping[str, Callable[..., None]], path: str) -> Callable[..., None]:
    """The function for a table; `path` is how paths begin:
    "{path}" with what it is called with, "" at the root."""
    writer = _Writer(functions)
    writer.steps(_lines(text), "value", path)
    source = "\n".join(["def check(value, path, errs, around):", *writer.lines])
    exec(compile(source, f"<table {next(iter(text.split()), '')}>", "exec"), writer.names)
    made: Callable[..., None] = writer.names["check"]
    return made


def _lines(text: str) -> list[_Line]:
    """The lines of a table as a tree, by their indentation."""
    out: list[_Line] = []
    outer: list[tuple[int, list[_Line]]] = [(-1, out)]
    for raw in text.splitlines():
        words, _, message = raw.partition(" : ")
        if not words.strip():
            continue
        depth = len(raw) - len(raw.lstrip())
        while outer[-1][0] >= depth:
            outer.pop()
        subjects, *rest = words.split()
        below: list[_Line] = []
        outer[-1][1].extend(_Line(subject, rest, message.strip(), below) for subject in subjects.split(","))
        outer.append((depth, below))
    return out


class _Writer:
    """Writes the function's lines.

    names: what they use from outside; structs: (variable, member) -> variable, by block; lists: for each list
    around, the number of the line before which its loop begins, and how deep that is.
    """

    def __init__(self, functions: Mapping[str, Callable[..., None]]) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"EMPTY": {}}
        self._functions = functions
        self._depth = 1
        self._count = 0
        self._structs: list[dict[tuple[str, str], str]] = [{}]
        self._lists: list[tuple[int, int]] = []

    def steps(self, lines: list[_Line], struct: str, path: str) -> None:
        """The checks of a struct's members."""
        if not lines:
            self._write("pass")
        for line in lines:
            subject = line.subject
            if subject == "if":
                with self._block(f"if {self._condition(line.words, struct)}"):
                    self.steps(line.below, struct, path)
            elif subject in ("elif", "else"):
                test = self._condition(line.words, struct, inline=True) if line.words else ""
                with self._block(f"{subject} {test}".strip()):
                    self.steps(line.below, struct, path)
            elif subject == "first-of":
                self._first(line, struct, path)
            elif subject.startswith("@"):
                self._call(subject[1:], struct, path)
            elif subject in _CAUSES:
                at = _below(path, line.options()["at"]) if "at" in line.options() else path
                shown = f"{self._shown(line, struct, _SHOWN[''])}, " if subject == "invalid" else ""
                self._cause(subject, at, f"{shown}{line.message!r}")
            else:
                self._member(line, struct, path)

    def _member(self, line: _Line, struct: str, path: str) -> None:
        found = _MEMBER.fullmatch(line.subject)
        if found is None:
            raise ValueError(f"no member: {line.subject}")
        dotted, listed, number, mark = found.groups()
        *outer, member = dotted.split(".")
        for name in outer:
            struct, path = self._struct(struct, name), _below(path, name)
        shown = line.options().get("as", member)
        at = line.options().get("as-root") or (_below(path, shown) if shown else path)
        if listed:
            values = f"{struct}.get({member!r})" if member else struct
            self._list(line, f"{values} or ()", at if member else path, "=" in listed, mark)
            return
        value = self._new()
        default = ", 0" if number else ""  # an empty text stays one
        zero = "" if mark or number else self._zero(line)
        self._write(f"{value} = {struct}.get({member!r}{default}){zero}")
        why = repr(line.message)
        if mark in ("-", "-?"):
            with self._block(f"if {value}" if mark == "-" else f"if {value} is not None"):
                self._cause("forbidden", at, why)
        elif mark in ("?", "+"):
            with self._block(f"if {value}" if mark == "+" else f"if {value} is not None"):
                self._value(line, struct, value, at, line.message)
        elif mark:
            with self._block(f"if not {value}" if mark == "!" else f"if {value} is None"):
                self._cause("required", at, why)
            if line.words or line.below:
                with self._block("else"):
                    self._value(line, struct, value, at, "")
        else:
            self._value(line, struct, value, at, line.message)

    def _zero(self, line: _Line) -> str:
        """The value that stands for an absent member:
        an empty struct for a struct; the rules say which type they judge."""
        if line.below or "by" in line.options():
            return " or EMPTY"
        if all(map(_is_number, line.rules())):
            return " or 0"
        named = [self._functions[word] for word in line.rules() if word in self._functions]
        judged = [next(iter(getattr(rule, "__annotations__", {}).values()), None) for rule in named]
        return " or EMPTY" if Object in judged else ' or ""'

    def _list(self, line: _Line, values: str, at: str, at_list: bool, mark: str | None) -> None:
        listed, index, item = self._new(), self._new(), self._new()
        options = line.options()
        self._write(f"{listed} = {values}")
        if mark == "!":
            with self._block(f"if not {listed}"):
                self._cause("required", at, repr(line.message))
        if "most" in options:
            with self._block(f"if len({listed}) > {options['most']}"):
                self._cause("too_many", at, f"len({listed}), {options['most']}")
        early, key = "unique-first" in options, options.get("unique-first", options.get("unique"))
        if not line.rules() and not line.below and key is None:
            return
        self._lists.append((len(self.lines), self._depth))
        seen = self._seen() if key is not None else ""
        here = at if at_list else f"{at}[{{{index}}}]"
        with self._block(f"for {index}, {item} in enumerate({listed})"):
            if key is not None and early:
                self._unique(item, key, seen, here)
            self._value(line, "EMPTY", item, here, "" if mark == "!" else line.message)
            if key is not None and not early:
                self._unique(item, key, seen, here)
        self._lists.pop()

    def _seen(self) -> str:
        """The set of the values that a list's items have had, made before its loop."""
        before, depth = self._lists[-1]
        seen = self._new()
        self.lines.insert(before, "    " * depth + f"{seen} = set()")
        return seen

    def _unique(self, item: str, key: str, seen: str, here: str) -> None:
        member = key.removeprefix(".")
        name = self._new()
        self._write(f"{name} = {item}.get({member!r}, '')" if member else f"{name} = {item}")
        with self._block(f"if {name} in {seen}"):
            self._cause("duplicate", _below(here, member) if key.startswith(".") else here, name)
        self._write(f"{seen}.add({name})")

    def _value(self, line: _Line, struct: str, value: str, at: str, why: str) -> None:
        """The rules for a value, then the lines for its members."""
        options = line.options()
        for word in line.rules():
            self._rule(word, struct, value, at, why, self._shown(line, value, value))
        if "by" in options:
            self._union(line, value, at)
        elif line.below:
            self.steps(line.below, value, at)
        elif not line.rules():
            self._write("pass")

    def _union(self, line: _Line, value: str, at: str) -> None:
        options, kind = line.options(), self._new()
        self._write(f"{kind} = {value}.get({options['by']!r}, '')")
        kinds: list[str] = []
        for part in line.below:
            kinds += part.words
            with self._block(f"{'if' if part is line.below[0] else 'elif'} {kind} in {tuple(part.words)}"):
                self.steps(part.below, value, at)
        with self._block("else"):
            if "show" in options:
                found = f"{self._name(go)}({value}, {options['show']!r})"
                self._cause("not_supported", at, f"{found}, {tuple(kinds)}")
            else:
                where = _below(at, options.get("at", options["by"]))
                self._cause("not_supported", where, f"{kind}, {tuple(kinds)}")

    def _first(self, line: _Line, struct: str, path: str) -> None:
        """The first of these members is judged by its rules, others that are there are forbidden."""
        more, _, none = line.message.partition(" / ")
        count = self._new()
        self._write(f"{count} = 0")
        for part in line.below:
            member, options, value = part.subject, part.options(), self._new()
            self._write(f"{value} = {struct}.get({member!r})")
            with self._block(f"if {value} is not None"):
                second = options.get("second", member)
                with self._block(f"if {count} and {second!r}"):
                    self._cause("forbidden", _below(path, second), repr(more))
                with self._block("else"):
                    own = part._replace(words=[word for word in part.words if word[0] != "@"])
                    self._value(own, struct, value, _below(path, options.get("as", member)), part.message)
                    for word in part.words[len(own.words) :]:
                        self._call(word[1:], struct, path)
                self._write(f"{count} += 1")
        with self._block(f"if not {count}"):
            self._cause("required", path, repr(none))

    def _rule(self, word: str, struct: str, value: str, at: str, why: str, shown: str) -> None:
        if word[0] == "$":
            flag, _, rules = word.partition("?")
            for test, rule in zip(
                (f"if {_flag(flag)}", f"if not {_flag(flag)}"), rules.split(":"), strict=True
            ):
                if rule:
                    with self._block(test):
                        self._rule(rule, struct, value, at, why, shown)
            return
        span, compared, name = _RANGE.fullmatch(word), _COMPARED.fullmatch(word), word.partition(":")[0]
        if span is not None:
            low, high = int(span[1]), int(span[2])
            self._refuse(f"not {low} <= {value} <= {high}", shown, at, why or names.in_range(low, high))
        elif compared is not None:
            sign, bound = compared.groups()
            holder = {".": struct, "/": "value"}.get(bound[0])
            other = f"{holder}.get({bound[1:]!r}, 0)" if holder else bound
            self._refuse(f"not {value} {sign} {other}", shown, at, why or f"{_BOUNDS[sign]} {bound}")
        elif word == "never":
            self._cause("invalid", at, f"{shown}, {why!r}")
        elif word == "unique":
            seen = self._seen()
            with self._block(f"if {value} in {seen}"):
                self._cause("duplicate", at, value)
            self._write(f"{seen}.add({value})")
        elif name == "max":
            with self._block(f"if {self._name(names.size)}({value}) > {word[4:]}"):
                self._cause("too_long", at, word[4:])
        elif name == "only" or "|" in word:
            valid = (word[5:],) if name == "only" else tuple(word.split("|"))
            with self._block(f"if {value} not in {valid}"):
                self._cause("not_supported", at, f"{value}, {valid}")
        elif word in _INLINE and word not in self._functions:
            message = self._new()
            with self._block(f"for {message} in {self._name(_INLINE[word])}({value})"):
                self._cause("invalid", at, f"{value}, {message}")
        else:
            self._call(word, value, at)

    def _shown(self, line: _Line, value: str, default: str) -> str:
        """The form of a value in a message: the value itself, or what `show:` says."""
        form = line.options().get("show")
        if form is None or "by" in line.options():
            return default
        if form == "omit":
            return self._name(OMIT)
        if form.startswith("api.") or form == "label-selector":
            return f"{self._name(shown)}({value}, {form!r})"
        return _SHOWN.get(form, repr(form))

    def _refuse(self, test: str, shown: str, at: str, why: str) -> None:
        with self._block(f"if {test}"):
            self._cause("invalid", at, f"{shown}, {why!r}")

    def _call(self, name: str, value: str, at: str) -> None:
        rule = self._rule_named(name)
        more = ", around" if _takes_around(rule) else ""
        self._write(f"{self._name(rule)}({value}, {_text(at)}, errs{more})")

    def _rule_named(self, name: str) -> Any:
        found = self._functions.get(name)
        return getattr(declare, name.replace("-", "_")) if found is None else found

    def _cause(self, kind: str, at: str, rest: str) -> None:
        self._write(f"errs.{kind}({_text(at)}, {rest})")

    def _condition(self, words: list[str], struct: str, *, inline: bool = False) -> str:
        """The expression for a condition of a table; inline: nothing may be written before."""
        for joint in ("or", "and"):
            if joint in words:
                at = words.index(joint)
                parts = (words[:at], words[at + 1 :])
                first, second = (self._condition(part, struct, inline=inline) for part in parts)
                return f"({first} {joint} {second})"
        if words[0] == "not":
            return f"not {self._condition(words[1:], struct, inline=inline)}"
        if words[0].startswith("$"):
            return _flag(words[0])
        if words[0] in ("none-of", "several-of"):
            given = " + ".join(f"({struct}.get({name!r}) is not None)" for name in words[1].split(","))
            return f"not ({given})" if words[0] == "none-of" else f"({given}) > 1"
        counted, name = words[0].startswith("#"), words[0].removeprefix("#")
        if name.startswith("/"):
            struct = "value"
        *outer, member = name.removeprefix("/").split(".")
        for name in outer:
            struct = f"({struct}.get({name!r}) or EMPTY)" if inline else self._struct(struct, name)
        value = f"{struct}.get({member!r})"
        if counted:
            return f"(len({value} or ()) {words[1]} {words[2]})"
        if len(words) == 1:
            return value
        if words[1] == "given":
            return f"({value} is not None)"
        if words[1] == "in":
            return f"({value} in {tuple(words[2].split('|'))})"
        if words[1] == "has":
            return f"({words[2]!r} in ({value} or ()))"
        wanted = int(words[2]) if words[2].isdigit() else words[2]
        zero = 0 if isinstance(wanted, int) else ""
        return f"({struct}.get({member!r}, {zero!r}) {words[1]} {wanted!r})"

    # Lines, blocks and names

    def _struct(self, struct: str, member: str) -> str:
        """The variable of a struct inside another one; looked up once in each block."""
        for block in self._structs:
            if (struct, member) in block:
                return block[struct, member]
        found = self._new()
        self._write(f"{found} = {struct}.get({member!r}) or EMPTY")
        self._structs[-1][struct, member] = found
        return found

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self._write(f"{head}:")
        self._depth += 1
        self._structs.append({})
        yield
        self._structs.pop()
        self._depth -= 1

    def _write(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def _new(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _name(self, value: Any) -> str:
        """The name under which the function finds a value."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"n{len(self.names)}"
        self.names[name] = value
        return name


def _is_number(word: str) -> bool:
    return word in _NUMBERS or _COMPARED.fullmatch(word) is not None or _RANGE.fullmatch(word) is not None


def _takes_around(rule: Callable[..., None]) -> bool:
    """Whether a rule is a table, or a function with a fourth argument."""
    return any(
        one.name == "around" or (one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD)
        for one in list(signature(rule).parameters.values())[3:4]
    )


def _flag(word: str) -> str:
    """The expression for `$`, what is around, or `$a`, an attribute of it: false where nothing is around."""
    found = "around"
    for name in filter(None, word[1:].split(".")):
        found = f"({found} and {found}.{name})"
    return found


def _below(path: str, member: str) -> str:
    """The template of a member's path."""
    return f"{path}.{member}" if path else member


def _text(path: str) -> str:
    """The expression for a path."""
    return "path" if path == "{path}" else f'f"{path}"' if "{" in path else f'"{path}"'
