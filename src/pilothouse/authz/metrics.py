"""The metrics of authorization (apiserver endpoints/filters/metrics.go and authorization/metrics)."""

from pilothouse._requestmetrics import Authorized
from pilothouse.instruments import Counter, Group, Histogram, Labels

SECONDS = tuple(0.001 * 2**n for n in range(15))

_NAMES = {"RBAC": "rbac", "Node": "node", "Webhook": "default"}
"""The names that authorizers have when flags configure them."""


class AuthorizationMetrics(Group):
    """How many requests were authorized, with which result and in what time, and which authorizer decided."""

    def __init__(self) -> None:
        self._tallies: dict[str, tuple[list[int], list[int]]] = {}
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
        series = self.seconds.series
        self.decided = Authorized(series("allowed"), series("denied"), series("no-opinion"))
        """Called for each request: seconds, decision."""

    def tally(self, mode: str) -> tuple[list[int], list[int]]:
        """The counts of what the authorizer of a mode (--authorization-mode) allowed, and of what it denied.

        PERF: the authorizer adds to them itself.
        """
        return self._tallies.setdefault(mode, ([0], [0]))

    def _decisions(self) -> dict[Labels, float]:
        return {
            (result, _NAMES.get(mode) or mode.lower(), mode): count[0]
            for mode, counts in self._tallies.items()
            for result, count in zip(("allowed", "denied"), counts, strict=True)
            if count[0]
        }

    def reset(self) -> None:
        for counts in self._tallies.values():
            for count in counts:
                count[0] = 0
        super().reset()
