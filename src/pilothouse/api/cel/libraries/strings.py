"""Functions on text (cel-go ext/strings.go, version 2, and ext/formatting.go)."""

from typing import Any

from pilothouse._cel import CostLimitExceeded, EvaluationError, items_of, show, size_of
from pilothouse.api.cel import estimates, sizes
from pilothouse.api.cel.functions import STRING_FACTOR, Functions, Overload, units, walk, walk_twice
from pilothouse.api.cel.libraries.format_string import format_string
from pilothouse.api.cel.limits import MAX_RESULT
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


def bounded(size: int) -> None:
    """Stop the making of a text that is too long."""
    if size > MAX_RESULT:
        raise CostLimitExceeded("operation cancelled: actual cost limit exceeded")


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


def _format_cost(text: Any, *_: Any) -> int:
    return units(size_of(text), STRING_FACTOR)


# Estimates.


def index_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate | None:
    """The search of a list for an item, or of a text for a part."""
    if target is None:
        return None
    item = self.item_of(target)
    if item is None:
        return sizes.Estimate(self.size_of(target).times(STRING_FACTOR))
    each = sizes.fixed(1)
    if item.type.kind in ("string", "bytes"):
        each = each + self.size_of(item).times(STRING_FACTOR)
    return sizes.Estimate(self.size_of(target) * each)


def _replace_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate | None:
    if target is None or len(args) < 2:
        return None
    size, old, new = self.size_of(target), self.size_of(args[0]), self.size_of(args[1])
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


def _split_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate | None:
    if target is None:
        return None
    size = self.size_of(target)
    most = size.most
    if len(args) > 1:
        value = args[1].literal
        if type(value) is int:
            most = value & sizes.MOST
    return sizes.Estimate(size.times(2 * STRING_FACTOR), sizes.Range(0, most))


def _join_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate | None:
    if target is None:
        return None
    count, size = self.size_of(target), sizes.fixed(0)
    if (item := self.item_of(target)) is not None:
        size = count * self.size_of(item)
    if args:
        gaps = sizes.Range(max(count.least - 1, 0), max(count.most - 1, 0))
        size = size + self.size_of(args[0]) * gaps
    return sizes.Estimate(size.times(STRING_FACTOR), size)


def _format_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    size = target.size if target.size is not None else sizes.UNKNOWN
    return sizes.Estimate(size.times(STRING_FACTOR))


def _quote_estimate(self: sizes.Sizer, target: Any, args: list[sizes.Sized]) -> sizes.Estimate:
    size = args[0].size if args[0].size is not None else sizes.UNKNOWN
    result = sizes.Range(size.least + 2, min(size.most * 2 + 2, sizes.MOST))
    return sizes.Estimate(size.times(STRING_FACTOR), result)


def _member(
    id: str, function: Any, *params: CelType, result: CelType, cost: Any = 1, estimate: Any = None
) -> Overload:
    return Overload(id, params, result, function, member=True, cost=cost, estimate=estimate)


def _walked(id: str, function: Any, *params: CelType) -> Overload:
    return _member(id, function, *params, result=STRING, cost=walk, estimate=estimates.walk_target)


FUNCTIONS: Functions = {
    "charAt": (_member("string_char_at_int", _char_at, STRING, INT, result=STRING),),
    "indexOf": tuple(
        _member(id, _index_of, *params, result=INT, cost=_index_cost, estimate=index_estimate)
        for id, params in (
            ("string_index_of_string", (STRING, STRING)),
            ("string_index_of_string_int", (STRING, STRING, INT)),
        )
    ),
    "lastIndexOf": tuple(
        _member(id, _last_index_of, *params, result=INT, cost=_index_cost, estimate=index_estimate)
        for id, params in (
            ("string_last_index_of_string", (STRING, STRING)),
            ("string_last_index_of_string_int", (STRING, STRING, INT)),
        )
    ),
    "lowerAscii": (_walked("string_lower_ascii", lambda text: text.translate(_LOWER), STRING),),
    "upperAscii": (_walked("string_upper_ascii", lambda text: text.translate(_UPPER), STRING),),
    "trim": (_walked("string_trim", lambda text: text.strip(_SPACE), STRING),),
    "substring": (
        _walked("string_substring_int", _substring, STRING, INT),
        _walked("string_substring_int_int", _substring, STRING, INT, INT),
    ),
    "replace": tuple(
        _member(id, _replace, *params, result=STRING, cost=walk_twice, estimate=_replace_estimate)
        for id, params in (
            ("string_replace_string_string", (STRING, STRING, STRING)),
            ("string_replace_string_string_int", (STRING, STRING, STRING, INT)),
        )
    ),
    "split": tuple(
        _member(id, _split, *params, result=_TEXTS, cost=walk_twice, estimate=_split_estimate)
        for id, params in (
            ("string_split_string", (STRING, STRING)),
            ("string_split_string_int", (STRING, STRING, INT)),
        )
    ),
    "join": tuple(
        _member(id, _join, *params, result=STRING, cost=_join_cost, estimate=_join_estimate)
        for id, params in (("list_join", (_TEXTS,)), ("list_join_string", (_TEXTS, STRING)))
    ),
    "format": (
        _member(
            "string_format", format_string, STRING, list_of(DYN), result=STRING, cost=_format_cost,
            estimate=_format_estimate,
        ),
    ),
    "strings.quote": (
        Overload(
            "strings_quote", (STRING,), STRING, lambda text: '"' + text.translate(_QUOTED) + '"', cost=walk,
            estimate=_quote_estimate,
        ),
    ),
}  # fmt: skip
