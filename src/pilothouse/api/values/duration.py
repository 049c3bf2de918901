"""Parses and formats Go's time.Duration: `1h30m`, `1.5s`, `100ms`."""

from pilothouse.gotext import BEGINNING, QUOTED
from pilothouse.process.patterns import pattern

_UNITS = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "μs": 1000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = pattern(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_LIMIT = 2**63
LONGEST = 16_384
"""Longest duration that is parsed, in characters; Go has no such limit."""
_DIGITS = 40
"""More digits than any duration has; Python's int() refuses thousands of digits."""


def go_duration(text: str) -> int:
    """Parse a duration to nanoseconds; raises ValueError with the message of time.ParseDuration."""
    negative = text[:1] == "-"
    at = 1 if text[:1] in ("+", "-") else 0
    if text[at:] == "0":
        return 0
    if at == len(text) or len(text) > LONGEST:
        raise ValueError(f"time: invalid duration {_quote(text[:LONGEST])}")
    total = 0
    while at < len(text):
        match = _PART.match(text, at)
        whole, fraction, unit = match.groups() if match else ("", None, "")
        if match is None or not (whole or fraction):
            raise ValueError(f"time: invalid duration {_quote(text)}")
        if not unit:
            raise ValueError(f"time: missing unit in duration {_quote(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {_quote(unit)} in duration {_quote(text)}")
        size = _UNITS[unit]
        total += int(whole.lstrip("0")[:_DIGITS] or "0") * size
        if fraction:
            fraction = fraction[:_DIGITS]
            total += int(fraction) * size // 10 ** len(fraction)
        if total >= _LIMIT + negative:
            raise ValueError(f"time: invalid duration {_quote(text)}")
        at = match.end()
    return -total if negative else total


def _quote(text: str) -> str:
    """Quote as Go's package time does: bytes outside ASCII are escaped."""
    shown = text if len(text) <= QUOTED else text[:BEGINNING]
    out = "".join(
        f"\\x{byte:02x}" if byte >= 0x80 or byte < 0x20 else "\\" + chr(byte) if byte in b'"\\' else chr(byte)
        for byte in shown.encode("utf-8", "surrogateescape")
    )
    return f'"{out}"'


def show_duration(nanoseconds: int) -> str:
    """Format nanoseconds as time.Duration.String does."""
    if nanoseconds == 0:
        return "0s"
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if left >= size:
                return sign + _decimal(left, size) + unit
    hours, left = divmod(left, _UNITS["h"])
    minutes, left = divmod(left, _UNITS["m"])
    seconds = _decimal(left, 10**9) + "s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(size)) - 1).rstrip('0')}"
