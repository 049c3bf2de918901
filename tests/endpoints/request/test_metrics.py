import asyncio
from dataclasses import replace
from typing import Any

from harness import CONFIG_MAPS, Rig
from metric_samples import samples

from pilothouse.api.values.identity import RequestInfo
from pilothouse.endpoints.request.deadlines import RequestDeadlines
from pilothouse.endpoints.request.metrics import HealthMetrics, RequestMetrics
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.memory import MemoryStorage

PODS = Resource(
    group="",
    version="v1",
    plural="pods",
    kind="Pod",
    singular="pod",
    namespaced=True,
    verbs=(),
    subresources={"status": Subresource(name="status", kind="Pod", verbs=())},
)


def info(verb: str, name: str = "", namespace: str = "default", subresource: str = "") -> RequestInfo:
    return RequestInfo("/x", verb, True, "api", "", "v1", namespace, "pods", subresource, name)


def observe(
    metrics: RequestMetrics,
    about: RequestInfo,
    resource: Resource | None,
    status: int,
    seconds: float,
    received: int,
    sent: int,
    headers: dict[str, str] | None = None,
    query: dict[str, list[str]] | None = None,
    waited: float = 0.0,
) -> None:
    metrics.observe(about, resource, status, seconds, received, sent, headers or {}, query or {}, waited)


def test_requests_are_told_apart() -> None:
    metrics = RequestMetrics()
    observe(metrics, info("list"), PODS, 200, 0.003, 0, 5_000)
    observe(metrics, info("list"), PODS, 403, 0.03, 0, 100)
    observe(metrics, info("get", "a"), PODS, 200, 0.1, 0, 100)
    observe(metrics, info("create"), PODS, 201, 0.1, 60_000, 100)
    observe(metrics, info("update", "a", subresource="status"), PODS, 201, 0.1, 0, 100)
    observe(metrics, info("watch", namespace=""), PODS, 200, 30, 0, 0)
    found = samples(metrics)
    total = (
        'apiserver_request_total{{code="{}",component="apiserver",dry_run="",group="",resource="pods",'
        'scope="{}",subresource="{}",system_client="",verb="{}",version="v1"}}'
    )
    assert found[total.format(200, "namespace", "", "LIST")] == "1"
    assert found[total.format(403, "namespace", "", "LIST")] == "1"
    assert found[total.format(200, "resource", "", "GET")] == "1"
    assert found[total.format(201, "resource", "", "POST")] == "1"
    assert found[total.format(201, "resource", "status", "PUT")] == "1"
    assert found[total.format(200, "cluster", "", "WATCH")] == "1"
    labels = 'group="",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1"'
    timed = f'apiserver_request_duration_seconds_bucket{{component="apiserver",dry_run="",{labels},le='
    assert [found[f'{timed}"{bound}"}}'] for bound in ("0.005", "0.025", "0.05", "+Inf")] == list("1122")
    sli = f'apiserver_request_sli_duration_seconds_bucket{{component="apiserver",{labels},le="0.05"}}'
    assert found[sli] == "2"
    assert not any("sli" in name and "WATCH" in name for name in found)
    sizes = f'apiserver_response_sizes_bucket{{component="apiserver",{labels},le='
    assert [found[f'{sizes}"{bound}"}}'] for bound in ("1000", "10000")] == ["1", "2"]
    assert not any("response_sizes" in name and "POST" in name for name in found)
    bodies = 'apiserver_request_body_size_bytes_bucket{group="",resource="pods",verb="create",le='
    assert [found[f'{bodies}"{bound}"}}'] for bound in ("50000", "150000")] == ["0", "1"]
    assert not any("body_size" in name and "update" in name for name in found)


def test_what_is_not_served_is_not_counted() -> None:
    metrics = RequestMetrics()
    observe(metrics, info("list"), None, 404, 0.1, 0, 10)
    observe(metrics, info("get", "a", subresource="nonsense"), PODS, 404, 0.1, 0, 10)
    assert not any("request_total" in name for name in samples(metrics))


def test_asking_twice_tells_the_same() -> None:
    metrics = RequestMetrics()
    observe(metrics, info("list"), PODS, 200, 0.003, 0, 10)
    assert samples(metrics) == samples(metrics)


