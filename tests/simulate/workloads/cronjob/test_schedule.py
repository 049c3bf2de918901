"""The times of schedules."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pilothouse.simulate.workloads.cronjob.schedule import CronSchedule, Missed


def unix(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("text", "after", "following"),
    [
        ("* * * * *", "2026-01-01T10:00:00", "2026-01-01T10:01:00"),
        ("*/15 * * * *", "2026-01-01T10:46:00", "2026-01-01T11:00:00"),
        ("5/20 * * * *", "2026-01-01T10:26:00", "2026-01-01T10:45:00"),
        ("0 22 * * 1-5", "2026-01-02T22:00:00", "2026-01-05T22:00:00"),
        ("0 0 31 * *", "2026-01-31T00:00:00", "2026-03-31T00:00:00"),
        ("0 0 29 2 ?", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("30 3 1,15 * SUN", "2026-01-01T03:30:00", "2026-01-04T03:30:00"),
        ("0 0 */10 * MON", "2026-01-01T00:00:00", "2026-01-05T00:00:00"),
        ("0 9 * jan-mar sat", "2026-03-28T09:00:00", "2027-01-02T09:00:00"),
        ("@hourly", "2026-12-31T23:30:00", "2027-01-01T00:00:00"),
        ("@weekly", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("@every 90m", "2026-01-01T10:00:00", "2026-01-01T11:30:00"),
        ("TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
    ],
)
def test_the_next_time(text: str, after: str, following: str) -> None:
    assert CronSchedule(text).next(unix(after)) == unix(following)


def test_no_time_at_all() -> None:
    assert CronSchedule("0 0 31 2 *").next(unix("2026-01-01T00:00:00")) is None


def test_a_zone_whose_clocks_are_moved() -> None:
    zone = "Europe/Berlin"
    spring = CronSchedule("30 2 * * *", zone)
    assert spring.next(unix("2026-03-28T12:00:00", zone)) == unix("2026-03-30T02:30:00", zone)
    autumn = CronSchedule("30 2 * * *", zone)
    first = unix("2026-10-25T02:30:00", zone)
    assert autumn.next(unix("2026-10-24T12:00:00", zone)) == first
    assert autumn.next(first) == unix("2026-10-25T02:30:00", zone, fold=1) == first + 3600


@pytest.mark.parametrize(
    ("text", "earliest", "now", "found"),
    [
        ("0 * * * *", "2026-01-01T10:30:00", "2026-01-01T10:45:00", (None, "2026-01-01T11:00:00", 0)),
        (
            "0 * * * *",
            "2026-01-01T10:30:00",
            "2026-01-01T11:00:00",
            ("2026-01-01T11:00:00", "2026-01-01T12:00:00", 1),
        ),
        (
            "0 * * * *",
            "2026-01-01T10:30:00",
            "2026-01-01T15:10:00",
            ("2026-01-01T15:00:00", "2026-01-01T16:00:00", 5),
        ),
        # the times are not as far apart from each other as the first two are
        (
            "* 9 * * *",
            "2026-01-01T08:00:00",
            "2026-01-02T08:00:00",
            ("2026-01-01T09:59:00", "2026-01-02T09:00:00", 1381),
        ),
    ],
)
def test_missed_times(text: str, earliest: str, now: str, found: tuple[str | None, str, int]) -> None:
    last, following, count = found
    expected = Missed(unix(last) if last else None, unix(following), count)
    assert CronSchedule(text).missed(unix(earliest), unix(now)) == expected


@pytest.mark.parametrize(("text", "zone"), [("* * * *", None), ("0 0 * * *", "Nowhere/Else")])
def test_no_schedule(text: str, zone: str | None) -> None:
    with pytest.raises(ValueError, match=r"expected exactly 5 fields|unknown time zone"):
        CronSchedule(text, zone)
