"""The work around every request that flags ask for:
answers to browsers of other origins, HSTS, refusals while shutting down.

Upstream: apiserver server/filters cors.go, hsts.go and with_retry_after.go.
"""

from collections.abc import Sequence

from pilothouse.server.request import Request, Response

Header = tuple[str, str]

_CORS: tuple[Header, ...] = (
    ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE, PATCH"),
    (
        "Access-Control-Allow-Headers",
        (
            "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, X-Requested-With,"
            " If-Modified-Since"
        ),
    ),
    ("Access-Control-Expose-Headers", "Date"),
    ("Access-Control-Allow-Credentials", "true"),
)
_HEALTH = ("/healthz", "/livez", "/readyz")
_CLOSING = b"The apiserver is shutting down, please try again later.\n"


class Edges:
    """origins: regular expressions (RE2) of which one must be found in a
    browser's Origin. directives: of HSTS. refusing: whether requests are refused
    once `stopping` is set; probes of health are answered all the same."""

    def __init__(
        self, origins: Sequence[str] = (), directives: Sequence[str] = (), *, refusing: bool = False
    ) -> None:
        import re2

        self.refusing = refusing
        self.stopping = False
        self._origins = [re2.compile(origin) for origin in origins]
        self._always: list[Header] = []
        if directives:
            self._always.append(("Strict-Transport-Security", "; ".join(directives)))

    def early(self, request: Request) -> Response | None:
        """The answer to a request that goes no further."""
        if self.stopping and self.refusing and not request.path.startswith(_HEALTH):
            headers = [("Retry-After", "5"), ("Connection", "close"), ("X-Content-Type-Options", "nosniff")]
            return Response(429, _CLOSING, "text/plain; charset=utf-8", [*headers, *self.headers(request)])
        if request.method == "OPTIONS" and self._origins:
            headers = self.headers(request)
            if len(headers) > len(self._always):
                return Response(204, b"", "", headers)
        return None

    def headers(self, request: Request) -> list[Header]:
        """The headers that the answer carries beside its own."""
        if not self._origins or not self.allows(request):
            return self._always
        return [*self._always, ("Access-Control-Allow-Origin", request.headers["origin"]), *_CORS]

    def allows(self, request: Request) -> bool:
        """Whether pages of the origin that it names may read answers."""
        origin = request.headers.get("origin", "")
        return bool(origin) and any(pattern.search(origin) for pattern in self._origins)
