"""The engines of selectors and of the Common Expression Language."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from fuzz.engines import Engine, chance_of, same

from pilothouse.api.cel import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    INT,
    STRING,
    UINT,
    CompileError,
    CostBudget,
    Environment,
    EvaluationError,
    list_of,
    map_of,
)
from pilothouse.api.values import selectors
from pilothouse.api.values.selectors import Requirement, Selector
from pilothouse.errors import BadRequest

# Selectors: a line of label terms, and one of field terms

KEYS = ("a", "app", "app.kubernetes.io/name", "x-y", "in", "notin")
VALUES = ("", "a", "b-c", "1", "-5", "+7", "007", "9223372036854775807", "9223372036854775808", "in")


def selector_texts(chance: random.Random) -> list[bytes]:
    out: list[str] = []
    for _ in range(chance.randint(0, 5)):
        key, value = chance.choice(KEYS), chance.choice(VALUES)
        match chance.randrange(4):
            case 0:
                out += [chance.choice(("", "!")), key]
            case 1:
                out += [key, chance.choice(("=", "==", "!=", " = ", ">", "<", " > ")), value]
            case 2:
                out += [key, chance.choice((" in ", " notin ", " in", "in")), "("]
                out += [chance.choice(VALUES) + "," for _ in range(chance.choice((0, 1, 2, 10)))]
                out += [value, ")"]
            case _:
                out += [key]
        out.append(chance.choice((",", ",", ", ")))
    out = [*out[:-1], "\n"]
    for _ in range(chance.randint(0, 3)):
        value = chance.choice(("a", "a\\,b", "a\\=b", "\\\\", ""))
        out += [
            chance.choice(("metadata.name", "spec.nodeName", "a")),
            chance.choice(("=", "==", "!=")),
            value,
            ",",
        ]
    return [part.encode() for part in out[:-1]]


def _number(text: str) -> int | None:
    """Go's strconv.ParseInt for 64 bits."""
    if re.fullmatch("[+-]?[0-9]{1,4000}", text) is None or not -(2**63) <= int(text) < 2**63:
        return None
    return int(text)


def _holds(term: Requirement, labels: dict[str, str]) -> bool:
    """Whether labels fulfil a requirement, in plain Python."""
    value = labels.get(term.key)
    match term.op:
        case "exists":
            return value is not None
        case "!":
            return value is None
        case "in" | "=" | "==":
            return value in term.values
        case "notin" | "!=":
            return value not in term.values
    number = None if value is None else _number(value)
    limit = _number(term.values[0])
    assert limit is not None
    return number is not None and (number > limit if term.op == "gt" else number < limit)


def check_selector(data: bytes) -> None:
    labels, _, fields = data.decode("utf-8", "replace").partition("\n")
    try:
        selector = selectors.parse(labels, fields)
    except BadRequest:
        return
    same(
        "label terms that are read again", tuple(selectors.label_terms(selector.label_text)), selector.labels
    )
    same(
        "field terms that are read again",
        sorted(selectors.field_terms(selector.field_text)),
        sorted(selector.fields),
    )
    chance = chance_of(data)
    values = [*VALUES, *(value for term in selector.labels for value in term.values)]
    names = [*KEYS, *(term.key for term in selector.labels)]
    for _ in range(5):
        given = {name: chance.choice(values) for name in names if chance.random() < 0.7}
        wanted = all(_holds(term, given) for term in selector.labels)
        same(f"whether {selector.label_text!r} matches {given}", selector.matches_labels(given), wanted)
        found = {name: chance.choice(("a", "", value)) for name, _, value in selector.fields}
        wanted = all((found[name] == value) == (op == "=") for name, op, value in selector.fields)
        same(f"whether {selector.field_text!r} matches {found}", selector.matches_fields(found), wanted)
    same(
        "a selector joined with one of everything",
        selectors.join([selector, Selector()]).labels,
        selector.labels,
    )


# CEL

LITERALS = {
    "vi": "7", "vj": "(-3)", "vu": "5u", "vd": "2.5", "vs": "'abc'", "vt": "'b'", "vb": "true", "vy": "b'xyz'",
    "vl": "[1, 2, 3]", "vn": "['b', 'abc', '']", "vm": "{'a': 1, 'b': 2}",
}  # fmt: skip
"""Variables, and expressions of the same type and value."""

_TYPES = {
    "vi": INT, "vj": INT, "vu": UINT, "vd": DOUBLE, "vs": STRING, "vt": STRING,
    "vb": BOOL, "vy": BYTES, "vl": list_of(INT), "vn": list_of(STRING),
    "vm": map_of(STRING, INT), "dyn_object": DYN,
}  # fmt: skip
ENVIRONMENT = Environment(_TYPES)
OBJECT = {
    "a": 1,
    "b": [1, "x", None, {"c": 2.5}],
    "s": "text",
    "n": None,
    "t": True,
    "m": {"k": "v", "b.c": 1},
}
VALUE_OF = {name: ENVIRONMENT.compile(expression).evaluate({}) for name, expression in LITERALS.items()}
BINDINGS = {**VALUE_OF, "dyn_object": OBJECT}
LIMIT = 100_000

