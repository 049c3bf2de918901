"""The metrics of authentication (apiserver endpoints/filters/metrics.go)."""

import time
from typing import Self

from pilothouse.metrics._requestmetrics import Authenticated
from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, Labels, digest
from pilothouse.reload import ReloadMetrics

SECONDS = tuple(0.001 * 2**n for n in range(15))
TOKEN_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DAY = 86400.0
CERTIFICATE_SECONDS = (
    0.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, _DAY, 2 * _DAY, 4 * _DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY,
    180 * _DAY, 360 * _DAY,
)  # fmt: skip
JWT_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

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


class TokenCacheMetrics(Group):
    """How often a bearer token was known already,
    and how others were checked (apiserver token/cache/stats.go)."""

    def __init__(self) -> None:
        cache = "authentication_token_cache_"
        self.seconds = Histogram(
            f"{cache}request_duration_seconds",
            "[ALPHA] Seconds to authenticate a token.",
            ("status",),
            TOKEN_SECONDS,
        )
        self.requests = Counter(
            f"{cache}request_total",
            "[ALPHA] Tokens that were authenticated.",
            ("status",),
            self.seconds.counts,
        )
        self.fetches = Counter(f"{cache}fetch_total", "[ALPHA] Tokens that were checked.", ("status",))
        self.active = Gauge(
            f"{cache}active_fetch_count", "[ALPHA] Tokens that are being checked.", ("status",), self._active
        )
        self.fetching: int | None = None
        """The number of fetches under way; None before the first one."""
        self.hits = self.seconds.series("hit")
        self.hit = self.hits.observe
        """Called for each token that is in the cache."""

    def fetch(self) -> "TokenCheck":
        """Entered while a token is checked."""
        return TokenCheck(self)

    def _active(self) -> dict[Labels, float]:
        # Each request checks its own token, so as many wait as are under way.
        found = self.fetching
        return {} if found is None else {("blocked",): float(found), ("in_flight",): float(found)}


class TokenCheck:
    """Times one check of a token; `good` tells that nothing has failed, whether the token is known or not."""

    __slots__ = ("_began", "_metrics", "good")

    def __init__(self, metrics: TokenCacheMetrics) -> None:
        self._metrics = metrics
        self.good = False

    def __enter__(self) -> Self:
        self._metrics.fetching = (self._metrics.fetching or 0) + 1
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        metrics = self._metrics
        assert metrics.fetching is not None
        metrics.fetching -= 1
        metrics.fetches.inc("ok" if self.good else "error")
        metrics.seconds.observe(time.perf_counter() - self._began, "miss")


class ImpersonationMetrics(Group):
    """Requests on behalf of others, and what the authorizer was asked for them
    (filters/impersonation/metrics).

    mode: that of constrained impersonation, `legacy`, or "" where all have failed.
    decision: allowed or denied.
    """

    def __init__(self) -> None:
        labels, name = ("decision", "mode"), "apiserver_impersonation_"
        what, asked = "Impersonations that were tried", "Questions to the authorizer about impersonation"
        self.attempts = Histogram(
            f"{name}attempts_duration_seconds", f"[ALPHA] {what}: seconds.", labels, SECONDS
        )
        self.attempts_total = Counter(
            f"{name}attempts_total", f"[ALPHA] {what}.", labels, self.attempts.counts
        )
        self.asked = Histogram(
            f"{name}authorization_attempts_duration_seconds", f"[ALPHA] {asked}: seconds.", labels, SECONDS
        )
        self.asked_total = Counter(
            f"{name}authorization_attempts_total", f"[ALPHA] {asked}.", labels, self.asked.counts
        )


class CertificateMetrics(Group):
    """How long the certificates of clients are still valid (apiserver authentication/request/x509)."""

    def __init__(self) -> None:
        self.remaining = Histogram(
            "apiserver_client_certificate_expiration_seconds",
            "[ALPHA] Seconds until the certificate of an authenticated request expires.",
            (),
            CERTIFICATE_SECONDS,
        )


