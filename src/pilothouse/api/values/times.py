"""Parses and formats times and base64 text as Go does, with Go's error messages."""

import binascii
import re

from pilothouse.gotext import BEGINNING, QUOTED
from pilothouse.process.patterns import pattern

SECONDS = "2006-01-02T15:04:05Z07:00"
MICROSECONDS = "2006-01-02T15:04:05.000000Z07:00"
LOCAL = "2006-01-02T15:04:05"

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_UNIX_EPOCH = 719162 * 86400
"""Seconds from the start of the year 1 to that of 1970."""

_CYCLE = 146097 * 86400
"""Seconds of 400 years."""
SECOND = 10**9
"""Nanoseconds."""
_FAR = pattern(r"(-?\d{4,18})(-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{6}))?Z", re.ASCII)
"""A stored time whose year may have a sign, or more than four digits."""
_FRACTION = pattern(r"[.,](\d{1,9})\d*(?:Z|[+-]\d\d:\d\d)$", re.ASCII)

_DIGITS = frozenset("0123456789")


class _Reader:
    """Parses time texts as Go's time.Parse does, for the layouts above."""

    def __init__(self, text: str, layout: str) -> None:
        self.text = text
        self.layout = layout
        self.at = 0

    def parse_error(self, element: str, at: int | None = None) -> ValueError:
        rest = self.text[self.at if at is None else at :]
        return ValueError(
            f"parsing time {_quote(self.text)} as {_quote(self.layout)}: "
            f"cannot parse {_quote(rest)} as {_quote(element)}"
        )

    def out_of_range(self, what: str) -> ValueError:
        return ValueError(f"parsing time {_quote(self.text)}: {what} out of range")

    def digits(self, count: int) -> str:
        """The next `count` digits, or "" if there are fewer."""
        found = self.text[self.at : self.at + count]
        return found if len(found) == count and _DIGITS.issuperset(found) else ""

    def number(self, element: str, width: int = 2, low: int = 0, high: int = 9999, what: str = "") -> int:
        found = self.digits(width)
        if not found and element == "15":  # Go accepts an hour with one digit
            found = self.digits(1)
        if not found:
            raise self.parse_error(element)
        self.at += len(found)
        if not low <= int(found) <= high:
            raise self.out_of_range(what)
        return int(found)

    def literal(self, char: str) -> None:
        if self.text[self.at : self.at + 1] != char:
            raise self.parse_error(char)
        self.at += 1

    def micro(self) -> int:
        """Read exactly six decimals, as the layout for microseconds requires."""
        at = self.at
        if self.text[at : at + 1] not in (".", ","):
            raise self.parse_error(".000000")
        self.at += 1
        found = self.digits(6)
        if not found:
            raise self.parse_error(".000000", at)
        self.at += 6
        return int(found)

    def skip_fraction(self) -> None:
        if self.text[self.at : self.at + 1] in (".", ",") and self.text[self.at + 1 : self.at + 2] in _DIGITS:
            self.at += 2
            while self.text[self.at : self.at + 1] in _DIGITS:
                self.at += 1

    def offset(self) -> int:
        """Seconds east of UTC."""
        rest = self.text[self.at :]
        if rest[:1] == "Z":
            self.at += 1
            return 0
        hours, minutes = rest[1:3], rest[4:6]
        if len(rest) < 6 or rest[3] != ":" or not _DIGITS.issuperset(hours + minutes) or rest[0] not in "+-":
            raise self.parse_error("Z07:00")
        if int(hours) > 24:
            raise self.out_of_range("time zone offset hour")
        if int(minutes) > 60:
            raise self.out_of_range("time zone offset minute")
        self.at += 6
        seconds = int(hours) * 3600 + int(minutes) * 60
        return seconds if rest[0] == "+" else -seconds


