"""The metrics of API priority and fairness, under upstream's names, labels and buckets (flowcontrol/metrics).

What they show is counted in `_seats`, and read when somebody asks for it. A level that no request has come to
has no series beside its limits.
"""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from pilothouse.flowcontrol._seats import BUCKETS, Series
from pilothouse.flowcontrol.levels import Levels, State
from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels, Metric

PREFIX = "apiserver_flowcontrol"
LEVEL = ("priority_level",)
FLOW = ("flow_schema", "priority_level")

REASONS = {
    "queue-full": "queue_full",
    "concurrency-limit": "concurrency_limit",
    "time-out": "timed_out",
    "cancelled": "cancelled",
}
"""The reasons of a refusal, and where they are counted."""

LIMITS = {
    "nominal_limit_seats": ("[BETA] Seats that are a level's own.", attrgetter("nominal")),
    "lower_limit_seats": ("[ALPHA] Seats of a level that nobody may borrow.", attrgetter("lower")),
    "upper_limit_seats": ("[ALPHA] Seats of a level with all that it may borrow.", attrgetter("upper")),
    "request_concurrency_limit": ("[ALPHA] The same as nominal_limit_seats.", attrgetter("nominal")),
    "current_limit_seats": ("[ALPHA] Seats that a level has now.", attrgetter("seats.limit")),
}
"""Gauges of every level."""

METERS = {
    "target_seats": ("[ALPHA] Seats that a level needs.", attrgetter("target")),
    "demand_seats_average": ("[ALPHA] Mean demand of the last 10 s.", attrgetter("demand.average")),
    "demand_seats_stdev": (
        "[ALPHA] Deviation of the demand of the last 10 s.",
        attrgetter("demand.deviation"),
    ),
    "demand_seats_high_watermark": (
        "[ALPHA] Highest demand of the last 10 s.",
        attrgetter("demand.highest"),
    ),
    "demand_seats_smoothed": ("[ALPHA] Demand that decays slowly.", attrgetter("demand.smoothed")),
    "current_r": ("[ALPHA] Virtual time of a level, in seat-seconds.", attrgetter("seats.meter")),
    "dispatch_r": ("[ALPHA] Virtual time of the last dispatch.", attrgetter("seats.dispatch_meter")),
    "latest_s": ("[ALPHA] Virtual start of the request dispatched last.", attrgetter("seats.latest_start")),
}
"""Gauges of the levels that have had requests."""

DEPRECATED = {"request_concurrency_in_use": "1.31.0", "request_concurrency_limit": "1.30.0"}
"""Since when."""

ALONE = frozenset(("current_r", "demand_seats_stdev", "dispatch_r", "latest_s"))
"""The metrics of which the greatest of several workers is shown, for their sum means nothing."""

BOUNDS = {
    "next_s_bounds": ("[ALPHA] Virtual starts of the oldest requests that wait.", "next"),
    "next_discounted_s_bounds": ("[ALPHA] The same, less what is being served.", "discounted"),
}

NOW = {
    "current_executing_requests": ("[BETA] Requests that have seats.", "executing"),
    "current_executing_seats": ("[BETA] Seats in use.", "executing_seats"),
    "request_concurrency_in_use": ("[ALPHA] The same as current_executing_seats.", "executing_seats"),
    "current_inqueue_requests": ("[BETA] Requests that wait for seats.", "waiting"),
    "current_inqueue_seats": ("[ALPHA] Seats that are waited for.", "waiting_seats"),
}
"""Gauges of the requests of a flow schema in a level."""

COUNTS = {
    f"{PREFIX}_dispatched_requests_total": ("[BETA] Requests that have got seats.", "dispatched"),
    f"{PREFIX}_request_dispatch_no_accommodation_total": (
        "[ALPHA] Turns of a request for which there were too few seats.",
        "crowded",
    ),
    "pilothouse_flowcontrol_seats_let_go_total": (
        "[ALPHA] Requests whose seats went to others while a slow client took the answer.",
        "let_go",
    ),
}

WIDTHS = {
    "request_queue_length_after_enqueue": ("[ALPHA] Length of the queue of a new request.", "lengths"),
    "watch_count_samples": ("[ALPHA] Watchers that get the event of a write.", "watchers"),
    "work_estimated_seats": ("[ALPHA] Seats that requests need.", "estimates"),
}
_WIDTH_BUCKETS = ("lengths", "watchers", "estimates")


