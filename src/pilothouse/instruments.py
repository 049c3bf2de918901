"""Instruments of measurement: counters, gauges and histograms, and the registry that shows them to Prometheus.

A package declares its metrics in a `Group` beside the code that moves them; whoever assembles a server makes the groups,
adds them to the server's `MetricsRegistry` and hands them in. There is no state of the process, so two servers share nothing.
Everything runs on the event loop's thread, so nothing is locked. Text is made only when somebody asks for it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TypeVar

from pilothouse._instruments import Distribution

Labels = tuple[str, ...]
"""The values of a series' labels, in the order of their names."""


class Metric:
    """A name with series, each by its label values. A metric that has no series is not shown."""

    kind = "untyped"

    __slots__ = ("help", "labels", "name")

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self.name = name
        self.help = help
        self.labels = labels

    def lines(self) -> Iterator[str]:
        """The sample lines."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget what was counted."""

    def text(self) -> str:
        """The metric in Prometheus' text format (0.0.4), "" when it has no series."""
        lines = list(self.lines())
        if not lines:
            return ""
        head = f"# HELP {self.name} {_escape_help(self.help)}\n# TYPE {self.name} {self.kind}\n"
        return f"{head}{chr(10).join(lines)}\n"


class Counter(Metric):
    """A number per label values that only grows; one without labels starts with 0, as in Go's client.

    Where the numbers are kept elsewhere, `source` is called for them whenever the metric is shown.
    """

    kind = "counter"

    __slots__ = ("source", "values")

    def __init__(
        self,
        name: str,
        help: str,
        labels: Labels = (),
        source: Callable[[], Mapping[Labels, float]] | None = None,
    ) -> None:
        super().__init__(name, help, labels)
        self.source = source
        self.values: dict[Labels, float] = {}
        self.reset()

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add to the number of these label values."""
        self.values[labels] = self.values.get(labels, 0) + by

    def reset(self) -> None:
        self.values = {} if self.labels else {(): 0}

    def lines(self) -> Iterator[str]:
        values = self.values if self.source is None else self.source()
        for labels in sorted(values):
            yield f"{self.name}{_braces(self.labels, labels)} {number(values[labels])}"


class Gauge(Counter):
    """A number per label values that goes up and down. A reset leaves it, for it tells what is."""

    kind = "gauge"

    __slots__ = ()

    def set(self, value: float, *labels: str) -> None:
        """Set the number of these label values."""
        self.values[labels] = value

    def reset(self) -> None:
        """Leave what is as it is."""


class Histogram(Metric):
    """Counts per bucket and a sum, per label values. `source` is as that of a counter."""

    kind = "histogram"

    __slots__ = ("bounds", "source", "values")

    def __init__(
        self,
        name: str,
        help: str,
        labels: Labels,
        bounds: Iterable[float],
        source: Callable[[], Mapping[Labels, Distribution]] | None = None,
    ) -> None:
        super().__init__(name, help, labels)
        self.bounds = tuple(bounds)
        self.source = source
        self.values: dict[Labels, Distribution] = {}

    def series(self, *labels: str) -> Distribution:
        """The series of these label values, for code that moves it often; it is shown once it has a value."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = Distribution(self.bounds)
        return found

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        self.series(*labels).observe(value)

    def counts(self) -> dict[Labels, float]:
        """How many values each series has: the source of a counter of the same events."""
        return {labels: series.count for labels, series in self.values.items() if series.count}

    def reset(self) -> None:
        for series in self.values.values():
            series.clear()

    def lines(self) -> Iterator[str]:
        values = self.values if self.source is None else self.source()
        for labels in sorted(values):
            if values[labels].count:
                yield from self._sample(labels, values[labels])

    def _sample(self, labels: Labels, series: Distribution) -> Iterator[str]:
        names = (*self.labels, "le")
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), series.buckets(), strict=True):
            total += count
            yield f"{self.name}_bucket{_braces(names, (*labels, number(bound)))} {total}"
        yield f"{self.name}_sum{_braces(self.labels, labels)} {number(series.sum)}"
        yield f"{self.name}_count{_braces(self.labels, labels)} {total}"


class Group:
    """The metrics of one package: those attributes that are metrics."""

    def metrics(self) -> list[Metric]:
        """The metrics, in the order of their declaration."""
        return [metric for metric in vars(self).values() if isinstance(metric, Metric)]

    async def refresh(self) -> None:
        """Read what can only be had by waiting; called before the metrics are shown."""

    def reset(self) -> None:
        """Forget what was counted."""
        for metric in self.metrics():
            metric.reset()


G = TypeVar("G", bound=Group)


class MetricsRegistry:
    """The metrics of one server that are shown under one path."""

    def __init__(self) -> None:
        self._groups: list[Group] = []

    def add(self, group: G) -> G:
        """Show a group, and give it back."""
        self._groups.append(group)
        return group

    def metrics(self) -> list[Metric]:
        """All metrics by name."""
        found = [metric for group in self._groups for metric in group.metrics()]
        return sorted(found, key=lambda metric: metric.name)

    async def expose(self) -> bytes:
        """All metrics that have series, in Prometheus' text format."""
        for group in self._groups:
            await group.refresh()
        return "".join(metric.text() for metric in self.metrics()).encode()

    def reset(self) -> None:
        """Reset all counts to zero."""
        for group in self._groups:
            group.reset()


def number(value: float) -> str:
    """A number as Go prints it with %g: its shortest form, with an exponent below 1e-04 and from 1e+06 on."""
    if value == float("inf"):
        return "+Inf"
    exact = Decimal(repr(float(value))).normalize()
    sign, digits, _ = exact.as_tuple()
    exponent = exact.adjusted()
    if -4 <= exponent < 6:
        return f"{exact:f}"
    first, rest = digits[0], "".join(map(str, digits[1:]))
    return f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}e{exponent:+03d}"


def _braces(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{n}="{_escape(v)}"' for n, v in zip(names, values, strict=True)) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def digest(data: str | bytes) -> str:
    """The hash that stands for what is long or private in a label; "" for nothing."""
    data = data.encode() if isinstance(data, str) else data
    return f"sha256:{hashlib.sha256(data).hexdigest()}" if data else ""
