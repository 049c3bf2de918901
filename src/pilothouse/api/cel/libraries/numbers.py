"""Numbers as Go reads and writes them."""

import math
import re

_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))|"
    r"(?P<hex>[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)"
)
_INT = re.compile(r"[+-]?[0-9]+")
_LONGEST = 1000
_EXPONENT_FROM = 6
"""The power of ten from which on %g writes an exponent when it writes as few digits as it can."""


def read_int(text: str) -> int | None:
    """strconv.ParseInt to the base of ten; None for what is none."""
    if len(text) > _LONGEST or not _INT.fullmatch(text):
        return None
    value = int(text)
    return value if -(1 << 63) <= value < 1 << 63 else None


def read_uint(text: str) -> int | None:
    """strconv.ParseUint to the base of ten; None for what is none."""
    if len(text) > _LONGEST or not text.isascii() or not text.isdigit():
        return None
    value = int(text)
    return value if value < 1 << 64 else None


def read_float(text: str) -> float | None:
    """strconv.ParseFloat; None for what is none or too large."""
    if len(text) > _LONGEST or (match := _FLOAT.fullmatch(text)) is None:
        return None
    value = float.fromhex(text) if match.group("hex") else float(text)
    return None if math.isinf(value) and "i" not in text.lower() else value


def _digits(value: float) -> tuple[str, int]:
    """The shortest digits that give a number back, and the power of ten of the first one."""
    text = repr(abs(value))
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return mantissa.replace(".", "").rstrip("0") or "0", int(exponent)
    whole, _, rest = text.partition(".")
    if whole != "0":
        return (whole + rest).rstrip("0") or "0", len(whole) - 1
    stripped = rest.lstrip("0")
    return stripped.rstrip("0") or "0", -(len(rest) - len(stripped)) - 1 if stripped else 0


def _special(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None


def show_double(value: float) -> str:
    """A double as Go's %g writes it."""
    if (special := _special(value)) is not None:
        return special
    sign = "-" if math.copysign(1, value) < 0 else ""
    digits, exponent = _digits(value)
    if exponent < -4 or exponent >= _EXPONENT_FROM:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + _plain(digits, exponent)


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def show_plain(value: float) -> str:
    """A double without an exponent, in as few digits as tell it."""
    if (special := _special(value)) is not None:
        return special
    digits, exponent = _digits(value)
    return ("-" if math.copysign(1, value) < 0 else "") + _plain(digits, exponent)
