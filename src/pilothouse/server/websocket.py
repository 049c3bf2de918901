"""WebSockets (RFC 6455) on connections that were taken over: the handshake, and messages with back-pressure.

Parts of a long frame are passed on as they arrive. So no message needs memory for more than what one read
brings, however long it is, and lengths and fragments need no limit.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from pilothouse.server._websocket import Opcode, Reader, frame
from pilothouse.server.frames import Frames
from pilothouse.server.request import Request, Response
from pilothouse.server.upgrade import Duplex

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = "base64url.bearer.authorization.k8s.io."
"""Begins the subprotocol by which browsers send a bearer token; it is never chosen nor passed on."""

NORMAL, GOING_AWAY, PROTOCOL_ERROR, POLICY_VIOLATION, INTERNAL_ERROR = 1000, 1001, 1002, 1008, 1011
"""Codes of a close frame (RFC 6455, 7.4.1)."""

TEXT, BINARY, CLOSE, PING, PONG = map(
    int, (Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG)
)

Event = tuple[int, bytes, bool]
"""Opcode, data, and whether a message ends here."""


_MOST = 128
"""Protocols of a header that are looked at."""
_HTTP = ("h2c", "http/", "tls/")
"""The beginnings of protocols that are HTTP again. A client that got one
from a server that trusts this one could send it requests in anybody's name,
so that a wish for them is ignored (RFC 9110, 7.8); upstream passes it on."""


def is_upgrade(request: Request) -> bool:
    """Whether a request asks for another protocol than HTTP (httpstream.IsUpgradeRequest).

    It must name one: proxies that send `Connection: upgrade` with every request mean nothing by it, which
    upstream answers with an error.
    """
    upgrade = request.headers.get("upgrade")
    if not upgrade or "connection" not in request.headers:
        return False
    wanted = upgrade.lower().split(",", _MOST)[:_MOST]
    if any(name.strip().startswith(_HTTP) for name in wanted):
        return False
    return any("upgrade" in value.lower() for name, value in request.all_headers if name == "connection")


def is_websocket(request: Request) -> bool:
    """Whether a request asks for a WebSocket (wsstream.IsWebSocketRequest)."""
    return request.headers.get("upgrade", "").lower() == "websocket" and is_upgrade(request)


def protocols(request: Request) -> list[str]:
    """The subprotocols that a request offers, without the one that carries a token."""
    values = [value for name, value in request.all_headers if name == "sec-websocket-protocol"]
    names = [name.strip() for name in ",".join(values).split(",", _MOST)[:_MOST]]
    return [name for name in names if name and not name.startswith(_TOKEN)]


def handshake(request: Request, protocol: str = "") -> list[tuple[str, str]] | Response:
    """The headers of the 101 answer to a request for a WebSocket,
    or the refusal of one that is malformed (4.2)."""
    headers = request.headers
    version, key = headers.get("sec-websocket-version", ""), headers.get("sec-websocket-key", "")
    if version != "13":
        return Response(400, b"", "", [("Sec-WebSocket-Version", "13")])
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        valid = False
    if request.method != "GET" or not valid:
        return Response(400, b"400 Bad Request\n", "text/plain; charset=utf-8")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    out = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept)]
    if protocol:
        out.append(("Sec-WebSocket-Protocol", protocol))
    return out


def answer(request: Request, protocol: str | None, begin: Callable[[Duplex], None]) -> Response:
    """The answer to a request for a WebSocket:
    101 and `begin`, 403 if no subprotocol suits, 400 if it is malformed."""
    headers = handshake(request, protocol or "")
    if isinstance(headers, Response):
        return headers
    if protocol is None:
        return Response(403, b"", "")
    return Response(101, b"", "", headers, upgrade=begin)


def choose(request: Request, known: Sequence[str]) -> str | None:
    """The first offered subprotocol that is known;
    "" when none is offered and that is known, too; else None."""
    offered = protocols(request) or [""]
    return next((name for name in offered if name in known), None)


class MessageReceiver(Protocol):
    """Takes the messages of a WebSocket."""

    def message(self, data: bytes, finished: bool) -> None:
        """A part of a message; `finished` when it is the last one."""

    def blocked(self, blocked: bool) -> None:
        """The peer takes no more bytes for now, or does again."""

    def closed(self, error: BaseException | None) -> None:
        """The WebSocket has ended; the connection is closed. Called once, last of all."""

    def leave(self) -> None:
        """The server stops: end the WebSocket soon."""


class WebSocket:
    """The server's end of a WebSocket, as the receiver of a duplex that a client has opened.

    A text message is as good as a binary one: clients send standard input in both. Of several pings the last
    one is answered, once the peer takes bytes (5.5.3). What breaks the protocol ends the connection with code
    1002 or 1007, frames without end that carry nothing end it with 1008.
    """

    def __init__(self, duplex: Duplex) -> None:
        assert duplex.line is not None
        self.duplex = duplex
        self.frames = Frames(duplex, duplex.line, Reader(), self._take, self.close, POLICY_VIOLATION)
        self._messages: MessageReceiver | None = None
        self._ping: bytes | None = None
        self._closing = False

    def start(self, messages: MessageReceiver, *, reading: bool = True) -> None:
        """Give all messages to `messages`; not before `resume_reading` unless `reading`."""
        self._messages = messages
        if not reading:
            self.frames.pause()
        self.duplex.start(self, reading=reading)

    def send(self, data: bytes) -> None:
        """Send a binary message."""
        if not self._closing:
            self.duplex.write(frame(BINARY, data))

    def send_text(self, text: bytes) -> None:
        """Send a text message, which is UTF-8."""
        if not self._closing:
            self.duplex.write(frame(TEXT, text))

    def close(self, code: int = NORMAL) -> None:
        """Say goodbye and close the connection."""
        self._goodbye(code.to_bytes(2))

    def _goodbye(self, payload: bytes) -> None:
        if not self._closing:
            self._closing = True
            self.frames.stop()
            self.duplex.write(frame(CLOSE, payload))
            self.duplex.close()

    def pause_reading(self) -> None:
        """Let no more messages arrive, but those of the turn that is under way. Calls do not add up."""
        self.frames.pause()

    def resume_reading(self) -> None:
        """Let messages arrive again."""
        self.frames.resume()

    def _take(self, events: list[Event]) -> None:
        for opcode, data, finished in events:
            if self._messages is None or self._closing:
                return
            if opcode == PING:
                self._ping = data
            elif opcode == CLOSE:
                self._goodbye(data)
            else:
                self._messages.message(data, finished)
        self._pong()

    def _pong(self) -> None:
        if self._ping is not None and not (self.duplex.blocked or self._closing):
            self.duplex.write(frame(PONG, self._ping))
            self._ping = None

    # --- the duplex's receiver

    def received(self, data: bytes) -> None:
        self.frames.received(data)

    def blocked(self, blocked: bool) -> None:
        if not blocked:
            self._pong()
        if self._messages is not None:
            self._messages.blocked(blocked)

    def closed(self, error: BaseException | None) -> None:
        if self.frames.paused:
            self.frames.stop()  # whom it was for does not take it: nobody waits for that
        self.frames.closed(lambda: self._closed(error))

    def _closed(self, error: BaseException | None) -> None:
        self._closing = True
        messages, self._messages = self._messages, None
        if messages is not None:
            messages.closed(error)

    def leave(self) -> None:
        if self._messages is not None:
            self._messages.leave()


class MessageStream:
    """A stream (`server.request.Stream`) whose writes become messages; what the peer sends is thrown away."""

    def __init__(self, duplex: Duplex, send: Callable[[WebSocket, bytes], None]) -> None:
        self._socket = WebSocket(duplex)
        self._send = send
        self._closers: list[Callable[[], None]] = []
        self._drainers: list[Callable[[], None]] = []
        self._open = True
        duplex.limit(0)  # so that every backlog is told when it has been sent

    def start(self) -> None:
        """Begin to read what the peer sends."""
        self._socket.start(self)

    def write(self, data: bytes) -> None:
        self._send(self._socket, data)

    def buffered(self) -> int:
        return self._socket.duplex.buffered()

    def close(self) -> None:
        self._socket.close()
        self._ended()

    def abort(self, error: BaseException | None = None) -> None:
        self._socket.duplex.abort()
        self._ended()

    def on_close(self, callback: Callable[[], None]) -> None:
        if self._open:
            self._closers.append(callback)
        else:
            callback()

    def on_drain(self, callback: Callable[[], None]) -> None:
        self._drainers.append(callback)

    def _ended(self) -> None:
        self._open = False
        closers, self._closers = self._closers, []
        self._drainers.clear()
        for callback in closers:
            callback()

    # --- the socket's messages

    def message(self, data: bytes, finished: bool) -> None:
        self._socket.frames.charge()

    def blocked(self, blocked: bool) -> None:
        if not blocked:
            for callback in list(self._drainers):
                callback()

    def closed(self, error: BaseException | None) -> None:
        self._ended()

    def leave(self) -> None:
        self._socket.close(GOING_AWAY)
        self._ended()


class Tunnel:
    """The bytes of another duplex in the binary messages of a WebSocket,
    both ways (portforward.TunnelingConnection)."""

    def __init__(self, socket: WebSocket, inner: Duplex) -> None:
        self._socket = socket
        self._inner = inner
        self._from_inner = _Inner(socket, inner)
        socket.frames.sinks = (socket.duplex, inner)

    def start(self) -> None:
        """Begin to copy."""
        self._socket.start(self)
        self._inner.start(self._from_inner)

    def message(self, data: bytes, finished: bool) -> None:
        self._inner.write(data)
        if self._inner.blocked:
            self._socket.pause_reading()

    def blocked(self, blocked: bool) -> None:
        if blocked:
            self._inner.pause_reading()
        else:
            self._inner.resume_reading()

    def closed(self, error: BaseException | None) -> None:
        self._inner.close()

    def leave(self) -> None:
        self._socket.close(GOING_AWAY)


class _Inner:
    """Sends what arrives on the inner duplex as messages."""

    def __init__(self, socket: WebSocket, inner: Duplex) -> None:
        self._socket = socket
        self._inner = inner

    def received(self, data: bytes) -> None:
        self._socket.send(data)
        if self._socket.duplex.blocked:
            self._inner.pause_reading()

    def blocked(self, blocked: bool) -> None:
        if blocked:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def closed(self, error: BaseException | None) -> None:
        self._socket.close(NORMAL if error is None else INTERNAL_ERROR)

    def leave(self) -> None:
        self._inner.close()
