"""The metrics of aggregated servers (kube-aggregator controllers/status/metrics)."""

from pilothouse.instruments import Counter, Gauge, Group


class AggregationMetrics(Group):
    """Which APIServices are unavailable, and how often they have become so."""

    def __init__(self) -> None:
        self.unavailable = Gauge(
            "aggregator_unavailable_apiservice",
            "[ALPHA] 1 for each APIService that is marked as unavailable, else 0.",
            ("name",),
        )
        self.became_unavailable = Counter(
            "aggregator_unavailable_apiservice_total",
            "[ALPHA] How often APIServices were marked as unavailable, by reason.",
            ("name", "reason"),
        )

    def mark(self, name: str, *, available: bool) -> None:
        """Note whether an APIService is available."""
        self.unavailable.set(0 if available else 1, name)

    def forget(self, name: str) -> None:
        """Stop showing an APIService that is gone."""
        self.unavailable.values.pop((name,), None)
