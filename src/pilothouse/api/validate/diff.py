"""Formats the difference of two objects like go-cmp, for messages about immutable specs."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

_encoder = json.JSONEncoder(ensure_ascii=False)

MAX_LENGTH = 16 * 1024
"""Characters of a difference, after which it is cut, because two objects may have nothing in common."""
MAX_VALUE = 2048
"""Characters of one value in a difference."""


def diff(old: Any, new: Any, name: str = "") -> str:
    """Lines with "-" for removed and "+" for added values; equal neighbours are counted, not shown."""
    out: list[str] = []
    length = 0
    for line in _lines(old, new, name, ""):
        if length > MAX_LENGTH:
            out.append("...\n")
            break
        out.append(line + "\n")
        length += len(line)
    return "".join(out)


def _lines(old: Any, new: Any, label: str, indent: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _members(old, new, label, indent)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _items(old, new, label, indent)
    else:
        if old is not None:
            yield f"- {indent}{label}{_text(old)},"
        if new is not None:
            yield f"+ {indent}{label}{_text(new)},"


def _members(old: dict[str, Any], new: dict[str, Any], label: str, indent: str) -> Iterator[str]:
    yield f"  {indent}{label}{{"
    same = 0
    for key in {**old, **new}:
        if old.get(key) == new.get(key):
            same += 1
        else:
            yield from _lines(old.get(key), new.get(key), f"{key[:1].upper()}{key[1:]}: ", indent + "\t")
    if same:
        yield f"  {indent}\t... // {same} identical fields"
    yield f"  {indent}}},"


def _items(old: list[Any], new: list[Any], label: str, indent: str) -> Iterator[str]:
    yield f"  {indent}{label}{{"
    same = 0
    for one, two in zip_longest(old, new):
        if one == two:
            same += 1
        else:
            yield from _lines(one, two, "", indent + "\t")
    if same:
        yield f"  {indent}\t... // {same} identical elements"
    yield f"  {indent}}},"


def _text(value: Any) -> str:
    if value is None:
        return "nil"
    text = ""
    for part in _encoder.iterencode(value):  # stops at the limit
        text += part
        if len(text) > MAX_VALUE:
            return f"{text[:MAX_VALUE]}..."
    return text