_FORMS: dict[str, tuple[str, ...]] = {
    "int": (
        "vi", "vj", "0", "-1", "9223372036854775807", "-9223372036854775808", "{int} + {int}", "{int} - {int}", "{int} * {int}",
        "{int} / {int}", "{int} % {int}", "-({int})", "size({str})", "size({list})", "{list}[{int}]", "vm[{str}]", "int({str})",
        "int({dbl})", "{bool} ? {int} : {int}", "{str}.indexOf({str})", "{list}.sum()", "{list}.max()", "size({bytes})",
    ),
    "dbl": ("vd", "1e308", "-0.0", "{dbl} * {dbl}", "{dbl} / {dbl}", "double({int})", "double({str})", "{dbl} + {dbl}"),
    "str": (
        "vs", "vt", "''", "'é日\\U0001F600'", "{str} + {str}", "string({int})", "{str}.substring({int})", "{str}.charAt({int})",
        "{str}.replace({str}, {str})", "{str}.upperAscii()", "{str}.trim()", "vn[{int}]", "{strs}.join({str})",
        "{str}.substring({int}, {int})", "'%s %d'.format([{str}, {int}])", "string({dbl})", "type({int}) == int ? 'a' : {str}",
    ),
    "bytes": ("vy", "b'\\xff\\x00'", "bytes({str})", "{bytes} + {bytes}"),
    "list": (
        "vl", "[]", "[{int}, {int}]", "{list} + {list}", "{list}.filter(x, x > {int})", "{list}.map(x, x * {int})",
        "{list}.map(x, x > 1, x + 1)", "{list}.slice({int}, {int})", "{list}.sort()", "{list}.reverse()", "[{bool} ? {int} : {int}]",
    ),
    "strs": ("vn", "{str}.split({str})", "{strs}.map(x, x + {str})", "{strs}.filter(x, x.contains({str}))", "[{str}]"),
    "bool": (
        "vb", "true", "false", "{int} == {int}", "{int} < {int}", "{dbl} <= {dbl}", "{str} == {str}", "{str} < {str}", "!({bool})",
        "{bool} && {bool}", "{bool} || {bool}", "{str}.startsWith({str})", "{str}.endsWith({str})", "{str}.contains({str})",
        "{int} in {list}", "{str} in vm", "{str} in {strs}", "{list}.exists(x, x == {int})", "{list}.all(x, x > {int})",
        "{list}.exists_one(x, x == {int})", "has(dyn_object.{name})", "dyn_object.{name} == {int}", "{bytes} == {bytes}",
        "{bytes} < {bytes}", "{list} == {list}", "{str}.matches('a.*')", "dyn_object.?m.?{name}.hasValue()", "{bool} ? {bool} : {bool}",
        "dyn_object.m.all(k, v, k != {str})", "dyn_object.b.exists(x, x == {int})", "dyn_object.m[{str}] == {str}",
        "{'a': {int}} == vm", "dyn({int}) == dyn({dbl})", "dyn({int}) < dyn({dbl})", "vu > 3u && {int} == int(vu)", "isSorted({list})",
    ),
    "name": ("a", "b", "s", "n", "t", "m", "nope"),
}  # fmt: skip
_PLACE = re.compile(r"\{(int|dbl|str|bytes|list|strs|bool|name)\}")


def expressions(chance: random.Random) -> list[bytes]:
    """The tokens of an expression that has a type."""
    return [
        part.encode()
        for part in re.split(
            r"(\W)", _form(chance, chance.choice(("bool", "bool", "int", "str", "list", "dbl")), 0)
        )
        if part
    ]


def _form(chance: random.Random, kind: str, depth: int) -> str:
    forms = _FORMS[kind]
    if depth > 4:
        forms = tuple(form for form in forms if "{" not in form)
    inner: Callable[[re.Match[str]], str] = lambda found: _form(chance, found[1], depth + 1)
    return (
        _PLACE.sub(inner, chance.choice(forms))
        if depth == 0 or kind == "name"
        else f"({_PLACE.sub(inner, chance.choice(forms))})"
    )


def result(text: str, bindings: dict[str, Any]) -> str:
    """The value of an expression, or why it has none."""
    program = ENVIRONMENT.compile(text)
    try:
        value = program.evaluate(bindings, CostBudget(LIMIT), LIMIT)
    except EvaluationError as error:
        return f"error: {error}"
    return repr(value)


_VARIABLE = re.compile(r"(?<![\w.'\"])v[ijudstbylnm]\b")


def check_cel(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        found = result(text, BINDINGS)
    except CompileError:
        return
    same("a second evaluation", result(text, BINDINGS), found)
    literal = _VARIABLE.sub(lambda name: LITERALS[name[0]], text)
    try:
        other = result(literal, {"dyn_object": json.loads(json.dumps(OBJECT))})
    except CompileError:  # a constant that cannot be computed, or a text that is not what it seems
        return
    if "'" not in text and '"' not in text and "format" not in text and "cost" not in found + other:
        same(f"{text} and {literal}", _kind(found), _kind(other))


def _kind(found: str) -> str:
    """A result; of errors only that they are some, for their order hangs on what is folded."""
    return "error" if found.startswith("error:") else found


ENGINES = (
    Engine("selector", selector_texts, check_selector),
    Engine("cel", expressions, check_cel),
)