class JWTMetrics(ReloadMetrics, Group):
    """How long tokens of configured issuers took,
    when their keys were fetched, and reloads of the configuration.

    Upstream: token/oidc/metrics.go.
    """

    def __init__(self) -> None:
        super().__init__("authentication")
        self._key_sets: dict[str, str] = {}
        of_issuer = "apiserver_authentication_jwt_authenticator_"
        self.seconds = Histogram(
            f"{of_issuer}latency_seconds",
            "[ALPHA] Seconds to authenticate a token that is not in the cache.",
            ("jwt_issuer_hash", "result"),
            JWT_SECONDS,
        )
        self.last_fetch = Gauge(
            f"{of_issuer}jwks_fetch_last_timestamp_seconds",
            "[ALPHA] Time of the last fetch of an issuer's keys.",
            ("apiserver_id_hash", "jwt_issuer_hash", "result"),
        )
        self.key_sets = Gauge(
            f"{of_issuer}jwks_fetch_last_key_set_info",
            "[ALPHA] The keys of an issuer that were fetched last, by their hash.",
            ("apiserver_id_hash", "hash", "jwt_issuer_hash"),
            lambda: {
                (digest(self.server_id), keys, digest(url)): 1.0 for url, keys in self._key_sets.items()
            },
        )

    def judged(self, issuer: str, result: str, seconds: float) -> None:
        """Count a token of an issuer: success or failure."""
        self.seconds.observe(seconds, digest(issuer), result)

    def fetched(self, issuer: str, keys: bytes) -> None:
        """Show which keys of an issuer were fetched."""
        self._key_sets[issuer] = digest(keys)
        self.last_fetch.set(time.time(), digest(self.server_id), digest(issuer), "success")

    def fetch_failed(self, issuer: str) -> None:
        """Show that the keys of an issuer could not be fetched."""
        self.last_fetch.set(time.time(), digest(self.server_id), digest(issuer), "failure")

    def forget(self, issuer: str) -> None:
        """Drop what is shown of the keys of an issuer that is no longer configured."""
        self._key_sets.pop(issuer, None)
        for labels in [one for one in self.last_fetch.values if one[1] == digest(issuer)]:
            del self.last_fetch.values[labels]


class ServiceAccountMetrics(Group):
    """Uses of service account tokens that are not in the cache (kubernetes pkg/serviceaccount/metrics.go)."""

    def __init__(self) -> None:
        def counter(name: str, what: str) -> Counter:
            return Counter(f"serviceaccount_{name}_total", f"[ALPHA] {what}")

        self.legacy = counter("legacy_tokens", "Legacy service account tokens used.")
        self.manual = counter("legacy_manual_token_uses", "Manually created legacy tokens used.")
        self.automatic = counter("legacy_auto_token_uses", "Automatically generated legacy tokens used.")
        self.invalid = counter("invalid_legacy_auto_token_uses", "Invalidated legacy tokens used.")
        self.stale = counter("stale_tokens", "Tokens used that should have been renewed.")
        self.valid = counter("valid_tokens", "Tokens used that warn when they are not renewed in time.")


class SignerMetrics(Group):
    """Calls of an external signer of tokens (kubernetes pkg/serviceaccount/externaljwt/metrics)."""

    def __init__(self) -> None:
        name = "apiserver_externaljwt_"
        self.last_fetch = Gauge(
            f"{name}fetch_keys_success_timestamp", "[ALPHA] Time of the last fetch of keys."
        )
        self.data_time = Gauge(
            f"{name}fetch_keys_data_timestamp", "[ALPHA] Time of the keys, as the signer gives it."
        )
        self.fetches = Counter(f"{name}fetch_keys_request_total", "[ALPHA] Fetches of keys.", ("code",))
        self.signed = Counter(
            f"{name}sign_request_total", "[ALPHA] Tokens that were to be signed.", ("code",)
        )
        self.seconds = Histogram(
            f"{name}request_duration_seconds",
            "[ALPHA] Seconds of calls.",
            ("code", "method"),
            (*JWT_SECONDS, 30.0, 60.0),
        )
