"""Metrics of the writes of objects, and of the definitions of custom resources (apiserver endpoints/metrics,
apiextensions-apiserver validation, cel and openapi, registry/certificates)."""

from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram

COMPARISON_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 5)
RATCHETING_SECONDS = tuple(0.00001 * 4**n for n in range(10))
RULE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

EQUAL, UNEQUAL_FAST, UNEQUAL_SLOW = "equal_objects", "unequal_objects_fast", "unequal_objects_slow"


class ObjectMetrics(Group):
    """The metrics of one store. Those of seconds may be moved on threads."""

    def __init__(self) -> None:
        comparison = Histogram(
            "apiserver_request_timestamp_comparison_time",
            "[ALPHA] Seconds to tell whether an update changes more than the times of managed fields.",
            ("code_path",),
            COMPARISON_SECONDS,
        )
        self.comparison = comparison
        self.compared = {path: comparison.series(path) for path in (EQUAL, UNEQUAL_FAST, UNEQUAL_SLOW)}
        """The seconds of comparisons by how they ended."""
        self._ratcheting = Histogram(
            "apiextensions_apiserver_validation_ratcheting_seconds",
            "[ALPHA] Seconds to compare a custom resource with what it was, for what an update has not"
            " changed.",
            (),
            RATCHETING_SECONDS,
        )
        self.ratcheting = self._ratcheting.series()
        self._compilation = Histogram(
            "apiserver_cel_compilation_duration_seconds",
            "[BETA] Seconds to compile the rules of one node of a definition's schema.",
            (),
            RULE_SECONDS,
        )
        self.compilation = self._compilation.series()
        self._evaluation = Histogram(
            "apiserver_cel_evaluation_duration_seconds",
            "[BETA] Seconds to evaluate the rules of a definition's schema on an object.",
            (),
            RULE_SECONDS,
        )
        self.evaluation = self._evaluation.series()
        csr = "apiserver_certificates_registry_csr"
        self.requested_durations = Counter(
            f"{csr}_requested_duration_total",
            "[ALPHA] Certificates that were issued for requests with a duration.",
            ("signerName",),
        )
        self.honored_durations = Counter(
            f"{csr}_honored_duration_total",
            "[ALPHA] Certificates that are valid for as long as was requested.",
            ("signerName",),
        )
        self._count_definitions()

    def _count_definitions(self) -> None:
        documents = "apiextensions_openapi_{}_regeneration_count"
        self.v2 = Counter(
            documents.format("v2"),
            "[ALPHA] Changes of the OpenAPI document of version 2 by definitions.",
            ("crd", "reason"),
        )
        self.v3 = Counter(
            documents.format("v3"),
            "[ALPHA] Changes of the OpenAPI documents of version 3 by definitions.",
            ("crd", "group", "reason", "version"),
        )
        self.unserved = Gauge(
            "pilothouse_unserved_definition",
            "[ALPHA] 1 for each definition that is not served as it says, with the reason of the condition"
            " that tells so.",
            ("crd", "reason"),
            joined=max,
        )
        self._reasons: dict[str, str] = {}
        """The reasons that are shown, by the name of the definition."""

    def published(self, name: str, reason: str, versions: set[tuple[str, str]]) -> None:
        """The documents of these groups and versions have changed with a definition:
        add, update or remove."""
        if versions:
            self.v2.inc(name, reason)
        for group, version in sorted(versions):
            self.v3.inc(name, group, reason, version)

    def served(self, name: str, reason: str = "") -> None:
        """A definition is served, is gone, or is not served as it says for a reason."""
        before = self._reasons.pop(name, "")
        if before:
            del self.unserved.values[name, before]
        if reason:
            self._reasons[name] = reason
            self.unserved.set(1, name, reason)
