"""The metrics of priority and fairness: an event moves each of them."""

import pytest
from flowcontrol.live import Live
from flowcontrol.test_levels import Clock, level, never

from pilothouse.api.values.identity import RequestInfo
from pilothouse.flowcontrol._seats import Flow
from pilothouse.flowcontrol.levels import Levels
from pilothouse.flowcontrol.metrics import PREFIX, FlowControlMetrics

parser = pytest.importorskip("prometheus_client.parser")


class Shown:
    """A level of two seats and one queue with ten places, with its metrics."""

    def __init__(self) -> None:
        self.clock, live = Clock(), Live()
        self.levels = Levels(live, 3, later=never, clock=self.clock)
        live.put("prioritylevelconfigurations", level("a", 10, 50, 50, queues=1, hand=1))
        self.state = self.levels.states["a"]
        self.flow = Flow(self.state.seats, self.state.series_of("s"), "s", "", (0,))
        self.metrics = FlowControlMetrics()
        self.metrics.show(self.levels)

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of the samples of a name that have these labels, None if there are none."""
        text = "".join(metric.text() for metric in self.metrics.metrics())
        found = [
            sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def of_flow(self, name: str, **labels: str) -> float | None:
        return self.value(f"{PREFIX}_{name}", flow_schema="s", priority_level="a", **labels)

    def of_level(self, name: str, **labels: str) -> float | None:
        return self.value(f"{PREFIX}_{name}", priority_level="a", **labels)


def test_without_levels_nothing_is_shown() -> None:
    assert "".join(metric.text() for metric in FlowControlMetrics().metrics()) == ""


def test_the_limits() -> None:
    shown = Shown()
    names = ("nominal", "lower", "upper", "current")
    assert [shown.of_level(f"{name}_limit_seats") for name in names] == [2, 1, 3, 2]
    assert shown.value(f"{PREFIX}_seat_fair_frac") == pytest.approx(1.5)
    assert shown.of_level("current_r") is None  # no request has come


def test_the_demand() -> None:
    shown = Shown()
    first = shown.flow.enter(None, None, 2)
    shown.clock.now += 5
    first.release()
    shown.clock.now += 5
    shown.levels.adjust()
    assert shown.of_level("demand_seats_average") == 1
    assert shown.of_level("demand_seats_stdev") == 1
    assert shown.of_level("demand_seats_high_watermark") == 2
    assert shown.of_level("demand_seats_smoothed") == 2 == shown.of_level("target_seats")
    assert shown.of_level("demand_seats_count") == pytest.approx(10e9)
    assert shown.of_level("demand_seats_sum") == pytest.approx(5e9)


def test_requests_that_come_and_go() -> None:
    shown = Shown()
    watch = shown.flow.enter(None, RequestInfo("/", "watch"), 2)
    other = shown.flow.enter(None, RequestInfo("/", "get"), mutating=True)
    assert shown.of_flow("current_executing_requests") == 1 == shown.of_flow("current_inqueue_requests")
    assert (shown.of_flow("current_executing_seats"), shown.of_flow("current_inqueue_seats")) == (2, 1)
    assert shown.of_flow("dispatched_requests_total") == 1
    assert shown.of_flow("request_queue_length_after_enqueue_count") == 2
    assert shown.of_flow("work_estimated_seats_sum") == 3
    shown.clock.now += 2
    watch.release()
    shown.clock.now += 1
    other.release()
    assert shown.of_flow("current_executing_requests") == 0 == shown.of_flow("current_inqueue_seats")
    assert shown.of_flow("request_wait_duration_seconds_sum", execute="true") == 2
    assert shown.of_flow("request_execution_seconds_sum", type="watch") == 2
    assert shown.of_flow("request_execution_seconds_sum", type="regular") == 1
    assert shown.of_level("priority_level_seat_utilization_sum", phase="executing") == pytest.approx(2.5e9)
    assert shown.of_level("priority_level_request_utilization_sum", phase="executing") == pytest.approx(1.5e9)
    assert shown.of_level("priority_level_request_utilization_sum", phase="waiting") == pytest.approx(0.2e9)
    kinds = f"{PREFIX}_read_vs_write_current_requests_sum"
    seats = sum(state.nominal for state in shown.levels.states.values())
    assert shown.value(kinds, phase="executing", request_kind="readOnly") == pytest.approx(2e9 / seats)
    assert shown.value(kinds, phase="executing", request_kind="mutating") == pytest.approx(1e9 / seats)
    assert shown.value(kinds, phase="waiting", request_kind="mutating") == pytest.approx(0.2e9)


def test_virtual_time() -> None:
    shown = Shown()
    tickets = [shown.flow.enter(None, None) for _ in range(3)]
    shown.clock.now += 1
    tickets[0].release()
    assert shown.of_level("current_r") == 2 == shown.of_level("dispatch_r")
    # two requests of 3 ms were begun, and the first has taken a second
    assert shown.of_level("latest_s") == pytest.approx(1.003)
    for bound in ("min", "max"):
        assert shown.of_level("next_s_bounds", bound=bound) == pytest.approx(1.003)
        assert shown.of_level("next_discounted_s_bounds", bound=bound) == pytest.approx(1.0)


def test_refusals_and_turns_without_room() -> None:
    shown = Shown()
    shown.flow.enter(None, None, 1)
    waiting = [shown.flow.enter(None, None, 2) for _ in range(10)]
    shown.flow.enter(None, None, 1)
    waiting[0].time_out()
    waiting[1].release()
    for _ in range(4):
        shown.flow.enter(None, None, 2)
    shown.levels.states["a"].seats.configure(0)
    shown.flow.enter(None, None, 2)
    assert shown.of_flow("rejected_requests_total", reason="time-out") == 1
    assert shown.of_flow("rejected_requests_total", reason="cancelled") == 1
    assert shown.of_flow("rejected_requests_total", reason="concurrency-limit") == 1
    assert shown.of_flow("request_dispatch_no_accommodation_total") > 0
    assert shown.of_flow("request_wait_duration_seconds_count", execute="false") >= 3


def test_full_queues_and_slow_clients() -> None:
    shown = Shown()
    slow = shown.flow.enter(None, None, 2)
    for _ in range(11):
        shown.flow.enter(None, None)
    assert shown.of_flow("rejected_requests_total", reason="queue-full") == 1
    slow.answered = True
    shown.clock.now += 1
    for _ in range(2):
        shown.state.seats.let_go(5)
        shown.clock.now += 10
    shown.state.seats.let_go(5)
    name = "pilothouse_flowcontrol_seats_let_go_total"
    assert shown.value(name, flow_schema="s", priority_level="a") == 1


def test_watchers() -> None:
    shown = Shown()
    shown.state.series_of("s").watchers.observe(12)
    assert shown.of_flow("watch_count_samples_sum") == 12
