"""Binds the server's sockets, accepts connections over TLS and stops gracefully."""

import asyncio
import os
import socket
from collections.abc import Callable

from pilothouse.server import tls
from pilothouse.server.accept import BACKLOG, Acceptor
from pilothouse.server.http1 import Http1, Limits
from pilothouse.server.http2 import Http2
from pilothouse.server.request import Handler, Judge
from pilothouse.server.syn_filter import drop_new_connections

ARRIVAL = 2.0
"""Seconds for clients that have connected before the end to send their first request, which is answered."""

LOOK = 0.01
"""Seconds between two looks at whether all of them have been answered."""


def bind(address: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Bind a socket. `::` accepts IPv4 as well; 0.0.0.0 accepts IPv6 as well if the host supports it.

    Raises OSError if the address is not this host's or the port is in use.
    """
    anywhere = address in ("0.0.0.0", "::", "")
    if anywhere and socket.has_dualstack_ipv6():
        try:
            return _bound(socket.AF_INET6, "::", port, reuse_port, dual=True)
        except OSError as error:
            if address == "::" or error.errno not in (97, 99):  # EAFNOSUPPORT, EADDRNOTAVAIL: IPv6 is off
                raise
    return _bound(
        socket.AF_INET6 if ":" in address else socket.AF_INET, address or "0.0.0.0", port, reuse_port
    )


def _bound(family: int, address: str, port: int, reuse_port: bool, *, dual: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        try:
            sock.bind((address, port))
        except OSError as error:  # worded as Go's net package words it
            why = os.strerror(error.errno or 0).lower()
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            raise OSError(error.errno, f"listen tcp {where}: bind: {why}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def activated() -> list[socket.socket]:
    """The sockets that systemd has passed to this process (LISTEN_PID, LISTEN_FDS)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=fd) for fd in range(3, 3 + count)]


class Listener:
    """Accepts connections for a handler; without `contexts`, over plain HTTP (unix sockets, tests).

    `http1.service` has the counters: accepted, open, requests, bytes_in, bytes_out, refused_connections.
    """

    def __init__(
        self,
        handler: Handler,
        sockets: list[socket.socket],
        contexts: tls.Contexts | None = None,
        limits: Limits | None = None,
        admit: Judge | None = None,
    ) -> None:
        self.http1 = Http1(handler, limits, tls.peer_chain, admit=admit)
        self.http2 = Http2(self.http1)
        self.sockets = sockets
        self._contexts = contexts
        self._acceptor: Acceptor | None = None
        self._own: list[socket.socket] = []
        """The sockets that nobody else listens on; systemd goes on listening on those that it has passed."""

    @property
    def handshake_errors(self) -> int:
        """How many TLS handshakes have failed."""
        return self._acceptor.handshake_errors if self._acceptor is not None else 0

    @property
    def unauthenticated(self) -> int:
        """How many connections are open on which nobody was authenticated yet."""
        return self._acceptor.unauthenticated_connections if self._acceptor is not None else 0

    @property
    def port(self) -> int:
        """The port of the first socket."""
        return int(self.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Begin to accept connections."""
        self._own = [s for s in self.sockets if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
        for sock in self.sockets:
            sock.settimeout(0)
            sock.listen(BACKLOG)
        self._acceptor = Acceptor(self.http1, self.http2, self.sockets, self._contexts)

    async def stop(self, deadline: float = 10.0, drain: Callable[[], None] | None = None) -> bool:
        """Stop accepting, let requests finish, call `drain` to end streams,
        cut the rest after `deadline` seconds.

        Answers sent meanwhile carry `Connection: close`; HTTP/2 connections get GOAWAY. Who has connected
        before gets an answer to the first request, if it comes within ARRIVAL.
        Returns True if no connection had to be cut.
        """
        if self._acceptor is not None:
            await self._stop_accepting(self._acceptor)
        self.http1.service.draining = True
        await self._answer_arrivals(min(ARRIVAL, deadline))
        if self._acceptor is not None:
            self._acceptor.close()
        if drain is not None:
            drain()
        return await self.http1.drain(deadline)

    async def _stop_accepting(self, acceptor: Acceptor) -> None:
        """Accept what has begun to connect and close the sockets;
        connections stay, also those in their TLS handshake."""
        dropping = [drop_new_connections(sock) for sock in self._own if sock.fileno() >= 0]
        if any(dropping):
            await asyncio.sleep(self.http1.limits.last_handshakes)
        acceptor.stop()

    async def _answer_arrivals(self, seconds: float) -> None:
        """Wait until every connection had an authenticated request, or has ended."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.unauthenticated and loop.time() < end:
            await asyncio.sleep(LOOK)
