"""Quotes text as Go does in messages."""


def quote(text: str) -> str:
    """Quote a text for a message as Go's strconv.Quote does."""
    if text.isprintable():
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f'"{text.translate(_ESCAPES)}"'


class _Escapes(dict[int, str]):
    """Maps character codes to their escaped form; printable characters map to themselves."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char.isprintable():
            return char
        if code < 0x80:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES = _Escapes(
    {ord(char): f"\\{letter}" for char, letter in zip('\a\b\f\n\r\t\v"\\', 'abfnrtv"\\', strict=True)}
)
