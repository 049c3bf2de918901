"""Request, Response and Stream: the types shared by the HTTP server and the handlers."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, runtime_checkable

from pilothouse.server.upgrade import Duplex


class Request:
    """A parsed HTTP request with its whole body.

    `target` is the raw request target, `path` its part before `?`, still percent-encoded, and `query` the
    part after. `headers` maps lower-case names to their first value; `all_headers` has every (lower-case
    name, value) pair. `peer` is the client's (host, port). `peer_certificates` is the verified chain in DER,
    leaf first, or (). The handler sets `caller` to the name of the authenticated user; "" means that nobody
    was authenticated. `warnings` are the authenticator's messages to the client, `annotations` what the audit
    log is to tell of its credentials, and `recognition` how it was authenticated; None when nobody has said.
    """

    __slots__ = (
        "all_headers",
        "annotations",
        "body",
        "caller",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "peer_certificates",
        "query",
        "recognition",
        "target",
        "warnings",
    )

    protocol = "HTTP/1.1"
    """The protocol as Go's http.Request names it."""

    def __init__(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        all_headers: list[tuple[str, str]],
        body: bytes = b"",
        peer: tuple[str, int] = ("", 0),
        peer_certificates: tuple[bytes, ...] = (),
        keep_alive: bool = True,  # noqa: FBT002 -- PERF: the parsers pass it without its name
    ) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.all_headers = all_headers
        self.body = body
        self.peer = peer
        self.peer_certificates = peer_certificates
        self.keep_alive = keep_alive
        self.caller = ""
        self.warnings: tuple[str, ...] = ()
        self.annotations: tuple[tuple[str, str], ...] = ()
        self.recognition: Any = None


class Http2Request(Request):
    """A request that came by HTTP/2."""

    __slots__ = ()

    protocol = "HTTP/2.0"


class Stream(Protocol):
    """A response body that is written piece by piece (a watch).
    Each `write` is one chunk and returns at once."""

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent; does nothing once the peer has gone."""

    def buffered(self) -> int:
        """Number of bytes written but not yet taken by the socket."""

    def close(self) -> None:
        """End the body properly; the connection may serve another request."""

    def abort(self, error: BaseException | None = None) -> None:
        """Cut the connection without the final chunk, so that the peer notices that the body is incomplete.

        `Response.on_done` gets `error`; the default is a ConnectionAbortedError.
        """

    def on_close(self, callback: Callable[[], None]) -> None:
        """Register a callback that is called once, when the peer has gone or the body has ended."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Register a callback that is called whenever a backlog of written bytes has been sent."""


class Pieces(Protocol):
    """A long body that is built while it is sent; it may be iterated more than once."""

    @property
    def size(self) -> int:
        """The length of the body in bytes."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts, each at most about 256 KiB."""


Part = bytes | Callable[[], bytes]
"""Bytes of a body, or a slow call that returns them;
a thread runs the call before the next part is requested."""


@runtime_checkable
class Packable(Protocol):
    """A long body that can make its gzip stream in a cheaper way
    than by building and compressing all of it."""

    def gzip(self) -> Iterator[Part]:
        """Yield the parts of the gzip stream."""


class Response:
    """An HTTP response. `body` is bytes, or buffers or Pieces that are written in order with back-pressure.

    If `start` is given, the body is chunked: the server sends the head at once and calls `start(stream)`.
    If `upgrade` is given, the status is 101: the server sends the head and calls `upgrade(duplex)`, and from
    then on the connection's bytes are the handler's, until either side ends it. That is for HTTP/1.1 only,
    where a request can ask for it: HTTP/2 knows no `Connection` header (RFC 9113, 8.2.2).
    `headers` are (name, value) pairs; the server adds Content-Type, Content-Length and Date itself. The
    server calls `on_done` exactly once, on the event loop, when the answer has ended: after its last byte was
    given to the transport, or when the client or the server has ended it earlier. Its arguments are the
    number of body bytes given to the transport (as sent: compressed, without chunk framing), and the error
    that cut the answer short or None. The error is an OSError, usually ConnectionResetError, if the
    connection was lost. Exceptions it raises are logged.
    """

    __slots__ = ("body", "content_type", "headers", "on_done", "start", "status", "upgrade")

    def __init__(
        self,
        status: int,
        body: "bytes | list[bytes] | Pieces" = b"",
        content_type: str = "application/json",
        headers: list[tuple[str, str]] | None = None,
        start: Callable[[Stream], None] | None = None,
        upgrade: Callable[[Duplex], None] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers if headers is not None else []
        self.start = start
        self.upgrade = upgrade
        self.on_done: Callable[[int, BaseException | None], None] | None = None


Handler = Callable[[Request], "Response | Awaitable[Response]"]
"""Answers a request: directly, or with an awaitable that the server runs as a task.

A handler never raises: it answers its own errors. The awaitable is cancelled when the peer disconnects.
"""

Judge = Callable[[Request], "Response | Awaitable[Response | None] | None"]
"""Judges the head of a request before a long body is read: None accepts the body, a Response refuses it."""
