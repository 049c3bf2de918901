"""The types that the HTTP server shares with the handlers."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, runtime_checkable


class Request:
    """One parsed HTTP request, its body read whole.

    `target` is the raw request target; `path` its part before `?`, still percent-encoded; `query` the part after it.
    `headers` maps lower-case names to the first value; `all_headers` holds every (lower-case name, value) pair.
    `peer` is the client's (host, port); `peer_certificates` the verified chain in DER, leaf first, or ().
    The handler sets `caller` to the user as whom it has authenticated the request; "" is nobody.
    """

    __slots__ = (
        "all_headers",
        "body",
        "caller",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "peer_certificates",
        "query",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        all_headers: list[tuple[str, str]],
        body: bytes = b"",
        peer: tuple[str, int] = ("", 0),
        peer_certificates: tuple[bytes, ...] = (),
        keep_alive: bool = True,
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


class Stream(Protocol):
    """A response that is written bit by bit (a watch). Each `write` is one chunk and returns at once."""

    def write(self, data: bytes) -> None:
        """Queue bytes; after the peer is gone this does nothing."""

    def buffered(self) -> int:
        """Bytes that were written and not yet taken by the socket."""

    def close(self) -> None:
        """End the body cleanly; the connection may serve another request."""

    def abort(self, error: BaseException | None = None) -> None:
        """Cut the connection without the final chunk, so that the peer sees an unclean end.

        `Response.on_done` is given `error`, by default a ConnectionAbortedError.
        """

    def on_close(self, callback: Callable[[], None]) -> None:
        """Called once, when the peer has gone or the body has ended."""

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Called each time there is room again after `buffered` had shown more than a burst."""


class Pieces(Protocol):
    """A long body that is built while it is written; it may be iterated more than once."""

    @property
    def size(self) -> int:
        """All its bytes."""

    def __iter__(self) -> Iterator[bytes]:
        """The parts, each at most about a quarter of a megabyte."""


Part = bytes | Callable[[], bytes]
"""Bytes of a body, or a call that makes them: it takes long, so a thread runs it, before the next part is asked for."""


@runtime_checkable
class Packable(Protocol):
    """A long body that knows of a better way to its gzip stream than to be built and compressed."""

    def gzip(self) -> Iterator[Part]:
        """The stream, part by part."""


class Response:
    """An answer. `body` is bytes, or buffers or Pieces written one after another with back-pressure.

    When `start` is given the body is chunked: the head goes out at once and `start(stream)` is called.
    `headers` are (name, value) pairs beside Content-Type, Content-Length and Date, which the server writes.
    The server calls `on_done` exactly once, on the event loop, when the answer has ended: its last byte was handed to
    the transport, or the client or the server ended it before that. It is given how many bytes of the body were handed
    over (as sent: compressed, without the framing of chunks) and the error that cut the answer short, None when it is
    whole: an OSError, usually ConnectionResetError, when the connection was lost. What it raises is logged.
    """

    __slots__ = ("body", "content_type", "headers", "on_done", "start", "status")

    def __init__(
        self,
        status: int,
        body: "bytes | list[bytes] | Pieces" = b"",
        content_type: str = "application/json",
        headers: list[tuple[str, str]] | None = None,
        start: Callable[[Stream], None] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers if headers is not None else []
        self.start = start
        self.on_done: Callable[[int, BaseException | None], None] | None = None


Handler = Callable[[Request], "Response | Awaitable[Response]"]
"""Answers a request: at once where nothing needs waiting for, else by an awaitable that the server runs as a task.

A handler never raises: what goes wrong it answers itself. The awaitable is cancelled when the peer goes away.
"""

Judge = Callable[[Request], "Response | Awaitable[Response | None] | None"]
"""Judges the head of a request, before a long body is read: None lets it come, a Response refuses it."""
