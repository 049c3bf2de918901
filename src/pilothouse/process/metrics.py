"""Metrics of the process and of the build, with the names of Prometheus' Go client and component-base."""

import os
import resource
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping

from pilothouse.metrics.instruments import Counter, Gauge, Group, Labels, Metric, MetricsRegistry

BUILD_MEMBERS = {
    "build_date": "buildDate",
    "compiler": "compiler",
    "git_commit": "gitCommit",
    "git_tree_state": "gitTreeState",
    "git_version": "gitVersion",
    "go_version": "goVersion",
    "major": "major",
    "minor": "minor",
    "platform": "platform",
}
"""The labels of the build information, and the members of /version that they are taken from."""


class StartTime(Group):
    """The time at which the process started. Both /metrics and /metrics/slis show it."""

    def __init__(self) -> None:
        self.start = Gauge(
            "process_start_time_seconds",
            "[ALPHA] When the process started, in seconds since the epoch.",
            joined=min,
        )
        self.start.set(time.time() - _seconds_since_start())


class ProcessMetrics(Group):
    """The system's figures about this process; a metric has no series where there is no /proc."""

    def __init__(self) -> None:
        self.cpu = Counter(
            "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", (), _cpu_seconds
        )
        self.resident = Gauge(
            "process_resident_memory_bytes", "Resident memory size in bytes.", (), resident_memory
        )
        self.virtual = Gauge(
            "process_virtual_memory_bytes", "Virtual memory size in bytes.", (), lambda: _memory(0)
        )
        self.open_files = Gauge("process_open_fds", "Number of open file descriptors.", (), _open_files)
        self.address_space = Gauge(
            "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes.",
            (),
            _address_space,
            joined=max,
        )
        self.received = Counter(
            "process_network_receive_bytes_total",
            "Number of bytes received over the network, by all processes of this network namespace.",
            (),
            lambda: _network("InOctets"),
            joined=max,
        )
        self.transmitted = Counter(
            "process_network_transmit_bytes_total",
            "Number of bytes sent over the network, by all processes of this network namespace.",
            (),
            lambda: _network("OutOctets"),
            joined=max,
        )
        self.max_files = Gauge("process_max_fds", "Maximum number of open file descriptors.", (), _max_files)


class BuildInfo(Group):
    """The build that is running, by the members of /version."""

    def __init__(self, version: Mapping[str, str]) -> None:
        self.info = Gauge(
            "kubernetes_build_info", "[BETA] Version of the server.", tuple(BUILD_MEMBERS), joined=max
        )
        self.info.set(1, *(version.get(member, "") for member in BUILD_MEMBERS.values()))
        self.compatibility = Gauge(
            "version_info",
            "[ALPHA] Versions that the server is, imitates and is compatible with.",
            ("binary", "component", "emulation", "min_compat"),
            joined=max,
        )
        emulated = f"{version['emulationMajor']}.{version['emulationMinor']}"
        oldest = f"{version['minCompatibilityMajor']}.{version['minCompatibilityMinor']}"
        self.compatibility.set(1, version["gitVersion"][1:].partition("+")[0], "kube", emulated, oldest)


class RegisteredMetrics(Group):
    """How many metrics there are (component-base metrics/registry.go)."""

    def __init__(self, registry: MetricsRegistry, hides: Callable[[Metric], bool]) -> None:
        def hidden(*, deprecated: bool) -> dict[Labels, float]:
            return {(): sum(bool(one.deprecated) is deprecated and hides(one) for one in registry.metrics())}

        self.registered = Counter(
            "registered_metrics_total",
            "[BETA] Metrics that are declared, by stability.",
            ("deprecated_version", "stability_level"),
            lambda: _by_stability(registry),
            joined=max,
        )
        self.hidden = Counter(
            "hidden_metrics_total",
            "[BETA] Metrics that are not shown, as they have been deprecated for too long.",
            (),
            lambda: hidden(deprecated=True),
            joined=max,
        )
        self.disabled = Counter(
            "disabled_metrics_total",
            "[BETA] Metrics that are not shown, as a flag disables them.",
            (),
            lambda: hidden(deprecated=False),
            joined=max,
        )


def _cpu_seconds() -> dict[Labels, float]:
    times = os.times()
    return {(): times.user + times.system}


def resident_memory() -> dict[Labels, float]:
    """Bytes of resident memory, as a series without labels; none where there is no /proc."""
    return _memory(1)


def resident() -> int:
    """Bytes of this process that are in memory; 0 where there is no /proc."""
    return int(_memory(1).get((), 0))


def _memory(field: int) -> dict[Labels, float]:
    """A field of /proc/self/statm in bytes."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return {(): int(file.read().split()[field]) * os.sysconf("SC_PAGE_SIZE")}
    except OSError:
        return {}


def _open_files() -> dict[Labels, float]:
    try:
        return {(): len(os.listdir("/proc/self/fd"))}
    except OSError:
        return {}


def _address_space() -> dict[Labels, float]:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return {(): 2.0**64 if limit == resource.RLIM_INFINITY else limit}


def _network(name: str) -> dict[Labels, float]:
    """A number of the line IpExt of /proc/self/net/netstat, which comes after a line with the names."""
    try:
        with open("/proc/self/net/netstat") as file:
            rows = [line.split() for line in file if line.startswith("IpExt:")]
        return {(): int(dict(zip(*rows, strict=True))[name])}
    except (OSError, ValueError, KeyError):
        return {}


def _by_stability(registry: MetricsRegistry) -> dict[Labels, float]:
    staged = [metric for metric in registry.metrics() if metric.help.startswith("[")]
    return dict(Tally((metric.deprecated, metric.help[1:].partition("]")[0]) for metric in staged))


def _max_files() -> dict[Labels, float]:
    return {(): resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def _seconds_since_start() -> float:
    """Seconds that this process has been running, 0 where there is no /proc."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/uptime", "rb") as file:
            return float(file.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0
