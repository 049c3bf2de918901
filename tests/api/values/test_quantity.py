"""Resource quantities, against decimal arithmetic."""

from collections.abc import Callable
from decimal import ROUND_UP, Decimal
from typing import Any

import pytest
from complexity import assert_linear, seconds
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.values import quantity

SUFFIXES = {
    **{s: Decimal(10) ** e for s, e in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)},
    "": Decimal(1),
    **{s + "i": Decimal(1024) ** (i + 1) for i, s in enumerate("KMGTPE")},
}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("1000m", "1"),
        ("1024Ki", "1Mi"),
        ("1e3", "1e3"),
        ("1000e3", "1e6"),
        ("12e6", "12e6"),
        ("+5", "+5"),
        ("0010", "0010"),
        ("2000", "2k"),
        ("1024", "1024"),
        ("123456789", "123456789"),
        ("Gi", "0"),
        ("-1.5", "-1500m"),
        ("0.1Ki", "102400m"),
        ("100Ki", "100Ki"),
        ("1.1n", "2n"),
        ("0.0000000001", "1n"),
        ("9999999999999999Ei", "9223372036854775807"),
        (" 1 ", "1"),
        ("0.0", "0"),
        ("-0", "0"),
        (".5", "500m"),
        ("5.", "5."),
    ],
)
def test_canonical(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


def test_a_resource_list_keeps_thousandths() -> None:
    assert quantity.canonical_milli("1500u") == "2m"
    assert quantity.canonical_milli("-1500u") == "-2m"
    assert quantity.canonical_milli("1500m") == "1500m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", quantity.FORMAT_WRONG),
        ("1g", quantity.FORMAT_WRONG),
        ("1,5", quantity.FORMAT_WRONG),
        ("1.2.3", quantity.FORMAT_WRONG),
        ("NaN", quantity.FORMAT_WRONG),
        ("1e3Gi", quantity.FORMAT_WRONG),
        ("١", quantity.FORMAT_WRONG),
        ("1e", quantity.SUFFIX_WRONG),
        ("1K", quantity.SUFFIX_WRONG),
        ("--1", quantity.SUFFIX_WRONG),
        ("1e99999999999", quantity.SUFFIX_WRONG),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(quantity.QuantityError) as caught:
        quantity.parse(text)
    assert str(caught.value) == message


@settings(max_examples=100 * SCALE)
@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.sampled_from(sorted(SUFFIXES)))
def test_value_is_the_decimal_rounded_up_to_nanos(number: int, places: int, suffix: str) -> None:
    text = f"{Decimal(number).scaleb(-places):f}{suffix}"
    exact = Decimal(text.removesuffix(suffix) if suffix else text) * SUFFIXES[suffix]
    exponent = exact.as_tuple().exponent
    assert isinstance(exponent, int)
    expected = exact.quantize(Decimal("1e-9"), ROUND_UP) if exponent < -9 else exact
    if suffix.endswith("i"):
        expected = max(min(expected, Decimal(quantity.MAX_INT64)), Decimal(-quantity.MAX_INT64))
    parsed = quantity.parse(text)
    assert parsed.as_decimal() == expected
    if abs(expected) < Decimal("1e21"):  # there is no suffix beyond E, and upstream then writes none
        assert quantity.parse(parsed.canonical()).as_decimal() == expected


@settings(max_examples=50 * SCALE)
@given(st.integers(-(10**9), 10**9), st.integers(-9, 9), st.integers(-(10**9), 10**9), st.integers(-9, 9))
def test_arithmetic(a: int, a_scale: int, b: int, b_scale: int) -> None:
    x, y = quantity.Quantity(a, a_scale), quantity.Quantity(b, b_scale)
    dx, dy = x.as_decimal(), y.as_decimal()
    assert (x + y).as_decimal() == dx + dy
    assert (x - y).as_decimal() == dx - dy
    assert (x < y) == (dx < dy) and (x == y) == (dx == dy)
    if abs(dx) < 9 * 10**15:  # beyond that upstream's number overflows
        assert x.milli_value() == int((dx * 1000).to_integral_value(ROUND_UP))


