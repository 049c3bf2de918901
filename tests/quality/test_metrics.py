"""Every metric that is declared is moved by what it says,
so none can be declared without code that counts."""

import asyncio
import importlib
import json
import mmap
import pathlib
import pkgutil
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self

import pytest
from converters import DEFINITIONS, V1, box, definition
from converters import path as boxes
from e2e.http_client import Connection
from eventually import aeventually
from server.fake_transport import Peer
from server.http2.peers import PREFACE, Flag, Kind, frame

import pilothouse
from pilothouse.api.values.identity import ANONYMOUS, RequestInfo
from pilothouse.assembly.server import Server
from pilothouse.audit.metrics import AuditMetrics
from pilothouse.authn.metrics import SignerMetrics
from pilothouse.clusters.metrics import ClusterMetrics
from pilothouse.clusters.shared.metrics import SharedMetrics
from pilothouse.configuration import options
from pilothouse.endpoints.request.metrics import StandingMetrics
from pilothouse.faults.metrics import FaultMetrics
from pilothouse.history.metrics import HistoryMetrics
from pilothouse.metrics.instruments import Group
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.registry.metrics import ConsistentReadMetrics
from pilothouse.server.http1 import Limits
from pilothouse.server.http2 import Http2
from pilothouse.server.metrics import ConnectionMetrics
from pilothouse.storage.commit_metrics import CommitMetrics
from pilothouse.storage.encryption.kms.metrics import EnvelopeMetrics
from pilothouse.storage.encryption.metrics import TO_STORAGE, EncryptionMetrics
from pilothouse.storage.etcd.metrics import EtcdMetrics
from pilothouse.tracing.metrics import TracingMetrics
from pilothouse.workers.metrics import WorkerMetrics

parser = pytest.importorskip("prometheus_client.parser")

Values = dict[str, float]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
UPSTREAM = pathlib.Path(__file__).parents[1] / "data/metrics.json"
"""The metrics of kube-apiserver v1.36: type, labels, stability and the bounds of buckets."""
ABSENT = pathlib.Path(__file__).parents[2] / "tools/data/absent_metrics.json"
"""The reasons why some of them are not here."""


class Running:
    """A server in this process, with an administrator's connection and one of somebody who has no name."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.directory = directory
        flags = [f"--data-dir={directory}", "--bind-address=127.0.0.1", f"--secure-port={self.port}"]
        flags += ["--storage-backend=memory", "--max-unauthenticated-connections=3"]
        flags += ["--max-memory=64Gi"]
        self.server = Server(options.parse(flags), sockets=[self.sock])

    async def __aenter__(self) -> Self:
        await self.server.start()
        tls = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        self.nobody = Connection(self.port, tls)
        self.tls = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        self.tls.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        self.admin = Connection(self.port, self.tls)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.admin.close()
        self.nobody.close()
        await self.server.stop(drain=1.0)

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.admin.request(method, path, body)
        assert status < 300, answer
        return answer

    async def text(self) -> str:
        return (await self.server.host.metrics.expose() + await self.server.host.slis.expose()).decode()

    async def values(self) -> Values:
        """Without the lines of buckets, which take most of the parser's time."""
        return parsed(re.sub(r"^\w+_bucket\{.*\n", "", await self.text(), flags=re.M))


def parsed(text: str) -> Values:
    """The sum over the series of each sample name, as the usual parser reads them; buckets are left out."""
    out: Values = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                out[sample.name] = out.get(sample.name, 0) + sample.value
    return out


def group_values(group: Group) -> Values:
    return parsed("".join(metric.text() for metric in group.metrics()))


Action = Callable[[Running], AbstractAsyncContextManager[None]]
ACTIONS: dict[Action, tuple[str, ...]] = {}
"""The actions, and the metrics that an action moves while its context lasts."""


def moves(*names: str) -> Callable[[Callable[[Running], AsyncIterator[None]]], Action]:
    def decorate(function: Callable[[Running], AsyncIterator[None]]) -> Action:
        action = asynccontextmanager(function)
        ACTIONS[action] = names
        return action

    return decorate


@moves(
    "apiserver_request_total",
    "apiserver_request_duration_seconds",
    "apiserver_request_sli_duration_seconds",
    "apiserver_request_filter_duration_seconds",
    "apiserver_response_sizes",
    "apiserver_cache_list_total",
    "authentication_attempts",
    "authentication_duration_seconds",
    "authenticated_user_requests",
    "authorization_attempts_total",
    "authorization_duration_seconds",
    "pilothouse_http_requests_total",
    "pilothouse_http_received_bytes_total",
    "pilothouse_http_sent_bytes_total",
    "process_cpu_seconds_total",
)
async def read(run: Running) -> AsyncIterator[None]:
    await run.ok("GET", CONFIG_MAPS)
    sum(range(1_000_000))  # what processor time is counted in: a hundredth of a second
    yield


