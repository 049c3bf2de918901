"""Patterns of schemas as programs of RE2, with the limits of Go's regexp/syntax and two of our own.

A program is made when a text is first checked, and forgotten when others are used more.
"""

import functools
from typing import Any

import re2

SMALL_BYTES, LARGE_BYTES = 256 << 10, 4 << 20
"""Memory that one program and its states may take: nearly all patterns are small, `.{1,1000}` is large."""
SMALL_KEPT, LARGE_KEPT = 64, 2
"""Programs that are kept, so all of them take 24 MB at most."""
MOST_STEPS = 1 << 29
"""Bytes of a text times instructions of a program: RE2 may need so many steps, and we let nobody wait for more."""


class TooLong(ValueError):
    """A text that is too long to be checked by a pattern of that size."""


def compile_pattern(text: str) -> Any:
    """The RE2 program of a pattern; ValueError carries Go's message when it is none."""
    try:
        return _small(text)
    except re2.error as err:
        if not err.args[0].startswith(b"pattern too large"):
            raise ValueError(_go_message(err.args[0].decode(errors="replace"))) from None
    try:
        return _large(text)
    except re2.error as err:
        raise ValueError(_go_message(err.args[0].decode(errors="replace"))) from None


def matches(pattern: str, value: str) -> bool:
    """Whether a pattern is found in a text; TooLong when that would take too many steps."""
    program = compile_pattern(pattern)
    if len(value) * program.programsize > MOST_STEPS:
        raise TooLong(f"too long to be checked by a pattern of {program.programsize} instructions")
    return program.search(value) is not None


@functools.lru_cache(SMALL_KEPT)
def _small(text: str) -> Any:
    return _compile(text, SMALL_BYTES)


@functools.lru_cache(LARGE_KEPT)
def _large(text: str) -> Any:
    return _compile(text, LARGE_BYTES)


def _compile(text: str, most_bytes: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = most_bytes
    return re2._Regexp(text, options)  # re2.compile keeps 128 programs of any size


def _go_message(message: str) -> str:
    """RE2's complaint in the words of Go's regexp/syntax."""
    for theirs, ours in _GO_WORDS:
        if message.startswith(theirs):
            at = message.removeprefix(theirs).removeprefix(": ")
            return f"error parsing regexp: {ours}: `{at}`"
    return f"error parsing regexp: {message}"


_GO_WORDS = (
    ("missing ]", "missing closing ]"),
    ("missing )", "missing closing )"),
    ("unexpected )", "unexpected )"),
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("invalid repetition size", "invalid repeat count"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("trailing \\", "trailing backslash at end of expression"),
    ("invalid character class range", "invalid character class range"),
    ("invalid named capture group", "invalid named capture"),
    ("invalid escape sequence", "invalid escape sequence"),
    ("invalid UTF-8", "invalid UTF-8"),
)
