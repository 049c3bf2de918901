"""Passing a request on and its answer back, with back-pressure (apimachinery util/proxy)."""

import asyncio
from posixpath import join, normpath
from urllib.parse import quote, urlsplit, urlunsplit

from pilothouse import errors
from pilothouse.api.identity import User
from pilothouse.client import Answer, ClientError, Outbound, Trust
from pilothouse.endpoints.context import Context
from pilothouse.server.request import Response, Stream

WHOLE = 1 << 20
"""Bytes of an answer of known length that are read before they are passed on."""

AHEAD = 1 << 20
"""Bytes that may wait for a slow client before reading pauses."""

_HOP = frozenset(
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
_OURS = ("authorization", "x-remote-", "impersonate-", "audit-id", "x-forwarded-for")
_TOKEN = "!#$&'*+-.^_`|~"
"""What may stand in a header's name beside letters and digits; a percent sign is escaped as well."""


async def forward(
    outbound: Outbound,
    ctx: Context,
    url: str,
    trust: Trust,
    *,
    prepend: str = "",
    more: list[tuple[str, str]] | None = None,
    timeout: float | None = None,  # noqa: ASYNC109
) -> Answer:
    """Send a client's request to `url`; ServiceUnavailable when it cannot be reached.

    `prepend` is the path of ours that stands for the other's root.
    """
    request = ctx.request
    headers = [(n, v) for n, v in request.all_headers if n not in _HOP and not n.startswith(_OURS)]
    came_by = ", ".join(v for n, v in request.all_headers if n == "x-forwarded-for")
    headers.append(("X-Forwarded-For", f"{came_by}, {request.peer[0]}" if came_by else request.peer[0]))
    headers.append(("Audit-Id", ctx.audit_id))
    path = urlsplit(url).path
    headers.append(("X-Forwarded-Uri", normpath(f"{prepend}/{path}") + ("/" if path.endswith("/") else "")))
    headers.append(("X-Forwarded-Host", request.headers.get("host", "")))
    headers.append(("X-Forwarded-Proto", "https"))
    headers += more or []
    try:
        return await outbound.open(
            request.method, url, headers=headers, body=request.body, trust=trust, timeout=timeout
        )
    except ClientError as err:
        raise errors.ServiceUnavailable(f"error trying to reach service: {err}") from None


def identity_headers(user: User) -> list[tuple[str, str]]:
    """The headers of a front proxy that say for whom it asks (transport.SetAuthProxyHeaders)."""
    out = [("X-Remote-User", user.name)]
    if user.uid:
        out.append(("X-Remote-Uid", user.uid))
    out += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        out += [(f"X-Remote-Extra-{quote(key, safe=_TOKEN)}", value) for value in values]
    return out


def own_location(ctx: Context, answer: Answer, url: str, prepend: str) -> str:
    """A Location header of the other side, made to lead through us where it stays there."""
    target, source = urlsplit(answer.header("location")), urlsplit(url)
    host = ctx.request.headers.get("host", "")
    elsewhere = target.netloc not in ("", source.netloc, host)
    if elsewhere or not target.path.startswith("/"):
        return target.geturl()
    path = target.path
    if not path.startswith(prepend):
        path = normpath(join(prepend, path.lstrip("/"))) + ("/" if path.endswith("/") else "")
    return urlunsplit(("https", host, path, target.query, target.fragment))


async def response_of(ctx: Context, answer: Answer, content_type: str = "", location: str = "") -> Response:
    """The answer as ours: read whole when it is short, else passed on as it comes."""
    headers = [
        (name, value)
        for name, value in answer.headers
        if name.lower() not in _HOP and name.lower() not in ("content-type", "date", "location", "audit-id")
    ]
    if location:
        headers.append(("Location", location))
    kind = content_type or answer.header("content-type")
    length = answer.header("content-length")
    bodiless = ctx.request.method == "HEAD" or answer.status in (204, 304)
    if bodiless or (length.isdigit() and int(length) <= WHOLE):
        try:
            body = await answer.read(WHOLE)
        except ClientError as err:
            raise errors.ServiceUnavailable(f"error trying to reach service: {err}") from None
        return Response(answer.status, body, kind, headers)
    return Response(answer.status, b"", kind, headers, start=lambda stream: pump(answer, stream))


_running: set[asyncio.Task[None]] = set()


def pump(answer: Answer, stream: Stream) -> None:
    """Write the body to the client as it comes, no faster than the client takes it."""
    task = asyncio.get_running_loop().create_task(_pump(answer, stream))
    _running.add(task)

    def stop() -> None:
        task.cancel()

    task.add_done_callback(_running.discard)
    stream.on_close(stop)


async def _pump(answer: Answer, stream: Stream) -> None:
    drained = asyncio.Event()
    stream.on_drain(drained.set)
    try:
        async for piece in answer.pieces():
            drained.clear()
            stream.write(piece)
            while stream.buffered() > AHEAD:
                await drained.wait()
                drained.clear()
        stream.close()
    except ClientError:
        stream.abort()
    finally:
        answer.close()
