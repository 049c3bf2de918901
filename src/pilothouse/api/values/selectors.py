"""Parses label and field selectors (apimachinery labels, fields, meta/v1 LabelSelector).

Errors are BadRequest with the message of upstream's parser.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pilothouse.api.values import names
from pilothouse.api.values._selectors import Requirement, Selector
from pilothouse.api.values.fields import Errors, key
from pilothouse.api.values.turns import in_order
from pilothouse.errors import BadRequest
from pilothouse.gotext import quote
from pilothouse.process.patterns import pattern

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "Requirement",
    "Selector",
    "field_terms",
    "format_label_selector",
    "from_label_selector",
    "from_labels",
    "join",
    "label_requirements",
    "label_terms",
    "parse",
    "validate_label_selector",
    "validate_labels",
]

EVERYTHING = Selector()
NOTHING = Selector(nothing=True)

MAX_TERMS = 256
"""Terms allowed in a query's selector, because each object of a list is matched against all of them.
Upstream's only limit is the size of a request's head, which allows half a million."""

_TOKEN = pattern(
    r"[ \t\r\n]*(?:(?P<end>\Z|\0)|(?P<symbol>[=!]=|[=!(),<>])|(?P<word>[^=!(),<> \t\r\n\0]+\0?))"
)
_END = ("end", "")
_BINARY = "in, notin, =, ==, !=, gt, lt"
_OPERATORS = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}
_LABEL_SELECTOR_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def parse(label_text: str, field_text: str) -> Selector:
    """The selector for a request's labelSelector and fieldSelector."""
    if not label_text and not field_text:
        return EVERYTHING
    return Selector(label_terms(label_text), field_terms(field_text))


def label_terms(text: str) -> list[Requirement]:
    """The terms of a label selector, sorted by key."""
    return sorted(_Parser(_tokens(text)).terms(), key=lambda term: term.key)


def field_terms(text: str) -> list[tuple[str, str, str]]:
    """The terms of a field selector, each `(field, "=" or "!=", value)`, sorted by their texts."""
    terms = [term for term in sorted(_split_terms(text)) if term]
    _limit(len(terms))
    return [_field_term(text, term) for term in terms]


def _limit(terms: int) -> None:
    if terms > MAX_TERMS:
        raise BadRequest(f"invalid selector: it has more than {MAX_TERMS} terms")


def _split_terms(text: str) -> list[str]:
    """Split at commas that are not escaped by a backslash."""
    terms: list[str] = []
    parts: list[str] = []
    for part in text.split(","):
        parts.append(part)
        if (len(part) - len(part.rstrip("\\"))) % 2 == 0:
            terms.append(",".join(parts))
            parts = []
    return [*terms, ",".join(parts)] if parts else terms


def _field_term(text: str, term: str) -> tuple[str, str, str]:
    found = re.search(r"!=|==|=", term)
    if not found:
        raise BadRequest(f"invalid selector: '{text}'; can't understand '{term}'")
    op = "!=" if found.group() == "!=" else "="
    return term[: found.start()], op, _unescape(term[found.end() :])