def test_deprecated_resources_are_marked() -> None:
    metrics = RequestMetrics()
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
    observe(metrics, asked, endpoints, 200, 0.1, 0, 10)
    marked = 'apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints"'
    assert any(name.startswith(marked) for name in samples(metrics))


def test_streams_and_logs_are_told_as_connect() -> None:
    metrics = RequestMetrics()
    streams = ("exec", "attach", "portforward", "proxy", "log")
    named = {name: Subresource(name=name, kind="Pod", verbs=()) for name in streams}
    pods = replace(PODS, subresources=named)
    for name in streams:
        verb, status = ("get", 200) if name in ("log", "proxy") else ("create", 101)
        about = info(verb, "a", subresource=name)
        observe(metrics, about, pods, status, 3.0, 10, 100)
        metrics.follow(about, pods)
    found = samples(metrics)
    totals = {name for name in found if name.startswith("apiserver_request_total")}
    assert len(totals) == 5 and all('verb="CONNECT"' in name for name in totals)
    assert {name.partition('"')[2].partition('"')[0] for name in totals} == {"0", "200"}
    assert not any('verb="GET"' in name or 'verb="POST"' in name for name in found)
    assert not any(name.startswith("apiserver_request_body_size_bytes") for name in found)
    sizes = [name for name in found if name.startswith("apiserver_response_sizes_count")]
    assert len(sizes) == 1 and 'subresource="log"' in sizes[0]


def test_a_watch_that_was_taken_over_has_the_code_0() -> None:
    metrics = RequestMetrics()
    observe(metrics, info("watch"), PODS, 101, 3.0, 0, 0)
    (total,) = [name for name in samples(metrics) if name.startswith("apiserver_request_total")]
    assert 'code="0"' in total and 'verb="WATCH"' in total


def test_reset() -> None:
    metrics = RequestMetrics()
    observe(metrics, info("create"), PODS, 200, 0.003, 10, 10)
    metrics.enter(info("create"))
    metrics.reset()
    found = samples(metrics)
    assert found.pop('apiserver_current_inflight_requests{request_kind="mutating"}') == "1"
    assert set(found.values()) == {"0"} and all(name.startswith("apiserver_current_") for name in found)


def test_health_checks() -> None:
    metrics = HealthMetrics()
    metrics.observe("etcd", "livez", ok=True)
    metrics.observe("etcd", "livez", ok=False)
    found = samples(metrics)
    assert found['kubernetes_healthcheck{name="etcd",type="livez"}'] == "0"
    assert found['kubernetes_healthchecks_total{name="etcd",status="success",type="livez"}'] == "1"


