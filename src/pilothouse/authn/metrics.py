"""The metrics of authentication (apiserver endpoints/filters/metrics.go)."""

from pilothouse._requestmetrics import Authenticated
from pilothouse.instruments import Counter, Group, Histogram, Labels

SECONDS = tuple(0.001 * 2**n for n in range(15))

TOLD_APART = frozenset(
    ("admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default")
)
"""User names that are labels; others share one, so that the labels stay few."""

REMEMBERED = 1024
"""User names whose labels are remembered."""


class AuthenticationMetrics(Group):
    """How many requests were authenticated, with which result and in what time."""

    def __init__(self) -> None:
        self.seconds = Histogram(
            "authentication_duration_seconds",
            "[ALPHA] Seconds to authenticate a request.",
            ("result",),
            SECONDS,
        )
        self.attempts = Counter(
            "authentication_attempts", "[ALPHA] Requests by result.", ("result",), self.seconds.counts
        )
        self._users = _Users()
        self.users = Counter(
            "authenticated_user_requests", "[ALPHA] Requests by user.", ("username",), self._users.counts
        )
        self.succeeded = Authenticated(self.seconds.series("success"), self._users)
        """Called for each request of a known user, or of the anonymous one: seconds, user name."""

    def failed(self, seconds: float, result: str) -> None:
        """Count a request that was refused: "failure" without credentials, "error" with wrong ones."""
        self.seconds.observe(seconds, result)

    def reset(self) -> None:
        self._users.reset()
        super().reset()


class _Users(dict[str, list[int]]):
    """User name -> the count of those who share its label. PERF: a known name costs one look-up."""

    def __init__(self) -> None:
        super().__init__()
        self._labels: dict[str, list[int]] = {}

    def __missing__(self, name: str) -> list[int]:
        label = name if name in TOLD_APART else "email_id" if "@" in name else "other"
        if len(self) >= REMEMBERED:
            self.clear()
        count = self[name] = self._labels.setdefault(label, [0])
        return count

    def counts(self) -> dict[Labels, float]:
        """The requests by label."""
        return {(label,): count[0] for label, count in self._labels.items()}

    def reset(self) -> None:
        """Reset the counts to zero."""
        self.clear()
        self._labels.clear()
