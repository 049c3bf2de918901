"""Every metric of the server, declared in one place under upstream's names, labels and buckets.

A metric is a dict from label values to a number or to a histogram's counts, so that counting costs one
look-up and one addition; text is made only when somebody asks for it. Everything runs on the event loop's
thread, so nothing is locked.
"""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import accumulate, repeat
from operator import mul
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilothouse.api.identity import RequestInfo
    from pilothouse.registry.resource import Resource

Labels = tuple[str, ...]

DURATION = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
SLI_DURATION = DURATION[2:]
ADMISSION = (0.005, 0.025, 0.1, 0.5, 1, 2.5)
DEFAULT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
DOUBLING = tuple(0.001 * 2**n for n in range(15))
FLOWCONTROL_SECONDS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
EVENT_SIZES = tuple(1024 * 2**n for n in range(8))
RESPONSE_SIZES = tuple(10**n for n in range(3, 10))
BODY_SIZES = tuple(50_000 + 100_000 * n for n in range(31))
WEBHOOK = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25)
WORKQUEUE = tuple(accumulate(repeat(10.0, 9), mul, initial=1e-8))

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

LONG_RUNNING = ("WATCH", "CONNECT")
KIND = ("group", "resource")


class Metric:
    """A name with samples. `text` yields the lines that a scraper reads; none while there are no samples."""

    kind = "untyped"

    __slots__ = ("help", "labels", "name")

    def __init__(self, name: str, help: str, labels: Labels) -> None:
        self.name = name
        self.help = help
        self.labels = labels

    def lines(self) -> Iterator[str]:
        """The sample lines."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all samples."""

    def text(self) -> str:
        lines = list(self.lines())
        if not lines:
            return ""
        head = f"# HELP {self.name} {_escape_help(self.help)}\n# TYPE {self.name} {self.kind}\n"
        return f"{head}{chr(10).join(lines)}\n"


class Counter(Metric):
    """A number per label values that only grows."""

    kind = "counter"

    __slots__ = ("values",)

    def __init__(self, name: str, help: str, labels: Labels) -> None:
        super().__init__(name, help, labels)
        self.values: dict[Labels, float] = {}
        self.reset()

    def inc(self, *labels: str, by: float = 1) -> None:
        """Add to the number of these label values."""
        self.values[labels] = self.values.get(labels, 0) + by

    def reset(self) -> None:
        self.values = {} if self.labels else {(): 0}

    def lines(self) -> Iterator[str]:
        for labels in sorted(self.values):
            yield f"{self.name}{_braces(self.labels, labels)} {number(self.values[labels])}"


class Gauge(Counter):
    """A number per label values that is set. `source` gives them all when somebody asks, instead."""

    kind = "gauge"

    __slots__ = ("source",)

    def __init__(self, name: str, help: str, labels: Labels) -> None:
        super().__init__(name, help, labels)
        self.source: Callable[[], Mapping[Labels, float]] | None = None

    def set(self, value: float, *labels: str) -> None:
        self.values[labels] = value

    def lines(self) -> Iterator[str]:
        if self.source is not None:
            self.values = dict(self.source())
        return super().lines()


