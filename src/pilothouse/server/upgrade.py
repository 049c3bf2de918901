"""Connections that a handler takes over after a 101 answer:
their bytes in both directions, with back-pressure."""

import asyncio
import socket
from typing import Protocol

from pilothouse.server._turns import Line

CLOSE_SECONDS = 10.0
"""Time for a peer to take what was written before its connection is cut
(upstream's deadline for the last writes)."""

KEEPALIVE_SECONDS = 15
"""How often the system asks a silent peer whether it is still there, as Go does;
after nine questions it is lost."""

ESTABLISHED = 1
"""TCP_ESTABLISHED, the state in which either side may send; the first byte of a struct tcp_info."""

GATHERED = 64 * 1024
"""Bytes that are gathered for one write; more are written at once."""

WRITE_AHEAD = 256 * 1024
"""Bytes that may wait for a slow peer before its duplex is blocked."""

_NOBODY = asyncio.Transport()
"""The transport of a connection that has ended."""


class Receiver(Protocol):
    """Takes what arrives on a connection that was taken over."""

    def received(self, data: bytes) -> None:
        """Bytes of the peer, in order."""

    def blocked(self, blocked: bool) -> None:
        """The connection accepts no more bytes for now, or does again."""

    def closed(self, error: BaseException | None) -> None:
        """The connection has ended; `error` is None when either side has closed it.
        Called once, last of all."""

    def leave(self) -> None:
        """The server stops: end the connection soon."""


