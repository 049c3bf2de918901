"""Forwards requests for group versions that aggregated API servers answer (kube-aggregator's proxy handler)."""

from pilothouse import errors
from pilothouse.endpoints import relay
from pilothouse.endpoints.context import Context
from pilothouse.endpoints.health import NOSNIFF, TEXT
from pilothouse.endpoints.relay import Relay
from pilothouse.outbound.upgrade import UpgradeError
from pilothouse.registry.resource import Backend
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable
from pilothouse.server.request import Response
from pilothouse.server.websocket import is_upgrade

DISCOVERY_SECONDS = 5.0
"""Seconds that a discovery document of a group version may take."""

UNAVAILABLE = "service unavailable"
REDIRECTED = b"the backend attempted to redirect this request, which is not permitted"


def version_of(path: str) -> tuple[str, str]:
    """Group and version of a path; ("", "") if it has none."""
    parts = path.split("/", 4)
    if len(parts) > 3 and parts[1] == "apis":
        return parts[2], parts[3]
    return ("", parts[2]) if len(parts) > 2 and parts[1] == "api" else ("", "")


class Aggregator:
    """Forwards requests to aggregated servers on behalf of the users who sent them.

    With `reject_redirects`, a backend's redirect is answered with 502
    (--aggregator-reject-forwarding-redirect).
    """

    def __init__(self, relay: Relay, resolver: ServiceResolver, *, reject_redirects: bool = True) -> None:
        self._relay = relay
        self._resolver = resolver
        self._reject_redirects = reject_redirects

    async def handle(self, ctx: Context, backend: Backend) -> Response:
        """Return the backend's answer, or a 503 if it cannot be reached."""
        if not backend.available:
            return _text(503, UNAVAILABLE)
        try:
            base = self._resolver.url(backend)
        except Unroutable:
            return _text(503, UNAVAILABLE)
        request, info = ctx.request, ctx.info
        # Without this slash a request target such as `@other.host/` would change the host of the URL.
        url = f"{base}/{request.target.removeprefix('/')}"
        trust, who = self._resolver.trust(backend), relay.identity_headers(ctx.user)
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
        if 300 <= answer.status <= 399 and answer.header("location"):
            if self._reject_redirects:
                answer.close()
                return Response(502, REDIRECTED, "text/plain; charset=utf-8")
            return await relay.response_of(ctx, answer, location=relay.own_location(ctx, answer, url, ""))
        return await relay.response_of(ctx, answer)


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode() + b"\n", TEXT, [NOSNIFF])
