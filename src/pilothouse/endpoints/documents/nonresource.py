"""Serves the paths that name no resource:
version, metrics, health, token keys, status pages, the list of paths.

Handlers are registered by exact path or by path prefix; OpenAPI and the flow control dumps add theirs. Paths
that upstream serves through its router accept only GET and one media type; the others accept every method.
"""

import json
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.health import NOSNIFF, TEXT, Health
from pilothouse.endpoints.documents.scrape import Scrapes
from pilothouse.endpoints.request import negotiation, refusals
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.process.version import GIT_VERSION
from pilothouse.server.request import Request, Response

Handler = Callable[[Request, str], Awaitable[Response | None]]
"""Answers a path, or returns None if it does not serve that path. May raise StatusError."""

JWKS_TYPE = "application/jwk-set+json"
KEYS_CACHE = ("Cache-Control", "public, max-age=3600")

COMPONENT, MAJOR, MINOR = "kube-apiserver", 1, 36

STATUS_WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, "
    "has no formatting compatibility guarantees and is for debugging purposes only."
)


class ServiceAccountIssuer(Protocol):
    """Publishes how service account tokens are verified (OpenID Connect discovery)."""

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set."""

    def configuration(self) -> dict[str, Any]:
        """The OpenID configuration: issuer, jwks_uri and the supported algorithms."""


def version_info(git_version: str = GIT_VERSION) -> dict[str, str]:
    """The answer of /version: the Kubernetes version that is emulated, and this server's build."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": str(MAJOR),
        "minor": str(MINOR),
        "emulationMajor": str(MAJOR),
        "emulationMinor": str(MINOR),
        "minCompatibilityMajor": str(MAJOR),
        "minCompatibilityMinor": str(MINOR - 1),
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{sys.platform}/{machine}",
    }


class NonResource:
    """Answers the paths that name no resource, except discovery.

    `discovery` lists its own paths for `/`; `flags` returns the values of the command line's flags for
    /flagz.
    """

    def __init__(
        self,
        discovery: Discovery,
        health: Health,
        *,
        version: Mapping[str, str] | None = None,
        metrics: MetricsRegistry | None = None,
        slis: MetricsRegistry | None = None,
        issuer: ServiceAccountIssuer | None = None,
        flags: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self._discovery = discovery
        self._health = health
        self._version = dict(version or version_info())
        self._flags = flags
        self._started = time.time()
        self._exact: dict[str, Handler] = {}
        self._prefixes: dict[str, Handler] = {}
        self._listed: list[str] = []
        self.add("/", self._root, listed=False)
        self.add("/index.html", self._root, listed=False)
        self.add_routed("/version", "application/json", self._version_body)
        self.add("/statusz", self._statusz)
        self.add("/flagz", self._flagz)
        if metrics is not None:
            self.add("/metrics", Scrapes(metrics).handle)
        if slis is not None:
            self.add("/metrics/slis", Scrapes(slis).handle)
        if issuer is not None:
            self._add_issuer(issuer)

    def add(self, path: str, handler: Handler, *, listed: bool = True) -> None:
        """Register a handler for one path; `listed` puts the path into the list at `/`."""
        self._exact[path] = handler
        if listed:
            self._listed.append(path)

    def add_prefix(self, prefix: str, handler: Handler, *, listed: tuple[str, ...] = ()) -> None:
        """Register a handler for a path and all paths below it; `prefix` has no trailing slash."""
        self._prefixes[prefix] = handler
        self._listed += listed

    def add_routed(
        self, path: str, media_type: str, body: Callable[[], bytes], headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Register a document that is served as by upstream's router.

        It accepts GET and `media_type` only; other methods get a 405 and paths below it a 404, both as a
        Status.
        """

        async def handler(request: Request, asked: str) -> Response:
            if asked.rstrip("/") != path:
                raise refusals.path_not_found()
            if request.method != "GET":
                raise refusals.method_not_allowed()
            negotiation.acceptable(request.headers.get("accept"), (media_type,))
            return Response(200, body(), media_type, list(headers))

        self.add_prefix(path, handler, listed=(path,))

    async def handle(self, request: Request, path: str) -> Response | None:
        """Answer a decoded path; None if no handler serves it. Raises StatusError."""
        handler = self._exact.get(path)
        if handler is not None:
            return await handler(request, path)
        response = self._health.handle(path, request.query)
        if response is not None:
            return response
        for prefix, handler in self._prefixes.items():
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                return await handler(request, path)
        return None

    def paths(self) -> list[str]:
        """All paths that `/` lists."""
        return sorted({*self._listed, *self._health.paths(), *self._discovery.paths()})

    async def _root(self, request: Request, path: str) -> Response:
        return Response(200, raw_json({"paths": self.paths()}))

    def _version_body(self) -> bytes:
        return raw_json(self._version)

    def _add_issuer(self, issuer: ServiceAccountIssuer) -> None:
        def configuration() -> bytes:
            return json.dumps(issuer.configuration(), separators=(",", ":")).encode()

        def keys() -> bytes:
            return json.dumps(issuer.jwks(), separators=(",", ":")).encode()

        self.add_routed("/.well-known/openid-configuration", "application/json", configuration, (KEYS_CACHE,))
        self.add_routed("/openid/v1/jwks", JWKS_TYPE, keys, (KEYS_CACHE,))

    async def _statusz(self, request: Request, path: str) -> Response:
        up = int(time.time() - self._started)
        started = datetime.fromtimestamp(self._started, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
        lines = [
            f"Started: {started}",
            f"Up: {up // 3600} hr {up // 60 % 60:02} min {up % 60:02} sec",
            f"Go version: {self._version.get('goVersion', '')}",
            f"Binary version: {MAJOR}.{MINOR}.0",
            f"Emulation version: {MAJOR}.{MINOR}",
            f"Paths: {' '.join(self._listed)}",
        ]
        return _status_page(request, "statusz", lines)

    async def _flagz(self, request: Request, path: str) -> Response:
        values = self._flags() if self._flags is not None else {}
        return _status_page(request, "flagz", [f"{name}={values[name]}" for name in sorted(values)])


def _status_page(request: Request, name: str, lines: list[str]) -> Response:
    """A status page as plain text; any other accepted type is a 406."""
    negotiation.acceptable(request.headers.get("accept"), ("text/plain",))
    text = "\n".join([f"{COMPONENT} {name}", STATUS_WARNING, "", *lines, ""])
    return Response(200, text.encode(), TEXT, [NOSNIFF])


def raw_json(document: Mapping[str, Any]) -> bytes:
    """Encode as upstream's WriteRawJSON does: always indented. Text that is no Unicode is escaped."""
    try:
        return json.dumps(document, indent=2, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=2).encode()
