"""The metrics of requests, watches and health checks, under upstream's names, labels and buckets
(apiserver endpoints/metrics, component-base prometheus/slis)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pilothouse.api.values.identity import RequestInfo
from pilothouse.endpoints.request.context import RequestOutcome
from pilothouse.metrics._instruments import Distribution
from pilothouse.metrics._requestmetrics import CONNECTED, DURATION, FILTER_DURATION, RESPONSE_SIZES, Cells
from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels
from pilothouse.registry.resource import Resource

SLI_DURATION = DURATION[2:]
COARSE_DURATION = (0.05, 0.1, 0.4, 1, 5, 30)
"""The bounds by which objectives of latency are judged: 1 s for one object, 5 s and 30 s for lists."""
BODY_SIZES = tuple(50_000 + 100_000 * n for n in range(31))
WATCH_LIST_DURATION = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60)
EVENT_SIZES = tuple(1024 * 2**n for n in range(8))

VERBS = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "apply": "APPLY",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
    "connect": "CONNECT",
}
"""Upstream reports the HTTP method, but for the verbs that have a name of their own."""

READ_ONLY = frozenset(("get", "list", "watch"))

PREFIX = "apiserver_request"
KIND = ("group", "resource")
SORT = ("component", "group", "resource", "scope", "subresource", "verb", "version")
"""The labels that tell one kind of request from another."""


Key = tuple[str, str, str, str, str, str, str, str, int]
"""verb, group, version, resource, subresource, scope, dry run, system client and status code."""


class RequestMetrics(Group):
    """The metrics of requests. Series are made of the counts in cells when somebody asks for them."""

    def __init__(self) -> None:
        timed = ("component", "dry_run", *SORT[1:])
        counted = ("code", *timed[:-2], "system_client", *timed[-2:])
        self.total = Counter(
            f"{PREFIX}_total", "[STABLE] Requests by kind and status code.", counted, each=self._totals
        )
        self._declare_durations(timed)
        self.deprecated = Gauge(
            "apiserver_requested_deprecated_apis",
            "[STABLE] Deprecated APIs that were asked for.",
            ("group", "removed_release", "resource", "subresource", "version"),
            self._deprecated,
            joined=max,
        )
        self.response_sizes = Histogram(
            "apiserver_response_sizes",
            "[STABLE] Bytes of the answers to reads.",
            SORT,
            RESPONSE_SIZES,
            each=self._sizes,
        )
        self.body_sizes = Histogram(
            f"{PREFIX}_body_size_bytes", "[ALPHA] Bytes of request bodies.", (*KIND, "verb"), BODY_SIZES
        )
        self.validated = Histogram(
            "field_validation_request_duration_seconds",
            "[ALPHA] Seconds to answer writes, by their fieldValidation.",
            ("field_validation",),
            SLI_DURATION,
        )
        self._leaves: dict[Labels, Callable[[RequestOutcome], None]] = {}
        self.cells = Cells(self.body_sizes, self.validated)
        self.observe = self.cells.observe
        """Called once for each answered request: info, resource, status code, seconds, bytes of its body,
        bytes sent, headers, query, and the seconds that it has waited for seats and for webhooks."""
        self._declare_waiting()
        self._declare_ends()

    def _declare_durations(self, timed: tuple[str, ...]) -> None:
        self.duration = Histogram(
            f"{PREFIX}_duration_seconds",
            "[STABLE] Seconds to answer.",
            timed,
            DURATION,
            each=self._durations,
            coarse=COARSE_DURATION,
        )
        self.sli = Histogram(
            f"{PREFIX}_sli_duration_seconds",
            "[ALPHA] Seconds to answer requests that do not run long.",
            SORT,
            SLI_DURATION,
            each=self._sli_durations,
            coarse=COARSE_DURATION,
        )
        self.slo = Histogram(
            f"{PREFIX}_slo_duration_seconds",
            f"[ALPHA] The same as {PREFIX}_sli_duration_seconds.",
            SORT,
            SLI_DURATION,
            each=self._sli_durations,
            coarse=COARSE_DURATION,
            deprecated="1.27.0",
        )

    def _declare_waiting(self) -> None:
        self.in_flight = Gauge(
            "apiserver_current_inflight_requests",
            "[STABLE] Requests that wait for something.",
            ("request_kind",),
        )
        self.in_flight.values = {("mutating",): 0, ("readOnly",): 0}
        self.in_queue = Gauge(
            "apiserver_current_inqueue_requests",
            "[ALPHA] Requests that wait for seats.",
            ("request_kind",),
        )
        self.in_queue.values = dict(self.in_flight.values)
        self.long_running = Gauge(
            "apiserver_longrunning_requests", "[STABLE] Open watches and streams.", SORT
        )

    def _declare_ends(self) -> None:
        self.terminations = Counter(
            f"{PREFIX}_terminations_total",
            "[ALPHA] Requests that the server ended to protect itself.",
            ("code", *SORT),
        )
        self.aborts = Counter(
            f"{PREFIX}_aborts_total",
            "[ALPHA] Requests whose answer the server has cut short.",
            SORT[1:],
        )

    def enter(self, info: RequestInfo) -> None:
        """Note that a request waits for something; `leave` takes it back."""
        self.in_flight.inc(_kind(info))

    def leave(self, info: RequestInfo) -> None:
        """Note that a request no longer waits."""
        self.in_flight.inc(_kind(info), by=-1)

    @contextmanager
    def queued(self, info: RequestInfo) -> Iterator[None]:
        """Count a request as one that waits for seats."""
        self.in_queue.inc(_kind(info))
        try:
            yield
        finally:
            self.in_queue.inc(_kind(info), by=-1)

    def follow(self, info: RequestInfo, resource: Resource | None) -> Callable[[RequestOutcome], None]:
        """Count a request as long-running; what is returned must be called when it has ended."""
        if resource is None:
            return lambda _: None
        labels = _labels(*_sort(info))
        self.long_running.inc(*labels)
        leave = self._leaves.get(labels)  # watches of one kind share it
        if leave is None:
            leave = self._leaves[labels] = lambda _: self.long_running.inc(*labels, by=-1)
        return leave

    def terminate(self, info: RequestInfo, resource: Resource | None, status: int) -> None:
        """Count a request that the server ended by itself: it took too long, or there are too many."""
        if resource is not None:
            self.terminations.inc(str(status), *_labels(*_sort(info)))

    def abort(self, info: RequestInfo, resource: Resource | None) -> None:
        """Count a request whose answer the server has cut short."""
        if resource is not None:
            self.aborts.inc(*_labels(*_sort(info))[1:])

    def reset(self) -> None:
        self.cells.cells.clear()
        super().reset()

    def _totals(self) -> Iterator[tuple[Labels, float]]:
        for key, cell in list(self.cells.cells.items()):
            labels = _key_labels(key)
            dry_run, client, code = key[-3:]
            yield (
                (str(code), "apiserver", dry_run, *labels[1:-2], client, *labels[-2:]),
                float(cell.seconds.count),
            )

    def _durations(self) -> Iterator[tuple[Labels, Distribution]]:
        for key, cell in list(self.cells.cells.items()):
            yield ("apiserver", key[-3], *_key_labels(key)[1:]), cell.seconds

    def _sli_durations(self) -> Iterator[tuple[Labels, Distribution]]:
        for key, cell in list(self.cells.cells.items()):
            if cell.sli is not None:
                yield _key_labels(key), cell.sli

    def _sizes(self) -> Iterator[tuple[Labels, Distribution]]:
        for key, cell in list(self.cells.cells.items()):
            if cell.sizes is not None:
                yield _key_labels(key), cell.sizes

    def _deprecated(self) -> dict[Labels, float]:
        return {
            (group, "", name, subresource, version): 1
            for (_, group, version, name, subresource, *_), cell in self.cells.cells.items()
            if cell.deprecated
        }


class FilterMetrics(Group):
    """How long the stages before the verb take (endpoints/metrics RecordFilterLatency)."""

    def __init__(self) -> None:
        self.seconds = Histogram(
            "apiserver_request_filter_duration_seconds",
            "[ALPHA] Seconds of each stage before the verb; for flow control the wait.",
            ("filter",),
            FILTER_DURATION,
        )
        self.authentication = self.seconds.series("authentication")
        self.audit = self.seconds.series("audit")
        self.impersonation = self.seconds.series("constrainedimpersonation")
        self.flow_control = self.seconds.series("priorityandfairness")
        self.authorization = self.seconds.series("authorization")


class DiscoveryMetrics(Group):
    """How often the aggregated discovery documents were made (endpoints/discovery/aggregated/metrics.go)."""

    def __init__(self) -> None:
        self.aggregations = Counter(
            "aggregator_discovery_aggregation_count_total",
            "[ALPHA] How often discovery was aggregated.",
        )


class WatchMetrics(Group):
    """The metrics of the events that watches send."""

    def __init__(self) -> None:
        labels = (*KIND, "version")
        self.event_sizes = Histogram(
            "apiserver_watch_events_sizes", "[ALPHA] Bytes of watch events.", labels, EVENT_SIZES
        )
        self.events = Counter(
            "apiserver_watch_events_total", "[ALPHA] Watch events sent.", labels, self.event_sizes.counts
        )
        self.lists = Histogram(
            "apiserver_watch_list_duration_seconds",
            "[BETA] Seconds until a watch had the objects that existed at its start.",
            ("group", "resource", "scope", "version"),
            WATCH_LIST_DURATION,
        )

    def listed(self, seconds: float, info: RequestInfo) -> None:
        """A watch has been sent the objects that it began with."""
        self.lists.observe(seconds, info.group, info.resource, scope_of(info), info.version)


class StreamMetrics(Group):
    """The metrics of exec, attach and port-forward (apiserver util/proxy/metrics)."""

    def __init__(self) -> None:
        self._translated = Counter(
            "apiserver_stream_translator_requests_total",
            "[ALPHA] WebSockets of exec and attach that were translated to SPDY.",
            ("code",),
        )
        self._tunnelled = Counter(
            "apiserver_stream_tunnel_requests_total",
            "[ALPHA] WebSockets of port-forward that carried SPDY.",
            ("code",),
        )
        self._websockets = Counter(
            "apiserver_websocket_streaming_requests_total",
            "[ALPHA] Requests to stream by who translates their WebSockets: the kubelet or this server.",
            ("proxy_type", "subresource"),
        )

        name = "kube_apiserver_pod_logs"
        self._logs = Counter(
            f"{name}_insecure_backend_total",
            "[ALPHA] Requests for logs, by whether the client has the kubelet's certificate checked.",
            ("usage",),
        )
        self._unverified = Counter(
            f"{name}_backend_tls_failure_total",
            "[ALPHA] Requests for logs that failed as the kubelet's certificate is not valid.",
        )

    def logs(self, *, insecure: bool) -> None:
        """Count a request for logs."""
        self._logs.inc("skip_tls_allowed" if insecure else "enforce_tls")

    def unverified(self) -> None:
        """Count a request for logs that failed on the kubelet's certificate."""
        self._unverified.inc()

    def translated(self, code: int) -> None:
        """Count a translated session by the status code that it ended with."""
        self._translated.inc(str(code))

    def tunnelled(self, code: int) -> None:
        """Count a request for a tunnel by its status code."""
        self._tunnelled.inc(str(code))

    def routed(self, subresource: str, *, to_kubelet: bool) -> None:
        """Count a request for a stream by whether this server or the kubelet translates it."""
        self._websockets.inc("proxied_to_kubelet" if to_kubelet else "translated_at_apiserver", subresource)


