"""Formats the difference of two values, for messages about immutable specs (apimachinery util/diff).

Upstream writes both as indented JSON and compares the lines, as `diff -u` does.
"""

import json
from collections.abc import Iterator
from typing import Any

MAX_LENGTH = 16 * 1024
"""Characters of a difference, after which it is cut, because two objects may have nothing in common."""
MAX_LINE = 2048
"""Characters of one line in a difference."""
MAX_LINES = 4096
"""With more lines, only those between the first and the last difference are compared, and so many of them."""
CONTEXT = 3
"""Equal lines that are shown around each difference."""


def diff(old: Any, new: Any) -> str:
    """Hunks of lines with "-" for removed and "+" for added ones, of values as `shown.go` makes them."""
    out: list[str] = []
    length = 0
    for line in _hunks(_text(old), _text(new)):
        if length > MAX_LENGTH:
            out.append("...\n")
            break
        out.append((line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}...") + "\n")
        length += len(out[-1])
    return "".join(out)


def _text(value: Any) -> list[str]:
    """The lines of a value as Go's json.MarshalIndent writes it."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").split("\n")


def _hunks(old: list[str], new: list[str]) -> Iterator[str]:
    from difflib import SequenceMatcher

    first = 0
    if len(old) + len(new) > MAX_LINES:
        first, old, new = _different(old, new)
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT):
        (_, old_from, _, new_from, _), (_, _, old_to, _, new_to) = group[0], group[-1]
        yield f"@@ -{_range(first + old_from, first + old_to)} +{_range(first + new_from, first + new_to)} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (" " + line for line in old[i1:i2])
                continue
            yield from ("-" + line for line in old[i1:i2])
            yield from ("+" + line for line in new[j1:j2])


def _different(old: list[str], new: list[str]) -> tuple[int, list[str], list[str]]:
    """How many lines were left out at first, and the lines from the first to the last difference."""
    shortest = min(len(old), len(new))
    first = next((i for i in range(shortest) if old[i] != new[i]), shortest)
    last = next((i for i in range(shortest - first) if old[-1 - i] != new[-1 - i]), shortest - first)
    first, last = max(0, first - CONTEXT), max(0, last - CONTEXT)
    cut_old, cut_new = (lines[first : len(lines) - last][: MAX_LINES // 2] for lines in (old, new))
    return first, cut_old, cut_new


def _range(start: int, stop: int) -> str:
    """A range of lines in the form of `diff -u`."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
