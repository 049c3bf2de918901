"""The values of literals: numbers, texts and bytes (cel-go parser/unescape.go)."""

from collections.abc import Iterator
from typing import Any

from pilothouse.api.cel._cel import UInt

_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'",
    '"': '"', "`": "`", "?": "?",
}  # fmt: skip


def value_of(kind: str, text: str) -> Any:
    """The value of a token; OverflowError with the name of its type, ValueError with cel-go's words."""
    if kind == "NUM_INT":
        value = _number(text)
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("int")
        return value
    if kind == "NUM_UINT":
        value = _number(text[:-1])
        if value >= 1 << 64:
            raise OverflowError("uint")
        return UInt(value)
    if kind == "NUM_FLOAT":
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise OverflowError("double")
        return number
    if kind == "STRING":
        return _unquote(text)
    if kind == "BYTES":
        return _unquote_bytes(text[1:])
    return {"true": True, "false": False, "null": None}[kind]


def _number(text: str) -> int:
    if len(text) > 100:  # no number of 64 bits, however many zeros it begins with
        return 1 << 64
    return int(text, 16) if "0x" in text else int(text)


def _unquote(literal: str) -> str:
    """The text of a string literal; ValueError with cel-go's words."""
    return "".join(part if isinstance(part, str) else _character(part) for part in _parts(literal))


def _character(code: int) -> str:
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError("invalid unicode code point")
    return chr(code)


def _unquote_bytes(literal: str) -> bytes:
    """The bytes of a literal, less its `b`; ValueError with cel-go's words."""
    return b"".join(
        part.encode("utf-8", "surrogatepass") if isinstance(part, str) else bytes((part,))
        for part in _parts(literal, refused="uU")
    )


def _body(literal: str) -> tuple[str, bool]:
    """The text between the quotes, and whether it is raw."""
    literal = literal.replace("\r\n", "\n").replace("\r", "\n")
    raw = literal[0] in "rR"
    if raw:
        literal = literal[1:]
    size = 3 if len(literal) >= 6 and literal[:3] in ('"""', "'''") else 1
    return literal[size:-size], raw


def _parts(literal: str, refused: str = "") -> Iterator[str | int]:
    """The text of a literal in parts, and the codes between them that are written as numbers.

    refused: the letters after a backslash that the literal may not have.
    """
    body, raw = _body(literal)
    at = 0
    while not raw and (where := body.find("\\", at)) >= 0:
        yield body[at:where]
        if body[where + 1] in refused:
            raise ValueError("unable to unescape string")
        part, at = _escape(body, where)
        yield part
    yield body[at:]


def _escape(body: str, at: int) -> tuple[str | int, int]:
    """The character of an escape sequence, or the number of its code, and where it ends."""
    char = body[at + 1]
    if char in _SIMPLE:
        return _SIMPLE[char], at + 2
    if char in "xXuU":
        size = {"x": 2, "X": 2, "u": 4, "U": 8}[char]
        return int(body[at + 2 : at + 2 + size], 16), at + 2 + size
    return int(body[at + 1 : at + 4], 8), at + 4
