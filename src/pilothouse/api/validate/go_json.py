"""Finds the syntax error that Go's encoding/json reports for invalid JSON, for messages that contain it."""

_SPACE = b" \t\r\n"
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_END = "unexpected end of JSON input"
_TOO_DEEP = "exceeded max depth"

_SHOWN = {ord("'"): r"'\''", ord("\\"): r"'\\'", 9: r"'\t'", 10: r"'\n'", 13: r"'\r'"}


class _Fault(Exception):
    """The message of the first syntax error."""


def syntax_error(data: bytes) -> str:
    """The message for the first syntax error, "" if there is none."""
    try:
        scanner = _Scanner(data)
        scanner.value("looking for beginning of value")
        scanner.space()
        if scanner.at < len(data):
            scanner.fail("after top-level value")
    except _Fault as fault:
        return str(fault)
    except RecursionError:  # upstream's limit is ten thousand levels
        return _TOO_DEEP
    return ""


class _Scanner:
    """Scans a JSON text and raises at the first syntax error."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def fail(self, where: str) -> None:
        if self.at >= len(self.data):
            raise _Fault(_END)
        code = self.data[self.at]
        shown = _SHOWN.get(code) or (f"'{chr(code)}'" if 0x20 <= code < 0x7F else f"'\\x{code:02x}'")
        raise _Fault(f"invalid character {shown} {where}")

    def space(self) -> None:
        while self.at < len(self.data) and self.data[self.at] in _SPACE:
            self.at += 1

    def peek(self, where: str) -> int:
        self.space()
        if self.at >= len(self.data):
            self.fail(where)
        return self.data[self.at]

    def value(self, where: str) -> None:
        code = self.peek(where)
        if code == ord("{"):
            self.members()
        elif code == ord("["):
            self.items()
        elif code == ord('"'):
            self.string()
        elif code in _LITERALS:
            self.literal(_LITERALS[code])
        elif code == ord("-") or 48 <= code <= 57:
            self.number()
        else:
            self.fail(where)

    def literal(self, word: bytes) -> None:
        for wanted in word:
            if self.at >= len(self.data) or self.data[self.at] != wanted:
                self.fail(f"in literal {word.decode()} (expecting '{chr(wanted)}')")
            self.at += 1

    def string(self) -> None:
        self.at += 1
        while True:
            if self.at >= len(self.data):
                self.fail("in string literal")
            code = self.data[self.at]
            if code == ord('"'):
                self.at += 1
                return
            if code < 0x20:
                self.fail("in string literal")
            self.at += 1
            if code == ord("\\"):
                self.escape()

    def escape(self) -> None:
        if self.at >= len(self.data) or self.data[self.at] not in b'"\\/bfnrtu':
            self.fail("in string escape code")
        digits = 4 if self.data[self.at] == ord("u") else 0
        self.at += 1
        for _ in range(digits):
            if self.at >= len(self.data) or self.data[self.at] not in b"0123456789abcdefABCDEF":
                self.fail("in \\u hexadecimal character escape")
            self.at += 1

    def number(self) -> None:
        if self.data[self.at] == ord("-"):
            self.at += 1
        if self.at < len(self.data) and self.data[self.at] == ord("0"):
            self.at += 1
        else:
            self.digits("in numeric literal")
        if self.at < len(self.data) and self.data[self.at] == ord("."):
            self.at += 1
            self.digits("after decimal point in numeric literal")
        if self.at < len(self.data) and self.data[self.at] in b"eE":
            self.at += 1
            if self.at < len(self.data) and self.data[self.at] in b"+-":
                self.at += 1
            self.digits("in exponent of numeric literal")

    def digits(self, where: str) -> None:
        start = self.at
        while self.at < len(self.data) and 48 <= self.data[self.at] <= 57:
            self.at += 1
        if self.at == start:
            self.fail(where)

    def members(self) -> None:
        self.at += 1
        where = "looking for beginning of object key string"
        if self.peek(where) == ord("}"):
            self.at += 1
            return
        while True:
            if self.peek(where) != ord('"'):
                self.fail(where)
            self.string()
            if self.peek("after object key") != ord(":"):
                self.fail("after object key")
            self.at += 1
            self.value("looking for beginning of value")
            code = self.peek("after object key:value pair")
            if code not in b",}":
                self.fail("after object key:value pair")
            self.at += 1
            if code == ord("}"):
                return

    def items(self) -> None:
        self.at += 1
        if self.peek("looking for beginning of value") == ord("]"):
            self.at += 1
            return
        while True:
            self.value("looking for beginning of value")
            code = self.peek("after array element")
            if code not in b",]":
                self.fail("after array element")
            self.at += 1
            if code == ord("]"):
                return
