"""Times and base64 text, against datetime and base64."""

import base64
import ctypes
import datetime
import re

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.values import times

MOMENTS = st.datetimes(
    min_value=datetime.datetime(2, 1, 1),
    max_value=datetime.datetime(9998, 12, 31),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: datetime.timezone(datetime.timedelta(minutes=m))),
)


@settings(max_examples=50 * SCALE)
@given(MOMENTS)
def test_times_are_brought_to_utc(moment: datetime.datetime) -> None:
    text = moment.isoformat(timespec="seconds")
    utc = moment.astimezone(datetime.UTC)
    assert times.time(text) == utc.replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    expected = utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    assert times.micro_time(moment.isoformat(timespec="microseconds")) == expected


def test_the_zero_time_is_nothing() -> None:
    assert times.time("0001-01-01T00:00:00Z") is None
    assert times.micro_time("0001-01-01T00:00:00.000000Z") is None
    assert times.time("0000-02-29T00:00:00Z") == "0000-02-29T00:00:00Z"


def test_fractions_of_a_second_are_cut() -> None:
    assert times.time("2020-01-02T03:04:05.999999999Z") == "2020-01-02T03:04:05Z"
    assert times.time("2020-01-02T3:04:05Z") == "2020-01-02T03:04:05Z"  # Go takes it


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006"'),
        ("2020-01-02", 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'),
        ("2020-1-02T03:04:05Z", 'as "2006-01-02T15:04:05Z07:00": cannot parse "1-02T03:04:05Z" as "01"'),
        ("2020-13-02T03:04:05Z", ": month out of range"),
        ("2021-02-29T03:04:05Z", ": day out of range"),
        ("2020-01-02T03:04:05Zx", ': extra text: "x"'),
        ("2020-01-02T03:04:05+0200", 'as "2006-01-02T15:04:05Z07:00": cannot parse "+0200" as "Z07:00"'),
        ("2020-01-02T03:04:05+25:00", ": time zone offset hour out of range"),
    ],
)
def test_refused_times(text: str, why: str) -> None:
    space = "" if why.startswith(":") else " "
    wanted = f'parsing time "{text}"{space}{why}'
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        times.time(text)


def test_micro_times_need_six_decimals() -> None:
    with pytest.raises(ValueError, match=r'cannot parse "Z" as "\.000000"'):
        times.micro_time("2020-01-02T03:04:05Z")


@settings(max_examples=25 * SCALE)
@given(st.binary(max_size=40), st.integers(0, 60))
def test_base64_with_line_ends(data: bytes, at: int) -> None:
    text = base64.b64encode(data).decode()
    assert times.base64(text) == text
    assert times.base64(text[:at] + "\r\n" + text[at:]) == text


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("!", 0),
        ("abc", 0),
        ("abcde", 4),
        ("ab!d", 2),
        ("ab=x", 2),
        ("=", 0),
        ("a===", 1),
        ("YQ==YQ==", 4),
        ("YQ=", 3),
    ],
)
def test_refused_base64(text: str, at: int) -> None:
    with pytest.raises(ValueError, match=f"^illegal base64 data at input byte {at}$"):
        times.base64(text)


@given(
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{6})?Z", fullmatch=True
    )
)
def test_times_that_are_canonical_are_judged_as_all_others(text: str) -> None:
    """The short way for what needs no change takes nothing
    that the parser would refuse or write otherwise."""
    read = times.micro_time if "." in text else times.time
    other = text[:-1] + "+00:00"
    try:
        wanted = read(other)
    except ValueError:
        with pytest.raises(ValueError, match=r"^parsing time "):
            read(text)
    else:
        assert read(text) == wanted


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("9999-12-31T23:59:59-01:00", "10000-01-01T00:59:59Z"),
        ("0000-01-01T00:00:00+01:00", "-0001-12-31T23:00:00Z"),
    ],
)
def test_an_offset_may_lead_beyond_the_years_that_go_parses(written: str, kept: str) -> None:
    """Go writes them, with a sign and at least four digits."""
    assert times.time(written) == times.time(kept) == kept
    micro = kept.replace("Z", ".000001Z")
    assert times.micro_time(micro) == micro
    seconds = times.to_unix(kept)[0]
    assert times.from_unix(seconds) + "Z" == kept and times.to_unix(written)[0] == seconds


@pytest.mark.parametrize(
    "text",
    [
        "+10000-01-01T00:00:00Z",
        "10000-13-01T00:00:00Z",
        "10000-01-01T00:00:00+01:00",
        "10000-01-01T00:00:00.000000Z",
        "999999999999-01-01T00:00:00Z",
    ],
)
def test_what_go_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="parsing time"):
        times.time(text)


INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(INT64, st.integers(0, 999_999))
def test_every_stored_time_can_be_read(seconds: int, micro: int) -> None:
    text = times.from_unix(seconds)
    assert times.to_unix(f"{text}Z") == (seconds, 0)
    assert times.to_unix(f"{text}.{micro:06d}Z") == (seconds, micro)


@given(INT64, INT64)
def test_seconds_are_added_as_go_adds_durations(one: int, other: int) -> None:
    """Against the machine's own 64 bits."""
    nanoseconds = sum(ctypes.c_int64(n * 10**9).value for n in (one, other))
    assert times.after(1_700_000_000, one, other) == (1_700_000_000 * 10**9 + nanoseconds) // 10**9


@pytest.mark.parametrize(
    "text",
    ["", "someday", "12026-01-02", "12026-13-02T00:00:00Z", "12025-02-29T00:00:00Z", "٢٠٢٦-01-02T00:00:00Z"],
)
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"^parsing time "):
        times.to_unix(text)


@settings(max_examples=50 * SCALE, deadline=None)
@given(MOMENTS)
def test_times_of_users_keep_their_fraction(moment: datetime.datetime) -> None:
    assert times.to_seconds(moment.isoformat()) == pytest.approx(moment.timestamp(), abs=1e-3)


def test_times_of_users_need_a_zone() -> None:
    with pytest.raises(ValueError, match='cannot parse "" as "Z07:00"'):
        times.to_seconds("2026-01-02T00:00:00")
