"""Go's durations."""

import re
from typing import Any

import pytest
from complexity import assert_linear
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values.duration import go_duration, show_duration

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("5ns", 5),
        ("1us", 1000),
        ("1µs", 1000),
        ("1μs", 1000),
        ("2ms", 2 * 10**6),
        ("1.5s", 3 * SECOND // 2),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("1h2m3s", 3723 * SECOND),
        ("3s2h", 7203 * SECOND),
        ("-1m", -60 * SECOND),
        ("+1m", 60 * SECOND),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
        ("0.100000000000000000000h", 360 * SECOND),
        ("0.830103483285477580700h", 2988372539827),
    ],
)
def test_what_is_read(text: str, nanoseconds: Any) -> None:
    assert go_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'invalid duration ""'),
        ("3", 'missing unit in duration "3"'),
        ("-", 'invalid duration "-"'),
        ("s", 'invalid duration "s"'),
        (".", 'invalid duration "."'),
        ("-.", 'invalid duration "-."'),
        (".s", 'invalid duration ".s"'),
        ("+.s", 'invalid duration "+.s"'),
        ("1d", 'unknown unit "d" in duration "1d"'),
        ("1hx", 'unknown unit "hx" in duration "1hx"'),
        ("1 s", 'unknown unit " s" in duration "1 s"'),
        ("1S", 'unknown unit "S" in duration "1S"'),
        ("x1s", 'invalid duration "x1s"'),
        ("9223372036854775808ns", 'invalid duration "9223372036854775808ns"'),
        ("-9223372036854775809ns", 'invalid duration "-9223372036854775809ns"'),
        ("1" + "0" * 30 + "ns", f'invalid duration "1{"0" * 30}ns"'),
        ("3000000h", 'invalid duration "3000000h"'),
        ("--1s", 'invalid duration "--1s"'),
        ("1é", 'unknown unit "\\xc3\\xa9" in duration "1\\xc3\\xa9"'),
        ('1"\n\\', 'unknown unit "\\"\\x0a\\\\" in duration "1\\"\\x0a\\\\"'),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^time: {re.escape(why)}$"):
        go_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (2200000, "2.2ms"),
        (3300000000, "3.3s"),
        (245 * SECOND, "4m5s"),
        (245001000000, "4m5.001s"),
        (18367001000000, "5h6m7.001s"),
        (480000000001, "8m0.000000001s"),
        (-SECOND, "-1s"),
        (2**63 - 1, "2562047h47m16.854775807s"),
        (-(2**63), "-2562047h47m16.854775808s"),
    ],
)
def test_what_is_written(nanoseconds: Any, text: str) -> None:
    assert show_duration(nanoseconds) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_what_is_written_is_read(nanoseconds: Any) -> None:
    assert go_duration(show_duration(nanoseconds)) == nanoseconds


def test_texts_of_thousands_of_digits() -> None:
    assert go_duration("0" * 5000 + "1." + "5" * 5000 + "s") // 10**6 == 1555
    with pytest.raises(ValueError, match="invalid duration"):
        go_duration("1" * 5000 + "s")


def test_long_texts_are_read_in_linear_time_or_refused() -> None:
    def attempt(text: str) -> str:
        try:
            go_duration(text)
        except ValueError as error:
            return str(error)
        return ""

    assert_linear(attempt, lambda n: "0h" * n, 500)
    assert len(attempt("1h" * 450_000)) < 20_000
