"""Instruments of measurement: counters, gauges, histograms and summaries,
and the registry that shows them to Prometheus.

A package declares its metrics in a `Group` beside the code that moves them; the assembly of a server makes
the groups, adds them to the server's `MetricsRegistry` and hands them in. There is no state of the process,
so two servers share nothing. Everything runs on the event loop's thread, so nothing is locked.
Text is made only when somebody asks for it.
"""

import functools
import hashlib
import heapq
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from pilothouse.metrics._instruments import Distribution, Recent
from pilothouse.metrics.exposition import TEXT, ExpositionFormat, Family, Value, encoded
from pilothouse.metrics.exposition import Labels as Labels  # noqa: PLC0414 -- declarations name it with the metrics
from pilothouse.waiting import Pace

Joined = Callable[[Iterable[float]], float]
"""Makes one number of those that several workers show: sum, max or min."""

RUN = 512
"""Series that are sorted without a pause."""

PIECE = 64 * 1024
"""Bytes of an answer that are put together."""


AT_ONCE = ("_info", "_timestamp", "_timestamp_seconds")
"""How metrics end of which the greatest of several workers is shown,
for a sum of times or of ones means nothing."""


class Metric:
    """A name with series, each by its label values. A metric that has no series is not shown.

    `deprecated` is the release since which it is, as 1.34.0.
    Where several workers serve, their numbers are `joined`.
    """

    kind = "untyped"

    __slots__ = ("deprecated", "help", "joined", "labels", "name")

    bounds: tuple[float, ...] = ()

    def __init__(
        self, name: str, help: str, labels: Labels = (), *, deprecated: str = "", joined: Joined = sum
    ) -> None:
        self.name = sys.intern(name)  # each logical cluster has the same ones
        self.help = sys.intern(help)
        self.labels = labels
        self.deprecated = deprecated
        self.joined = joined

    def collect(self) -> Iterable[tuple[Labels, Value]]:
        """The series as they are now. What has the same label values belongs together."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget what was counted."""

    def family(self, bounds: tuple[float, ...] | None = None) -> Family:
        """A family for the series of this metric, with its own bounds or some of them."""
        help = self.help
        if self.deprecated:  # upstream puts the stability before it
            level, _, rest = help.partition(" ")
            help = f"{level} (Deprecated since {self.deprecated}) {rest}"
        return Family(self.name, self.kind, help, self.labels, self.bounds if bounds is None else bounds)

    def text(self) -> str:
        """The metric in Prometheus' text format (0.0.4), "" when it has no series."""
        family = self.family()
        for labels, value in self.collect():
            family.add(labels, value)
        return encoded(TEXT, family).decode()


class Counter(Metric):
    """A number per label values that only grows; one without labels starts with 0, as in Go's client.

    Where the numbers are kept elsewhere, `source` is called for them whenever the metric is shown. Where
    there are very many, `each` yields them one after another.
    """

    kind = "counter"

    __slots__ = ("each", "source", "values")

    def __init__(
        self,
        name: str,
        help: str,
        labels: Labels = (),
        source: Callable[[], Mapping[Labels, float]] | None = None,
        *,
        each: Callable[[], Iterable[tuple[Labels, float]]] | None = None,
        deprecated: str = "",
        joined: Joined = sum,
    ) -> None:
        # PERF: a logical cluster has some 170 metrics, so nothing is called that need not be.
        self.name = sys.intern(name)
        self.help = sys.intern(help)
        self.labels = labels
        self.deprecated = deprecated
        self.joined = max if joined is sum and name.endswith(AT_ONCE) else joined
        self.source = source
        self.each = each
        self.values: dict[Labels, float] = {} if labels or self.kind != "counter" else {(): 0}

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add to the number of these label values."""
        self.values[labels] = self.values.get(labels, 0) + by

    def reset(self) -> None:
        self.values = {} if self.labels else {(): 0}

    def collect(self) -> Iterable[tuple[Labels, float]]:
        if self.each is not None:
            return self.each()
        return list((self.values if self.source is None else self.source()).items())


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
    """Counts per bucket and a sum, per label values. `source` and `each` are as those of a counter.

    `coarse` are those of the bounds that --metrics-profile=small shows;
    by default COARSE of them, evenly spread.
    """

    kind = "histogram"

    __slots__ = ("_coarse", "bounds", "each", "source", "values")

    def __init__(
        self,
        name: str,
        help: str,
        labels: Labels,
        bounds: Iterable[float],
        source: Callable[[], Mapping[Labels, Distribution]] | None = None,
        *,
        each: Callable[[], Iterable[tuple[Labels, Distribution]]] | None = None,
        coarse: tuple[float, ...] = (),
        deprecated: str = "",
    ) -> None:
        super().__init__(name, help, labels, deprecated=deprecated)
        self.bounds = tuple(bounds)
        self._coarse = coarse
        self.source = source
        self.each = each
        self.values: dict[Labels, Distribution] = {}

    @property
    def coarse(self) -> tuple[float, ...]:
        """The bounds that the small profile shows."""
        return self._coarse or _spread(self.bounds)

    def series(self, *labels: str) -> Distribution:
        """The series of these label values, for code that moves it often; it is shown once it has a value."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = Distribution(self.bounds)
        return found

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        found = self.values.get(labels)
        (self.series(*labels) if found is None else found).observe(value)

    def counts(self) -> dict[Labels, float]:
        """How many values each series has: the source of a counter of the same events."""
        return {labels: series.count for labels, series in self.values.items() if series.count}

    def reset(self) -> None:
        for series in self.values.values():
            series.clear()

    def collect(self) -> Iterable[tuple[Labels, Distribution]]:
        if self.each is not None:
            series = self.each()
        else:
            series = list((self.values if self.source is None else self.source()).items())
        return ((labels, value) for labels, value in series if value.count)