def _unescape(value: str) -> str:
    if "\\" not in value and "," not in value and "=" not in value:
        return value
    out = []
    chars = iter(value)
    for char in chars:
        if char == "\\":
            escaped = next(chars, "")
            if not escaped or escaped not in "\\,=":
                raise BadRequest(f"invalid field selector: invalid escape sequence: \\{escaped}")
            out.append(escaped)
        elif char in ",=":
            raise BadRequest(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            out.append(char)
    return "".join(out)


# A token is (kind, text). Kinds: end, word, error, and each symbol is its own kind. The words `in` and
# `notin` are operators where the grammar allows an operator.


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while found := _TOKEN.match(text, at):
        at = found.end()
        if (word := found["word"]) is not None:
            yield "word", word.removesuffix("\0")
        elif (symbol := found["symbol"]) is not None:
            yield symbol, symbol
        else:
            return


class _Parser:
    """Recursive descent parser over the tokens of a label selector."""

    def __init__(self, tokens: Iterator[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.ahead = next(tokens, _END)

    def peek(self) -> tuple[str, str]:
        return self.ahead

    def take(self) -> tuple[str, str]:
        token = self.ahead
        self.ahead = next(self.tokens, _END)
        return token

    def terms(self) -> list[Requirement]:
        out: list[Requirement] = []
        while True:
            kind, text = self.peek()
            if kind == "end":
                return out
            if kind not in {"word", "!"}:
                raise BadRequest(f"found '{text}', expected: !, identifier, or 'end of string'")
            try:
                out.append(self.requirement())
            except ValueError as err:
                raise BadRequest(f"unable to parse requirement: {err}") from None
            _limit(len(out))
            kind, text = self.take()
            if kind == "end":
                return out
            if kind != ",":
                raise BadRequest(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self.peek()
            if kind not in {"word", "!"}:
                raise BadRequest(f"found '{text}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        kind, name = self.take()
        absent = kind == "!"
        if absent:
            kind, name = self.take()
        if kind != "word":
            raise ValueError(f"found '{name}', expected: identifier")
        if wrong := names.qualified_name(name):
            raise ValueError(f"<nil>: Invalid value: {quote(name)}: {'; '.join(wrong)}")
        if absent:
            return Requirement(name, "!")
        if self.peek()[0] in {"end", ","}:
            return Requirement(name, "exists")
        _, text = self.take()
        op = _OPERATORS.get(text)
        if op is None:
            raise ValueError(f"found '{text}', expected: {_BINARY}")
        values = self.values() if op in {"in", "notin"} else self.value()
        return _requirement(name, op, tuple(in_order(set(values))))

    def value(self) -> list[str]:
        if self.peek()[0] in {"end", ","}:
            return [""]
        kind, text = self.take()
        if kind != "word":
            raise ValueError(f"found '{text}', expected: identifier")
        return [text]

    def values(self) -> list[str]:
        kind, text = self.take()
        if kind != "(":
            raise ValueError(f"found '{text}' expected: '('")
        kind, text = self.peek()
        if kind == ")":
            self.take()
            return [""]
        if kind not in {"word", ","}:
            raise ValueError(f"found '{text}', expected: ',', ')' or identifier")
        out = self.listed()
        self.take()
        return out

    def listed(self) -> list[str]:
        """The values between parentheses, up to the closing one; an empty item counts as ""."""
        out: list[str] = []
        while True:
            kind, text = self.take()
            follows = self.peek()
            if kind == "word":
                out.append(text)
                if follows[0] == ")":
                    return out
                if follows[0] != ",":
                    raise ValueError(f"found '{follows[1]}', expected: ',' or ')'")
            elif kind == ",":
                if not out or follows[0] in {")", ","}:
                    out.append("")
                if follows[0] == ")":
                    return out
            else:
                raise ValueError(f"found '{text}', expected: ',', or identifier")


_MAX_LISTED = 64 * 1024
"""Characters of invalid values that a message lists;
each is preceded by the key, which may be long as well."""


def _requirement(name: str, op: str, values: tuple[str, ...]) -> Requirement:
    """A validated term; raises ValueError with upstream's list of errors."""
    errs = Errors()
    listed = 0
    if wrong := names.qualified_name(name):
        errs.invalid("key", name, "; ".join(wrong))
    if op in {"in", "notin"} and not values:
        errs.invalid("values", [], "for 'in', 'notin' operators, values set can't be empty")
    elif op in {"exists", "!"} and values:
        errs.invalid("values", list(values), "values set must be empty for exists and does not exist")
    elif op in {"gt", "lt"}:
        for i, value in enumerate(values):
            if not _is_int64(value):
                errs.invalid(f"values[{i}]", value, "for 'Gt', 'Lt' operators, the value must be an integer")
    for i, value in enumerate(values):
        if wrong := names.label_value(value):
            errs.invalid(key(f"values[{i}]", name), value, "; ".join(wrong))
            listed += len(name) + len(value)
            if listed > _MAX_LISTED:
                break
    if errs:
        texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in errs.causes))
        raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return Requirement(name, op, values)


def _is_int64(text: str) -> bool:
    digits = text.lstrip("+-").lstrip("0") or "0"
    if not re.fullmatch("[+-]?[0-9]+", text) or len(digits) > 19:
        return False
    return -(2**63) <= (-int(digits) if text[0] == "-" else int(digits)) < 2**63


def label_requirements(selector: dict[str, Any]) -> list[Requirement]:
    """The terms of a meta/v1 LabelSelector, sorted by key."""
    terms = []
    try:
        for name, value in (selector.get("matchLabels") or {}).items():
            terms.append(_requirement(name, "=", (value,)))
        for expression in selector.get("matchExpressions") or ():
            operator = expression.get("operator", "")
            op = _LABEL_SELECTOR_OPERATORS.get(operator)
            if op is None:
                raise ValueError(f"{quote(operator)} is not a valid label selector operator")
            values = tuple(expression.get("values") or ())
            terms.append(_requirement(expression.get("key", ""), op, values))
    except ValueError as err:
        raise BadRequest(str(err)) from None
    return sorted(terms, key=lambda term: term.key)


def from_label_selector(selector: dict[str, Any] | None) -> Selector:
    """Convert a meta/v1 LabelSelector for matching: null matches nothing, an empty one everything."""
    if selector is None:
        return NOTHING
    terms = label_requirements(selector)
    return Selector(terms) if terms else EVERYTHING


def from_labels(labels: dict[str, str] | None) -> Selector:
    """A selector for exactly these labels, without validation; no labels match everything."""
    return Selector([Requirement(name, "=", (value,)) for name, value in sorted((labels or {}).items())])


def format_label_selector(selector: dict[str, Any] | None) -> str:
    """Format a LabelSelector for table columns (meta/v1 FormatLabelSelector)."""
    try:
        return from_label_selector(selector).label_text or "<none>"
    except BadRequest:
        return "<error>"


def validate_label_selector(
    errs: Errors, path: str, selector: dict[str, Any] | None, *, allow_invalid_values: bool = False
) -> None:
    """Validate a meta/v1 LabelSelector;
    `allow_invalid_values` is for updates of objects that contain invalid ones."""
    if selector is None:
        return
    validate_labels(errs, f"{path}.matchLabels", selector.get("matchLabels"))
    for i, expression in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{i}]"
        operator = expression.get("operator", "")
        values = expression.get("values") or []
        if operator in {"In", "NotIn"}:
            if not values:
                errs.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in {"Exists", "DoesNotExist"}:
            if values:
                errs.forbidden(
                    f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            errs.invalid(f"{at}.operator", operator, "not a valid selector operator")
        for wrong in names.qualified_name(expression.get("key", "")):
            errs.invalid(f"{at}.key", expression.get("key", ""), wrong)
        if not allow_invalid_values:
            for n, value in enumerate(values):
                for wrong in names.label_value(value):
                    errs.invalid(f"{at}.values[{n}]", value, wrong)


def validate_labels(errs: Errors, path: str, labels: dict[str, str] | None) -> None:
    """Validate a map of labels; an invalid value is reported with its text, not its key."""
    if not labels or names.plain_labels(labels):  # PERF: nearly all
        return
    for name, value in labels.items():
        for wrong in names.qualified_name(name):
            errs.invalid(path, name, wrong)
        for wrong in names.label_value(value):
            errs.invalid(path, value, wrong)


def join(selectors: Iterable[Selector]) -> Selector:
    """A selector that matches what all given selectors match."""
    listed = list(selectors)
    labels = sorted((term for one in listed for term in one.labels), key=lambda term: term.key)
    fields = [term for one in listed for term in one.fields]
    return Selector(labels, fields, any(one.nothing for one in listed))