class Histogram(Metric):
    """Counts per bucket and a sum, per label values."""

    kind = "histogram"

    __slots__ = ("bounds", "values")

    def __init__(self, name: str, help: str, labels: Labels, bounds: Iterable[float]) -> None:
        super().__init__(name, help, labels)
        self.bounds = tuple(bounds)
        self.values: dict[Labels, list[float]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value; the last member of a row is the sum, the one before the bucket without a bound."""
        row = self.values.get(labels)
        if row is None:
            row = self.values[labels] = [0] * (len(self.bounds) + 2)
        row[bisect_left(self.bounds, value)] += 1
        row[-1] += value

    def reset(self) -> None:
        self.values = {}

    def lines(self) -> Iterator[str]:
        for labels in sorted(self.values):
            yield from self._sample(labels, self.values[labels])

    def _sample(self, labels: Labels, row: list[float]) -> Iterator[str]:
        names = (*self.labels, "le")
        total: float = 0
        for bound, count in zip((*self.bounds, float("inf")), row[:-1], strict=True):
            total += count
            yield f"{self.name}_bucket{_braces(names, (*labels, number(bound)))} {int(total)}"
        yield f"{self.name}_sum{_braces(self.labels, labels)} {number(row[-1])}"
        yield f"{self.name}_count{_braces(self.labels, labels)} {int(total)}"


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


class _Cell:
    """What requests of one sort and one outcome have come to."""

    __slots__ = ("deprecated", "row")

    def __init__(self, deprecated: bool) -> None:
        self.row: list[float] = [0] * (len(DURATION) + 2)
        self.deprecated = deprecated


class RequestMetrics:
    """The metrics of requests to resources, kept as one row per sort of request until somebody asks."""

    LABELS = ("component", "group", "resource", "scope", "subresource", "verb", "version")

    __slots__ = ("_cells", "deprecated", "duration", "sli", "total")

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str, str, str, str, str, int], _Cell] = {}
        timed = ("component", "dry_run", *self.LABELS[1:])
        counted = ("code", *timed[:-2], "system_client", *timed[-2:])
        prefix = "apiserver_request"
        self.total = Counter(f"{prefix}_total", "[STABLE] Requests by sort and outcome.", counted)
        self.duration = Histogram(f"{prefix}_duration_seconds", "[STABLE] Time to answer.", timed, DURATION)
        self.sli = Histogram(
            f"{prefix}_sli_duration_seconds", "[ALPHA] Time to answer.", self.LABELS, SLI_DURATION
        )
        self.deprecated = Gauge(
            "apiserver_requested_deprecated_apis",
            "[STABLE] Deprecated APIs that were asked for.",
            ("group", "removed_release", "resource", "subresource", "version"),
        )

    def observe(self, info: "RequestInfo", resource: "Resource | None", status: int, seconds: float) -> None:
        """Count one answered request. Unknown resources and subresources are not counted, as upstream does.

        PERF: one look-up and two additions; the labels are only written out when a scraper asks.
        """
        if resource is None or (info.subresource and info.subresource not in resource.subresources):
            return
        scope = "namespace" if info.namespace else "cluster"
        if info.name or info.verb == "create":
            scope = "resource"
        key = (info.verb, info.group, info.version, info.resource, info.subresource, scope, status)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = _Cell(bool(resource.deprecated))
        row = cell.row
        row[bisect_left(DURATION, seconds)] += 1
        row[-1] += seconds

    def reset(self) -> None:
        self._cells = {}

    def metrics(self) -> list[Metric]:
        """The metrics as they stand."""
        for metric in (self.total, self.duration, self.sli, self.deprecated):
            metric.reset()
        self.deprecated.values = {}
        for (verb, group, version, name, sub, scope, code), cell in self._cells.items():
            verb = VERBS.get(verb, verb.upper())
            row = cell.row
            labels = ("apiserver", group, name, scope, sub, verb, version)
            timed = ("apiserver", "", *labels[1:])
            total = (str(code), *timed[:-2], "", *timed[-2:])
            self.total.values[total] = sum(row[:-1])
            _merge(self.duration, timed, row)
            if verb not in LONG_RUNNING:
                _merge(self.sli, labels, [sum(row[:3]), *row[3:]])
            if cell.deprecated:
                self.deprecated.set(1, group, "", name, sub, version)
        return [self.deprecated, self.duration, self.sli, self.total]


def _merge(histogram: Histogram, labels: Labels, row: list[float]) -> None:
    have = histogram.values.get(labels)
    histogram.values[labels] = row[:] if have is None else [a + b for a, b in zip(have, row, strict=True)]


class Metrics:
    """All metrics of one server. A room is handed those that it counts in."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []
        self._slis: list[Metric] = []
        self.requests = RequestMetrics()
        self.groups: list[Any] = [self.requests]
        """What keeps samples of its own: `metrics()` gives them, `reset()` forgets them."""
        self._declare_requests()
        self._declare_access()
        self._declare_admission()
        self._declare_flowcontrol()
        self._declare_storage()
        self._declare_watches()
        self._declare_allocators()
        self._declare_process()
        self._declare_health()

    def expose(self) -> bytes:
        """All metrics as text, by name."""
        found = [*self._metrics, *(metric for group in self.groups for metric in group.metrics())]
        return "".join(metric.text() for metric in sorted(found, key=lambda metric: metric.name)).encode()

    def expose_slis(self) -> bytes:
        """The metrics of the health checks as text."""
        return "".join(metric.text() for metric in self._slis).encode()

    def reset(self) -> None:
        """Back to where it all began; what is measured on demand stays."""
        for metric in (*self._metrics, *self._slis, *self.groups):
            if not isinstance(metric, Gauge):
                metric.reset()

    def observe_health(self, name: str, endpoint: str, ok: bool) -> None:
        """Count one run of a health check."""
        self.healthcheck.set(1 if ok else 0, name, endpoint)
        self.healthchecks.inc(name, "success" if ok else "error", endpoint)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        metric = Counter(name, help, labels)
        self._metrics.append(metric)
        return metric

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        metric = Gauge(name, help, labels)
        self._metrics.append(metric)
        return metric

    def _histogram(self, name: str, help: str, bounds: Iterable[float], *labels: str) -> Histogram:
        metric = Histogram(name, help, labels, bounds)
        self._metrics.append(metric)
        return metric

    def _declare_requests(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        sort = RequestMetrics.LABELS
        self.inflight = gauge(
            "apiserver_current_inflight_requests", "[STABLE] Requests being served now.", "request_kind"
        )
        self.long_running = gauge(
            "apiserver_longrunning_requests", "[STABLE] Open watches and streams.", *sort
        )
        self.aborts = counter("apiserver_request_aborts_total", "[ALPHA] Requests cut off.", *sort[1:])
        self.terminations = counter(
            "apiserver_request_terminations_total", "[ALPHA] Requests ended in self-defence.", "code", *sort
        )
        self.response_sizes = histogram(
            "apiserver_response_sizes", "[STABLE] Bytes of answers.", RESPONSE_SIZES, *sort
        )
        self.body_sizes = histogram(
            "apiserver_request_body_size_bytes", "[ALPHA] Bytes of requests.", BODY_SIZES, *KIND, "verb"
        )
        self.tls_errors = counter("apiserver_tls_handshake_errors_total", "[ALPHA] Failed TLS handshakes.")
        self.audit_events = counter(
            "apiserver_audit_event_total", "[ALPHA] Audit events sent to the backend."
        )
        self.audit_rejected = counter(
            "apiserver_audit_requests_rejected_total",
            "[ALPHA] Requests rejected as they could not be audited.",
        )

    def _declare_access(self) -> None:
        counter, histogram = self._counter, self._histogram
        self.authenticated = counter("authenticated_user_requests", "[ALPHA] Requests by user.", "username")
        self.authentications = counter("authentication_attempts", "[ALPHA] Attempts by result.", "result")
        self.authentication_seconds = histogram(
            "authentication_duration_seconds", "[ALPHA] Time to authenticate.", DOUBLING, "result"
        )
        self.authorizations = counter("authorization_attempts_total", "[ALPHA] Attempts by result.", "result")
        self.authorization_seconds = histogram(
            "authorization_duration_seconds", "[ALPHA] Time to authorize.", DOUBLING, "result"
        )
        self.decisions = counter(
            "apiserver_authorization_decisions_total",
            "[ALPHA] Terminal decisions by authorizer.",
            *("decision", "name", "type"),
        )

    def _declare_admission(self) -> None:
        counter, histogram = self._counter, self._histogram
        prefix, step = "apiserver_admission", ("operation", "rejected", "type")
        self.admission_plugin = histogram(
            f"{prefix}_controller_admission_duration_seconds",
            "[STABLE] Time in each admission plugin.",
            ADMISSION,
            *("name", *step),
        )
        self.admission_step = histogram(
            f"{prefix}_step_admission_duration_seconds", "[STABLE] Time in admission.", ADMISSION, *step
        )
        self.webhook_seconds = histogram(
            f"{prefix}_webhook_admission_duration_seconds",
            "[STABLE] Time in each admission webhook.",
            WEBHOOK,
            *("name", *step),
        )
        self.webhook_rejections = counter(
            f"{prefix}_webhook_rejection_count",
            "[ALPHA] Requests that admission webhooks rejected.",
            *("error_type", "name", "operation", "rejection_code", "type"),
        )
        self.webhook_failed_open = counter(
            f"{prefix}_webhook_fail_open_count",
            "[ALPHA] Failed webhooks that were passed over.",
            "name",
            "type",
        )
        self.cel_compilation = histogram(
            "apiserver_cel_compilation_duration_seconds", "[BETA] Time to compile CEL.", DEFAULT
        )
        self.cel_evaluation = histogram(
            "apiserver_cel_evaluation_duration_seconds", "[BETA] Time to evaluate CEL.", DEFAULT
        )
        self.pod_security = counter(
            "pod_security_evaluations_total",
            "[ALPHA] Evaluations of pod security.",
            *("decision", "mode", "ocp_namespace", "policy_level", "policy_version", "request_operation"),
            *("resource", "subresource"),
        )

    def _declare_flowcontrol(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        prefix, flow, level = "apiserver_flowcontrol", ("flow_schema", "priority_level"), "priority_level"
        self.inqueue = gauge("apiserver_current_inqueue_requests", "[ALPHA] Queued requests.", "request_kind")
        self.flow_executing = gauge(
            f"{prefix}_current_executing_requests", "[BETA] Requests being executed.", *flow
        )
        self.flow_executing_seats = gauge(
            f"{prefix}_current_executing_seats", "[BETA] Occupied seats.", *flow
        )
        self.flow_inqueue = gauge(f"{prefix}_current_inqueue_requests", "[BETA] Queued requests.", *flow)
        self.flow_limit_seats = gauge(f"{prefix}_current_limit_seats", "[ALPHA] Seats to be had.", level)
        self.flow_nominal_seats = gauge(f"{prefix}_nominal_limit_seats", "[BETA] Configured seats.", level)
        self.flow_dispatched = counter(
            f"{prefix}_dispatched_requests_total", "[BETA] Requests let through.", *flow
        )
        self.flow_rejected = counter(
            f"{prefix}_rejected_requests_total", "[BETA] Requests turned away.", *flow, "reason"
        )
        self.flow_execution_seconds = histogram(
            f"{prefix}_request_execution_seconds",
            "[ALPHA] Time of execution.",
            FLOWCONTROL_SECONDS,
            *(*flow, "type"),
        )
        self.flow_wait_seconds = histogram(
            f"{prefix}_request_wait_duration_seconds",
            "[BETA] Time in a queue.",
            FLOWCONTROL_SECONDS,
            *("execute", *flow),
        )

    def _declare_storage(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        operation = ("group", "operation", "resource")
        self.objects = gauge("apiserver_resource_objects", "[ALPHA] Stored objects.", *KIND)
        self.storage_objects = gauge("apiserver_storage_objects", "[STABLE] Stored objects.", "resource")
        self.storage_size = gauge(
            "apiserver_storage_size_bytes", "[STABLE] Bytes of the database file.", "storage_cluster_id"
        )
        self.storage_requests = counter("etcd_requests_total", "[ALPHA] Requests to the store.", *operation)
        self.storage_errors = counter("etcd_request_errors_total", "[ALPHA] Failed requests.", *operation)
        self.storage_seconds = histogram(
            "etcd_request_duration_seconds", "[ALPHA] Time of requests to the store.", DURATION, *operation
        )
        self.storage_events = counter(
            "apiserver_storage_events_received_total", "[BETA] Events received from the store.", *KIND
        )

    def _declare_watches(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        prefix = "apiserver_watch_cache"
        self.consistent_reads = counter(
            f"{prefix}_consistent_read_total", "[ALPHA] Reads of the newest.", "fallback", *KIND, "success"
        )
        self.cache_dispatched = counter(f"{prefix}_events_dispatched_total", "[ALPHA] Events told.", *KIND)
        self.cache_received = counter(f"{prefix}_events_received_total", "[ALPHA] Events received.", *KIND)
        self.cache_initializations = counter(f"{prefix}_initializations_total", "[ALPHA] Starts.", *KIND)
        self.cache_revision = gauge(f"{prefix}_resource_version", "[ALPHA] Revision of the cache.", *KIND)
        self.cache_capacity = gauge("watch_cache_capacity", "[ALPHA] Events kept.", *KIND)
        self.init_events = counter("apiserver_init_events_total", "[ALPHA] Events sent at a start.", *KIND)
        self.terminated_watchers = counter(
            "apiserver_terminated_watchers_total", "[ALPHA] Watchers closed as they were too slow.", *KIND
        )
        self.watch_events = counter("apiserver_watch_events_total", "[ALPHA] Events sent.", *KIND, "version")
        self.watch_event_sizes = histogram(
            "apiserver_watch_events_sizes", "[ALPHA] Bytes of events.", EVENT_SIZES, *KIND, "version"
        )

    def _declare_allocators(self) -> None:
        gauge, ips, ports = self._gauge, "clusterip_allocator", "nodeport_allocator"
        self.ips_allocated = gauge(
            f"kube_apiserver_{ips}_allocated_ips", "[ALPHA] Service IPs in use.", "cidr"
        )
        self.ips_available = gauge(f"kube_apiserver_{ips}_available_ips", "[ALPHA] Free service IPs.", "cidr")
        self.ports_allocated = gauge(f"kube_apiserver_{ports}_allocated_ports", "[ALPHA] Node ports in use.")
        self.ports_available = gauge(f"kube_apiserver_{ports}_available_ports", "[ALPHA] Free node ports.")
        self.queue_adds = self._counter("workqueue_adds_total", "[BETA] Items added to a queue.", "name")
        self.queue_depth = gauge("workqueue_depth", "[BETA] Items in a queue.", "name")
        self.queue_retries = self._counter("workqueue_retries_total", "[BETA] Items tried again.", "name")
        self.queue_work = self._histogram(
            "workqueue_work_duration_seconds", "[BETA] Time spent on an item.", WORKQUEUE, "name"
        )

    def _declare_process(self) -> None:
        gauge, measure = self._gauge, _Process()
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.").source = measure.resident
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.").source = measure.virtual
        gauge("process_open_fds", "Number of open file descriptors.").source = measure.open_files
        gauge("process_max_fds", "Maximum number of open file descriptors.").source = measure.max_files
        start = gauge(
            "process_start_time_seconds", "[ALPHA] Start of the process since the epoch in seconds."
        )
        start.source = measure.started
        self._slis.append(start)
        cpu = Gauge("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", ())
        cpu.source = measure.cpu
        self._metrics.append(_AsCounter(cpu))
        self.build_info = gauge(
            "kubernetes_build_info",
            "[BETA] What runs here.",
            *("build_date", "compiler", "git_commit", "git_tree_state", "git_version", "go_version"),
            *("major", "minor", "platform"),
        )
        self.features = gauge(
            "kubernetes_feature_enabled", "[BETA] Features and their state.", "name", "stage"
        )

    def _declare_health(self) -> None:
        self.healthcheck = Gauge(
            "kubernetes_healthcheck",
            "[STABLE] This metric records the result of a single healthcheck.",
            ("name", "type"),
        )
        self.healthchecks = Counter(
            "kubernetes_healthchecks_total",
            "[STABLE] This metric records the results of all healthcheck.",
            ("name", "status", "type"),
        )
        self._slis += [self.healthcheck, self.healthchecks]
        self._slis.sort(key=lambda metric: metric.name)

    def set_build(self, version: Mapping[str, str]) -> None:
        """Tell what runs, by the members of /version."""
        members = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major")
        labels = [version.get(member, "") for member in (*members, "minor", "platform")]
        self.build_info.values = {tuple(labels): 1}


class _AsCounter(Metric):
    """A gauge's samples under the type of a counter: what the system counts and we only read."""

    kind = "counter"

    __slots__ = ("gauge",)

    def __init__(self, gauge: Gauge) -> None:
        super().__init__(gauge.name, gauge.help, gauge.labels)
        self.gauge = gauge

    def lines(self) -> Iterator[str]:
        return self.gauge.lines()


class _Process:
    """What the system knows of this process; nothing where there is no /proc."""

    def __init__(self) -> None:
        self._start = time.time() - _since_start()

    def started(self) -> dict[Labels, float]:
        return {(): self._start}

    def cpu(self) -> dict[Labels, float]:
        times = os.times()
        return {(): times.user + times.system}

    def resident(self) -> dict[Labels, float]:
        return self._memory(1)

    def virtual(self) -> dict[Labels, float]:
        return self._memory(0)

    def _memory(self, field: int) -> dict[Labels, float]:
        try:
            with open("/proc/self/statm", "rb") as file:
                return {(): int(file.read().split()[field]) * os.sysconf("SC_PAGE_SIZE")}
        except OSError:
            return {}

    def open_files(self) -> dict[Labels, float]:
        try:
            return {(): len(os.listdir("/proc/self/fd"))}
        except OSError:
            return {}

    def max_files(self) -> dict[Labels, float]:
        import resource

        return {(): resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def _since_start() -> float:
    """Seconds that this process has been running."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/uptime", "rb") as file:
            return float(file.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
