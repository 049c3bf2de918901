"""Times of a schedule in a time zone, by the dialect that `api.validate.cron` checks (robfig/cron).

A time that a clock skips when it is put forward is left out, one that it shows twice counts twice.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pilothouse.api.validate.cron import schedule_fault, zone_fault
from pilothouse.api.values.duration import go_duration

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: at + 1 for at, name in enumerate(_MONTHS)}),
    (0, 6, {name: at for at, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
YEARS = 5
"""Years after which a schedule without a time is given up."""
SECOND = 10**9


class Missed(NamedTuple):
    """The last time that has passed, the next one, and how many have passed; None where there is none."""

    last: float | None
    next: float | None
    number: int


class CronSchedule:
    """A schedule; ValueError with the parser's words for one that is none."""

    def __init__(self, text: str, zone: str | None = None) -> None:
        fault = schedule_fault(text)
        if fault:
            raise ValueError(fault)
        if text.startswith(("TZ=", "CRON_TZ=")):
            named, _, text = text.partition(" ")
            zone, text = named.partition("=")[2], text.strip()
        if zone and zone_fault(zone):
            raise ValueError(zone_fault(zone))
        self.zone = ZoneInfo(zone or "UTC")
        self._every = 0.0
        if text.startswith("@every "):
            nanoseconds = go_duration(text.removeprefix("@every "))
            self._every = float(max(nanoseconds // SECOND, 1))
            return
        fields = _DESCRIPTORS.get(text, text).split()
        sets = [_values(part, *bounds) for part, bounds in zip(fields, _FIELDS, strict=True)]
        self._minutes, self._hours, self._days, self._months, self._weekdays = sets
        self._either = not any(_is_open(fields[at]) for at in (2, 4))

    def next(self, after: float) -> float | None:
        """The first time after a Unix time; None when there is none within five years."""
        if self._every:
            return float(int(after)) + self._every
        began = datetime.fromtimestamp(after, self.zone)
        day, last = began.date(), began.year + YEARS
        while day.year <= last:
            if day.month not in self._months:
                day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
                continue
            if self._includes(day):
                for moment in self._moments(day):
                    if moment > after:
                        return moment
            day += timedelta(days=1)
        return None

    def missed(self, earliest: float, now: float) -> Missed:
        """The times between a Unix time and now (mostRecentScheduleTime)."""
        first = self.next(earliest)
        if first is None or first > now:
            return Missed(None, first, 0)
        second = self.next(first)
        if second is None or second > now:
            return Missed(first, second, 1)
        pace = max(round(second - first), 1)
        count = int((now - first) // pace) + 1
        return Missed(*self._last(first, now, pace), count)

    def _last(self, first: float, now: float, pace: int) -> tuple[float, float | None]:
        """The last time until now, and the next one.

        It looks from ever earlier times, as the times between may be far apart.
        """
        back = float(pace)
        while (following := self.next(max(now - back, first - 1))) is None or following > now:
            back *= 2
        last = following
        while following is not None and following <= now:
            last, following = following, self.next(following)
        return last, following

    def _includes(self, day: date) -> bool:
        of_month, of_week = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        return of_month or of_week if self._either else of_month and of_week

    def _moments(self, day: date) -> Iterator[float]:
        """The times of a day, in their order."""
        texts = ((hour, minute) for hour in sorted(self._hours) for minute in sorted(self._minutes))
        begin = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        steady = begin.utcoffset() == (begin + timedelta(days=1)).utcoffset()
        made = (
            begin.replace(hour=hour, minute=minute, fold=fold) for hour, minute in texts for fold in (0, 1)
        )
        if steady:
            yield from (one.timestamp() for one in made if not one.fold)
            return
        yield from sorted({one.timestamp() for one in made if _exists(one)})


def _exists(moment: datetime) -> bool:
    """Whether a clock shows this time."""
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return back.replace(tzinfo=None) == moment.replace(tzinfo=None)


def _is_open(field: str) -> bool:
    """Whether a field restricts nothing: then the other field of the days alone decides."""
    return any(part in ("*", "?", "*/1", "?/1") for part in field.split(","))


def _values(field: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    """The numbers of a field, which has been checked."""
    out: set[int] = set()
    for part in filter(None, field.split(",")):
        span, _, step = part.partition("/")
        first, hyphen, last = span.partition("-")
        if first in ("*", "?"):
            start, end = low, high
        else:
            start = _number(first, names)
            end = _number(last, names) if hyphen else high if step else start
        out.update(range(start, end + 1, int(step or 1)))
    return frozenset(out)


def _number(text: str, names: dict[str, int]) -> int:
    return names[text.lower()] if text.lower() in names else int(text)
