"""Forwards requests for group versions that aggregated API servers answer
(kube-aggregator's proxy handler)."""

import secrets
from urllib.parse import urlsplit

from pilothouse import errors
from pilothouse.endpoints.documents.health import NOSNIFF, TEXT
from pilothouse.endpoints.documents.openapi_remote import RemoteDocuments
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.streams import relay
from pilothouse.endpoints.streams.relay import Relay
from pilothouse.outbound.upgrade import UpgradeError
from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable
from pilothouse.server.request import Response
from pilothouse.server.websocket import is_upgrade

DISCOVERY_SECONDS = 5.0
"""Seconds that a discovery document of a group version may take."""

UNAVAILABLE = "service unavailable"
LOOP = "this request was sent by this server itself: an APIService leads back to it"
OPENAPI = "/openapi/v3/"
REDIRECTED = b"the backend attempted to redirect this request, which is not permitted"


def new_via() -> str:
    """A name of this server for Via headers (RFC 9110 7.6.3), by which it knows what it has sent itself."""
    return f"pilothouse-{secrets.token_hex(8)}"


def via_header(name: str) -> tuple[str, str]:
    """The header that a request gets on its way through the server with this name, besides those that it has.

    It is in lower case as the others: aiohttp would have it replace those whose names differ in case.
    """
    return "via", f"1.1 {name}"


def version_of(path: str) -> tuple[str, str]:
    """Group and version of a path; ("", "") if it has none."""
    parts = path.split("/", 4)
    if len(parts) > 3 and parts[1] == "apis":
        return parts[2], parts[3]
    return ("", parts[2]) if len(parts) > 2 and parts[1] == "api" else ("", "")


class Aggregator:
    """Forwards requests to aggregated servers on behalf of the users who sent them.

    With `reject_redirects`, a backend's redirect is answered with 502
    (--aggregator-reject-forwarding-redirect). `documents` say which OpenAPI documents backends answer. `via`
    names this server to backends; a request that comes back with this name is refused.
    """

    def __init__(
        self,
        relay: Relay,
        resolver: ServiceResolver,
        *,
        documents: RemoteDocuments | None = None,
        via: str = "",
        reject_redirects: bool = True,
    ) -> None:
        self._relay = relay
        self._resolver = resolver
        self._documents = documents or RemoteDocuments()
        self._via = via or new_via()
        self._reject_redirects = reject_redirects

    def version_of(self, path: str) -> tuple[str, str]:
        """The group version whose server answers a path, if one does:
        that of a resource, or of an OpenAPI document."""
        if path.startswith(OPENAPI):
            return self._documents.proxied(path[len(OPENAPI) :]) or ("", "")
        return version_of(path)

    async def handle(self, ctx: Context, backend: AggregatedServer) -> Response:
        """Return the backend's answer, a 503 if it cannot be reached,
        or a 508 to what this server has sent itself."""
        if any(name == "via" and self._via in value for name, value in ctx.request.all_headers):
            return _text(508, LOOP)
        if not backend.available:
            return _text(503, UNAVAILABLE)
        try:
            base = self._resolver.url(backend)
        except Unroutable:
            return _text(503, UNAVAILABLE)
        request, info = ctx.request, ctx.info
        # Without this slash a request target such as `@other.host/` would change the host of the URL.
        url = f"{base}/{request.target.removeprefix('/')}"
        trust = self._resolver.trust(backend)
        who = [*relay.identity_headers(ctx.user), via_header(self._via)]
        if is_upgrade(request):
            try:
                return relay.upgraded(ctx, await self._relay.upgrade(ctx, url, trust, more=who))
            except (UpgradeError, errors.Unknown) as err:
                return _text(503, str(err))
        discovery = not info.is_resource and len(info.path.strip("/").split("/")) == 3
        try:
            answer = await self._relay.forward(
                ctx,
                url,
                trust,
                more=who,
                timeout=DISCOVERY_SECONDS if discovery else None,
            )
        except errors.ServiceUnavailable as err:
            return _text(503, err.message)
        location = answer.header("location") if 300 <= answer.status <= 399 else ""
        if location and self._reject_redirects and not _to_newer(info.path, location):
            answer.close()
            return Response(502, REDIRECTED, "text/plain; charset=utf-8")
        rewrite = relay.rewrite_through(ctx, url, ctx.request.prefix)
        return await relay.response_of(ctx, answer, rewrite=rewrite)


def _to_newer(path: str, location: str) -> bool:
    """Whether a redirect leads from an OpenAPI document to the same one with another hash:
    it has changed since."""
    target = urlsplit(location)
    return path.startswith(OPENAPI) and not target.netloc and target.path == path


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode() + b"\n", TEXT, [NOSNIFF])
