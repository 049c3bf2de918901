"""Validates numbers or percentages, such as `25%` (apimachinery intstr, pkg/apis/core/validation)."""

from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import report
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors

_MAX_INT = 2**63 - 1
rules = Rules(__name__)


@rules
def validate_int_or_percent(value: Any, path: str, errs: Errors) -> None:
    """Check a non-negative number or a text such as `25%` (ValidatePositiveIntOrPercent)."""
    if isinstance(value, str):
        report(path, value, names.percent(value), errs)
    else:
        d.nonnegative(value or 0, path, errs)


@rules
def validate_at_most_100_percent(value: Any, path: str, errs: Errors) -> None:
    percent = _percent(value)
    if percent is not None and percent > 100:
        errs.invalid(path, value, "must not be greater than 100%")


def int_or_percent(value: Any) -> int:
    """The number, without a percent sign; other texts count as the result of Atoi."""
    percent = _percent(value)
    if percent is not None:
        return percent
    if isinstance(value, str):
        return 0 if names.decimal_integer(value) else _atoi(value)
    return value or 0


def _percent(value: Any) -> int | None:
    if isinstance(value, str) and not names.percent(value):
        return _atoi(value[:-1])
    return None


def _atoi(text: str) -> int:
    """The number in a text of digits; like Go's Atoi, one that is too large becomes the maximum."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    digits = digits.lstrip("0")
    return sign * (min(int(digits or "0"), _MAX_INT) if len(digits) < 20 else _MAX_INT)
