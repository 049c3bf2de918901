"""Readings of the metrics of all servers of a cluster, and what two of them say: counts, rates, latencies.

Each server counts for itself: its numbers are held against its own only, and a connection to each is kept.
"""

import math
import time
from collections.abc import Iterable
from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.commands import samples
from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.samples import Families, Labels, total
from pilothouse.commands.servers import Asked, Found, Servers

LONG = ("WATCH", "CONNECT")
SECONDS = "apiserver_request_duration_seconds"
FLOW = "apiserver_flowcontrol"
AGAIN = 30.0
"""Seconds after which servers are looked for that have come meanwhile."""


class Reading(NamedTuple):
    """The metrics of a server at a time of the monotonic clock."""

    at: float
    families: Families


class ClusterReadings:
    """The servers whose metrics are read, whenever `read` is called; ApiError when none answers."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._servers = Servers(api, _asked)
        self._looked = 0.0
        self.readings: dict[str, Reading] = {}

    @property
    def found(self) -> list[Found]:
        """The connections to the servers."""
        return list(self._servers.found.values())

    @property
    def notes(self) -> list[str]:
        """Why not all servers are read, when it is so."""
        servers = self._servers
        if servers.servers >= servers.expected:
            return []
        return [f"{servers.servers} of {servers.expected} servers are read", *servers.notes]

    def read(self) -> dict[str, Reading]:
        """The next reading of each server, by what tells it from the others."""
        self.readings, known = {}, self.found
        self._servers.found.clear()
        for one in known:
            try:
                families = samples.parse(one.api.text("/metrics"))
            except ApiError:
                one.api.close()
                self._looked = 0.0
                continue
            start = _start(families)  # with several processes, that of the oldest one
            if start not in self.readings:
                self.readings[start] = Reading(time.monotonic(), families)
                self._servers.found[start, start] = one._replace(server=start)
        if not self.readings or time.monotonic() - self._looked > AGAIN:
            self._look()
        return self.readings

    def close(self) -> None:
        """Close all connections."""
        self._servers.close()

    def _look(self) -> None:
        """Look for servers; those that are known keep their connections, and are enough for a reading."""
        self._looked = time.monotonic()
        servers = Servers(self._api, _asked)
        servers.found = self._servers.found
        try:
            servers.look()
        except ApiError:
            if not self.readings:
                raise
        else:
            self._servers = servers
        for one in self.found:
            self.readings.setdefault(str(one.server), Reading(one.answer["at"], one.answer["families"]))


def _asked(api: Api, seconds: float) -> Asked:
    """A first reading. One scrape shows all processes of a server."""
    families = samples.parse(api.text("/metrics", seconds=seconds))
    start = _start(families)
    answer = {"at": time.monotonic(), "families": families}
    return Asked(start, start, shared=False, answer=answer)


def _start(families: Families) -> str:
    """When a server has started, which tells it from others."""
    return f"{total(families, 'process_start_time_seconds'):.6f}"


def sheet(before: dict[str, Reading], now: dict[str, Reading]) -> Object:
    """The counts, rates and latencies between two readings, of the servers that are in both."""
    both = sorted(before.keys() & now.keys())
    rates = [_rates(before[key], now[key]) for key in both]
    seconds = max([now[key].at - before[key].at for key in both], default=0.0)
    more = samples.summed(rates)
    families = [now[key].families for key in both]
    sums = samples.summed(families)
    return {
        "seconds": seconds,
        "servers": [_server(now[key].families, rate) for key, rate in zip(both, rates, strict=True)],
        "requests": {
            "perSecond": _per(more),
            "refusedPerSecond": _per(more, "4"),
            "failedPerSecond": _per(more, "5"),
            "inFlight": total(sums, "apiserver_current_inflight_requests"),
        },
        "watches": {
            "open": total(
                sums, "apiserver_longrunning_requests", lambda labels: labels.get("verb") == "WATCH"
            ),
            "eventsPerSecond": total(more, "apiserver_watch_events_total"),
        },
        "process": {
            "memoryBytes": total(sums, "process_resident_memory_bytes"),
            "processorSecondsPerSecond": total(more, "process_cpu_seconds_total"),
        },
        "store": {  # all servers have the same one
            "bytes": _most(families, "apiserver_storage_size_bytes"),
            "objects": _most(families, "apiserver_resource_objects"),
            "operationsPerSecond": total(more, "etcd_requests_total"),
            "full": _most(families, "pilothouse_storage_full") > 0,
        },
        "history": {"lagSeconds": _most(families, "pilothouse_history_lag_seconds")},
        "resources": _resources(more),
        "levels": _levels(sums, more),
    }


def _rates(before: Reading, now: Reading) -> Families:
    return samples.scaled(samples.gained(now.families, before.families), now.at - before.at)


def _server(now: Families, more: Families) -> Object:
    return {
        "started": total(now, "process_start_time_seconds"),
        "requestsPerSecond": total(more, "apiserver_request_total"),
        "memoryBytes": total(now, "process_resident_memory_bytes"),
        "processorSecondsPerSecond": total(more, "process_cpu_seconds_total"),
    }


def _per(more: Families, code: str = "") -> float:
    return total(more, "apiserver_request_total", lambda labels: labels.get("code", "").startswith(code))


def _most(families: Iterable[Families], name: str) -> float:
    return max((total(one, name) for one in families), default=0.0)


def _key(labels: Labels) -> tuple[str, str]:
    resource = ".".join(filter(None, (labels.get("resource"), labels.get("group")))) or "-"
    return "/".join(filter(None, (resource, labels.get("subresource")))), labels.get("verb", "")


def _resources(more: Families) -> list[Object]:
    """Requests by resource and verb, the most frequent first. Times that are not known are None."""
    counts = samples.by(more, "apiserver_request_total", _key)
    times = samples.buckets(
        more, SECONDS, lambda labels: None if labels.get("verb") in LONG else _key(labels)
    )
    return [
        {
            "resource": key[0],
            "verb": key[1],
            "perSecond": count,
            "p50Seconds": _quantile(0.5, times.get(key, {})),
            "p99Seconds": _quantile(0.99, times.get(key, {})),
        }
        for key, count in sorted(counts.items(), key=lambda pair: -pair[1])
        if count
    ]


def _quantile(share: float, found: samples.Buckets) -> float | None:
    value = samples.quantile(share, found)
    return None if math.isnan(value) else value


def _levels(sums: Families, more: Families) -> list[Object]:
    """The priority levels of flow control."""

    def level(labels: Labels) -> str | None:
        return labels.get("priority_level")

    limits, executing, waiting = (
        samples.by(sums, f"{FLOW}_{name}", level)
        for name in ("nominal_limit_seats", "current_executing_requests", "current_inqueue_requests")
    )
    rejected = samples.by(more, f"{FLOW}_rejected_requests_total", level)
    return [
        {
            "name": name,
            "seats": limits.get(name, 0),
            "executing": executing.get(name, 0),
            "waiting": waiting.get(name, 0),
            "rejectedPerSecond": rejected.get(name, 0),
        }
        for name in sorted({*limits, *executing})
    ]
