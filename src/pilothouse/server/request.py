"""Request, Response and Stream: the types shared by the HTTP server and the handlers."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, runtime_checkable

from pilothouse.server._message import Request, Response

__all__ = [
    "Handler",
    "Http2Request",
    "Judge",
    "Packable",
    "Part",
    "Pieces",
    "Request",
    "RequestHandler",
    "Response",
    "Stream",
]


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
    """A long body that can make its gzip stream more cheaply than by compressing the whole body."""

    def gzip(self) -> Iterator[Part]:
        """Yield the parts of the gzip stream."""


Handler = Callable[[Request], "Response | Awaitable[Response]"]
"""Answers a request: directly, or with an awaitable that the server runs as a task.

A handler never raises: it answers its own errors. The awaitable is cancelled when the peer disconnects.
"""

Judge = Callable[[Request], "Response | Awaitable[Response | None] | None"]
"""Judges the head of a request before a long body is read: None accepts the body, a Response refuses it."""


class RequestHandler(Protocol):
    """A handler and the judge of the same requests."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request, as a Handler does."""

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Judge a request by its head, as a Judge does."""
