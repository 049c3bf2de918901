"""Forwards requests to other servers and streams their answers back with back-pressure
(apimachinery util/proxy)."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from posixpath import join, normpath
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.endpoints.request import browsers
from pilothouse.endpoints.request.context import Context
from pilothouse.outbound.http import Answer, ClientError, Outbound, Trust
from pilothouse.outbound.upgrade import Upgrade
from pilothouse.server import upgrade, websocket
from pilothouse.server.pump import start_pump
from pilothouse.server.request import Response, Stream

if TYPE_CHECKING:
    from pilothouse.endpoints.streams.html_links import Rewrite

ENCODINGS = ("", "gzip", "deflate")
"""Content encodings of pages whose links are rewritten."""
WHOLE = 1 << 20
"""Bytes; answers of known length up to this size are read whole before they are passed on."""

AHEAD = 1 << 20
"""Bytes that may be queued for a slow client before reading from the other server pauses."""

HOP = frozenset(
    (
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers that concern one connection only (RFC 9110 7.6.1)."""
_OURS = (
    "authorization",
    "audit-id",
    "x-forwarded-for",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-pilothouse-forwarded",
    "client-cert",
    "client-cert-chain",
)
"""Headers that clients cannot set for the other server, because it trusts this server's values."""
_IDENTITY = ("x-remote-user", "x-remote-uid", "x-remote-group")
_IDENTITY_PREFIXES = ("x-remote-extra-", "x-remote-", "impersonate-")
_TOKEN = "!#$&'*+-.^_`|~"
"""Characters allowed in a header's name beside letters and digits; a percent sign is escaped as well."""


def named_in_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    """The names that Connection headers list: these headers concern one connection only (RFC 9110 7.6.1)."""
    values = [value for name, value in headers if name.lower() == "connection"]
    return {name.strip().lower() for value in values for name in value.split(",")}


