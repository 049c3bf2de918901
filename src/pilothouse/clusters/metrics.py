"""The metrics of logical clusters, in those of the server."""

from collections.abc import Callable

from pilothouse.clusters.directory import Directory
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.metrics.instruments import Gauge, Group, Labels


class ClusterMetrics(Group):
    """How many clusters there are, and how much each of those in memory holds and does."""

    def __init__(self, directory: Directory | None = None) -> None:
        self._directory = directory
        self._clusters = Gauge(
            "pilothouse_clusters",
            "[ALPHA] Logical clusters, by whether they are in memory.",
            ("state",),
            self._states,
        )
        self._requests = self._gauge(
            "requests", "Requests that a logical cluster has had since it came into memory.", _requests
        )
        self._objects = self._gauge("objects", "Objects of a logical cluster in memory.", _objects)
        self._bytes = self._gauge("bytes", "Bytes of the objects of a logical cluster in memory.", _bytes)

    def _gauge(self, name: str, text: str, value: Callable[[LogicalCluster], float]) -> Gauge:
        def values() -> dict[Labels, float]:
            found = self._directory.open if self._directory is not None else {}
            return {(one.name,): value(one) for one in found.values()}

        return Gauge(f"pilothouse_cluster_{name}", f"[ALPHA] {text}", ("cluster",), values)

    def _states(self) -> dict[Labels, float]:
        if self._directory is None:
            return {}
        awake = len(self._directory.open)
        return {("awake",): awake, ("suspended",): len(self._directory.places) - awake}


def _requests(one: LogicalCluster) -> float:
    return one.requests


def _objects(one: LogicalCluster) -> float:
    return one.storage.count


def _bytes(one: LogicalCluster) -> float:
    return one.storage.held
