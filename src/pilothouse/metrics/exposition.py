"""The formats in which Prometheus reads metrics:
text 0.0.4, OpenMetrics 1.0 and protobuf (prometheus/common expfmt).

A family is encoded series by series, so that the caller can pause in between when one is large.
"""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from struct import pack
from typing import NamedTuple

from pilothouse.metrics._instruments import Distribution, Recent
from pilothouse.wire import field, varint

Labels = tuple[str, ...]
"""The values of a series' labels, in the order of their names."""

QUANTILES = (0.5, 0.9, 0.99)
"""The quantiles that a summary shows."""

Value = float | Distribution
"""A number, or what a histogram or a summary has counted."""


class Family:
    """The series of one metric at one moment, by their label values;
    `bounds` are those of a histogram's buckets."""

    __slots__ = ("bounds", "help", "kind", "labels", "name", "series")

    def __init__(
        self, name: str, kind: str, help: str, labels: Labels = (), bounds: tuple[float, ...] = ()
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.bounds = bounds
        self.series: dict[Labels, Value] = {}

    def add(self, labels: Labels, value: Value, joined: Callable[[Iterable[float]], float] = sum) -> None:
        """Take in a series. Of several with the same labels the numbers are `joined`,
        distributions are added up.

        ValueError for a distribution whose bounds do not include those of the family.
        """
        known = self.series.get(labels)
        if isinstance(value, Distribution):
            if known is None:
                known = self.series[labels] = type(value)(self.bounds)
            assert isinstance(known, Distribution)
            known.add(value)
        elif known is None:
            self.series[labels] = value
        else:
            assert not isinstance(known, Distribution)
            self.series[labels] = joined((known, value))


class ExpositionFormat(NamedTuple):
    """How a family is written: its head,
    given the bytes of all its series, then each series, in that order."""

    content_type: str
    head: Callable[[Family, int], bytes]
    series: Callable[[Family, Labels, Value], bytes]
    end: bytes = b""


def encoded(format: ExpositionFormat, family: Family) -> bytes:
    """A whole family at once; b"" for one that has no series."""
    rows = [format.series(family, labels, family.series[labels]) for labels in sorted(family.series)]
    return b"".join((format.head(family, sum(map(len, rows))), *rows)) if rows else b""


# Text 0.0.4


def _text_head(family: Family, size: int) -> bytes:
    return f"# HELP {family.name} {_plain(family.help)}\n# TYPE {family.name} {family.kind}\n".encode()


def _text_series(family: Family, labels: Labels, value: Value) -> bytes:
    return _lines(family, family.name, labels, value, number, number)


def _lines(
    family: Family,
    name: str,
    labels: Labels,
    value: Value,
    number: Callable[[float], str],
    bound: Callable[[float], str],
) -> bytes:
    """The sample lines of a series, with numbers and bounds as the callers' format writes them."""
    pairs = ",".join([f'{n}="{_quoted(v)}"' for n, v in zip(family.labels, labels, strict=True)])
    braces = f"{{{pairs}}}" if pairs else ""
    if not isinstance(value, Distribution):
        return f"{name}{braces} {number(value)}\n".encode()
    lines, total, start = [], 0, f'{name}_bucket{{{pairs}{"," if pairs else ""}le="'
    counts = value.buckets()
    if family.kind == "histogram":
        for edge, count in zip((*family.bounds, math.inf), counts, strict=True):
            total += count
            lines.append(f'{start}{bound(edge)}"}} {total}\n')
    elif isinstance(value, Recent):
        start = f'{name}{{{pairs}{"," if pairs else ""}quantile="'
        for share, found in zip(QUANTILES, value.quantiles(QUANTILES), strict=False):
            lines.append(f'{start}{bound(share)}"}} {number(found)}\n')
    lines.append(f"{name}_sum{braces} {number(value.sum)}\n{name}_count{braces} {sum(counts)}\n")
    return "".join(lines).encode()


def number(value: float) -> str:
    """A number as Go prints it with %g: its shortest form, with an exponent below 1e-04 and from 1e+06 on."""
    if 1e-4 <= value < 1e6:
        return str(int(value)) if value == int(value) else repr(float(value))
    if value == 0:
        return "0"
    if math.isnan(value):
        return "NaN"
    if value == math.inf:
        return "+Inf"
    exact = Decimal(repr(float(value))).normalize()
    sign, digits, _ = exact.as_tuple()
    exponent = exact.adjusted()
    if -4 <= exponent < 6:
        return f"{exact:f}"
    first, rest = digits[0], "".join(map(str, digits[1:]))
    return f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}e{exponent:+03d}"


def _quoted(value: str) -> str:
    """The value of a label between quotation marks."""
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


def _plain(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


TEXT = ExpositionFormat("text/plain; version=0.0.4; charset=utf-8", _text_head, _text_series)


# OpenMetrics 1.0: a counter's family is named without _total,
# and whole numbers that are no counts have a fraction.


def _open_name(family: Family) -> str:
    return family.name.removesuffix("_total") if family.kind == "counter" else family.name


def _open_head(family: Family, size: int) -> bytes:
    name, kind = _open_name(family), family.kind
    if kind == "counter" and name == family.name:  # a counter must end in _total
        kind = "unknown"
    help = _quoted(family.help)
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n".encode()


def _open_series(family: Family, labels: Labels, value: Value) -> bytes:
    return _lines(family, family.name, labels, value, _fraction, _fraction)


def _fraction(value: float) -> str:
    text = number(value)
    return f"{text}.0" if text.lstrip("-").isdigit() else text


OPENMETRICS = ExpositionFormat(
    "application/openmetrics-text; version=1.0.0; charset=utf-8", _open_head, _open_series, b"# EOF\n"
)


# Protobuf: messages io.prometheus.client.MetricFamily, each after its length (client_model metrics.proto).

_KINDS = {"counter": 0, "gauge": 1, "summary": 2, "untyped": 3, "histogram": 4}
_NUMBERS = {"gauge": 2, "counter": 3, "untyped": 5}
"""The field of a Metric that has the number, by kind."""


def _double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + pack("<d", value)


def _count(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def _proto_head(family: Family, size: int) -> bytes:
    head = field(1, family.name.encode()) + field(2, family.help.encode()) + _count(3, _KINDS[family.kind])
    return varint(len(head) + size) + head


def _proto_series(family: Family, labels: Labels, value: Value) -> bytes:
    pairs = b"".join(
        field(1, field(1, n.encode()) + field(2, v.encode()))
        for n, v in zip(family.labels, labels, strict=True)
    )
    if not isinstance(value, Distribution):
        return field(4, pairs + field(_NUMBERS[family.kind], _double(1, value)))
    counts, total, buckets = value.buckets(), 0, b""
    body = _count(1, sum(counts)) + _double(2, value.sum)
    if family.kind == "summary":
        quantiles = value.quantiles(QUANTILES) if isinstance(value, Recent) else []
        for share, found in zip(QUANTILES, quantiles, strict=False):
            body += field(3, _double(1, share) + _double(2, found))
        return field(4, pairs + field(4, body))
    for edge, count in zip(family.bounds, counts, strict=False):
        total += count
        buckets += field(3, _count(1, total) + _double(2, edge))
    return field(4, pairs + field(7, body + buckets))


PROTOBUF = ExpositionFormat(
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    _proto_head,
    _proto_series,
)