@moves(
    "apiserver_request_body_size_bytes",
    "apiserver_resource_size_estimate_bytes",
    "field_validation_request_duration_seconds",
    "pilothouse_watch_cache_object_bytes",
    "pilothouse_watch_cache_ring_bytes",
    "apiserver_admission_controller_admission_duration_seconds",
    "apiserver_admission_step_admission_duration_seconds",
    "apiserver_admission_step_admission_duration_seconds_summary",
    "etcd_requests_total",
    "etcd_request_duration_seconds",
    "apiserver_storage_size_bytes",
    "apiserver_resource_objects",
    "apiserver_storage_objects",
    "apiserver_storage_events_received_total",
    "apiserver_watch_cache_events_received_total",
    "apiserver_watch_cache_events_dispatched_total",
    "apiserver_watch_cache_resource_version",
)
async def write(run: Running) -> AsyncIterator[None]:
    await run.ok("POST", CONFIG_MAPS, {"metadata": {"name": "written"}})
    yield


@moves("apiserver_cache_list_fetched_objects_total", "apiserver_cache_list_returned_objects_total")
async def list_what_is_there(run: Running) -> AsyncIterator[None]:
    await run.ok("GET", "/api/v1/namespaces")
    yield


@moves("apiserver_request_timestamp_comparison_time")
async def change(run: Running) -> AsyncIterator[None]:
    await run.ok("PUT", f"{CONFIG_MAPS}/written", {"metadata": {"name": "written"}, "data": {"a": "b"}})
    yield


@moves(
    "apiserver_selfrequest_total",
    "workqueue_adds_total",
    "workqueue_queue_duration_seconds",
    "workqueue_work_duration_seconds",
)
async def have_a_controller_work(run: Running) -> AsyncIterator[None]:
    await run.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "worked"}})

    async def filled() -> bool:
        path = "/api/v1/namespaces/worked/serviceaccounts/default"
        return (await run.admin.request("GET", path))[0] == 200

    await aeventually(filled, "what every namespace has")
    yield


@moves("pilothouse_event_loop_lag_seconds")
async def let_time_pass(run: Running) -> AsyncIterator[None]:
    before = (await run.values())["pilothouse_event_loop_lag_seconds_count"]

    async def looked() -> bool:
        return (await run.values())["pilothouse_event_loop_lag_seconds_count"] > before

    await aeventually(looked, "the timer to fire")
    yield


@moves("pod_security_evaluations_total")
async def judge_a_pod(run: Running) -> AsyncIterator[None]:
    template = {"spec": {"containers": [{"name": "c", "image": "i"}], "hostNetwork": True}}
    labels = {"pod-security.kubernetes.io/warn": "baseline"}
    await run.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "judged", "labels": labels}})
    body = {"metadata": {"name": "t"}, "template": template}
    await run.ok("POST", "/api/v1/namespaces/judged/podtemplates", body)
    yield


@moves(
    "rest_client_requests_total",
    "rest_client_request_duration_seconds",
    "rest_client_request_size_bytes",
    "rest_client_transport_cache_entries",
    "rest_client_transport_create_calls_total",
    "apiserver_admission_webhook_admission_duration_seconds",
    "apiserver_admission_webhook_request_total",
    "apiserver_admission_webhook_rejection_count",
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_match_condition_evaluation_errors_total",
    "apiserver_admission_match_condition_exclusions_total",
    "apiserver_admission_match_condition_evaluation_seconds",
)
async def call_dead_webhooks(run: Running) -> AsyncIterator[None]:
    def webhook(name: str, policy: str, **more: Any) -> dict[str, Any]:
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["configmaps"],
        }
        return {
            "name": f"{name}.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [rule],
            "failurePolicy": policy,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }

    def condition(text: str) -> dict[str, Any]:
        return {"matchConditions": [{"name": "c", "expression": text}]}

    hooks = [
        webhook("ignored", "Ignore"),
        webhook("failed", "Fail"),
        webhook("error", "Ignore", **condition("object.data.none == ''")),
        webhook("excluded", "Fail", **condition("false")),
    ]
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    await run.ok("POST", path, {"metadata": {"name": "dead"}, "webhooks": hooks})
    status, _ = await run.admin.request("POST", CONFIG_MAPS, {"metadata": {"name": "judged"}})
    assert status == 500
    await run.ok("DELETE", f"{path}/dead")
    yield


@moves("apiserver_requested_deprecated_apis")
async def read_endpoints(run: Running) -> AsyncIterator[None]:
    await run.ok("GET", "/api/v1/namespaces/default/endpoints")
    yield


