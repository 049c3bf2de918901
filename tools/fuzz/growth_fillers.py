"""Values for a member by its type: JSON text of about a given number of bytes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from pilothouse.api.types.schema import Field, Type

Filler = Callable[[int], bytes]

TEXTS = {
    "letters": "a",
    "labels": "a.",
    "slashes": "/",
    "dots": "../",
    "dashes": "-",
    "digits": "1",
    "zeros": "0",
    "brackets": "['",
    "squares": "[",
    "braces": "{",
    "round": "(",
    "variables": "$(A)",
    "open-variables": "$(",
    "dollars": "${",
    "percents": "%2",
    "quotes": '"',
    "backslashes": "\\",
    "spaces": " ",
    "lines": "\n",
    "colons": ":",
    "addresses": "1:",
    "commas": "a=b,",
    "sets": "a in (b),",
    "durations": "1h",
    "exponents": "1e",
    "accents": "é",
    "wide": "😀",
    "controls": "\x01",
    "certificates": "-----BEGIN CERTIFICATE-----\n",
    "expressions": "self.a+",
    "parentheses": "((",
    "stars": "*",
    "steps": "*/1,",
    "plus": "a+",
    "base64": "QUJD",
    "trees": '{"a":',
    "urls": "http://",
    "upper": "A_",
}
"""The parts of long texts."""

NUMBERED = "\x00"
"""Stands for the number of an item, in texts."""

DEPTH = 4
"""Levels down to which an example of a type is filled."""


def text(unit: str, before: str = "", after: str = "") -> Filler:
    """A long text of one unit."""
    shown = [json.dumps(part)[1:-1].encode() for part in (before, unit, after)]

    def make(size: int) -> bytes:
        return b'"' + shown[0] + shown[1] * (size // len(shown[1])) + shown[2] + b'"'

    return make


def number(sign: str = "", after: str = "") -> Filler:
    return lambda size: sign.encode() + b"9" * size + after.encode()


def keyed(key: Filler, value: bytes) -> Filler:
    """An object of one member whose key grows."""
    return lambda size: b"{" + key(size) + b":" + value + b"}"


def repeated(item: bytes, opening: bytes = b"[", closing: bytes = b"]") -> Filler:
    """The same item over and over."""
    return lambda size: opening + b",".join([item] * (size // (len(item) + 1))) + closing


def numbered(item: bytes, opening: bytes = b"[", closing: bytes = b"]") -> Filler:
    """Items that differ: the mark in each is its number."""
    mark = json.dumps(NUMBERED)[1:-1].encode()
    parts = item.split(mark)

    def make(size: int) -> bytes:
        count = max(1, size // (len(item) + 1))
        return opening + b",".join(str(i).encode().join(parts) for i in range(count)) + closing

    return make


def square(outer: bytes, inner: bytes) -> Filler:
    """A list of as many items as each has items of its own; `outer` has the mark `[]` where those belong."""

    def make(size: int) -> bytes:
        side = max(1, int((size / (len(inner) + 1)) ** 0.5))
        return numbered(outer.replace(b'"\x01"', numbered(inner)(side * (len(inner) + 1))))(size)

    return make


def deep(opening: bytes, closing: bytes, leaf: bytes = b"1") -> Filler:
    def make(size: int) -> bytes:
        levels = size // (len(opening) + len(closing))
        return opening * levels + leaf + closing * levels

    return make


def broad(opening: bytes, closing: bytes, levels: int = 50) -> Filler:
    """Many values of a depth that is taken."""
    return repeated(opening * levels + b"1" + closing * levels)


def example(type: Type, depth: int = DEPTH, *, full: bool = False, key: str = "") -> Any:
    """A value of a type, numbered where a text is free; with what must be there, or with all members."""
    match type.kind:
        case "struct" | "schemaor":
            if type.kind == "schemaor" or depth <= 0:
                return {}
            keys = ("name", "key", "uid", *type.list_keys)
            return {
                name: example(field.type, depth - 1, full=full, key=name)
                for name, field in type.fields.items()
                if field.required or name in keys or (full and _plain(field, depth))
            }
        case "list":
            return [example(_items(type), depth - 1, full=full)]
        case "map":
            return {f"k{NUMBERED}": example(_items(type), depth - 1, full=full)}
        case "int32" | "int64" | "number":
            return 1
        case "bool":
            return True
        case "time":
            return "2026-01-01T00:00:00Z"
        case "microtime":
            return "2026-01-01T00:00:00.000000Z"
        case "duration":
            return "1s"
        case "quantity":
            return "1"
        case "intorstring":
            return 1
        case "bytes":
            return "YQ=="
        case "any":
            return {}
    return f"k{NUMBERED}"


def _plain(field: Field, depth: int) -> bool:
    return depth > DEPTH - 2 or field.type.kind not in ("struct", "list", "map", "any", "schemaor")


def _items(type: Type) -> Type:
    assert type.items is not None
    return type.items


def dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def fillers(type: Type, there: Any = None) -> Iterator[tuple[str, Filler]]:
    """Every way to fill a member of this type; `there` is a good value of it."""
    match type.kind:
        case "string" | "duration" | "time" | "microtime":
            for name, unit in TEXTS.items():
                yield name, text(unit)
            if type.kind != "string":
                yield "duration", text("1h1m")
                yield "time", text("0", "2026-01-01T00:00:00.", "Z")
        case "quantity":
            for before, unit, after in (("", "1", ""), ("", "0", "1"), ("0.", "0", "1"), ("1e", "9", ""), ("", "9", "Ki"), ("-", "1", "n"), ("1.", "1", "Ei"), ("", "a", "")):  # fmt: skip
                yield f"quantity {before}{unit}*{after}", text(unit, before, after)
        case "intorstring":
            for name in ("letters", "digits", "dashes", "spaces"):
                yield name, text(TEXTS[name])
            yield "percent", text("1", "", "%")
            yield "number", number()
        case "int32" | "int64" | "number":
            yield "number", number()
            yield "exponent", number("1e")
            yield "fraction", number("0.")
            yield "text", text("1")
        case "bool":
            yield "text", text("true")
            yield "number", number()
        case "bytes":
            for name in ("base64", "letters", "lines", "certificates", "accents"):
                yield name, text(TEXTS[name])
            yield "padding", text("=")
        case "list":
            yield from _list(type, there)
        case "map":
            yield from _map(type)
        case "struct":
            yield from _struct(type)
        case "any" | "schemaor":
            yield from _any()
            if type.kind == "schemaor":
                yield "schemas", numbered(b'{"type":"object","description":"\\u0000"}')


def _any() -> Iterator[tuple[str, Filler]]:
    yield "deep lists", deep(b"[", b"]")
    yield "deep objects", deep(b'{"a":', b"}")
    yield "deep apart", broad(b'{"a":', b"}")
    yield "deep lists apart", broad(b"[", b"]")
    yield "keys", numbered(b'"k\\u0000":1', b"{", b"}")
    yield "same keys", repeated(b'"k":1', b"{", b"}")
    yield "dots", numbered(b'".":1,"f:k\\u0000":{".":{}}', b"{", b"}")
    yield "value keys", numbered(b'"v:\\"k\\u0000\\"":{}', b"{", b"}")
    yield "item keys", numbered(b'"k:{\\"a\\":\\"k\\u0000\\"}":{}', b"{", b"}")
    yield "one key", lambda size: b'{"' + b"k" * size + b'":1}'
    yield "numbers", repeated(b"1")
    yield "texts", numbered(b'"k\\u0000"')
    yield "objects", repeated(b'{"a":1}')
    yield "text", text("a")
    yield "escapes", text("\n")


def _list(type: Type, there: Any) -> Iterator[tuple[str, Filler]]:
    items = _items(type)
    plain = dumped(example(items))
    yield "items", numbered(plain)
    yield "same items", repeated(plain.replace(b"\\u0000", b"0"))
    yield "empty items", repeated({"struct": b"{}", "list": b"[]", "map": b"{}"}.get(items.kind, b'""'))
    yield "nulls", repeated(b"null")
    yield "wrong items", repeated(b"1" if items.kind in ("string", "struct", "map", "list") else b'"a"')
    if isinstance(there, list) and there:
        one = dict(there[0]) if isinstance(there[0], dict) else there[0]
        yield "good same items", repeated(dumped(one))
        if isinstance(one, dict):
            for key in (*type.list_keys, "name", "key", "mountPath", "uid"):
                if isinstance(one.get(key), str):
                    one[key] = f"k{NUMBERED}"
            yield "good items", numbered(dumped(one))
    if items.kind == "string":
        for name in ("addresses", "slashes", "letters", "upper", "certificates"):
            yield f"items of {name}", repeated(dumped(TEXTS[name] * 20))
        yield "networks", numbered(b'"10.0.0.\\u0000/32"')
        yield "paths", numbered(b'"/k/\\u0000"')
        yield "invalid items", numbered(b'"-K \\u0000"')
        yield "long item", lambda size: b"[" + text("a")(size) + b"]"
    if items.kind == "struct":
        yield "full items", numbered(dumped(example(items, full=True)))
        yield "full same items", repeated(dumped(example(items, full=True)).replace(b"\\u0000", b"0"))
        yield (
            "invalid items",
            numbered(dumped(example(items, full=True)).replace(b'"k\\u0000"', b'"-K \\u0000"')),
        )
        yield "unknown members", numbered(b'{"unknown\\u0000":1}')
        yield "same unknown members", repeated(b'{"unknown":1,"unknown":2}')
        for name, field in items.fields.items():
            if field.type.kind in ("list", "map") and field.type.items is not None:
                outer = dict(example(items))
                outer[name] = "\x01"
                shown = dumped(outer).replace(b'"\\u0001"', b'"\x01"')
                if field.type.kind == "list":
                    yield f"square of {name}", square(shown, dumped(example(field.type.items)))
        lists = {n: f for n, f in items.fields.items() if f.type.kind == "list"}
        if len(lists) > 1:
            yield "one item of lists", _together(items, lists, b"[", b"]")


def _map(type: Type) -> Iterator[tuple[str, Filler]]:
    value = dumped(example(_items(type)))
    for name, key in (
        ("keys", b'"k\\u0000"'),
        ("qualified keys", b'"a.b/k\\u0000"'),
        ("invalid keys", b'"-K \\u0000"'),
        ("resources", b'"requests.\\u0000"'),
        ("huge pages", b'"hugepages-\\u0000Ki"'),
        ("long keys", b'"' + b"k" * 300 + b'\\u0000"'),
    ):
        yield name, numbered(key + b":" + value, b"{", b"}")
    wrong = b"1" if _items(type).kind in ("string", "struct", "list", "map") else b'"x y"'
    yield "wrong values", numbered(b'"k\\u0000":' + wrong, b"{", b"}")
    yield "nulls", numbered(b'"k\\u0000":null', b"{", b"}")
    yield "same keys", repeated(b'"k":' + value.replace(b"\\u0000", b"0"), b"{", b"}")
    yield "long key", lambda size: b'{"' + b"k" * size + b'":' + value.replace(b"\\u0000", b"0") + b"}"
    for name in ("letters", "slashes", "dots", "labels", "dashes", "upper", "accents"):
        key_text = text(TEXTS[name])
        yield f"long key of {name}", keyed(key_text, value)
    if _items(type).kind == "string":
        yield "invalid values", numbered(b'"k\\u0000":"-K \\u0000"', b"{", b"}")
        yield "long values", numbered(b'"k\\u0000":"' + b"v" * 300 + b'"', b"{", b"}")
        yield "long value", lambda size: b'{"k":"' + b"v" * size + b'"}'
    elif _items(type).kind == "list":
        inner = _items(_items(type))
        yield "long list", lambda size: b'{"k":' + numbered(dumped(example(inner)))(size) + b"}"


def _struct(type: Type) -> Iterator[tuple[str, Filler]]:
    yield "unknown members", numbered(b'"unknown\\u0000":1', b"{", b"}")
    yield "same unknown members", repeated(b'"unknown":1', b"{", b"}")
    yield "unknown deep", lambda size: b'{"unknown":' + broad(b'{"a":', b"}")(size) + b"}"
    yield "list instead", repeated(b"1")
    known = next((name for name in type.fields), "")
    if known:
        inner = dumped(example(type.fields[known].type)).replace(b"\\u0000", b"0")
        yield "same members", repeated(dumped(known) + b":" + inner, b"{", b"}")
    lists = {n: f for n, f in type.fields.items() if f.type.kind in ("list", "map")}
    if len(lists) > 1:
        yield "all lists", _together(type, lists, b"", b"")


def _together(type: Type, lists: dict[str, Field], opening: bytes, closing: bytes) -> Filler:
    """All lists and maps of a struct at once, each with its share."""
    parts: list[tuple[str, Filler]] = []
    for name, field in lists.items():
        inner = _items(field.type)
        item = dumped(example(inner, full=inner.kind == "struct"))
        if field.type.kind == "list":
            parts.append((name, numbered(item)))
        else:
            parts.append((name, numbered(b'"k\\u0000":' + item, b"{", b"}")))
    plain = {k: v for k, v in example(type).items() if k not in lists}
    shown = dumped(plain).replace(b"\\u0000", b"0")[1:-1]

    def make(size: int) -> bytes:
        members = [dumped(name) + b":" + fill(size // len(parts)) for name, fill in parts]
        return opening + b"{" + b",".join([*members, *([shown] if shown else [])]) + b"}" + closing

    return make