def _quote(text: str) -> str:
    """Quote as Go's package time does: bytes that are not printable ASCII are escaped.
    Of a long text, the beginning."""
    out = []
    for char in text if len(text) <= QUOTED else text[:BEGINNING]:
        if char in '"\\':
            out.append("\\" + char)
        elif " " <= char < "\x7f":
            out.append(char)
        else:
            out += [f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass")]
    return f'"{"".join(out)}"'


def _parse(text: str, layout: str) -> tuple[int, int]:
    """Seconds since the start of the year 1, and microseconds."""
    reader = _Reader(text, layout)
    year = reader.number("2006", width=4)
    reader.literal("-")
    month = reader.number("01", low=1, high=12, what="month")
    reader.literal("-")
    day = reader.number("02")
    reader.literal("T")
    hour = reader.number("15", high=23, what="hour")
    reader.literal(":")
    minute = reader.number("04", high=59, what="minute")
    reader.literal(":")
    second = reader.number("05", high=59, what="second")
    micro = 0
    if layout == MICROSECONDS:
        micro = reader.micro()
    else:
        reader.skip_fraction()
    offset = 0 if layout == LOCAL else reader.offset()
    if reader.at < len(text):
        raise ValueError(f"parsing time {_quote(text)}: extra text: {_quote(text[reader.at :])}")
    if not 1 <= day <= _days_in(month, year):
        raise reader.out_of_range("day")
    days = _days_before(year) + sum(_days_in(m, year) for m in range(1, month)) + day - 1
    return days * 86400 + hour * 3600 + minute * 60 + second - offset, micro


def _parse_any(text: str, layout: str) -> tuple[int, int]:
    """Like _parse, for the times, too, that Go writes and does not parse.

    An offset brings the year of a time that Go parses down to -1 or up to 10000. A grace period that wraps
    brings the end of a pod to any second that 64 bits count.
    """
    try:
        return _parse(text, layout)
    except ValueError:
        found = _FAR.fullmatch(text)
        if found is None or bool(found[3]) != (layout == MICROSECONDS):
            raise
        year, rest, fraction = int(found[1]), found[2], found[3]
        # The calendar repeats itself after 400 years, and 2000 stands for its beginning.
        seconds, _ = _parse(f"{2000 + year % 400}{rest}Z", SECONDS)
        seconds += (year - year % 400 - 2000) // 400 * _CYCLE
        return seconds, int(fraction) if fraction else 0


def _kept(text: str, layout: str) -> tuple[int, int]:
    """Like _parse_any, for a time whose seconds fit into 64 bits, as protobuf has them."""
    seconds, micro = _parse_any(text, layout)
    if seconds - _UNIX_EPOCH != int64(seconds - _UNIX_EPOCH):
        raise ValueError(f"parsing time {_quote(text)}: year out of range")
    return seconds, micro


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(month: int, year: int) -> int:
    return 29 if month == 2 and _is_leap(year) else _DAYS[month - 1]


def _days_before(year: int) -> int:
    """Days from the start of the year 1; negative for the year 0."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400


def _format(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    year = days * 400 // 146097 + 1
    while _days_before(year + 1) <= days:
        year += 1
    while _days_before(year) > days:
        year -= 1
    days -= _days_before(year)
    month = 1
    while days >= _days_in(month, year):
        days -= _days_in(month, year)
        month += 1
    sign = "-" if year < 0 else ""
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{sign}{abs(year):04d}-{month:02d}-{days + 1:02d}T{clock}"


_DATE = (
    r"[1-9]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_is_canonical = re.compile(rf"{_DATE}T{_CLOCK}Z", re.ASCII).fullmatch
_is_canonical_micro = re.compile(rf"{_DATE}T{_CLOCK}\.\d{{6}}Z", re.ASCII).fullmatch


def time(text: str) -> str | None:
    """Convert to a meta/v1 Time in UTC with whole seconds, None for the zero time;
    ValueError with Go's message.

    A time that was written can be read, in any year:
    else a stored object that has one could not be changed any more.
    """
    if _is_canonical(text):
        return text
    seconds, _ = _kept(text, SECONDS)
    return _format(seconds) + "Z" if seconds else None


def micro_time(text: str) -> str | None:
    """Convert to a meta/v1 MicroTime in UTC with six decimals, None for the zero time; raises ValueError."""
    if _is_canonical_micro(text):
        return text
    seconds, micro = _kept(text, MICROSECONDS)
    return f"{_format(seconds)}.{micro:06d}Z" if seconds or micro else None


def fault(text: str, layout: str) -> str:
    """Why Go cannot parse a text by a layout; empty if it can."""
    try:
        _kept(text, layout)
    except ValueError as err:
        return str(err)
    return ""


def from_unix(seconds: int) -> str:
    """Format seconds since 1970 as `2026-01-02T03:04:05` in UTC; any year, as Go writes it."""
    return _format(seconds + _UNIX_EPOCH)


def to_unix(text: str) -> tuple[int, int]:
    """Seconds since 1970 and microseconds of a Time or MicroTime as it is stored;
    ValueError for a text that is no time."""
    seconds, micro = _parse_any(text, MICROSECONDS if "." in text else SECONDS)
    return seconds - _UNIX_EPOCH, micro


def to_seconds(text: str) -> float:
    """Seconds since 1970 of a time that a user wrote, with its fraction;
    ValueError when Go cannot parse it (RFC 3339)."""
    seconds, _ = _parse(text, SECONDS)
    fraction = _FRACTION.search(text)
    return seconds - _UNIX_EPOCH + (float(f"0.{fraction[1]}") if fraction else 0.0)


def after(start: int, *seconds: int) -> int:
    """The Unix second that comes after `start` by each of some numbers of seconds, as Go works it out.

    A time.Duration has 64 bits of nanoseconds: `time.Duration(seconds) * time.Second` wraps beyond 292 years.
    """
    return start + sum(int64(number * SECOND) for number in seconds) // SECOND


def int64(number: int) -> int:
    """The value that 64 bits hold of a number in two's complement: Go's int64 overflows so."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def base64(text: str) -> str:
    """Canonical base64 of a base64 text; raises ValueError with Go's message."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        data = binascii.a2b_base64(_without_newlines(text))
    return binascii.b2a_base64(data, newline=False).decode()


def _without_newlines(text: str) -> str:
    """Remove line ends, which Go's decoder skips; other invalid characters are reported at their position."""
    kept: list[str] = []
    at = 0
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    while at < len(raw):
        char = raw[at]
        at += 1
        if char in "\r\n":
            continue
        if char == "=":
            at = _padding(raw, at, len(kept) % 4)
            kept.append("=" * (4 - len(kept) % 4))
            break
        if char not in _ALPHABET:
            raise _corrupt(at - 1)
        kept.append(char)
    else:
        if len(kept) % 4:
            raise _corrupt(at - len(kept) % 4)
    return "".join(kept)


def _padding(raw: str, at: int, have: int) -> int:
    """The position after the padding, whose first `=` is before `at`."""
    if have < 2:
        raise _corrupt(at - 1)
    if have == 2:
        at = _past_newlines(raw, at)
        if at == len(raw):
            raise _corrupt(at)
        if raw[at] != "=":
            raise _corrupt(at - 1)
        at += 1
    at = _past_newlines(raw, at)
    if at < len(raw):
        raise _corrupt(at)
    return at


def _past_newlines(raw: str, at: int) -> int:
    while at < len(raw) and raw[at] in "\r\n":
        at += 1
    return at


def _corrupt(at: int) -> ValueError:
    return ValueError(f"illegal base64 data at input byte {at}")
