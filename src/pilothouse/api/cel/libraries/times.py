"""Timestamps and durations: how they are read, written,
and taken apart (cel-go common/types/timestamp.go, duration.go)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from pilothouse.api.cel._cel import TIME_MAX, TIME_MIN, Duration, EvaluationError, Timestamp, register_readers
from pilothouse.api.cel.functions import Functions, Overload, member
from pilothouse.api.cel.host import LOCAL, fault, go_duration, plain
from pilothouse.api.cel.types import DURATION, INT, STRING, TIMESTAMP

_SECOND = 10**9
_EPOCH = datetime(1970, 1, 1)
_LOCAL = r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
_ZONE = r"(Z|([+-])(\d\d):(\d\d))"
_RFC3339 = re.compile(_LOCAL + _ZONE, re.ASCII)
_DATE_TIME = re.compile(f"{_LOCAL}{_ZONE}?", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_OFFSET = re.compile(r"([+-]?\d{1,9}):([+-]?\d{1,9})", re.ASCII)
_SPAN = re.compile(r"([0-9]+)\s*([A-Za-zµ]+)")
_LONG_UNITS = {
    1: ("ns", "nano", "nanos", "nanosecond", "nanoseconds"),
    10**3: ("us", "µs", "micro", "micros", "microsecond", "microseconds"),
    10**6: ("ms", "milli", "millis", "millisecond", "milliseconds"),
    _SECOND: ("s", "sec", "secs", "second", "seconds"),
    60 * _SECOND: ("m", "min", "mins", "minute", "minutes"),
    3600 * _SECOND: ("h", "hr", "hour", "hours"),
    86400 * _SECOND: ("d", "day", "days"),
    7 * 86400 * _SECOND: ("w", "week", "weeks", "wk"),
}
_UNITS = {name: size for size, names in _LONG_UNITS.items() for name in names}
_LONGEST = 100


def _from_match(match: re.Match[str]) -> Timestamp | None:
    """The time of a match of the patterns above, None when there is no such day or hour."""
    year, month, day, hour, minute, second, fraction, zone, sign, zone_hour, zone_minute = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
    except ValueError:
        return None
    offset = 0
    if zone and sign:
        if int(zone_hour) > 24 or int(zone_minute) > 60:
            return None
        offset = (int(zone_hour) * 60 + int(zone_minute)) * 60 * (-1 if sign == "-" else 1)
    seconds = round((moment - _EPOCH).total_seconds()) - offset
    return Timestamp(seconds * _SECOND + int((fraction or "0")[:9].ljust(9, "0")), offset)


def read_timestamp(text: str) -> Timestamp | None:
    """An RFC 3339 time, None for what is none; EvaluationError for one outside the years 1 to 9999."""
    match = _RFC3339.fullmatch(text) if len(text) <= _LONGEST else None
    found = _from_match(match) if match is not None else None
    if found is not None and not TIME_MIN <= found.ns <= TIME_MAX:
        raise EvaluationError("timestamp overflow")
    return found


def _date_time(text: str) -> Timestamp:
    """The value of a field of format date-time,
    of which validation allows more forms than can be read here."""
    match = _DATE_TIME.fullmatch(text) if len(text) <= _LONGEST else None
    found = _from_match(match) if match is not None else None
    if found is None:
        raise EvaluationError(f"Invalid date-time formatted string {text}: {fault(text, LOCAL)}")
    return found


def _date(text: str) -> Timestamp:
    """The value of a field of format date."""
    match = _DATE.fullmatch(text)
    try:
        if match is not None:
            day = datetime(int(match[1]), int(match[2]), int(match[3]))
            return Timestamp(round((day - _EPOCH).total_seconds()) * _SECOND)
    except ValueError:
        pass
    raise EvaluationError(f"Invalid date formatted string {text}")


def read_duration(text: str) -> Duration | None:
    """A duration as Go writes it, None for what is none."""
    try:
        return Duration(go_duration(text))
    except ValueError:
        return None


def _long_duration(text: str) -> Duration:
    """The value of a field of format duration, which may have units that Go does not know."""
    found = read_duration(text)
    if found is not None:
        return found
    total, matched = 0, False
    for number, unit in _SPAN.findall(text[:_LONGEST]):
        size = _UNITS.get(unit)
        if size is not None:
            total, matched = total + int(number) * size, True
    if not matched:
        raise EvaluationError(f"Invalid duration {text}: unable to parse {text} as duration")
    return Duration(total)


def _bytes(text: str) -> bytes:
    """The value of a field of format byte."""
    from base64 import b64decode

    try:
        return b64decode(text, validate=True)
    except ValueError as err:
        raise EvaluationError(f"Invalid byte formatted string {text}: {err}") from None


register_readers(_date_time, _date, _long_duration, _bytes)


def show_timestamp(value: Timestamp) -> str:
    """A time as Go's RFC3339Nano layout has it."""
    seconds, rest = divmod(value.ns, _SECOND)
    moment = _EPOCH + timedelta(seconds=seconds + value.offset)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    if value.offset:
        minutes = abs(value.offset) // 60
        zone = f"{'-' if value.offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    else:
        zone = "Z"
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{fraction}{zone}"