class FlowControlMetrics(Group):
    """The metrics of the priority levels that were passed to `show`.

    All of them read what the levels count, so they are declared when somebody asks for them: each logical
    cluster has some, and is seldom asked.
    """

    def __init__(self) -> None:
        self._levels: Levels | None = None
        self._declared = False

    def metrics(self) -> list[Metric]:
        if not self._declared:
            self._declared = True
            self._declare()
        return super().metrics()

    def _declare(self) -> None:
        for name, (text, read) in LIMITS.items():
            gone = DEPRECATED.get(name, "")
            self._put(Gauge(f"{PREFIX}_{name}", text, LEVEL, self._of_levels(read), deprecated=gone))
        for name, (text, read) in METERS.items():
            joined = max if name in ALONE else sum
            self._put(Gauge(f"{PREFIX}_{name}", text, LEVEL, self._of_meters(read), joined=joined))
        for name, (text, which) in BOUNDS.items():
            self._put(Gauge(f"{PREFIX}_{name}", text, ("bound", *LEVEL), self._bounds(which), joined=max))
        for name, (text, member) in NOW.items():
            gone = DEPRECATED.get(name, "")
            self._put(Gauge(f"{PREFIX}_{name}", text, FLOW, self._numbers(member), deprecated=gone))
        for name, (text, member) in COUNTS.items():
            self._put(Counter(name, text, FLOW, self._numbers(member)))
        for (name, (text, member)), bounds in zip(WIDTHS.items(), _WIDTH_BUCKETS, strict=True):
            source = self._distributions([((), member)])
            self._put(Histogram(f"{PREFIX}_{name}", text, FLOW, BUCKETS[bounds], source))
        self._declare_rest()

    def _declare_rest(self) -> None:
        """The metrics whose labels no other one has."""
        self.rejected = Counter(
            f"{PREFIX}_rejected_requests_total",
            "[BETA] Requests that were refused.",
            (*FLOW, "reason"),
            self._rejections,
        )
        self.fair = Gauge(
            f"{PREFIX}_seat_fair_frac",
            "[ALPHA] The multiple of its need that a level gets.",
            (),
            lambda: {} if self._levels is None else {(): self._levels.fair},
            joined=max,
        )
        self.waits = Histogram(
            f"{PREFIX}_request_wait_duration_seconds",
            "[BETA] Seconds that requests have waited for seats.",
            ("execute", *FLOW),
            BUCKETS["seconds"],
            self._distributions([(("true",), "waits"), (("false",), "vain")], front=True),
        )
        self.executions = Histogram(
            f"{PREFIX}_request_execution_seconds",
            "[ALPHA] Seconds that requests have had seats.",
            (*FLOW, "type"),
            BUCKETS["seconds"],
            self._distributions([(("regular",), "regular"), (("watch",), "watches")]),
        )
        self.demand = self._timing(
            "demand_seats", "Nanoseconds by demand for seats.", LEVEL, "demands", [(0, ())]
        )
        self.seats = self._timing(
            "priority_level_seat_utilization",
            "Nanoseconds by the part of the seats in use.",
            ("phase", *LEVEL),
            "seats",
            [(1, ("executing",))],
        )
        self.requests = self._timing(
            "priority_level_request_utilization",
            "Nanoseconds by requests in relation to their limit.",
            ("phase", *LEVEL),
            "requests",
            [(2, ("executing",)), (3, ("waiting",))],
        )
        self.kinds = Histogram(
            f"{PREFIX}_read_vs_write_current_requests",
            "[ALPHA] Nanoseconds by reads and writes in relation to their limit.",
            ("phase", "request_kind"),
            BUCKETS["kinds"],
            self._by_kind,
        )

    def show(self, levels: Levels) -> None:
        """Show what is counted in these levels from now on."""
        self._levels = levels

    def _put(self, metric: Counter | Histogram) -> None:
        setattr(self, metric.name, metric)

    def _states(self) -> dict[str, State]:
        return {} if self._levels is None else self._levels.states

    def _used(self) -> Iterator[tuple[str, State]]:
        return ((name, state) for name, state in self._states().items() if state.seats.used)

    def _series(self) -> Iterator[tuple[Labels, Series]]:
        for name, state in self._states().items():
            for schema, series in state.series.items():
                yield (schema, name), series

    def _of_levels(self, read: Callable[[State], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(name,): read(state) for name, state in self._states().items()}

    def _of_meters(self, read: Callable[[State], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(name,): read(state) for name, state in self._used()}

    def _bounds(self, which: str) -> Callable[[], dict[Labels, float]]:
        return lambda: {
            (bound, name): getattr(state.seats, f"{which}_{bound}")
            for name, state in self._used()
            for bound in ("min", "max")
        }

    def _numbers(self, member: str) -> Callable[[], dict[Labels, float]]:
        gauges = [name for _, name in NOW.values()]

        def numbers() -> dict[Labels, float]:
            found = {labels: float(getattr(series, member)) for labels, series in self._series()}
            return found if member in gauges else {labels: n for labels, n in found.items() if n}

        return numbers

    def _rejections(self) -> dict[Labels, float]:
        counts = (
            ((*labels, reason), float(getattr(series, member)))
            for labels, series in self._series()
            for reason, member in REASONS.items()
        )
        return {labels: count for labels, count in counts if count}

    def _distributions(
        self, rows: Iterable[tuple[Labels, str]], *, front: bool = False
    ) -> Callable[[], dict[Labels, Distribution]]:
        """Distributions of each flow schema and level,
        with the further labels of `rows` before or behind the others."""
        return lambda: {
            ((*more, *labels) if front else (*labels, *more)): getattr(series, member)
            for labels, series in self._series()
            for more, member in rows
        }

    def _by_kind(self) -> dict[Labels, Distribution]:
        found = {} if self._levels is None else self._levels.kinds.timings()
        return {labels: one for labels, one in found.items() if one.sum}

    def _timing(
        self, name: str, text: str, labels: Labels, buckets: str, rows: list[tuple[int, Labels]]
    ) -> Histogram:
        """A histogram of time; `rows` name a distribution of a level by its place, and its further labels."""

        def source() -> dict[Labels, Distribution]:
            used = ((level, state.seats.timings()) for level, state in self._used())
            return {(*more, level): found[at] for level, found in used for at, more in rows}

        return Histogram(f"{PREFIX}_{name}", f"[ALPHA] {text}", labels, BUCKETS[buckets], source)
