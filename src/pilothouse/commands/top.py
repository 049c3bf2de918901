"""`pilothouse top`: a live table in the terminal of what a server does."""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilothouse.api.values.fields import Object
from pilothouse.commands import samples, why_text
from pilothouse.commands.api import Api, ApiError, kubeconfig_of
from pilothouse.commands.samples import Families, Labels, total
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Credentials. Default: $KUBECONFIG, admin.kubeconfig in --data-dir, "
         "~/.kube/config."),
    Flag("interval", "duration", 2.0, "command", "Time between two readings."),
    Flag("rows", "int", 12, "command", "Rows of the table of requests."),
    Flag("once", "bool", False, "command",
         "Print once, from two readings, and end. Without a terminal it is always so."),
)  # fmt: skip
USAGE = """Show what a server does: requests by resource and verb, watches, memory, store, queues, slow and refused requests.

Usage:
  pilothouse top [flags]

The rates and latencies are those between two readings of /metrics. Ctrl-C ends it.
"""  # noqa: E501

LAST = 5
"""How many slow and refused requests are shown."""
LONG = ("WATCH", "CONNECT")
SECONDS = "apiserver_request_duration_seconds"
FLOW = "apiserver_flowcontrol"


class Reading(NamedTuple):
    """The server's metrics at a time of the monotonic clock."""

    at: float
    families: Families


def run(arguments: Sequence[str]) -> None:
    """Show it until Ctrl-C, or once; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    config, values, rest = options.parse_command(arguments, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse top" does not take any arguments, got {list(rest)}')
    if values["interval"] <= 0 or values["rows"] < 1:
        raise FlagError("--interval and --rows must be positive")
    api = Api(kubeconfig_of(config.data, values["kubeconfig"]))
    screens = _screens(api, values["interval"], values["rows"])
    if values["once"] or not sys.stdout.isatty():
        Console(width=None if sys.stdout.isatty() else 120).print(next(screens))
        return
    try:
        with Live(Text("reading ..."), screen=True, auto_refresh=False) as live:
            for screen in screens:
                live.update(screen, refresh=True)
    except KeyboardInterrupt:
        return


def _screens(api: Api, interval: float, rows: int) -> Iterator[RenderableType]:
    """A screen for each reading but the first."""
    before = _reading(api)
    while True:
        time.sleep(interval)
        now = _reading(api)
        yield Group(*_screen(api, before, now, rows))
        before = now


def _reading(api: Api) -> Reading:
    return Reading(time.monotonic(), samples.parse(api.text("/metrics")))


def _screen(api: Api, before: Reading, now: Reading, rows: int) -> Iterator[RenderableType]:
    seconds, more = now.at - before.at, samples.gained(now.families, before.families)
    yield Text(f"{api.config.server}, the last {seconds:.1f} s", style="bold")
    for line in _summary(now.families, more, seconds):
        yield Text(line)
    yield _requests(more, seconds, rows)
    yield _levels(now.families, more, seconds)
    yield _latest(api, "slowest requests", "slowest=true")
    yield _latest(api, "last refusals", "refused=true")


def _summary(now: Families, more: Families, seconds: float) -> Iterator[str]:
    def rate(name: str, *codes: str) -> str:
        wanted = total(more, name, lambda labels: not codes or labels.get("code", "")[:1] in codes)
        return f"{wanted / seconds:.1f}/s"

    watches = total(now, "apiserver_longrunning_requests", lambda labels: labels.get("verb") == "WATCH")
    yield (
        f"requests {rate('apiserver_request_total')}, refused {rate('apiserver_request_total', '4')}, failed"
        f" {rate('apiserver_request_total', '5')}, in flight"
        f" {total(now, 'apiserver_current_inflight_requests'):.0f}"
    )
    yield f"watches {watches:.0f}, events {rate('apiserver_watch_events_total')}"
    yield (
        f"memory {_mebibytes(total(now, 'process_resident_memory_bytes'))}, processor "
        f"{total(more, 'process_cpu_seconds_total') / seconds:.0%}"
    )
    full = ", IT IS FULL" if total(now, "pilothouse_storage_full") else ""
    size = _mebibytes(total(now, "apiserver_storage_size_bytes"))
    objects = total(now, "apiserver_resource_objects")
    yield f"store {size}, objects {objects:.0f}, operations {rate('etcd_requests_total')}{full}"


def _requests(more: Families, seconds: float, rows: int) -> Table:
    """Requests by resource and verb, the most frequent first."""

    def key(labels: Labels) -> str:
        resource = ".".join(filter(None, (labels.get("resource"), labels.get("group")))) or "-"
        return (
            f"{resource}{'/' if labels.get('subresource') else ''}{labels.get('subresource', '')}"
            f" {labels.get('verb')}"
        )

    counts = samples.by(more, "apiserver_request_total", key)
    times = samples.buckets(more, SECONDS, lambda labels: None if labels.get("verb") in LONG else key(labels))
    table = _table("RESOURCE", "VERB", "REQUESTS/S", "P50", "P99")
    for name, count in sorted(counts.items(), key=lambda pair: -pair[1])[:rows]:
        if count:
            found = times.get(name, {})
            shown = (_seconds(samples.quantile(share, found)) for share in (0.5, 0.99))
            table.add_row(*name.rsplit(" ", 1), f"{count / seconds:.1f}", *shown)
    return table


def _levels(now: Families, more: Families, seconds: float) -> Table:
    """The priority levels of flow control."""

    def level(labels: Labels) -> str | None:
        return labels.get("priority_level")

    table = _table("LEVEL", "", "SEATS", "EXECUTING", "WAITING", "REJECTED/S")
    limits, executing, waiting = (
        samples.by(now, f"{FLOW}_{name}", level)
        for name in ("nominal_limit_seats", "current_executing_requests", "current_inqueue_requests")
    )
    rejected = samples.by(more, f"{FLOW}_rejected_requests_total", level)
    for name in sorted({*limits, *executing}):
        numbers = (f"{one.get(name, 0):.0f}" for one in (limits, executing, waiting))
        table.add_row(name, "", *numbers, f"{rejected.get(name, 0) / seconds:.1f}")
    return table


def _latest(api: Api, title: str, query: str) -> RenderableType:
    """Some of the latest requests; the reason when they may not be seen."""
    try:
        found: Object = api.call("GET", f"/debug/requests?{query}&limit={LAST}")
    except ApiError as error:
        return Text(f"{title}: {error}", style="dim")
    table = _table(title.upper(), "CODE", "TIME", "USER", "AUDIT-ID")
    for one in found["requests"]:
        time_ = why_text.seconds(one["seconds"])
        table.add_row(f"{one['verb']} {one['path']}", str(one["code"]), time_, one["user"], one["auditID"])
    return table


def _table(*columns: str) -> Table:
    table = Table(*columns[:2], box=None, pad_edge=False, header_style="bold")
    for name in columns[2:]:
        table.add_column(name, justify="right")
    return table


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else why_text.seconds(value)


def _mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"
