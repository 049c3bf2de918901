"""The usual parsers read what is written, and a reader of the wire format reads the protobuf form."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser

from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.exposition import (
    OPENMETRICS,
    PROTOBUF,
    TEXT,
    ExpositionFormat,
    Family,
    encoded,
    number,
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (5, "5"),
        (0.005, "0.005"),
        (123456, "123456"),
        (1000000, "1e+06"),
        (1234567, "1.234567e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.5, "-2.5"),
        (-1234567, "-1.234567e+06"),
        (math.inf, "+Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_written_as_go_does(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(value: float) -> None:
    assert float(number(value)) == value


def families() -> list[Family]:
    counter = Family("a_total", "counter", 'Counts "all" \\ of\nit.', ("x", "y"))
    counter.add(("1", 'quoted "\\\n'), 3)
    counter.add(("0", ""), 2.5)
    gauge = Family("b", "gauge", "Is.")
    gauge.add((), 1234567)
    histogram = Family("c", "histogram", "Took.", ("x",), (0.5, 1, 2.5))
    summary = Family("d", "summary", "Lasted.")
    for value in (0.1, 1, 1, 7):
        for family, labels in ((histogram, ("z",)), (summary, ())):
            one = Distribution(family.bounds)
            one.observe(value)
            family.add(labels, one)
    return [counter, gauge, histogram, summary, Family("e", "gauge", "None.", ("x",))]


def samples(parsed: Any) -> Samples:
    return {
        (
            sample.name,
            tuple(sorted((name, number_of(name, value)) for name, value in sample.labels.items())),
        ): (sample.value)
        for family in parsed
        for sample in family.samples
    }


def number_of(name: str, value: str) -> str:
    """The value of a label; bounds in the one form of both formats."""
    return str(float(value)) if name == "le" else value


EXPECTED: Samples = {
    ("a_total", (("x", "1"), ("y", 'quoted "\\\n'))): 3,
    ("a_total", (("x", "0"), ("y", ""))): 2.5,
    ("b", ()): 1234567,
    ("c_bucket", (("le", "0.5"), ("x", "z"))): 1,
    ("c_bucket", (("le", "1.0"), ("x", "z"))): 3,
    ("c_bucket", (("le", "2.5"), ("x", "z"))): 3,
    ("c_bucket", (("le", "inf"), ("x", "z"))): 4,
    ("c_sum", (("x", "z"),)): 9.1,
    ("c_count", (("x", "z"),)): 4,
    ("d_sum", ()): 9.1,
    ("d_count", ()): 4,
}


def whole(format: ExpositionFormat) -> bytes:
    return b"".join(encoded(format, family) for family in families()) + format.end


def test_the_text_is_what_the_usual_parser_reads() -> None:
    text = whole(TEXT).decode()
    assert samples(parser.text_string_to_metric_families(text)) == EXPECTED
    assert (
        '# HELP a_total Counts "all" \\\\ of\\nit.\n# TYPE a_total counter\na_total{x="0",y=""} 2.5\n' in text
    )
    assert 'c_bucket{x="z",le="1"} 3\n' in text


def test_openmetrics_is_what_its_parser_reads() -> None:
    text = whole(OPENMETRICS).decode()
    parsed: Any = open_parser.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    assert samples(parsed) == EXPECTED
    assert (
        "# TYPE a counter\n" in text and 'c_bucket{x="z",le="1.0"} 3\n' in text and text.endswith("# EOF\n")
    )


def test_a_counter_of_another_name_has_no_type_in_openmetrics() -> None:
    family = Family("pages", "counter", "Were read.")
    family.add((), 1)
    assert b"# TYPE pages unknown\npages 1.0\n" in encoded(OPENMETRICS, family)


def fields(data: bytes) -> list[tuple[int, Any]]:
    """Number and value of the fields of a protobuf message."""
    out: list[tuple[int, Any]] = []
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
            out.append((tag >> 3, value))
        elif kind == 1:
            out.append((tag >> 3, struct.unpack_from("<d", data, at)[0]))
            at += 8
        else:
            size, at = varint(data, at)
            out.append((tag >> 3, data[at : at + size]))
            at += size
    return out


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def test_protobuf_messages_are_each_after_their_length() -> None:
    data = whole(PROTOBUF)
    messages, at = [], 0
    while at < len(data):
        size, at = varint(data, at)
        messages.append(fields(data[at : at + size]))
        at += size
    counter, gauge, histogram, summary = messages
    assert counter[:3] == [(1, b"a_total"), (2, b'Counts "all" \\ of\nit.'), (3, 0)]
    [(_, x), (_, y), (_, value)] = fields(counter[3][1])
    assert fields(x) == [(1, b"x"), (2, b"0")] and fields(y) == [(1, b"y"), (2, b"")]
    assert fields(value) == [(1, 2.5)]
    assert gauge[2] == (3, 1) and fields(fields(gauge[3][1])[0][1]) == [(1, 1234567.0)]
    assert histogram[2] == (3, 4)
    count, total, *buckets = fields(fields(histogram[3][1])[1][1])
    assert (count, total) == ((1, 4), (2, pytest.approx(9.1)))
    assert [fields(bucket) for _, bucket in buckets] == [
        [(1, 1), (2, 0.5)],
        [(1, 3), (2, 1.0)],
        [(1, 3), (2, 2.5)],
    ]
    assert summary[2] == (3, 2) and fields(fields(summary[3][1])[0][1]) == [(1, 4), (2, pytest.approx(9.1))]


def test_series_of_the_same_labels_become_one() -> None:
    family = Family("f", "gauge", "Numbers.")
    for value in (1, 5, 3):
        family.add((), value, max)
    assert family.series == {(): 5}
    family = Family("g", "histogram", "Numbers.", (), (1,))
    with pytest.raises(ValueError, match="bounds"):
        family.add((), Distribution((2,)))
