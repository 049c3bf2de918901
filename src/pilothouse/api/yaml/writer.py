"""Writes JSON data as YAML like go-yaml:
same order of keys, quotes around text that would be read as another type.

Events are sent to libyaml's emitter one by one, without a node tree and without recursion.
"""

import functools
import io
import re
from typing import Any

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from pilothouse.api.yaml.scalars import FALSE, FLOAT, INT, LONGEST_NUMBER, NULL, TRUE

_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:\Z|[Tt ])")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_NUMBERS = (INT, FLOAT, _DATE, _BASE_60)
_SPECIALS = frozenset(
    ("<<", "=", ".inf", ".Inf", ".INF", "+.inf", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN")
)
_WORDS = NULL | TRUE | FALSE | _SPECIALS

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_RESOLVERS = yaml.SafeDumper.yaml_implicit_resolvers
_MAP, _MAP_END = MappingStartEvent(None, None, True, flow_style=False), MappingEndEvent()
_LIST, _LIST_END = SequenceStartEvent(None, None, True, flow_style=False), SequenceEndEvent()


def dump(value: Any) -> bytes:
    """Write JSON data as YAML with go-yaml's order of keys."""
    out = io.BytesIO()
    dumper = _Dumper(out, allow_unicode=True, encoding="utf-8")
    emit = dumper.emit
    try:
        emit(StreamStartEvent(encoding="utf-8"))
        emit(DocumentStartEvent(explicit=False))
        pending = [value]  # a stack: the last value is written next
        while pending:
            item = pending.pop()
            if isinstance(item, dict):
                emit(_MAP)
                pending.append(_MAP_END)
                for key in sorted(item, key=_natural, reverse=True):
                    pending += (item[key], key)
            elif isinstance(item, list):
                emit(_LIST)
                pending.append(_LIST_END)
                pending.extend(reversed(item))
            else:
                emit(item if isinstance(item, Event) else _scalar(item))
        emit(DocumentEndEvent(explicit=False))
        emit(StreamEndEvent())
    finally:
        dumper.dispose()
    return out.getvalue()


def _scalar(value: Any) -> ScalarEvent:
    if isinstance(value, str):
        style = "|" if "\n" in value else '"' if _looks_like_no_text(value) else None
        return ScalarEvent(None, None, (_is_plain_text(value), True), value, style=style)
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int):
        text = str(value)
    else:
        text = repr(value).lower()
        if "." not in text and "e" in text:
            text = text.replace("e", ".0e", 1)
    return ScalarEvent(None, None, (True, False), text)


def _is_plain_text(text: str) -> bool:
    """Whether PyYAML would read the plain text as text too."""
    if len(text) > LONGEST_NUMBER:
        return True
    return not any(pattern.match(text) for _, pattern in _RESOLVERS.get(text[:1], ()))


def _looks_like_no_text(text: str) -> bool:
    if text in _WORDS:
        return True
    if (not text[:1].isdigit() and text[:1] not in "+-.") or len(text) > LONGEST_NUMBER:
        return False
    plain = text.replace("_", "")
    return any(pattern.match(text if pattern in (_DATE, _BASE_60) else plain) for pattern in _NUMBERS)


def _compare(a: str, b: str) -> int:
    """Compare keys: letters after other characters, runs of digits by their value (go-yaml's keyList)."""
    at = _common(a, b)
    if at == min(len(a), len(b)):
        return len(a) - len(b)
    x, y = a[at], b[at]
    if x.isalpha() or y.isalpha():
        return (-1 if x < y else 1) if x.isalpha() and y.isalpha() else (1 if x.isalpha() else -1)
    runs = [_digits(text, at) for text in (a, b)]
    lead = "1" if "0" in (x, y) and _counts_before(a, at) else ""
    numbers = [(lead + run).lstrip("0") for run in runs]
    first, second = ((len(number), number, len(run)) for number, run in zip(numbers, runs, strict=True))
    if first != second:
        return -1 if first < second else 1
    return -1 if x < y else 1


def _common(a: str, b: str) -> int:
    """Length of the common prefix of two texts."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _digits(text: str, at: int) -> str:
    """The run of digits that starts at a position."""
    end = at
    while end < len(text) and "0" <= text[end] <= "9":
        end += 1
    return text[at:end]


def _counts_before(text: str, at: int) -> bool:
    """Whether the digits before a position include others than zeros."""
    while at and "0" <= text[at - 1] <= "9":
        at -= 1
        if text[at] != "0":
            return True
    return False


_natural = functools.cmp_to_key(_compare)
