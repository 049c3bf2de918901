"""The metrics of authorization (apiserver endpoints/filters/metrics.go and authorization/metrics)."""

from pilothouse.metrics._requestmetrics import Authorized
from pilothouse.metrics.instruments import Counter, Group, Histogram, Labels
from pilothouse.reload import ReloadMetrics

SECONDS = tuple(0.001 * 2**n for n in range(15))

GRAPH_SECONDS = tuple(0.0001 * 2**n for n in range(12))
WEBHOOK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONDITION_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25)


class AuthorizationMetrics(ReloadMetrics, Group):
    """How many requests were authorized, with which result and in what time, and which authorizer decided."""

    def __init__(self) -> None:
        super().__init__("authorization")
        self._tallies: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
        self.seconds = Histogram(
            "authorization_duration_seconds", "[ALPHA] Seconds to authorize a request.", ("result",), SECONDS
        )
        self.attempts = Counter(
            "authorization_attempts_total", "[ALPHA] Requests by result.", ("result",), self.seconds.counts
        )
        self.decisions = Counter(
            "apiserver_authorization_decisions_total",
            "[ALPHA] Decisions of each authorizer that ended the search.",
            ("decision", "name", "type"),
            self._decisions,
        )
        self.graph = Histogram(
            "node_authorizer_graph_actions_duration_seconds",
            "[ALPHA] Seconds to take a change into the graph of what nodes need.",
            ("operation",),
            GRAPH_SECONDS,
        )
        series = self.seconds.series
        self.decided = Authorized(series("allowed"), series("denied"), series("no-opinion"))
        """Called for each request: seconds, decision."""
        asked, matched = ("name", "result"), ("name", "type")
        self.webhook_calls = Counter(
            "apiserver_authorization_webhook_evaluations_total",
            "[ALPHA] Round-trips to authorization webhooks.",
            asked,
        )
        self.webhook_seconds = Histogram(
            "apiserver_authorization_webhook_duration_seconds",
            "[ALPHA] Request latency in seconds.",
            asked,
            WEBHOOK_SECONDS,
        )
        self.webhook_failed_open = Counter(
            "apiserver_authorization_webhook_evaluations_fail_open_total",
            "[ALPHA] NoOpinion results due to webhook timeout or error.",
            asked,
        )
        self.conditions_failed = Counter(
            "apiserver_authorization_match_condition_evaluation_errors_total",
            "[ALPHA] Requests for which a match condition of an authorization webhook had no answer.",
            matched,
        )
        self.conditions_excluded = Counter(
            "apiserver_authorization_match_condition_exclusions_total",
            "[ALPHA] Requests that the match conditions of an authorization webhook excluded.",
            matched,
        )
        self.conditions_seconds = Histogram(
            "apiserver_authorization_match_condition_evaluation_seconds",
            "[ALPHA] Seconds that the match conditions of an authorization webhook took.",
            matched,
            CONDITION_SECONDS,
        )

    def tally(self, type_: str, name: str) -> tuple[list[int], list[int]]:
        """The counts of what an authorizer allowed, and of what it denied;
        its type is a mode of --authorization-mode.

        PERF: the authorizer adds to them itself.
        """
        return self._tallies.setdefault((type_, name), ([0], [0]))

    def _decisions(self) -> dict[Labels, float]:
        return {
            (result, name, type_): count[0]
            for (type_, name), counts in self._tallies.items()
            for result, count in zip(("allowed", "denied"), counts, strict=True)
            if count[0]
        }

    def reset(self) -> None:
        for counts in self._tallies.values():
            for count in counts:
                count[0] = 0
        super().reset()