class Relay:
    """Forwards requests to other servers.

    `identity_headers` and `extra_prefixes` come from --requestheader-*: names, and prefixes of names, of the
    headers in which a front proxy names a user to this server. They are removed, as are the usual ones.
    """

    def __init__(
        self, outbound: Outbound, identity_headers: Iterable[str] = (), extra_prefixes: Iterable[str] = ()
    ) -> None:
        self.outbound = outbound
        self._hidden = HOP.union(_OURS, _IDENTITY, (name.lower() for name in identity_headers))
        self._prefixes = (*_IDENTITY_PREFIXES, *(prefix.lower() for prefix in extra_prefixes if prefix))

    def passed_on(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The client's headers that are forwarded.

        Headers that concern one connection are removed (RFC 9110 7.6.1), and so are all headers that name a
        user, because the other server trusts this server's values for them.
        """
        headers = list(headers)
        dropped = self._hidden | named_in_connection(headers)
        return [(n, v) for n, v in headers if n not in dropped and not n.startswith(self._prefixes)]

    async def forward(
        self,
        ctx: Context,
        url: str,
        trust: Trust,
        *,
        prepend: str = "",
        more: list[tuple[str, str]] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send a client's request to `url`; raises ServiceUnavailable if it cannot be reached.

        `prepend` is the path prefix on this server that stands for the other server's root; `more` are
        further headers; `timeout` is in seconds.
        """
        request = ctx.request
        headers = [*self.passed_on(request.all_headers), *_traced(ctx)]
        path = urlsplit(url).path
        seen = "/" + normpath(f"{prepend}/{path}").lstrip("/")  # normpath keeps two leading slashes
        headers.append(("X-Forwarded-Uri", seen if seen == "/" or not path.endswith("/") else f"{seen}/"))
        headers.append(("X-Forwarded-Host", request.headers.get("host", "")))
        headers.append(("X-Forwarded-Proto", "https"))
        headers += more or []
        try:
            return await self.outbound.open(
                request.method, url, headers=headers, body=request.body, trust=trust, timeout=timeout
            )
        except ClientError as err:
            raise errors.ServiceUnavailable(f"error trying to reach service: {err}") from None

    async def upgrade(
        self,
        ctx: Context,
        url: str,
        trust: Trust,
        *,
        method: str = "",
        more: list[tuple[str, str]] | None = None,
        protocol: str = "",
    ) -> Upgrade:
        """Send a client's request to upgrade to `url`; raises UpgradeError if there is no answer.

        `method` and `protocol`, the latter for the Upgrade header, replace the client's. Without `protocol`
        the subprotocols of its WebSocket go along, but never one that carries a token.
        `more` are further headers.
        """
        request = ctx.request
        dropped = "sec-websocket-" if protocol else "sec-websocket-protocol"
        headers = [h for h in self.passed_on(request.all_headers) if not h[0].startswith(dropped)]
        if not protocol and (offered := websocket.protocols(request)):
            headers.append(("Sec-WebSocket-Protocol", ", ".join(offered)))
        headers += [("Connection", "Upgrade"), ("Upgrade", protocol or request.headers.get("upgrade", ""))]
        headers += [*_traced(ctx), *(more or [])]
        return await self.outbound.upgrade(method or request.method, url, headers, trust)


def _traced(ctx: Context) -> list[tuple[str, str]]:
    """The headers that tell the other server who asks this one, and by which audit id."""
    request = ctx.request
    forwarded_for = ", ".join(v for n, v in request.all_headers if n == "x-forwarded-for")
    return [
        ("X-Forwarded-For", f"{forwarded_for}, {request.peer[0]}" if forwarded_for else request.peer[0]),
        ("Audit-Id", ctx.audit_id),
    ]


def identity_headers(user: User) -> list[tuple[str, str]]:
    """The front proxy headers that name the user to the other server (transport.SetAuthProxyHeaders)."""
    out = [("X-Remote-User", user.name)]
    if user.uid:
        out.append(("X-Remote-Uid", user.uid))
    out += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        out += [(f"X-Remote-Extra-{quote(key, safe=_TOKEN)}", value) for value in values]
    return out


def rewrite_through(ctx: Context, url: str, prepend: str) -> "Rewrite":
    """The function that makes links of the page at `url` lead through this server,
    if they point to the same host (rewriteURL)."""
    source, host = urlsplit(url).netloc, ctx.request.headers.get("host", "")

    def rewrite(link: str) -> str:
        target = urlsplit(link)
        path = target.path
        if target.netloc not in ("", source, host) or not path.startswith("/"):
            return link
        if not path.startswith(prepend):
            path = normpath(join(prepend, path.lstrip("/"))) + ("/" if path.endswith("/") else "")
        scheme, netloc = (target.scheme, host) if target.netloc == host else ("", "")
        return urlunsplit((scheme, netloc, path, target.query, target.fragment))

    return rewrite


_KEPT_BACK = HOP.union(
    ("content-type", "date", "location", "audit-id", "clear-site-data", "service-worker-allowed"),
    (f"access-control-allow-{what}" for what in ("credentials", "headers", "methods", "origin")),
)
"""Headers of the other server's answer that this server replaces with its own, or that only it may send."""


async def response_of(
    ctx: Context, answer: Answer, content_type: str = "", rewrite: "Rewrite | None" = None
) -> Response:
    """The client's response: read whole if the answer is short, else streamed as it arrives.

    `rewrite` is for the Location header, which does not go along without it, or else for the links of HTML.
    """
    dropped = _KEPT_BACK | named_in_connection(answer.headers)
    headers = [(name, value) for name, value in answer.headers if name.lower() not in dropped]
    location = answer.header("location")
    if location and rewrite is not None:
        headers.append(("Location", _location(rewrite, location)))
    if ctx.request.prefix and not browsers.is_relayed(ctx.request):  # clusters by path have one origin
        headers.append(browsers.SANDBOX)
    kind = content_type or answer.header("content-type")
    length = answer.header("content-length")
    bodiless = ctx.request.method == "HEAD" or answer.status in (204, 304)
    if rewrite is not None and not bodiless and not location and _is_html(answer):
        return await _html(answer, kind, headers, rewrite)
    if bodiless or (length.isdigit() and int(length) <= WHOLE):
        try:
            body = await answer.read(WHOLE)
        except ClientError as err:
            raise errors.ServiceUnavailable(f"error trying to reach service: {err}") from None
        return Response(answer.status, body, kind, headers)
    return Response(answer.status, b"", kind, headers, start=lambda stream: pump(answer, stream))


def _location(rewrite: "Rewrite", location: str) -> str:
    try:
        return rewrite(location)
    except ValueError as err:
        raise errors.InternalError(
            f"Internal error occurred: error trying to parse Location header: {err}"
        ) from None


def _is_html(answer: Answer) -> bool:
    kind = answer.header("content-type").partition(";")[0].strip()
    return kind == "text/html" and answer.header("content-encoding") in ENCODINGS


async def _html(answer: Answer, kind: str, headers: list[tuple[str, str]], rewrite: "Rewrite") -> Response:
    """A page whose links lead through this server: whole if it is short, else streamed."""
    from pilothouse.endpoints.streams import html_links  # with html.parser

    pages = html_links.rewritten(answer.pieces(), answer.header("content-encoding"), rewrite)
    begun, size = [], 0
    try:
        async for piece in pages:
            begun.append(piece)
            size += len(piece)
            if size > WHOLE:
                break
        else:
            return Response(answer.status, b"".join(begun), kind, headers)
    except (ClientError, zlib.error) as err:
        answer.close()
        raise errors.ServiceUnavailable(f"error trying to reach service: {err}") from None

    def start(stream: Stream) -> None:
        stream.on_close(answer.close)
        start_pump(stream, _joined(begun, pages), AHEAD)

    return Response(answer.status, b"", kind, headers, start=start)


async def _joined(begun: list[bytes], pages: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield b"".join(begun)
    begun.clear()
    try:
        async for piece in pages:
            yield piece
    except zlib.error as err:
        raise ClientError(str(err)) from None


def upgraded(ctx: Context, answer: Upgrade) -> Response:
    """The client's response to a request to upgrade that was forwarded (UpgradeAwareHandler.tryUpgrade).

    A refusal is passed on. Bytes are copied both ways until either side ends.
    """
    duplex = answer.duplex
    dropped = _KEPT_BACK | named_in_connection(answer.headers)
    headers = [(name, value) for name, value in answer.headers if name.lower() not in dropped]
    if duplex is None:
        if answer.status < 400:
            raise errors.Unknown(f"invalid upgrade response: status code {answer.status}")
        return Response(answer.status, answer.body, answer.header("content-type"), headers)
    ctx.on_end(lambda _: duplex.close())  # also when the client has left before it could be told
    headers.append(("Upgrade", answer.header("upgrade")))
    return Response(101, b"", "", headers, upgrade=lambda client: upgrade.relay(client, duplex))


def pump(answer: Answer, stream: Stream) -> None:
    """Stream the answer's body to the client, no faster than the client reads it."""
    stream.on_close(answer.close)
    start_pump(stream, answer.pieces(), AHEAD, ClientError)
