"""The metrics of aggregated servers (kube-aggregator controllers),
and of repairs (registry/core/service controller)."""

from pilothouse.metrics.instruments import Counter, Gauge, Group


class AggregationMetrics(Group):
    """Metrics of the APIServices that are unavailable, and of how often they have become so."""

    def __init__(self) -> None:
        self.unavailable = Gauge(
            "aggregator_unavailable_apiservice",
            "[ALPHA] 1 for each APIService that is marked as unavailable, else 0.",
            ("name",),
            joined=max,
        )
        self.became_unavailable = Counter(
            "aggregator_unavailable_apiservice_total",
            "[ALPHA] How often APIServices were marked as unavailable, by reason.",
            ("name", "reason"),
        )

        name = "aggregator_openapi_v2_regeneration"
        self.documents = Counter(
            f"{name}_count",
            "[ALPHA] Changes of the OpenAPI document of version 2 by APIServices.",
            ("apiservice", "reason"),
        )
        self.document_seconds = Gauge(
            f"{name}_duration",
            "[ALPHA] Seconds of the last change of the OpenAPI document of version 2, by reason.",
            ("reason",),
            joined=max,
        )

    def published(self, name: str, reason: str, seconds: float) -> None:
        """Count that the document of an APIService's server
        was taken in (add, update) or dropped (delete)."""
        self.documents.inc(name, reason)
        self.document_seconds.set(seconds, reason)

    def mark(self, name: str, *, available: bool) -> None:
        """Note whether an APIService is available."""
        self.unavailable.set(0 if available else 1, name)

    def forget(self, name: str) -> None:
        """Stop showing an APIService that is gone."""
        self.unavailable.values.pop((name,), None)


class RepairMetrics(Group):
    """The differences between services and the allocations
    of ports and addresses that the comparison has found."""

    def __init__(self) -> None:
        self.ports = Counter(
            "apiserver_nodeport_repair_port_errors_total",
            "[ALPHA] Wrong node ports, by the error.",
            ("type",),
        )
        self.port_failures = Counter(
            "apiserver_nodeport_repair_reconcile_errors_total",
            "[ALPHA] Comparisons of node ports that failed.",
        )
        self.addresses = Counter(
            "apiserver_clusterip_repair_ip_errors_total",
            "[ALPHA] Wrong service addresses, by the error.",
            ("type",),
        )
        self.address_failures = Counter(
            "apiserver_clusterip_repair_reconcile_errors_total",
            "[ALPHA] Comparisons of service addresses that failed.",
        )
