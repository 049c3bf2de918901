"""Numbers as Go reads them."""

import math
import re

_FLOAT = (
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|infinity|nan))|"
    r"(?P<hex>[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+)"
)
_INT = r"[+-]?[0-9]+"
_LONGEST = 1000


def read_int(text: str) -> int | None:
    """strconv.ParseInt to the base of ten; None for what is none."""
    if len(text) > _LONGEST or not re.fullmatch(_INT, text):
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
    if len(text) > _LONGEST or (match := re.fullmatch(_FLOAT, text)) is None:
        return None
    value = float.fromhex(text) if match.group("hex") else float(text)
    return None if math.isinf(value) and "i" not in text.lower() else value