def show_duration(value: Duration) -> str:
    """A duration in seconds."""
    whole, rest = divmod(abs(value.ns), _SECOND)
    seconds = float(whole) + rest / 1e9
    return plain(-seconds if value.ns < 0 else seconds) + "s"


# Parts of a time.


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset is None:
        try:
            if ":" not in name:
                return UTC if name in ("", "UTC") else ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
        raise EvaluationError(f"unknown time zone {name}")
    hours, minutes = int(offset[1]), int(offset[2])
    total = hours * 60 - minutes if name[0] == "-" else hours * 60 + minutes
    try:
        return timezone(timedelta(minutes=total))
    except (ValueError, OverflowError):
        raise EvaluationError(f"unknown time zone {name}") from None


def _moment(value: Timestamp, zone: str) -> datetime:
    seconds, rest = divmod(value.ns, _SECOND)
    moment = _EPOCH + timedelta(seconds=seconds, microseconds=rest // 1000)
    try:
        return moment.replace(tzinfo=UTC).astimezone(_zone(zone))
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


_PARTS: dict[str, tuple[str, Callable[[datetime], int]]] = {
    "getFullYear": ("year", lambda at: at.year),
    "getMonth": ("month", lambda at: at.month - 1),
    "getDayOfYear": ("day_of_year", lambda at: at.timetuple().tm_yday - 1),
    "getDayOfMonth": ("day_of_month", lambda at: at.day - 1),
    "getDate": ("day_of_month_1_based", lambda at: at.day),
    "getDayOfWeek": ("day_of_week", lambda at: at.isoweekday() % 7),
    "getHours": ("hours", lambda at: at.hour),
    "getMinutes": ("minutes", lambda at: at.minute),
    "getSeconds": ("seconds", lambda at: at.second),
    "getMilliseconds": ("milliseconds", lambda at: at.microsecond // 1000),
}
_SPANS = {
    "getHours": ("duration_to_hours", 3600 * _SECOND),
    "getMinutes": ("duration_to_minutes", 60 * _SECOND),
    "getSeconds": ("duration_to_seconds", _SECOND),
    "getMilliseconds": ("duration_to_milliseconds", 10**6),
}


def _part(name: str) -> tuple[Overload, ...]:
    id, part = _PARTS[name]

    def of(value: Timestamp, zone: str = "UTC") -> int:
        return part(_moment(value, zone))

    out = [
        member(f"timestamp_to_{id}", (TIMESTAMP,), INT, of),
        member(f"timestamp_to_{id}_with_tz", (TIMESTAMP, STRING), INT, of),
    ]
    if (span := _SPANS.get(name)) is not None:
        span_id, size = span

        def within(value: Duration) -> int:
            return abs(value.ns) // size * (-1 if value.ns < 0 else 1)

        out.append(member(span_id, (DURATION,), INT, within))
    return tuple(out)


FUNCTIONS: Functions = {name: _part(name) for name in _PARTS}