COARSE = 6
"""Buckets of a histogram in the small profile."""


@functools.lru_cache(maxsize=64)
def _spread(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """COARSE of the bounds, evenly spread from the first to the last; all where there are no more."""
    if len(bounds) <= COARSE:
        return bounds
    return tuple(bounds[round(at * (len(bounds) - 1) / (COARSE - 1))] for at in range(COARSE))


class Summary(Metric):
    """Quantiles of the newest values, and the number and the sum of all, per label values.

    A histogram with the same `bounds` may have its `values` as source, so that a value is counted once for
    both. Where several workers serve, the quantiles are those of the one that is asked.
    """

    kind = "summary"

    __slots__ = ("bounds", "values")

    def __init__(self, name: str, help: str, labels: Labels, bounds: Iterable[float] = ()) -> None:
        super().__init__(name, help, labels)
        self.bounds = tuple(bounds)
        self.values: dict[Labels, Recent] = {}

    def series(self, *labels: str) -> Recent:
        """The series of these label values, for code that moves it often; it is shown once it has a value."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = Recent(self.bounds)
        return found

    def reset(self) -> None:
        for series in self.values.values():
            series.clear()

    def collect(self) -> Iterable[tuple[Labels, Recent]]:
        return [(labels, value) for labels, value in self.values.items() if value.count]


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


class View(NamedTuple):
    """How a metric is shown: the bounds of its buckets,
    its labels made out of the full ones, whether zeros are shown."""

    bounds: tuple[float, ...]
    relabel: Callable[[Labels, Value], Labels] | None = None
    zeros: bool = True


class CardinalityLimits(Protocol):
    """The limits that leave something out of the metrics."""

    def view(self, metric: Metric) -> View | None:
        """How a metric is shown now; None: not at all."""


class Others(Protocol):
    """The workers on the same port."""

    async def gather(self, pace: Pace) -> dict[str, Family]:
        """The families that all workers show together, by name."""

    async def reset(self) -> None:
        """Have all workers reset their counts."""


class MetricsRegistry:
    """The metrics of one server that are shown under one path,
    within its `limits`, with those of `others` if there are any.

    Nothing here holds the event loop for longer than a Pace does, however many series there are.
    """

    def __init__(self, limits: CardinalityLimits | None = None) -> None:
        self._groups: list[Group | Callable[[], Group]] = []
        self.limits = limits
        self.others: Others | None = None

    def add(self, group: G) -> G:
        """Show a group, and give it back."""
        self._groups.append(group)
        return group

    def add_later(self, make: Callable[[], Group]) -> None:
        """Show a group that nothing moves, for its numbers are kept elsewhere; made when it is shown."""
        self._groups.append(make)

    @property
    def groups(self) -> list[Group]:
        """The groups, in the order in which they were added."""
        made = [one if isinstance(one, Group) else one() for one in self._groups]
        self._groups = [*made]
        return made

    def metrics(self) -> list[Metric]:
        """All metrics by name."""
        found = [metric for group in self.groups for metric in group.metrics()]
        return sorted(found, key=lambda metric: metric.name)

    async def gather(self, pace: Pace) -> dict[str, Family]:
        """The families that this process shows, by name;
        those of the first group come last, for it may count the others."""
        out: dict[str, Family] = {}
        for group in reversed(self.groups):
            await group.refresh()
            for metric in group.metrics():
                view = View(metric.bounds) if self.limits is None else self.limits.view(metric)
                if view is not None:
                    out[metric.name] = await _shown(metric, view, pace)
        return out

    async def pieces(self, format: ExpositionFormat = TEXT) -> list[bytes]:
        """All metrics that have series, those of other workers included, in pieces of about PIECE bytes."""
        pace = Pace()
        families = await (self.gather(pace) if self.others is None else self.others.gather(pace))
        out: list[bytes] = []
        kept: list[bytes] = []
        size = 0
        for name in sorted(families):
            rows = await _rows(format, families[name], pace)
            kept += rows
            size += sum(map(len, rows))
            if size >= PIECE:
                out.append(b"".join(kept))
                kept, size = [], 0
        return [*out, b"".join((*kept, format.end))]

    async def expose(self, format: ExpositionFormat = TEXT) -> bytes:
        """The same as one text."""
        return b"".join(await self.pieces(format))

    def reset(self) -> None:
        """Reset the counts of this process to zero."""
        for group in self.groups:
            group.reset()

    async def reset_all(self) -> None:
        """Reset the counts of all workers."""
        if self.others is None:
            self.reset()
        else:
            await self.others.reset()


async def _shown(metric: Metric, view: View, pace: Pace) -> Family:
    family = metric.family(view.bounds)
    for labels, value in metric.collect():
        if value or view.zeros:
            family.add(labels if view.relabel is None else view.relabel(labels, value), value)
        await pace.pause()
    return family


async def _rows(format: ExpositionFormat, family: Family, pace: Pace) -> list[bytes]:
    """The encoded series in the order of their label values, after their head; [] where there are none."""
    keys, runs = list(family.series), []
    for at in range(0, len(keys), RUN):
        runs.append(sorted(keys[at : at + RUN]))
        await pace.pause()
    rows = []
    for labels in runs[0] if len(runs) == 1 else heapq.merge(*runs):
        rows.append(format.series(family, labels, family.series[labels]))
        await pace.pause()
    return [format.head(family, sum(map(len, rows))), *rows] if rows else []


def digest(data: str | bytes) -> str:
    """The hash that stands for what is long or private in a label; "" for nothing."""
    data = data.encode() if isinstance(data, str) else data
    return f"sha256:{hashlib.sha256(data).hexdigest()}" if data else ""