@moves("apiserver_longrunning_requests", "apiserver_init_events_total", "apiserver_watch_events_total",
       "apiserver_watch_events_sizes", "pilothouse_connections_open", "pilothouse_connections_accepted_total",
       "process_open_fds")  # fmt: skip
async def watch(run: Running) -> AsyncIterator[None]:
    watching = Connection(run.port, run.tls)
    events = await watching.watch(f"{CONFIG_MAPS}?watch=1&resourceVersion=0")
    await events.next()
    yield
    watching.close()


@moves("apiserver_watch_list_duration_seconds", "pilothouse_watch_delivery_seconds")
async def watch_from_the_state_on(run: Running) -> AsyncIterator[None]:
    watching = Connection(run.port, run.tls)
    asked = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    events = await watching.watch(f"{CONFIG_MAPS}?{asked}")
    await events.next()
    await run.ok("POST", CONFIG_MAPS, {"metadata": {"name": "seen"}})
    yield
    watching.close()


class Full:
    """The stream of a client that takes nothing."""

    def write(self, data: bytes) -> None: ...

    def buffered(self) -> int:
        return 1 << 30

    def close(self) -> None: ...

    def abort(self, error: BaseException | None = None) -> None: ...

    def on_close(self, callback: Callable[[], None]) -> None: ...

    def on_drain(self, callback: Callable[[], None]) -> None: ...


@moves("apiserver_terminated_watchers_total")
async def watch_without_reading(run: Running) -> AsyncIterator[None]:
    from pilothouse.api._json import JsonEncoder

    cache = next(
        c for c in run.server.cluster.registry.cacher.resources() if c.prefix == "/registry/configmaps/"
    )
    cache.watch(cache.prefix, "", None, None, JsonEncoder("ConfigMap", "v1"), Full())
    for n in range(12):
        await run.ok("POST", CONFIG_MAPS, {"metadata": {"name": f"big-{n}"}, "data": {"k": "x" * 900_000}})
        await run.ok("DELETE", f"{CONFIG_MAPS}/big-{n}")
    yield


@moves("apiserver_authorization_decisions_total")
async def ask_without_a_name(run: Running) -> AsyncIterator[None]:
    assert (await run.nobody.request("GET", "/version"))[0] == 200
    yield


@moves("kube_apiserver_clusterip_allocator_allocated_ips", "kube_apiserver_clusterip_allocator_available_ips",
       "kube_apiserver_nodeport_allocator_allocated_ports",
       "kube_apiserver_nodeport_allocator_available_ports",
       "kube_apiserver_clusterip_allocator_allocation_duration_seconds",
       "kube_apiserver_clusterip_allocator_allocation_total",
       "kube_apiserver_nodeport_allocator_allocation_total")  # fmt: skip
async def make_a_service(run: Running) -> AsyncIterator[None]:
    service = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 1}]}}
    await run.ok("POST", "/api/v1/namespaces/default/services", service)
    yield


