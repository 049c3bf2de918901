"""Compiles schema patterns to RE2 programs, with the limits of Go's regexp/syntax and two further ones.

A program is compiled when it is first used, and dropped when others are used more recently.
"""

import functools
from typing import Any

SMALL_BYTES, LARGE_BYTES = 256 << 10, 4 << 20
"""Memory that a program and its states may use:
most patterns are small; `.{1,1000}`, for example, is large."""
SMALL_KEPT, LARGE_KEPT = 64, 2
"""Programs that are kept, so that all together use at most 24 MB."""
MOST_STEPS = 1 << 29
"""Limit for bytes of the text times instructions of the program, the number of steps that RE2 may need."""


class TooLong(ValueError):
    """A text is too long to be matched with a pattern of this size."""


def compile_pattern(text: str) -> Any:
    """Compile a pattern; raises ValueError with Go's message."""
    import re2

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
    """Whether a pattern occurs in a text; raises TooLong if that could take too many steps."""
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
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = most_bytes
    return re2._Regexp(text, options)  # re2.compile would keep 128 programs of any size


def _go_message(message: str) -> str:
    """Translate RE2's error message to that of Go's regexp/syntax."""
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
