# Part of _schema.pyx: parses JSON with the syntax errors of Go's encoding/json. Surrogates that stand alone
# are repaired as there; bytes that are not UTF-8, which Go replaces one by one, are an error.
#
# Number literals remain text, and all members of an object are kept in order, also repeated ones. Used only
# for bodies that orjson refuses, or in which the walk finds something unusual. Of _schema.pyx it uses only
# DEPTH_LIMIT, and `step` of _turn.pxi.

from cpython.unicode cimport PyUnicode_DecodeUTF8

DEF MAX_NESTING = 10000  # Go's limit

cdef dict ESCAPES = {
    b'"'[0]: '"', b"\\"[0]: "\\", b"/"[0]: "/", b"b"[0]: "\b", b"f"[0]: "\f", b"n"[0]: "\n", b"r"[0]: "\r",
    b"t"[0]: "\t",
}
cdef dict CHARS = {0x07: "\\a", 0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x0B: "\\v",
                   0x27: "\\'", 0x5C: "\\\\"}


class ScanError(ValueError):
    """The text is not JSON; the message is Go's."""


class Literal(str):
    """The text of a number."""

    __slots__ = ()


cdef class Members:
    """An object with all members in order."""
    cdef public list pairs


cdef enum State:
    VALUE
    FIRST_VALUE
    KEY
    FIRST_KEY
    AFTER


cdef class Scanner:
    cdef bytes data
    cdef const unsigned char *text
    cdef Py_ssize_t size
    cdef Py_ssize_t at

    cdef object fail(self, str context):
        if self.at >= self.size:
            return ScanError("unexpected end of JSON input")
        code = self.text[self.at]
        char = CHARS.get(code)
        if char is None:
            char = chr(code)
            if not char.isprintable():
                char = f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
        return ScanError(f"invalid character '{char}' {context}")
