"""Parses the cron dialect of CronJobs: five fields, names, descriptors (robfig/cron's standard parser)."""

from zoneinfo import ZoneInfo

from pilothouse.api.values.duration import go_duration
from pilothouse.gotext import quote

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: i + 1 for i, name in enumerate(_MONTHS)}),
    (0, 6, {name: i for i, name in enumerate(_DAYS)}),
)
"""Lowest value, highest value and names of minute, hour, day of month, month and day of week."""
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def schedule_fault(spec: str) -> str:
    """The parser's error for a schedule, "" if it is valid."""
    try:
        _parse(spec)
    except ValueError as err:
        return str(err)
    return ""


MAX_ZONE = 255
"""Longest name of a time zone: no zone's name is longer, and each dot in it would cost an import."""


def zone_fault(name: str) -> str:
    """The error of Go's time.LoadLocation for a time zone, "" if it is known."""
    if len(name) > MAX_ZONE:
        return f"unknown time zone {name}"
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return f"unknown time zone {name}"
    return ""


def _parse(spec: str) -> None:
    if not spec:
        raise ValueError("empty spec string")
    if spec.startswith(("TZ=", "CRON_TZ=")):
        zone, _, rest = spec.partition(" ")
        zone = zone.partition("=")[2]
        fault = zone_fault(zone) if zone else ""
        if fault:
            raise ValueError(f"provided bad location {zone}: {fault}")
        spec = rest.strip()
    if spec.startswith("@"):
        _descriptor(spec)
        return
    fields = spec.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    for field, (low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            if part:
                _range(part, low, high, names)


def _descriptor(spec: str) -> None:
    if spec.startswith("@every "):
        try:
            go_duration(spec.removeprefix("@every "))
        except ValueError as err:
            raise ValueError(f"failed to parse duration {spec}: {err}") from None
    elif spec not in _DESCRIPTORS:
        raise ValueError(f"unrecognized descriptor: {spec}")


def _range(text: str, low: int, high: int, names: dict[str, int]) -> None:
    """Parse `*`, `n` or `n-m`, each with an optional `/step`."""
    span, *steps = text.split("/")
    ends = span.split("-")
    if ends[0] in ("*", "?"):
        start, end = low, high
    else:
        start = end = _number(ends[0], names)
        if len(ends) == 2:
            end = _number(ends[1], names)
        elif len(ends) > 2:
            raise ValueError(f"too many hyphens: {text}")
    step = 1
    if len(steps) == 1:
        step = _number(steps[0], {})
        if len(ends) == 1:
            end = high
    elif steps:
        raise ValueError(f"too many slashes: {text}")
    if start < low:
        raise ValueError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise ValueError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")


def _number(text: str, names: dict[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(
            f"failed to parse int from {text}: strconv.Atoi: parsing {quote(text)}: invalid syntax"
        )
    digits = digits.lstrip("0") or "0"
    number = (int(digits) if len(digits) < 20 else 2**64) * (-1 if text.startswith("-") else 1)
    if not -(2**63) <= number < 2**63:
        raise ValueError(
            f"failed to parse int from {text}: strconv.Atoi: parsing {quote(text)}: value out of range"
        )
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
