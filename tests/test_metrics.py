import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.identity import RequestInfo
from pilothouse.metrics import Counter, Gauge, Histogram, Metrics, number
from pilothouse.registry.resource import Resource

PODS = Resource(group="", version="v1", plural="pods", kind="Pod", singular="pod", namespaced=True, verbs=())


def info(verb: str, name: str = "", namespace: str = "default", subresource: str = "") -> RequestInfo:
    return RequestInfo("/x", verb, True, "api", "", "v1", namespace, "pods", subresource, name)


def samples(text: bytes) -> dict[str, Any]:
    """Sample name with its labels -> value."""
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


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
        (float("inf"), "+Inf"),
    ],
)
def test_numbers_are_written_as_go_does(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_exact(value: Any) -> None:
    assert float(number(value)) == value


def test_counters_and_gauges() -> None:
    counter = Counter("c", "Help\nme.", ("a", "b"))
    assert counter.text() == ""
    counter.inc("x", 'y"\\')
    counter.inc("x", 'y"\\', by=2)
    assert counter.text() == '# HELP c Help\\nme.\n# TYPE c counter\nc{a="x",b="y\\"\\\\"} 3\n'
    gauge = Gauge("g", "Now.", ())
    gauge.set(4)
    assert gauge.text().endswith("g 4\n")
    gauge.source = lambda: {(): 7}
    assert gauge.text().endswith("g 7\n")


@given(
    st.lists(st.floats(0, 20), min_size=1), st.lists(st.integers(0, 20), min_size=1, unique=True).map(sorted)
)
def test_histograms_count_what_is_at_most_the_bound(values: Any, bounds: Any) -> None:
    histogram = Histogram("h", "Spread.", ("l",), bounds)
    for value in values:
        histogram.observe(value, "x")
    found = samples(histogram.text().encode())
    for bound in bounds:
        assert int(found[f'h_bucket{{l="x",le="{bound}"}}']) == sum(value <= bound for value in values)
    assert int(found['h_bucket{l="x",le="+Inf"}']) == int(found['h_count{l="x"}']) == len(values)
    assert float(found['h_sum{l="x"}']) == pytest.approx(sum(values))


def test_requests_are_told_apart() -> None:
    metrics = Metrics()
    observe = metrics.requests.observe
    observe(info("list"), PODS, 200, 0.003)
    observe(info("list"), PODS, 403, 0.03)
    observe(info("get", "a"), PODS, 200, 0.1)
    observe(info("create"), PODS, 201, 0.1)
    observe(info("watch", namespace=""), PODS, 200, 30)
    observe(info("list"), None, 404, 0.1)
    found = samples(metrics.expose())
    total = (
        'apiserver_request_total{{code="{}",component="apiserver",dry_run="",group="",resource="pods",'
        'scope="{}",subresource="",system_client="",verb="{}",version="v1"}}'
    )
    assert found[total.format(200, "namespace", "LIST")] == "1"
    assert found[total.format(403, "namespace", "LIST")] == "1"
    assert found[total.format(200, "resource", "GET")] == "1"
    assert found[total.format(201, "resource", "POST")] == "1"
    assert found[total.format(200, "cluster", "WATCH")] == "1"
    labels = 'group="",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1"'
    timed = f'apiserver_request_duration_seconds_bucket{{component="apiserver",dry_run="",{labels},le='
    assert [found[f'{timed}"{bound}"}}'] for bound in ("0.005", "0.025", "0.05", "+Inf")] == list("1122")
    sli = f'apiserver_request_sli_duration_seconds_bucket{{component="apiserver",{labels},le="0.05"}}'
    assert found[sli] == "2"
    assert not any("sli" in name and "WATCH" in name for name in found)


def test_asking_twice_tells_the_same() -> None:
    metrics = Metrics()
    metrics.requests.observe(info("list"), PODS, 200, 0.003)
    first, second = samples(metrics.expose()), samples(metrics.expose())
    assert {k: v for k, v in first.items() if not k.startswith("process_")} == {
        k: v for k, v in second.items() if not k.startswith("process_")
    }


def test_deprecated_resources_are_marked() -> None:
    metrics = Metrics()
    endpoints = Resource(
        group="",
        version="v1",
        plural="endpoints",
        kind="Endpoints",
        singular="endpoints",
        namespaced=True,
        verbs=(),
        deprecated="v1 Endpoints is deprecated",
    )
    asked = RequestInfo("/x", "list", True, "api", "", "v1", "", "endpoints")
    metrics.requests.observe(asked, endpoints, 200, 0.1)
    assert (
        b'apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints"'
        in metrics.expose()
    )


def test_reset() -> None:
    metrics = Metrics()
    metrics.requests.observe(info("list"), PODS, 200, 0.003)
    metrics.audit_events.inc()
    metrics.reset()
    text = metrics.expose()
    assert b"apiserver_request_total" not in text
    assert b"\napiserver_audit_event_total 0\n" in text
    assert b"process_resident_memory_bytes" in text


def test_health_checks_are_told_apart_from_the_rest() -> None:
    metrics = Metrics()
    metrics.observe_health("etcd", "livez", True)
    metrics.observe_health("etcd", "livez", False)
    found = samples(metrics.expose_slis())
    assert found['kubernetes_healthcheck{name="etcd",type="livez"}'] == "0"
    assert found['kubernetes_healthchecks_total{name="etcd",status="success",type="livez"}'] == "1"
    assert not any(name.startswith("kubernetes_healthcheck") for name in samples(metrics.expose()))


def test_declarations_are_sound() -> None:
    metrics = Metrics()
    declared = [*metrics._metrics, *metrics._slis, *metrics.requests.metrics()]
    names = [metric.name for metric in declared if metric.name != "process_start_time_seconds"]
    assert len(names) == len(set(names))
    for metric in declared:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
        assert list(metric.labels) == sorted(metric.labels)
        assert metric.help


def test_the_usual_parser_reads_it() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    metrics = Metrics()
    metrics.set_build({"major": "1", "minor": "36", "gitVersion": 'v1"\\'})
    metrics.requests.observe(info("list"), PODS, 200, 0.003)
    families = {f.name: f for f in parser.text_string_to_metric_families(metrics.expose().decode())}
    assert families["apiserver_request"].samples[0].value == 1
    assert families["kubernetes_build_info"].samples[0].labels["git_version"] == 'v1"\\'