@moves(
    "apiserver_validating_admission_policy_check_total",
    "apiserver_validating_admission_policy_check_duration_seconds",
    "apiserver_mutating_admission_policy_check_total",
    "apiserver_mutating_admission_policy_check_duration_seconds",
)
async def write_under_policies(run: Running) -> AsyncIterator[None]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
    constraints = {"matchConstraints": {"resourceRules": [rule]}}
    changed = {"expression": "Object{metadata: Object.metadata{labels: {'a': 'b'}}}"}
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": changed}
    specs: dict[str, tuple[Any, Any]] = {
        "validating": ({"validations": [{"expression": "false"}]}, {"validationActions": ["Warn"]}),
        "mutating": ({"reinvocationPolicy": "Never", "mutations": [mutation]}, {}),
    }
    for kind, (spec, binding) in specs.items():
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}admissionpolicies"
        metadata = {"name": "p"}
        await run.ok("POST", path, {"metadata": metadata, "spec": {**spec, **constraints}})
        bound = {"metadata": metadata, "spec": {"policyName": "p", **binding}}
        await run.ok("POST", path.removesuffix("ies") + "ybindings", bound)
    await run.ok("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "judged"}})
    yield


@moves("pilothouse_cache_bytes", "pilothouse_cache_entries")
async def ask_for_something_new(run: Running) -> AsyncIterator[None]:
    await run.ok("GET", "/api/v1/namespaces/never-asked-for/configmaps")
    yield


@moves("apiserver_conversion_webhook_request_total", "apiserver_conversion_webhook_duration_seconds",
       "apiserver_crd_conversion_webhook_duration_seconds", "apiextensions_openapi_v2_regeneration_count",
       "apiextensions_openapi_v3_regeneration_count")  # fmt: skip
async def ask_for_a_conversion(run: Running) -> AsyncIterator[None]:
    made = definition()
    hook = {"clientConfig": {"url": "https://127.0.0.1:1/convert"}, "conversionReviewVersions": ["v1"]}
    made["spec"]["conversion"] = {"strategy": "Webhook", "webhook": hook}
    await run.ok("POST", DEFINITIONS, made)

    async def stored() -> bool:
        return (await run.admin.request("POST", boxes("v1"), box("a", V1)))[0] == 201

    await aeventually(stored, "the boxes to be served")
    status, answer = await run.admin.request("GET", boxes("v2", "a"))
    assert status == 500 and answer["message"].endswith("connect: connection refused")
    yield


@moves("pilothouse_unserved_definition")
async def define_a_kind_twice(run: Running) -> AsyncIterator[None]:
    for plural in ("one", "other"):
        made = definition()
        made["spec"]["group"] = "twice.example.com"
        made["metadata"]["name"] = f"{plural}.twice.example.com"
        made["spec"]["names"] = {"plural": plural, "kind": "Twice"}
        await run.ok("POST", DEFINITIONS, made)
    readers = run.server.cluster.registry.readers

    def refused() -> bool:
        found = readers.get("customresourcedefinitions.apiextensions.k8s.io", "", "other.twice.example.com")
        return "KindConflict" in json.dumps(found)

    await aeventually(refused, "its condition")
    yield


@moves("aggregator_unavailable_apiservice")
async def register_a_server(run: Running) -> AsyncIterator[None]:
    service = {"namespace": "default", "name": "away"}
    spec = {"group": "a.example.com", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}
    api_service = {"metadata": {"name": "v1.a.example.com"}, "spec": {**spec, "service": service}}
    await run.ok("POST", "/apis/apiregistration.k8s.io/v1/apiservices", api_service)
    readers = run.server.cluster.registry.readers

    def checked() -> bool:
        found = readers.get("apiservices.apiregistration.k8s.io", "", "v1.a.example.com")
        return "ServiceNotFound" in json.dumps(found)

    await aeventually(checked, "its condition")
    yield


@moves("kubernetes_healthcheck", "kubernetes_healthchecks_total")
async def ask_for_health(run: Running) -> AsyncIterator[None]:
    await run.ok("GET", "/livez/ping")
    yield


@moves("apiserver_tls_handshake_errors_total")
async def speak_no_tls(run: Running) -> AsyncIterator[None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.read()
    writer.close()
    yield


@moves("pilothouse_connections_open_by_protocol", "pilothouse_http2_streams_open",
       "pilothouse_http2_streams_total", "pilothouse_http2_faults_total")  # fmt: skip
async def speak_http2(run: Running) -> AsyncIterator[None]:
    tls = ssl.create_default_context(cafile=str(run.directory / "ca.crt"))
    tls.load_cert_chain(run.directory / "admin.crt", run.directory / "admin.key")
    tls.set_alpn_protocols(["h2"])
    opened = [await asyncio.open_connection("127.0.0.1", run.port, ssl=tls) for _ in range(2)]
    (_, writer), (reader, broken) = opened
    for one in (writer, broken):
        one.write(
            PREFACE
            + frame(Kind.SETTINGS)
            + frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 1, b"\x82\x84\x87")
        )
    writer.write(frame(Kind.HEADERS, Flag.END_HEADERS, 3, b"\x83\x84\x87"))
    broken.write(frame(Kind.PUSH, 0, 1))
    await reader.read()
    yield
    for one in (writer, broken):
        one.close()


@moves(
    "apiserver_flowcontrol_current_executing_requests",
    "apiserver_flowcontrol_current_executing_seats",
    "apiserver_flowcontrol_demand_seats",
    "apiserver_flowcontrol_dispatched_requests_total",
    "apiserver_flowcontrol_priority_level_request_utilization",
    "apiserver_flowcontrol_priority_level_seat_utilization",
    "apiserver_flowcontrol_read_vs_write_current_requests",
    "apiserver_flowcontrol_request_execution_seconds",
    "apiserver_flowcontrol_request_queue_length_after_enqueue",
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "apiserver_flowcontrol_work_estimated_seats",
)
async def take_seats(run: Running) -> AsyncIterator[None]:
    status, _ = await run.nobody.request("GET", "/version")
    assert status == 200
    info = RequestInfo("/version", "get")
    flow = run.server.pipeline.stages.gate.flow(ANONYMOUS, info)
    assert flow is not None
    ticket = flow.enter(ANONYMOUS, info)
    yield
    ticket.release()


@moves("pilothouse_connections_unauthenticated", "pilothouse_connections_refused_total")
async def come_in_numbers(run: Running) -> AsyncIterator[None]:
    tls = ssl.create_default_context(cafile=str(run.directory / "ca.crt"))
    opened = [await asyncio.open_connection("127.0.0.1", run.port, ssl=tls) for _ in range(5)]
    yield
    for _, writer in opened:
        writer.close()


@moves("process_resident_memory_bytes", "process_virtual_memory_bytes")
async def take_memory(run: Running) -> AsyncIterator[None]:
    size = 200_000_000
    with mmap.mmap(-1, size) as taken:  # the heap of a process that has run many tests has such room already
        for at in range(0, size, mmap.PAGESIZE):
            taken[at] = 1
        yield


@moves("etcd_request_errors_total")
async def lose_the_store(run: Running) -> AsyncIterator[None]:
    await run.server.cluster.registry.storage.close()
    status, _ = await run.admin.request("POST", CONFIG_MAPS, {"metadata": {"name": "lost"}})
    assert status >= 500
    yield


AT_THE_START = {
    "apiserver_storage_list_total",
    "disabled_metrics_total",
    "hidden_metrics_total",
    "kubernetes_feature_enabled",
    "process_network_receive_bytes_total",
    "process_network_transmit_bytes_total",
    "process_virtual_memory_max_bytes",
    "registered_metrics_total",
    "version_info",
    "apiserver_flowcontrol_lower_limit_seats",
    "apiserver_flowcontrol_nominal_limit_seats",
    "apiserver_flowcontrol_upper_limit_seats",
    "apiserver_watch_cache_initializations_total",
    "kubernetes_build_info",
    "process_max_fds",
    "process_start_time_seconds",
    "watch_cache_capacity",
}
"""The metrics that are there from the start and stay as they are."""

ELSEWHERE = {
    "aggregator_openapi_v2_regeneration_count": "controllers/test_remote_openapi.py",
    "aggregator_openapi_v2_regeneration_duration": "controllers/test_remote_openapi.py",
    "apiextensions_apiserver_validation_ratcheting_seconds": "registry/test_object_metrics.py",
    "apiserver_cel_compilation_duration_seconds": "registry/test_object_metrics.py",
    "apiserver_cel_evaluation_duration_seconds": "registry/test_object_metrics.py",
    "apiserver_certificates_registry_csr_honored_duration_total": "registry/test_object_metrics.py",
    "apiserver_certificates_registry_csr_requested_duration_total": "registry/test_object_metrics.py",
    "apiserver_clusterip_repair_ip_errors_total": "controllers/test_services.py",
    "apiserver_clusterip_repair_reconcile_errors_total": "controllers/test_services.py",
    "apiserver_current_inqueue_requests": "endpoints/request/test_metrics.py",
    "apiserver_nodeport_repair_port_errors_total": "controllers/test_services.py",
    "apiserver_nodeport_repair_reconcile_errors_total": "controllers/test_services.py",
    "apiserver_request_aborts_total": "endpoints/request/test_metrics.py",
    "apiserver_storage_decode_errors_total": "storage/test_metrics.py",
    "apiserver_storage_list_evaluated_objects_total": "storage/test_metrics.py",
    "apiserver_storage_list_fetched_objects_total": "storage/test_metrics.py",
    "apiserver_storage_list_returned_objects_total": "storage/test_metrics.py",
    "apiserver_watch_cache_read_wait_seconds": "registry/test_consistent.py",
    "etcd_bookmark_total": "storage/test_metrics.py",
    "kube_apiserver_clusterip_allocator_allocation_errors_total": "registry/test_allocators.py",
    "kube_apiserver_nodeport_allocator_allocation_errors_total": "registry/test_node_ports.py",
    "kube_apiserver_pod_logs_backend_tls_failure_total": "endpoints/streams/test_podlog.py",
    "kube_apiserver_pod_logs_insecure_backend_total": "endpoints/streams/test_podlog.py",
    "pilothouse_certificate_expiry_timestamp_seconds": "assembly/test_upkeep.py",
    "pilothouse_data_disk_bytes": "assembly/test_upkeep.py",
    "pilothouse_data_free_bytes": "assembly/test_upkeep.py",
    "pilothouse_memory_limit_bytes": "flowcontrol/test_memory.py",
    "pilothouse_memory_used_bytes": "flowcontrol/test_memory.py",
    "pilothouse_memory_charged_bytes": "flowcontrol/test_memory.py",
    "pilothouse_memory_waiting_requests": "flowcontrol/test_memory.py",
    "pilothouse_memory_refused_requests_total": "flowcontrol/test_memory.py",
    "pilothouse_memory_reliefs_total": "flowcontrol/test_memory.py",
    "node_authorizer_graph_actions_duration_seconds": "authz/test_node.py",
    "pilothouse_objects_left_out_total": "endpoints/answers/test_left_out.py",
    "pilothouse_storage_full": "e2e/test_full_disk.py",
    "rest_client_response_size_bytes": "outbound/test_http.py",
    "workqueue_depth": "controllers/test_queue.py",
    "workqueue_longest_running_processor_seconds": "controllers/test_queue.py",
    "workqueue_retries_total": "controllers/test_queue.py",
    "workqueue_unfinished_work_seconds": "controllers/test_queue.py",
    "apiserver_flowcontrol_current_inqueue_requests": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_current_inqueue_seats": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_current_limit_seats": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_current_r": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_demand_seats_average": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_demand_seats_high_watermark": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_demand_seats_smoothed": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_demand_seats_stdev": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_dispatch_r": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_latest_s": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_next_discounted_s_bounds": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_next_s_bounds": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_rejected_requests_total": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_request_dispatch_no_accommodation_total": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_seat_fair_frac": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_target_seats": "flowcontrol/test_metrics.py",
    "apiserver_flowcontrol_watch_count_samples": "flowcontrol/test_metrics.py",
    "pilothouse_flowcontrol_seats_let_go_total": "flowcontrol/test_metrics.py",
    "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds": (
        "authn/test_reload.py"
    ),
    "apiserver_authentication_config_controller_automatic_reloads_total": "authn/test_reload.py",
    "apiserver_authentication_config_controller_last_config_info": "authn/test_reload.py",
    "apiserver_authentication_jwt_authenticator_jwks_fetch_last_key_set_info": "authn/test_provider.py",
    "apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds": "authn/test_provider.py",
    "apiserver_authentication_jwt_authenticator_latency_seconds": "authn/test_oidc.py",
    "authentication_token_cache_active_fetch_count": "authn/test_authenticator.py",
    "authentication_token_cache_fetch_total": "authn/test_authenticator.py",
    "authentication_token_cache_request_duration_seconds": "authn/test_authenticator.py",
    "authentication_token_cache_request_total": "authn/test_authenticator.py",
    "apiserver_client_certificate_expiration_seconds": "authn/test_x509.py",
    "apiserver_impersonation_attempts_duration_seconds": "authn/test_impersonation.py",
    "apiserver_impersonation_attempts_total": "authn/test_impersonation.py",
    "apiserver_impersonation_authorization_attempts_duration_seconds": "authn/test_impersonation.py",
    "apiserver_impersonation_authorization_attempts_total": "authn/test_impersonation.py",
    "apiserver_authorization_config_controller_automatic_reload_last_timestamp_seconds": (
        "authz/test_reload.py"
    ),
    "apiserver_authorization_config_controller_automatic_reloads_total": "authz/test_reload.py",
    "apiserver_authorization_config_controller_last_config_info": "authz/test_reload.py",
    "apiserver_authorization_match_condition_evaluation_errors_total": "authz/test_conditions.py",
    "apiserver_authorization_match_condition_evaluation_seconds": "authz/test_conditions.py",
    "apiserver_authorization_match_condition_exclusions_total": "authz/test_conditions.py",
    "apiserver_authorization_webhook_duration_seconds": "authz/test_webhook.py",
    "apiserver_authorization_webhook_evaluations_fail_open_total": "authz/test_webhook.py",
    "apiserver_authorization_webhook_evaluations_total": "authz/test_webhook.py",
    "apiserver_current_inflight_requests": "endpoints/request/test_metrics.py",
    "aggregator_discovery_aggregation_count_total": "endpoints/documents/test_discovery.py",
    "aggregator_unavailable_apiservice_total": "controllers/test_apiservices.py",
    "apiserver_request_terminations_total": "endpoints/request/test_metrics.py",
    "apiserver_watch_cache_consistent_read_total": "registry/test_consistent.py",
    "cardinality_enforcement_unexpected_categorizations_total": "configuration/test_metric_limits.py",
    "apiserver_flowcontrol_request_concurrency_in_use": "assembly/test_metrics.py",
    "apiserver_flowcontrol_request_concurrency_limit": "assembly/test_metrics.py",
    "apiserver_request_slo_duration_seconds": "assembly/test_metrics.py",
    "apiserver_storage_db_total_size_in_bytes": "assembly/test_metrics.py",
    "apiserver_stream_translator_requests_total": "endpoints/streams/test_pod_streams.py",
    "apiserver_stream_tunnel_requests_total": "endpoints/streams/test_pod_streams.py",
    "apiserver_websocket_streaming_requests_total": "endpoints/streams/test_pod_streams.py",
    "pilothouse_admission_plugin_failures_total": "admission/installed/test_hosted.py",
    "pilothouse_admission_webhook_skipped_total": "admission/webhooks/test_calling.py",
    "pilothouse_reload_last_timestamp_seconds": "test_reload.py",
    "pilothouse_reload_refused": "test_reload.py",
    "pilothouse_reloads_total": "test_reload.py",
    "pod_security_errors_total": "admission/podsecurity/test_plugin.py",
    "pod_security_exemptions_total": "admission/podsecurity/test_plugin.py",
    "pilothouse_http_refused_requests_total": "quality/test_metrics.py",
    "serviceaccount_invalid_legacy_auto_token_uses_total": "authn/test_serviceaccount.py",
    "serviceaccount_legacy_auto_token_uses_total": "authn/test_serviceaccount.py",
    "serviceaccount_legacy_manual_token_uses_total": "authn/test_serviceaccount.py",
    "serviceaccount_legacy_tokens_total": "authn/test_serviceaccount.py",
    "serviceaccount_stale_tokens_total": "authn/test_serviceaccount.py",
    "serviceaccount_valid_tokens_total": "authn/test_serviceaccount.py",
}
"""The metrics that need more than a server with a store in memory, and the test that moves each."""

ENVELOPE = {
    "apiserver_envelope_encryption_invalid_key_id_from_status_total",
    "apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds",
    "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds",
    "apiserver_envelope_encryption_key_id_hash_total",
    "apiserver_envelope_encryption_kms_operations_latency_seconds",
    "apiserver_envelope_encryption_dek_source_cache_size",
    "apiserver_storage_data_key_generation_duration_seconds",
    "apiserver_storage_data_key_generation_failures_total",
    "apiserver_storage_envelope_transformation_cache_misses_total",
}
"""The metrics that are declared where a KMS plugin is configured;
storage/encryption/kms/test_provider.py moves them."""


ON_REQUEST: tuple[Callable[[], Group], ...] = (
    EnvelopeMetrics,
    ConsistentReadMetrics,
    EgressMetrics,
    AuditMetrics,
    SignerMetrics,
    EncryptionMetrics,
    StandingMetrics,
    TracingMetrics,
    WorkerMetrics,
    CommitMetrics,
    EtcdMetrics,
    HistoryMetrics,
    ClusterMetrics,
    SharedMetrics,
    FaultMetrics,
)
"""The metrics that are declared where a flag asks for them: a KMS plugin, encryption
(storage/encryption/test_config.py), an etcd, proxies (outbound/test_egress.py moves those), an audit back end
(audit/), an external signer, the end of open requests (endpoints/objects/test_standing.py), several workers
(workers/test_metrics.py), a store in files (storage/sqlite/) or in etcd (storage/etcd/test_leases.py),
traces (tracing/test_exporter.py), a history (history/test_recorder.py), logical clusters
(clusters/test_metrics.py), those that servers divide (clusters/shared/), faults
(faults/test_dispatcher.py)."""


def moved(name: str, before: Values, after: Values) -> bool:
    shown = (
        name,
        f"{name}_sum",
        f"{name}_count",
        f"{name}_total",
    )  # the parser ends a counter's name in _total
    found = [sample for sample in after if sample in shown]
    return any(after[sample] != before.get(sample) for sample in found)


@pytest.mark.slow
def test_every_metric_is_moved_by_what_it_says(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path) as run:
            assert set(parsed(await run.text())) >= AT_THE_START
            still = []
            for action, names in ACTIONS.items():
                before = await run.values()
                async with action(run):
                    after = await run.values()
                still += [name for name in names if not moved(name, before, after)]
            assert still == []
            declared = {m.name for m in (*run.server.host.metrics.metrics(), *run.server.host.slis.metrics())}
            declared |= {m.name for m in ConsistentReadMetrics().metrics()}
            tested = {name for names in ACTIONS.values() for name in names}
            assert declared == tested | AT_THE_START | set(ELSEWHERE)

    asyncio.run(main())


def test_nothing_is_shown_before_it_has_happened(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path) as run:
            text = (await run.server.host.metrics.expose()).decode()
            zero = re.findall(r"^(\w+)(?:\{.*\})? 0$", text, re.M)
            counts = {name for name in zero if not name.endswith("_bucket")}
            # Go's client shows a counter without labels, and upstream both kinds of requests, from the start.
            assert counts <= {
                "aggregator_discovery_aggregation_count_total",
                "aggregator_unavailable_apiservice",
                "apiserver_clusterip_repair_reconcile_errors_total",
                "apiserver_current_inflight_requests",
                "apiserver_current_inqueue_requests",
                "apiserver_nodeport_repair_reconcile_errors_total",
                "apiserver_resource_objects",
                "apiserver_resource_size_estimate_bytes",
                "apiserver_storage_list_evaluated_objects_total",
                "disabled_metrics_total",
                "hidden_metrics_total",
                "kube_apiserver_pod_logs_backend_tls_failure_total",
                "kubernetes_feature_enabled",
                "pilothouse_storage_full",
                "pilothouse_watch_cache_object_bytes",
                "pilothouse_watch_cache_ring_bytes",
                "rest_client_transport_cache_entries",
                "apiserver_storage_objects",
                "apiserver_tls_handshake_errors_total",
                "cardinality_enforcement_unexpected_categorizations_total",
                "kube_apiserver_nodeport_allocator_allocated_ports",
                "pilothouse_cache_bytes",
                "pilothouse_cache_entries",
                "pilothouse_reload_refused",
                *(name for name in zero if name.startswith("pilothouse_memory_")),
                *(name for name in zero if name.startswith(("pilothouse_connections_", "pilothouse_http"))),
                *(name for name in zero if name.startswith(("serviceaccount_", "workqueue_"))),
                *(name for name in zero if re.fullmatch("apiserver_flowcontrol_.*_limit_seats", name)),
            }

    asyncio.run(main())


def test_two_servers_share_no_counts(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path / "one") as one, Running(tmp_path / "two") as two:
            await one.ok("GET", "/api/v1/pods")
            labels = b'code="200",component="apiserver",dry_run="",group="",resource="pods"'
            pods = b"apiserver_request_total{" + labels
            assert pods in await one.server.host.metrics.expose()
            assert pods not in await two.server.host.metrics.expose()

    asyncio.run(main())


def test_refused_requests_are_counted() -> None:
    async def main() -> None:
        first = Peer(limits=Limits(unfinished_budget=1_000_000))
        listener: Any = SimpleNamespace(
            http1=first.http1, http2=Http2(first.http1), handshake_errors=0, unauthenticated=0
        )
        metrics = ConnectionMetrics(listener)
        assert "pilothouse_http_refused_requests_total" not in group_values(metrics)
        peers = [first.another().send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ") for _ in range(40)]
        for peer in peers:
            peer.send(b"x" * 90_000)
        assert group_values(metrics)["pilothouse_http_refused_requests_total"] > 0
        for peer in [first, *peers]:
            peer.lose()

    asyncio.run(main())


def test_the_metrics_of_envelope_encryption() -> None:
    metrics = EnvelopeMetrics()
    assert {m.name for m in metrics.metrics()} == ENVELOPE
    before = group_values(metrics)
    metrics.used(TO_STORAGE, "p", "sha256:x")
    metrics.named("p", "sha256:x")
    metrics.calls.observe(0.1, "OK", "Status", "p")
    metrics.misses.inc()
    metrics.invalid_key_ids.inc("empty", "p")
    metrics.key_seconds.observe(0.1)
    metrics.key_failures.inc()
    metrics.sources.set(1, "p")
    after = group_values(metrics)
    assert all(moved(name, before, after) for name in ENVELOPE)


def test_declarations_are_sound(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with Running(tmp_path) as run:
            shown = run.server.host.metrics.metrics()
            elsewhere = [m for group in ON_REQUEST for m in group().metrics()]
            declared = [*shown, *run.server.host.slis.metrics(), *elsewhere]
            assert len({metric.name for metric in shown}) == len(shown)
            for metric in declared:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
                assert list(metric.labels) == sorted(metric.labels)
                assert metric.help
            known = {
                type(group) for group in (*run.server.host.metrics._groups, *run.server.host.slis._groups)
            }
            assert set(subclasses(Group)) == known | {*ON_REQUEST}

    for module in pkgutil.walk_packages(pilothouse.__path__, "pilothouse."):
        if module.name.endswith("metrics"):
            importlib.import_module(module.name)
    asyncio.run(main())


def subclasses(kind: type[Group]) -> list[type[Group]]:
    """The subclasses in the server's packages."""
    return [each for each in kind.__subclasses__() if each.__module__.startswith("pilothouse.")]


def test_names_types_labels_and_buckets_are_those_of_upstream(tmp_path: pathlib.Path) -> None:
    facts, absent = json.loads(UPSTREAM.read_text()), json.loads(ABSENT.read_text())

    async def main() -> None:
        async with Running(tmp_path) as run:
            declared = [*run.server.host.metrics.metrics(), *run.server.host.slis.metrics()]
            declared += [metric for group in ON_REQUEST for metric in group().metrics()]
            for metric in declared:
                fact = facts.get(metric.name)
                if fact is None:
                    assert metric.name.startswith(("pilothouse_", "apiserver_externaljwt_", "process_")), (
                        metric.name
                    )
                    continue
                assert (metric.kind, list(metric.labels)) == (fact["type"], fact["labels"]), metric.name
                stability = fact.get("stability")
                assert stability is None or metric.help.startswith(f"[{stability}]"), metric.name
                if fact.get("buckets"):
                    bounds = [*metric.bounds, float("inf")]
                    assert bounds == [float(b) for b in fact["buckets"]], metric.name
            names = {metric.name for metric in declared}
            reasons = {name for name in absent if not name.endswith("*")}
            assert facts.keys() - names == reasons, "what upstream has is here, or there is a reason"

    asyncio.run(main())
