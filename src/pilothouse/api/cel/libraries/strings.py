"""Functions on text (cel-go ext/strings.go, version 2, and ext/formatting.go)."""

from collections.abc import Callable
from typing import Any

from pilothouse.api.cel import estimates, sizes
from pilothouse.api.cel._cel import EvaluationError, items_of, show
from pilothouse.api.cel.functions import (
    STRING_FACTOR,
    Functions,
    Overload,
    bounded,
    member,
    units,
    walk,
    walk_twice,
)
from pilothouse.api.cel.libraries.format_string import format_string
from pilothouse.api.cel.types import DYN, INT, STRING, CelType, list_of

_TEXTS = list_of(STRING)
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(65, 91)})
_UPPER = str.maketrans({chr(code): chr(code - 32) for code in range(97, 123)})
_QUOTED = str.maketrans(
    {
        "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
        "\\": "\\\\", '"': '\\"',
    }
)  # fmt: skip
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""The characters that Go takes for white space (unicode.IsSpace)."""


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, offset: int = 0) -> int:
    if not part:
        return offset
    if offset < 0:
        raise EvaluationError(f"index out of range: {offset}")
    return text.find(part, offset)


def _last_index_of(text: str, part: str, offset: int | None = None) -> int:
    if not part:
        return len(text) if offset is None else offset
    if offset is None:
        return text.rfind(part)
    if offset < 0:
        raise EvaluationError(f"index out of range: {offset}")
    return -1 if offset >= len(text) else text.rfind(part, 0, offset + len(part))


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    count = len(text) + 1 if not old else text.count(old)
    times = count if most < 0 else min(count, most)
    bounded(len(text) + times * (len(new) - len(old)))
    return text.replace(old, new, most)


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    if most < 0 or most >= len(text):
        return list(text)
    return [*text[: most - 1], text[most - 1 :]]


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is not None and start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start,) if end is None else (start, end):
        if not 0 <= index <= len(text):
            raise EvaluationError(f"index out of range: {index}")
    return text[start:end]


def _join(texts: Any, separator: str = "") -> str:
    items = items_of(texts)
    for one in items:
        if not isinstance(one, str):
            raise EvaluationError(f"join: invalid input: {show(one)}")
    return separator.join(items)


def _join_cost(texts: Any, separator: str = "") -> int:
    items = items_of(texts)
    size = sum(len(one) for one in items if isinstance(one, str)) + len(separator) * max(len(items) - 1, 0)
    return units(size, 2 * STRING_FACTOR)


def _index_cost(text: str, *_: Any) -> int:
    """A walk in which each byte counts, rounded down."""
    return int(len(text.encode("utf-8", "surrogatepass")) * STRING_FACTOR)


def _quote(text: str) -> str:
    return '"' + text.translate(_QUOTED) + '"'


# Estimates.


def index_estimate(sizer: sizes.Sizer, where: sizes.Sized, *_: sizes.Sized) -> sizes.Estimate:
    """The search of a list for an item, or of a text for a part."""
    item = sizer.item_of(where)
    if item is None:
        return estimates.walked(sizer, where)
    each = sizes.fixed(1)
    if item.type.kind in ("string", "bytes"):
        each = each + sizer.size_of(item).times(STRING_FACTOR)
    return sizes.Estimate(sizer.size_of(where) * each)


def _replace_estimate(
    sizer: sizes.Sizer, text: sizes.Sized, part: sizes.Sized, other: sizes.Sized, *_: sizes.Sized
) -> sizes.Estimate:
    size, old, new = sizer.size_of(text), sizer.size_of(part), sizer.size_of(other)
    most, kept_most, least, kept_least = 0, 0, 0, 0
    if old.least == 0:
        most, kept_most = min(size.most + 1, sizes.MOST), size.most
    elif new.most <= old.least:
        kept_most = size.most
    else:
        most = _quotient(size.most, old.least)
    if old.most == 0:
        least, kept_least = min(size.least + 1, sizes.MOST), size.least
    elif old.most <= new.least:
        kept_least = size.least
    else:
        least = _quotient(size.least, old.most)
    result = sizes.Range(least, most) * new + sizes.Range(kept_least, kept_most)
    return sizes.Estimate(size.times(2 * STRING_FACTOR), result)


def _quotient(size: int, divisor: int) -> int:
    return min(-(-size // divisor), sizes.MOST)


def _split_estimate(sizer: sizes.Sizer, text: sizes.Sized, *more: sizes.Sized) -> sizes.Estimate:
    size = sizer.size_of(text)
    count = more[1].literal if len(more) > 1 else None
    most = count & sizes.MOST if type(count) is int else size.most
    return sizes.Estimate(size.times(2 * STRING_FACTOR), sizes.Range(0, most))


def _join_estimate(sizer: sizes.Sizer, texts: sizes.Sized, *separator: sizes.Sized) -> sizes.Estimate:
    count, size = sizer.size_of(texts), sizes.fixed(0)
    if (item := sizer.item_of(texts)) is not None:
        size = count * sizer.size_of(item)
    for one in separator:
        gaps = sizes.Range(max(count.least - 1, 0), max(count.most - 1, 0))
        size = size + sizer.size_of(one) * gaps
    return sizes.Estimate(size.times(STRING_FACTOR), size)


def _format_estimate(sizer: sizes.Sizer, text: sizes.Sized, values: sizes.Sized) -> sizes.Estimate:
    return sizes.Estimate(estimates.known(text).times(STRING_FACTOR))


def _quote_estimate(sizer: sizes.Sizer, text: sizes.Sized) -> sizes.Estimate:
    size = estimates.known(text)
    result = sizes.Range(size.least + 2, min(size.most * 2 + 2, sizes.MOST))
    return sizes.Estimate(size.times(STRING_FACTOR), result)


_COPIED: dict[str, Any] = {"cost": walk, "estimate": estimates.copied}
_SEARCHED: dict[str, Any] = {"cost": _index_cost, "estimate": index_estimate}
_REPLACED: dict[str, Any] = {"cost": walk_twice, "estimate": _replace_estimate}
_SPLIT: dict[str, Any] = {"cost": walk_twice, "estimate": _split_estimate}
_JOINED: dict[str, Any] = {"cost": _join_cost, "estimate": _join_estimate}
_QUOTING: dict[str, Any] = {"cost": walk, "estimate": _quote_estimate}
_TEXT, _TWO, _THREE = (STRING,), (STRING, STRING), (STRING, STRING, STRING)


def _copied(id: str, function: Callable[[str], str]) -> tuple[Overload, ...]:
    return (member(id, _TEXT, STRING, function, **_COPIED),)


def _optional(
    id: str, params: tuple[CelType, ...], more: CelType, result: CelType, function: Any, **costs: Any
) -> tuple[Overload, ...]:
    """A function with a last argument that may be left out."""
    return (
        member(id, params, result, function, **costs),
        member(f"{id}_{more}", (*params, more), result, function, **costs),
    )


FUNCTIONS: Functions = {
    "charAt": (member("string_char_at_int", (STRING, INT), STRING, _char_at),),
    "indexOf": _optional("string_index_of_string", _TWO, INT, INT, _index_of, **_SEARCHED),
    "lastIndexOf": _optional("string_last_index_of_string", _TWO, INT, INT, _last_index_of, **_SEARCHED),
    "lowerAscii": _copied("string_lower_ascii", lambda text: text.translate(_LOWER)),
    "upperAscii": _copied("string_upper_ascii", lambda text: text.translate(_UPPER)),
    "trim": _copied("string_trim", lambda text: text.strip(_SPACE)),
    "substring": _optional("string_substring_int", (STRING, INT), INT, STRING, _substring, **_COPIED),
    "replace": _optional("string_replace_string_string", _THREE, INT, STRING, _replace, **_REPLACED),
    "split": _optional("string_split_string", _TWO, INT, _TEXTS, _split, **_SPLIT),
    "join": _optional("list_join", (_TEXTS,), STRING, STRING, _join, **_JOINED),
    "format": (
        member(
            "string_format",
            (STRING, list_of(DYN)),
            STRING,
            format_string,
            cost=walk,
            estimate=_format_estimate,
        ),
    ),
    "strings.quote": (Overload("strings_quote", _TEXT, STRING, _quote, **_QUOTING),),
}