class StandingMetrics(Group):
    """How many open requests were ended, and why."""

    def __init__(self) -> None:
        self.ended = Counter(
            "pilothouse_revoked_requests_total",
            "[ALPHA] Open requests that were ended: credentials or rights are gone, or namespaces have"
            " changed.",
            ("reason",),
        )


class HealthMetrics(Group):
    """The metrics of the health checks, which /metrics/slis shows."""

    def __init__(self) -> None:
        self.last = Gauge(
            "kubernetes_healthcheck", "[STABLE] Whether a check passed last.", ("name", "type"), joined=min
        )
        self.runs = Counter(
            "kubernetes_healthchecks_total", "[STABLE] Runs of each check.", ("name", "status", "type")
        )

    def observe(self, name: str, endpoint: str, *, ok: bool) -> None:
        """Count one run of a check."""
        self.last.set(1 if ok else 0, name, endpoint)
        self.runs.inc(name, "success" if ok else "error", endpoint)


def scope_of(info: RequestInfo) -> str:
    """The scope of a request: one object, a namespace or the cluster (metrics CleanScope)."""
    if info.name or info.verb == "create":
        return "resource"
    return "namespace" if info.namespace else "cluster"


def _kind(info: RequestInfo) -> str:
    return "readOnly" if info.verb in READ_ONLY else "mutating"


def _sort(info: RequestInfo) -> tuple[str, str, str, str, str, str]:
    verb = "connect" if info.subresource in CONNECTED else info.verb
    return verb, info.group, info.version, info.resource, info.subresource, scope_of(info)


def _labels(verb: str, group: str, version: str, resource: str, subresource: str, scope: str) -> Labels:
    """The values of the labels in SORT."""
    return "apiserver", group, resource, scope, subresource, VERBS.get(verb, verb.upper()), version


def _key_labels(key: Key) -> Labels:
    return _labels(*key[:6])