def test_absurd_exponents_stay_cheap() -> None:
    huge = quantity.parse("1e2000000000")
    assert huge > quantity.parse("1")
    assert (huge + quantity.parse("1")).cmp(huge) == 0
    assert huge.value() == 0
    assert str(huge) == "100e1999999998"
    assert quantity.parse("1e-2000000000").value() == 1


def test_format_of_a_sum() -> None:
    assert str(quantity.parse("1Gi") + quantity.parse("512Mi")) == "1536Mi"
    assert str(quantity.parse("0") + quantity.parse("1Gi")) == "1Gi"
    assert str(quantity.parse("100m") * 3) == "300m"


def canonical_or_not(text: str) -> Any:
    try:
        return quantity.canonical(text)
    except quantity.QuantityError:
        return ""


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "9" * n,
        lambda n: "0" * n + "1",
        lambda n: "." + "0" * n,
        lambda n: "1" + "e" * n,
        lambda n: "1e" + "9" * n,
        lambda n: "1." + "0" * n + "1Ki",
        lambda n: "+" * n,
    ],
    ids=range(7),
)
def test_long_texts_take_linear_time(make: Callable[..., Any]) -> None:
    assert_linear(canonical_or_not, make, 1000)


def test_many_long_amounts_are_no_more_work_than_their_texts() -> None:
    """Zeros at the end are taken off at once, not one by one."""

    def run(texts: Any) -> None:
        for text in texts:
            quantity.canonical(text)

    short = seconds(run, lambda n: ["1" + "0" * 41] * n, 7000)
    assert seconds(run, lambda n: ["1" + "0" * 2939] * n, 100) < 10 * short
    assert quantity.canonical("1" + "0" * 2500 + "e2") == "1e2502"
    assert quantity.canonical("1" + "0" * 2998 + "1") == "1" + "0" * 2998 + "1"
    assert quantity.canonical("1" * 2999 + "e1") == "1" * 2999 + "0"
    with pytest.raises(quantity.QuantityError, match="unable to parse numeric part"):
        quantity.canonical("1" * 3001)


def test_more_digits_than_python_writes_are_no_error_of_ours() -> None:
    for text in (
        "1" * 4299 + "e1",
        "1" * 4300,
        "1e" + "0" * 5000 + "1",
        "0." + "1" * 4300 + "Ei",
        "1e999999999",
    ):
        canonical_or_not(text)
    total = quantity.parse("9" * 3000) + quantity.parse("9" * 3000 + "e-9")
    assert str(total)


def test_an_amount_of_many_digits_on_both_sides_is_rounded_not_lost() -> None:
    assert quantity.parse("1" * 2000 + "." + "1" * 900).rounded_up(0).unscaled == int("1" * 1999 + "2")


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_sum_of_any_amounts_can_be_written_and_read(sign: str) -> None:
    """Each amount may add a thousand digits to the sum of the amounts before it."""
    total = quantity.parse(f"{sign}{'9' * 3000}e9000")
    for exponent in range(8000, -1, -1000):
        total += quantity.parse(f"{sign}{'9' * 3000}e{exponent}")
    assert quantity.parse(str(total)) == total and total.sign() == (-1 if sign else 1)
    more = total + quantity.parse(f"{sign}9e11999")
    assert abs(more.as_decimal().adjusted() - total.as_decimal().adjusted()) <= 1
    many = total * 10**50
    assert quantity.parse(str(many)) == many


@pytest.mark.parametrize("digits", [2998, 2999, 3000])
@pytest.mark.parametrize("suffix", ["", "m", "E", "e1", "e2", "e-1", "e-2", "e2147483647", "e-2147483648"])
def test_what_is_written_can_be_read(digits: int, suffix: str) -> None:
    """The canonical form may have more digits than what was written."""
    for text in (
        "9" * digits + suffix,
        "1" + "0" * (digits - 2) + "1" + suffix,
        "." + "9" * (digits - 1) + suffix,
    ):
        once = quantity.canonical(text)
        assert quantity.canonical(once) == once


@pytest.mark.parametrize(
    "text", ["1000e2147483647", "100000e2147483646", "1e2147483647", "1" + "0" * 2999 + "e2147483647"]
)
def test_exponents_overflow_as_in_go(text: str) -> None:
    """Exponents have 32 bits, also in the canonical form; what is written can be read."""
    quantity.parse(quantity.canonical(text))
