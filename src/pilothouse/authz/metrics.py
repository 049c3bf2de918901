"""The metrics of authorization (apiserver endpoints/filters/metrics.go and authorization/metrics)."""

from pilothouse.instruments import Counter, Group, Histogram

SECONDS = tuple(0.001 * 2**n for n in range(15))

_NAMES = {"RBAC": "rbac", "Node": "node", "Webhook": "default"}
"""The names that authorizers have when flags configure them."""


class AuthorizationMetrics(Group):
    """How many requests were authorized, with which result and in what time, and which authorizer decided."""

    def __init__(self) -> None:
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
        )
        self._observe_allowed = self.seconds.series("allowed").observe

    def decided(self, seconds: float, allowed: bool, denied: bool) -> None:
        """Count a request."""
        if allowed:
            self._observe_allowed(seconds)
        else:
            self.seconds.observe(seconds, "denied" if denied else "no-opinion")

    def count_decision(self, mode: str, allowed: bool) -> None:
        """Count what the authorizer of a mode (--authorization-mode) decided."""
        self.decisions.inc("allowed" if allowed else "denied", _NAMES.get(mode) or mode.lower(), mode)
