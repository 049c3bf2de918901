"""Serves /healthz, /livez and /readyz:
named checks, all together or one by one (apiserver server/healthz)."""

import time
from collections.abc import Callable
from urllib.parse import parse_qs

from pilothouse.endpoints.request.metrics import HealthMetrics
from pilothouse.logs import Logger
from pilothouse.server.request import Response

log = Logger(__name__)

Check = Callable[[], None]
"""Returns if the check passes, raises an exception with the reason if it fails."""

TEXT = "text/plain; charset=utf-8"
NOSNIFF = ("X-Content-Type-Options", "nosniff")
ENDPOINTS = ("healthz", "livez", "readyz")
LIVE = ("healthz", "livez")

HOOKS = (
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
)
"""Start-up steps by their upstream names, because probes may ask for one of these by name."""


class Health:
    """Holds the checks in the order in which they are listed.

    Each step in HOOKS fails until `finish` is called for it. `shutting_down` makes readyz fail while requests
    are still served, so that load balancers stop sending new ones. Further checks are added by `add_check`.
    grace: seconds for which livez passes whatever steps are not done.
    """

    def __init__(self, metrics: HealthMetrics | None = None, grace: float = 0.0) -> None:
        self.metrics = metrics or HealthMetrics()
        self.shutting_down = False
        self._pending = set(HOOKS)
        self._checks: dict[str, dict[str, Check]] = {endpoint: {} for endpoint in ENDPOINTS}
        self.add_check("ping", _pass)
        self.add_check("log", _pass)
        self.add_check("informer-sync", _pass, endpoints=("readyz",))
        self.add_check("loopback-serving-certificate", _pass, endpoints=LIVE)
        self.add_check("etcd", _pass)
        self.add_check("etcd-readiness", _pass, endpoints=("readyz",))
        ends = time.monotonic() + grace
        for hook in HOOKS:
            check = self._hook(hook)
            self.add_check(hook, check)
            if grace > 0:
                self.add_check(hook, _delayed(check, ends), endpoints=("livez",))
        self.add_check("shutdown", self._shutdown, endpoints=("readyz",))

    def add_check(self, name: str, check: Check, *, endpoints: tuple[str, ...] = ENDPOINTS) -> None:
        """Add a check, or replace the one with the same name."""
        for endpoint in endpoints:
            self._checks[endpoint][name] = check

    def finish(self, *hooks: str) -> None:
        """Mark start-up steps as done; without arguments, all of them."""
        self._pending.difference_update(hooks or HOOKS)

    def paths(self) -> list[str]:
        """All paths that `handle` answers."""
        out = []
        for endpoint, checks in self._checks.items():
            out += [f"/{endpoint}", *(f"/{endpoint}/{name}" for name in checks)]
        return out

    def handle(self, path: str, query: str) -> Response | None:
        """Answer a health path, whatever the method; None for every other path."""
        endpoint, _, name = path[1:].partition("/")
        checks = self._checks.get(endpoint)
        if checks is None:
            return None
        if path == f"/{endpoint}":
            return self._run_all(endpoint, checks, query)
        check = checks.get(name)
        return None if check is None else self._run_one(endpoint, name, check)

    def _hook(self, name: str) -> Check:
        def check() -> None:
            if name in self._pending:
                raise RuntimeError("not finished")

        return check

    def _shutdown(self) -> None:
        if self.shutting_down:
            raise RuntimeError("process is shutting down")

    def _run(self, endpoint: str, name: str, check: Check) -> Exception | None:
        try:
            check()
        except Exception as reason:
            log.warning("Health check failed", endpoint=endpoint, check=name, err=reason)
            self.metrics.observe(name, endpoint, ok=False)
            return reason
        self.metrics.observe(name, endpoint, ok=True)
        return None

    def _run_all(self, endpoint: str, checks: dict[str, Check], query: str) -> Response:
        """Run all checks of an endpoint. The answer withholds the reasons of failures,
        since anybody may ask for it."""
        parameters = parse_qs(query, keep_blank_values=True)
        excluded = set(parameters.get("exclude", ()))
        lines, failed = [], False
        for name, check in checks.items():
            if name in excluded:
                excluded.discard(name)
                lines.append(f"[+]{name} excluded: ok\n")
            elif self._run(endpoint, name, check) is None:
                lines.append(f"[+]{name} ok\n")
            else:
                failed = True
                lines.append(f"[-]{name} failed: reason withheld\n")
        if excluded:
            names = ",".join(f'"{name}"' for name in sorted(excluded))
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}\n")
        if failed:
            return Response(500, f"{''.join(lines)}{endpoint} check failed\n".encode(), TEXT, [NOSNIFF])
        if "verbose" not in parameters:
            return Response(200, b"ok", TEXT, [NOSNIFF])
        return Response(200, f"{''.join(lines)}{endpoint} check passed\n".encode(), TEXT, [NOSNIFF])

    def _run_one(self, endpoint: str, name: str, check: Check) -> Response:
        reason = self._run(endpoint, name, check)
        if reason is not None:
            return Response(500, f"internal server error: {reason}\n".encode(), TEXT, [NOSNIFF])
        return Response(200, b"ok", TEXT, [NOSNIFF])


def _delayed(check: Check, ends: float) -> Check:
    """A check that passes until a time of the monotonic clock."""

    def delayed() -> None:
        if time.monotonic() > ends:
            check()

    return delayed


def _pass() -> None:
    """Check that passes as long as the process answers at all."""
