"""The root of all keys, their resources, and the continue tokens that name a place among the keys."""

import base64
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from pilothouse.storage._prefixes import longest

PREFIX = "/registry"
ROOT = PREFIX + "/"
"""How all keys of objects begin."""

INVALID = "continue key is not valid"
VERSION = "meta.k8s.io/v1"
ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
MAX_INT64 = (1 << 63) - 1


def resources(prefixes: Mapping[str, str], others: Mapping[str, str]) -> Callable[[str], str]:
    """Returns a function from a key to the resource it belongs to, "" for none; it asks nobody above.

    prefixes: those of the keys of each resource. others: single keys.
    """
    by_prefix = dict(prefixes)

    def resource_of(key: str) -> str:
        name = longest(by_prefix, key)
        return name if name is not None else _custom_resource(key) or others.get(key, "")

    return resource_of


def _custom_resource(key: str) -> str:
    """`widgets.example.com` of `/registry/example.com/widgets/default/a`."""
    first = key.find("/", len(ROOT)) + 1
    second = key.find("/", first) + 1 if first else 0
    group = key[len(ROOT) : first - 1]
    return f"{key[first : second - 1]}.{group}" if second and "." in group else ""


def encode_continue(last_key: str, prefix: str, revision: int, among: str = "") -> str:
    """The token of the page after `last_key` in a list under `prefix` (storage.EncodeContinue).

    `among` tells for which namespaces it holds, where that is not all of them;
    other servers pay no attention to it.
    """
    start = last_key.removeprefix(prefix)
    if start == last_key:
        raise ValueError("unable to encode next field: the key and key prefix do not match")
    token = {"v": VERSION, "rv": revision, "start": start + "\0"}
    if among:
        token["among"] = among
    text = json.dumps(token, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_continue(token: str, prefix: str) -> tuple[str, int, str]:
    """The key to start from, the revision and `among`;
    ValueError with upstream's text (storage.DecodeContinue).

    Such a key ends with a NUL: without it, it is the last key of the page before.
    """
    data = _decode_base64(token)
    fields = _decode_json(data)
    if fields["v"] != VERSION:
        raise ValueError(f"{INVALID}: server does not recognize this encoded version {fields['v']}")
    if fields["rv"] == 0:
        raise ValueError(f"{INVALID}: incorrect encoded start resourceVersion (version {VERSION})")
    start = fields["start"]
    if not start:
        raise ValueError(f"{INVALID}: encoded start key empty (version {VERSION})")
    key = start if start.startswith("/") else "/" + start
    if _clean(key) != key:
        raise ValueError(f"{INVALID}: {start}")
    return prefix + key[1:], fields["rv"], fields["among"]


def _clean(path: str) -> str:
    """Go's path.Clean of an absolute path."""
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/")


def _decode_base64(token: str) -> bytes:
    """Unpadded URL base64 as Go reads it: line breaks are skipped, left-over bits are not looked at."""
    raw = token.encode("utf-8", "surrogateescape")
    for at, char in enumerate(raw):
        if char not in ALPHABET and char not in b"\r\n":
            raise ValueError(f"{INVALID}: illegal base64 data at input byte {at}")
    text = raw.translate(None, b"\r\n")
    if len(text) % 4 == 1:
        raise ValueError(f"{INVALID}: illegal base64 data at input byte {len(raw) - 1}")
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _decode_json(data: bytes) -> dict[str, Any]:
    """The members with Go's zero values, types and error texts (encoding/json);
    `among` is none of upstream's."""
    try:
        parsed = _loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ValueError(f"{INVALID}: {_why_not(data)}") from None
    fields: dict[str, Any] = {"v": "", "rv": 0, "start": "", "among": ""}
    if parsed is None:
        return fields
    if not isinstance(parsed, dict):
        raise ValueError(f"{INVALID}: {_mismatch(parsed)} into Go value of type storage.continueToken")
    wrong = ""
    for name, value in parsed.items():
        member = name.lower()
        if member not in fields or value is None:
            continue
        kind = "int64" if member == "rv" else "string"
        if member == "rv" and isinstance(value, _Number) and value.is_integer:
            fields["rv"] = int(value.text)
        elif member != "rv" and isinstance(value, str):
            fields[member] = value
        elif not wrong:
            shown = _mismatch(value) + (
                f" {value.text}" if member == "rv" and isinstance(value, _Number) else ""
            )
            wrong = f"{shown} into Go struct field continueToken.{member} of type {kind}"
    if wrong:
        raise ValueError(f"{INVALID}: {wrong}")
    return fields


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_refuse)


def _why_not(data: bytes) -> str:
    """Go's words for data that is no JSON; its positions are those of bytes."""
    try:
        _loads(data.decode("latin-1"))
    except (ValueError, RecursionError) as error:
        return _go_syntax_error(data, error)
    return "unexpected end of JSON input"


class _Number:
    """A JSON number as it is written."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def is_integer(self) -> bool:
        return (
            re.fullmatch(r"-?\d{1,19}", self.text) is not None
            and -MAX_INT64 - 1 <= int(self.text) <= MAX_INT64
        )


def _refuse(name: str) -> None:
    """NaN and Infinity are no JSON: Go stops at their first letter."""
    raise json.JSONDecodeError("Expecting value", name, 0)


def _mismatch(value: Any) -> str:
    for kind, name in (
        (bool, "bool"),
        (str, "string"),
        (_Number, "number"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, kind):
            return f"json: cannot unmarshal {name}"
    return "json: cannot unmarshal null"


WHERE = (
    ("Expecting value", "looking for beginning of value"),
    ("Extra data", "after top-level value"),
    ("Expecting property name", "looking for beginning of object key string"),
    ("Illegal trailing comma", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after object key:value pair"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\", "in string escape code"),
)
"""Python's words for what is wrong with JSON, and Go's."""


def _go_syntax_error(data: bytes, error: Exception) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return "exceeded max depth"
    at = error.pos
    if error.msg.startswith("Invalid \\"):
        at += 1
    while at < len(data) and data[at] in b" \t\r\n" and not error.msg.startswith("Invalid control"):
        at += 1
    if at >= len(data) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    where = next(
        (go for python, go in WHERE if error.msg.startswith(python)), "looking for beginning of value"
    )
    if error.msg.startswith("Expecting ','") and _in_array(data[:at]):
        where = "after array element"
    return f"invalid character {_quote(data[at])} {where}"


def _in_array(before: bytes) -> bool:
    """True when the innermost open bracket is an array's."""
    depth: list[int] = []
    for char in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", before):
        if char in b"[{":
            depth.append(char)
        elif char in b"]}" and depth:
            depth.pop()
    return bool(depth) and depth[-1] == ord("[")


def _quote(char: int) -> str:
    """A byte as Go's JSON scanner shows it."""
    special = {
        7: "\\a",
        8: "\\b",
        9: "\\t",
        10: "\\n",
        11: "\\v",
        12: "\\f",
        13: "\\r",
        39: "\\'",
        92: "\\\\",
    }
    if char in special:
        return f"'{special[char]}'"
    if char < 32 or char == 127:
        return f"'\\x{char:02x}'"
    if 128 <= char < 161 or char == 173:
        return f"'\\u{char:04x}'"
    return f"'{chr(char)}'"