class Stuck(MemoryStorage):
    """Does not answer a create of a config map until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def create(self, key: str, value: bytes, ttl: int = 0, author: bytes = b"") -> KeyValue:
        if "/configmaps/" in key:
            self.asked.set()
            await self.go.wait()
        return await super().create(key, value, ttl, author)


def test_requests_in_flight_and_those_that_are_given_up() -> None:
    def shown(rig: Any, name: str, *labels: str) -> list[str]:
        found = samples(rig.requests)
        return [v for k, v in found.items() if k.startswith(name) and all(label in k for label in labels)]

    async def main() -> None:
        storage = Stuck()
        async with Rig(storage=storage) as rig:
            flying = ("apiserver_current_inflight_requests", 'request_kind="mutating"')
            body = {"metadata": {"name": "a"}}
            writing = asyncio.ensure_future(rig.call("POST", CONFIG_MAPS, body))
            await storage.asked.wait()
            assert shown(rig, *flying) == ["1"]
            storage.go.set()
            assert (await writing).status == 201
            assert shown(rig, *flying) == ["0"]
            assert shown(rig, "apiserver_request_terminations_total") == []
            storage.go.clear()
            rig.pipeline.deadlines = RequestDeadlines(0.005)
            assert (await rig.call("POST", CONFIG_MAPS, {"metadata": {"name": "b"}})).status == 504
            assert shown(rig, *flying) == ["0"]
            assert shown(rig, "apiserver_request_terminations_total", 'code="504"', 'verb="POST"') == ["1"]

    asyncio.run(main())


def test_dry_runs_and_clients_of_the_control_plane_are_told_apart() -> None:
    metrics = RequestMetrics()
    agent = {"user-agent": "kube-scheduler/v1.36.0 (linux/amd64)"}
    observe(metrics, info("list"), PODS, 200, 0.1, 0, 10, agent)
    observe(metrics, info("list"), PODS, 200, 0.1, 0, 10, {"user-agent": "kube-proxy/v1.36.0"})
    observe(metrics, info("create"), PODS, 201, 0.1, 10, 10, query={"dryRun": ["All"]})
    observe(metrics, info("create"), PODS, 400, 0.1, 10, 10, query={"dryRun": ["Some"]})
    apply = {"content-type": "application/apply-patch+yaml"}
    observe(metrics, info("patch", "a"), PODS, 200, 0.1, 10, 10, apply)
    found = samples(metrics)
    total = (
        'apiserver_request_total{{code="{}",component="apiserver",dry_run="{}",group="",resource="pods",'
        'scope="{}",subresource="",system_client="{}",verb="{}",version="v1"}}'
    )
    for labels in (
        (200, "", "namespace", "kube-scheduler", "LIST"),
        (200, "", "namespace", "", "LIST"),
        (201, "All", "resource", "", "POST"),
        (400, "invalid", "resource", "", "POST"),
        (200, "", "resource", "", "APPLY"),
    ):
        assert found[total.format(*labels)] == "1", labels
    assert not any("_sli_" in name and "POST" in name for name in found), "dry runs have no objective"


def test_waiting_for_others_does_not_count_for_objectives() -> None:
    metrics = RequestMetrics()
    observe(metrics, info("create"), PODS, 201, 3.0, 10, 10, waited=2.75)
    found = samples(metrics)
    sums = {name.partition("{")[0]: value for name, value in found.items() if "_sum" in name}
    assert sums["apiserver_request_sli_duration_seconds_sum"] == "0.25"
    assert sums["apiserver_request_duration_seconds_sum"] == "3"


def test_writes_are_counted_by_their_field_validation() -> None:
    metrics = RequestMetrics()
    for asked in (["Strict"], ["Strict", "Warn"], ["Some"], None):
        query = {"fieldValidation": asked} if asked else {}
        observe(metrics, info("update", "a"), PODS, 200, 0.1, 10, 10, query=query)
    observe(metrics, info("get", "a"), PODS, 200, 0.1, 0, 10, query={"fieldValidation": ["Warn"]})
    found = samples(metrics)
    name = "field_validation_request_duration_seconds_count"
    counts = {key: value for key, value in found.items() if key.startswith(name)}
    assert counts == {
        f'{name}{{field_validation="Strict"}}': "1",
        f'{name}{{field_validation="invalid"}}': "2",
        f'{name}{{field_validation=""}}': "1",
    }


def test_requests_in_queues_are_shown_by_kind() -> None:
    metrics = RequestMetrics()
    waiting = 'apiserver_current_inqueue_requests{request_kind="readOnly"}'
    with metrics.queued(info("list")):
        assert samples(metrics)[waiting] == "1"
    assert samples(metrics)[waiting] == "0"


async def test_stages_are_timed(rig: Rig) -> None:
    name = "apiserver_request_filter_duration_seconds_count"
    before = samples(rig.pipeline.stages.observer.filters)
    await rig.ok("GET", CONFIG_MAPS)
    await rig.ok(
        "GET", CONFIG_MAPS, headers={"impersonate-user": "jane", "impersonate-group": "system:masters"}
    )
    found = samples(rig.pipeline.stages.observer.filters)
    for stage, times in (
        ("authentication", 2),
        ("authorization", 2),
        ("priorityandfairness", 2),
        ("constrainedimpersonation", 1),
    ):
        series = f'{name}{{filter="{stage}"}}'
        assert int(found[series]) == int(before.get(series, 0)) + times, stage


async def test_an_answer_that_the_server_cuts_short_is_counted(rig: Rig) -> None:
    (await rig.watch(f"{CONFIG_MAPS}?watch=1")).close()
    name = "apiserver_request_aborts_total"
    assert not any(one.startswith(name) for one in samples(rig.requests))
    (await rig.watch(f"{CONFIG_MAPS}?watch=1")).abort()
    labels = 'group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"'
    assert samples(rig.requests)[f"{name}{{{labels}}}"] == "1"