class Duplex:
    """The bytes of one connection, for its receiver.
    The owner of the transport calls the methods that begin with `on_`.

    Bytes that arrive before there is a receiver are kept, and nothing more is read until then. An end of the
    peer's input ends the connection as a whole, as upstream's proxy does (apimachinery util/proxy,
    tryUpgrade): TLS knows no half-closed connections,
    and the protocols above have their own ways to end one direction.
    """

    __slots__ = (
        "_delivering",
        "_ended",
        "_ending",
        "_gathered",
        "_gathered_size",
        "_held",
        "_looking",
        "_paused",
        "_receiver",
        "_stopped",
        "_timer",
        "_transport",
        "blocked",
        "line",
        "sent",
    )

    def __init__(self, transport: asyncio.Transport, line: Line | None = None) -> None:
        self._transport = transport
        self.line = line
        """The line in which connections of the server wait for their turn;
        None for one that this server has opened."""
        self._gathered: list[bytes | memoryview | bytearray] | None = None
        self._gathered_size = 0
        self._receiver: Receiver | None = None
        self._held: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._ended: BaseException | bool | None = False  # False, or the argument of `Receiver.closed`
        self._ending = self._paused = self._stopped = self._delivering = False
        self.blocked = False
        """Whether the connection accepts no more bytes for now.
        What is written all the same is kept in memory."""
        self.sent = 0
        """Bytes that were written."""
        transport.set_write_buffer_limits(high=WRITE_AHEAD)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS)

    def start(self, receiver: Receiver, *, reading: bool = True) -> None:
        """Give everything that arrives to `receiver`, beginning with what was kept;
        not before `resume_reading` unless `reading`."""
        if self._ended is not False:
            receiver.closed(self._ended)  # type: ignore[arg-type]
            return
        self._receiver = receiver
        if not reading:
            self.pause_reading()
        elif self._held:
            self.resume_reading()

    def write(self, data: bytes | memoryview | bytearray) -> None:
        """Send bytes; has no effect once the connection ends."""
        if self._ending or not data:
            return
        self.sent += len(data)
        if self._gathered is None:
            self._send(data)
            return
        self._gathered.append(data)
        self._gathered_size += len(data)
        if self._gathered_size > GATHERED:
            self.flush()
            self.gather()

    def gather(self) -> None:
        """Keep what is written until `flush`: many small writes become one."""
        if self._gathered is None:
            self._gathered, self._gathered_size = [], 0

    def flush(self) -> None:
        """Write what was gathered."""
        gathered, self._gathered = self._gathered, None
        if gathered:
            self._send(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _send(self, data: bytes | memoryview | bytearray) -> None:
        try:
            self._transport.write(data)
        except RuntimeError:
            pass  # uvloop: the peer has gone, on_lost follows

    def pause_reading(self) -> None:
        """Give nothing more to the receiver until `resume_reading`. Calls do not add up."""
        self._paused = True
        self._regulate()

    def resume_reading(self) -> None:
        """Give the receiver what has arrived, and let more arrive."""
        self._paused = False
        if self._delivering:
            return  # within a delivery, which goes on
        self._delivering = True
        while self._held and self._receiver is not None and not (self._paused or self._ending):
            self._receiver.received(self._held.pop(0))
        self._delivering = False
        self._regulate()

    def _regulate(self) -> None:
        """Pause or resume the transport."""
        if self._paused != self._stopped and not (self._ending or self._delivering):
            self._stopped = self._paused
            if self._paused:
                self._transport.pause_reading()
                self._look_later()
            else:
                self._transport.resume_reading()
                self._look_no_more()

    def _look_later(self) -> None:
        """While nothing is read, the end of the peer is not seen either: look for it from time to time."""
        if self._transport.get_extra_info("socket") is not None:
            self._looking = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._look)

    def _look(self) -> None:
        """Cut the connection when the peer has gone: what it sent last was not taken for CLOSE_SECONDS."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and has_left(sock):
            self.abort()
        else:
            self._look_later()

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def buffered(self) -> int:
        """Bytes that were written and that the socket has not taken yet."""
        if self._ended is not False:
            return 0
        return self._transport.get_write_buffer_size() + (self._gathered_size if self._gathered else 0)

    def limit(self, ahead: int) -> None:
        """Block the duplex when more than `ahead` bytes wait, instead of WRITE_AHEAD;
        no effect once the connection is lost."""
        if self._ended is not False:
            return  # a transport of uvloop raises
        self._transport.set_write_buffer_limits(high=ahead)

    def close(self) -> None:
        """End the connection once the peer has taken what was written, after CLOSE_SECONDS in any case."""
        if self._ending:
            return
        self.flush()
        self._ending = True
        self._transport.close()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)

    def abort(self) -> None:
        """Cut the connection."""
        self._ending = True
        if self._ended is False:
            self._transport.abort()

    # --- for the owner of the transport

    def on_data(self, data: bytes) -> None:
        """Bytes have arrived; a transport may deliver what it has read before it was paused."""
        if self._ending:
            return
        if self._receiver is None or self._paused or self._held:
            self._held.append(data)
            self.pause_reading()
        else:
            self._receiver.received(data)

    def on_blocked(self, blocked: bool) -> None:
        """The transport accepts no more bytes, or does again."""
        self.blocked = blocked
        if self._receiver is not None and not self._ending:
            self._receiver.blocked(blocked)

    def on_lost(self, error: BaseException | None) -> None:
        """The connection has ended."""
        self._ending = True
        self._ended = error
        self._look_no_more()
        self._held.clear()
        self._gathered = None
        self._transport = _NOBODY  # a receiver and its duplex refer to each other, and TLS has large buffers
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.closed(error)

    def on_leave(self) -> None:
        """The server stops."""
        if self._receiver is None:
            self.close()
        else:
            self._receiver.leave()


def has_left(sock: socket.socket) -> bool:
    """Whether the peer of a TCP connection has closed it; what it sent before may still have to be read."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return True
    return state[0] != ESTABLISHED


class _Copy:
    """Writes what arrives on one duplex to another one, no faster than that accepts it."""

    __slots__ = ("_source", "_target")

    def __init__(self, source: Duplex, target: Duplex) -> None:
        self._source = source
        self._target = target

    def received(self, data: bytes) -> None:
        self._target.write(data)
        if self._target.blocked:
            self._source.pause_reading()

    def blocked(self, blocked: bool) -> None:
        if blocked:
            self._target.pause_reading()
        else:
            self._target.resume_reading()

    def closed(self, error: BaseException | None) -> None:
        self._target.close()

    def leave(self) -> None:
        self._source.close()


def relay(one: Duplex, other: Duplex) -> None:
    """Connect two duplexes. Both end when either does; what was written before is still sent."""
    one.start(_Copy(one, other))
    other.start(_Copy(other, one))