# the innermost open container: Members, list or None
    cdef unsigned char skip_space(self):
        """The next byte that is not white space, 0 at the end (and for a NUL, which no state accepts)."""
        cdef unsigned char c
        while self.at < self.size:
            c = self.text[self.at]
            if c != b" " and c != b"\n" and c != b"\t" and c != b"\r":
                return c
            self.at += 1
        return 0

    cdef object document(self):
        cdef list stack = []  # of (container, key)
        cdef object top = None  # the container being filled: Members, list or None
        cdef object key = None
        cdef object value = None
        cdef State state = VALUE
        cdef unsigned char c
        while True:
            c = self.skip_space()
            step()
            if state == AFTER:
                if top is None:
                    if self.at < self.size:
                        raise self.fail("after top-level value")
                    return value
                if type(top) is list:
                    (<list>top).append(value)
                    if c == b",":
                        state = VALUE
                    elif c != b"]":
                        raise self.fail("after array element")
                else:
                    (<Members>top).pairs.append((key, value))
                    if c == b",":
                        state = KEY
                    elif c != b"}":
                        raise self.fail("after object key:value pair")
                self.at += 1
                if state == AFTER:
                    value = top
                    top, key = stack.pop()
            elif state == KEY or state == FIRST_KEY:
                if c == b"}" and state == FIRST_KEY:
                    self.at += 1
                    value = top
                    top, key = stack.pop()
                    state = AFTER
                    continue
                if c != b'"':
                    raise self.fail("looking for beginning of object key string")
                key = self.string()
                if self.skip_space() != b":":
                    raise self.fail("after object key")
                self.at += 1
                state = VALUE
            elif c == b"{" or c == b"[":
                stack.append((top, key))
                if len(stack) > MAX_NESTING:
                    raise self.fail("exceeded max depth")
                self.at += 1
                if c == b"{":
                    top = Members()
                    (<Members>top).pairs = []
                    state = FIRST_KEY
                else:
                    top = []
                    state = FIRST_VALUE
            elif c == b"]" and state == FIRST_VALUE:
                self.at += 1
                value = top
                top, key = stack.pop()
                state = AFTER
            else:
                value = self.scalar(c)
                state = AFTER

    cdef object scalar(self, unsigned char c):
        if c == b'"':
            return self.string()
        if c == b"-" or b"0" <= c <= b"9":
            return self.number()
        if c == b"t":
            self.word(b"true")
            return True
        if c == b"f":
            self.word(b"false")
            return False
        if c == b"n":
            self.word(b"null")
            return None
        raise self.fail("looking for beginning of value")

    cdef int word(self, bytes expected) except -1:
        cdef Py_ssize_t i
        for i in range(len(expected)):
            if self.at >= self.size or self.text[self.at] != <unsigned char>expected[i]:
                raise self.fail(f"in literal {expected.decode()} (expecting '{chr(expected[i])}')")
            self.at += 1
        return 0

    cdef int digits(self, str context) except -1:
        if self.at >= self.size or not b"0" <= self.text[self.at] <= b"9":
            raise self.fail(context)
        while self.at < self.size and b"0" <= self.text[self.at] <= b"9":
            self.at += 1
        return 0

    cdef object number(self):
        cdef Py_ssize_t start = self.at
        if self.text[self.at] == b"-":
            self.at += 1
        if self.at < self.size and self.text[self.at] == b"0":
            self.at += 1
        else:
            self.digits("in numeric literal")
        if self.at < self.size and self.text[self.at] == b".":
            self.at += 1
            self.digits("after decimal point in numeric literal")
        if self.at < self.size and (self.text[self.at] == b"e" or self.text[self.at] == b"E"):
            self.at += 1
            if self.at < self.size and (self.text[self.at] == b"+" or self.text[self.at] == b"-"):
                self.at += 1
            self.digits("in exponent of numeric literal")
        return Literal(self.data[start:self.at].decode())

    cdef str string(self):
        cdef list parts = []
        cdef Py_ssize_t start
        cdef unsigned char c
        self.at += 1
        start = self.at
        while True:
            if self.at >= self.size:
                raise self.fail("")
            c = self.text[self.at]
            if c == b'"':
                parts.append(self.piece(start))
                self.at += 1
                return <str>parts[0] if len(parts) == 1 else "".join(parts)
            if c < 0x20:
                raise self.fail("in string literal")
            if c == b"\\":
                parts.append(self.piece(start))
                parts.append(self.escape())
                start = self.at
            else:
                self.at += 1

    cdef str piece(self, Py_ssize_t start):
        try:
            return PyUnicode_DecodeUTF8(<const char *>self.text + start, self.at - start, NULL)
        except UnicodeDecodeError as error:
            raise ScanError(f"invalid UTF-8 in string literal at byte {start + error.start}") from None

    cdef str escape(self):
        cdef int high
        cdef int low
        cdef Py_ssize_t before
        self.at += 1
        if self.at >= self.size:
            raise self.fail("")
        if self.text[self.at] != b"u":
            found = ESCAPES.get(self.text[self.at])
            if found is None:
                raise self.fail("in string escape code")
            self.at += 1
            return found
        self.at += 1
        high = self.hex4()
        if not 0xD800 <= high < 0xE000:
            return chr(high)
        if high < 0xDC00 and self.at + 1 < self.size and self.text[self.at:self.at + 2] == b"\\u":
            before = self.at
            self.at += 2
            low = self.hex4()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
            self.at = before
        return "\ufffd"

    cdef int hex4(self) except -1:
        cdef int value = 0
        cdef int i
        cdef unsigned char c
        for i in range(4):
            c = self.text[self.at] if self.at < self.size else 0
            if b"0" <= c <= b"9":
                value = value * 16 + c - 48
            elif b"a" <= (c | 0x20) <= b"f":
                value = value * 16 + (c | 0x20) - 87
            else:
                raise self.fail("in \\u hexadecimal character escape")
            self.at += 1
        return value


def scan(bytes data not None):
    """Parse JSON to Members, list, str, Literal, bool or None; raises ScanError."""
    cdef Scanner scanner = Scanner()
    scanner.data = data
    scanner.text = data
    scanner.size = len(data)
    scanner.at = 0
    return scanner.document()


def shape(bytes data not None):
    """The numbers of members, of objects and arrays, and of commas in valid JSON,
    not counting its strings."""
    cdef const unsigned char *text = data
    cdef const unsigned char *end = text + len(data)
    cdef Py_ssize_t members = 0, containers = 0, commas = 0
    with nogil:
        while text < end:
            if text[0] == b":":
                members += 1
            elif text[0] == b",":
                commas += 1
            elif text[0] == b"{" or text[0] == b"[":
                containers += 1
            elif text[0] == b'"':
                text += 1
                while text < end and text[0] != b'"':
                    text += 2 if text[0] == b"\\" else 1
            text += 1
    return members, containers, commas


def count_colons(bytes data not None):
    """The number of colons outside strings in valid JSON, which is the number of its objects' members."""
    cdef const unsigned char *text = data
    cdef const unsigned char *end = text + len(data)
    cdef Py_ssize_t found = 0
    with nogil:
        while text < end:
            if text[0] == b":":
                found += 1
            elif text[0] == b'"':
                text += 1
                while text < end and text[0] != b'"':
                    text += 2 if text[0] == b"\\" else 1
            text += 1
    return found
