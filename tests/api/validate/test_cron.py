"""Schedules."""

from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from rules import gives

from pilothouse.api.validate.cron import schedule_fault, zone_fault

test_schedules = gives(schedule_fault, [
    ("*/5 0-6,12 * jan-mar mon", ""),
    ("@hourly", ""),
    ("@every 1h30m", ""),
    ("", "empty spec string"),
    ("@never", "unrecognized descriptor: @never"),
    ("every day", "expected exactly 5 fields, found 2: [every day]"),
    ("99 * * * *", "end of range (99) above maximum (59): 99"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
])  # fmt: skip
test_zones = gives(zone_fault, [("Europe/Berlin", ""), ("Mars/Base", "unknown time zone Mars/Base")])


@settings(max_examples=30 * SCALE, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_judged(text: str) -> None:
    assert isinstance(schedule_fault(text), str)


@settings(max_examples=20 * SCALE, deadline=None)
@given(st.tuples(*(st.integers(low, high) for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6)))))
def test_numbers_in_range_are_fine(fields: tuple[int, ...]) -> None:
    assert schedule_fault(" ".join(map(str, fields))) == ""
