"""The metrics of logical clusters, in those of the server."""

from pilothouse.clusters.directory import Directory
from pilothouse.metrics.instruments import Gauge, Group, Labels


class ClusterMetrics(Group):
    """How many clusters there are, and how much each of those in memory holds and does."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._clusters = Gauge(
            "pilothouse_clusters",
            "[ALPHA] Logical clusters, by whether they are in memory.",
            ("state",),
            self._states,
        )
        label = ("cluster",)
        self._requests = Gauge(
            "pilothouse_cluster_requests",
            "[ALPHA] Requests that a logical cluster has answered since it came into memory.",
            label,
            lambda: {(one.name,): one.requests for one in directory.open.values()},
        )
        self._objects = Gauge(
            "pilothouse_cluster_objects",
            "[ALPHA] Objects of a logical cluster in memory.",
            label,
            lambda: {(one.name,): one.storage.count for one in directory.open.values()},
        )
        self._bytes = Gauge(
            "pilothouse_cluster_bytes",
            "[ALPHA] Bytes of the objects of a logical cluster in memory.",
            label,
            lambda: {(one.name,): one.storage.held for one in directory.open.values()},
        )

    def _states(self) -> dict[Labels, float]:
        awake = len(self._directory.open)
        return {("awake",): awake, ("suspended",): len(self._directory.places) - awake}
