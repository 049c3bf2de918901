"""Accepts connections: limits their number, evicts some when there are too many, and paces TLS handshakes.

A TLS connection that has sent nothing costs only a file descriptor: it stays in an epoll set until its first
bytes arrive. Then it is queued by origin, and each turn of the event loop begins a few handshakes, so that a
flood of them does not block the loop.
"""

import asyncio
import errno
import functools
import resource
import select
import socket
from collections import deque
from typing import Any

from pilothouse.server import receive_buffer, tls
from pilothouse.server.http1 import Http1
from pilothouse.server.http2 import Http2, Negotiated
from pilothouse.server.unauthenticated import Unauthenticated, UnauthenticatedConnection, origin

BACKLOG = 4096
"""Connections that the system keeps for a listening socket until they are accepted, and at most one more."""

ACCEPTS = 64
"""Connections accepted in one turn of the event loop: takes about a millisecond."""

HANDSHAKES = 2
"""TLS handshakes begun in one turn of the event loop; each makes a signature, which takes 0.1 to 1 ms."""

SHARES = 64
"""An origin that has more than this part of the handshakes and unauthenticated connections makes room for
others at once. While none has, as when all clients of a cluster come back, the next ones wait for their
handshakes: those who are cut would come again and have to be served anew."""

FULL = 0.01
"""Seconds between two looks at whether there is room for another handshake."""

READY = 256
"""Connections queued for their handshake in one turn of the event loop."""

RESERVE = 128
"""Descriptors kept free for the store, the log,
outbound connections and connections that are being closed."""

UNAUTHENTICATED = 1024
"""Default limit of connections that have begun a handshake but are not authenticated; each takes 45 KB,
and up to 200 KB of TLS's buffers."""

CROWD = 256
"""Unauthenticated connections above which a new one gets a smaller receive buffer."""

CLOSE_TIMEOUT = 30.0
"""Seconds for a peer to read the rest of an answer and to reply to TLS's close_notify."""

PAUSE = 0.05
"""Seconds without accepting after the system has run out of descriptors."""

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the limit of open files as far as the system allows; returns the limits before and after."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # some systems allow less than getrlimit reports
        pass
    return soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def most_connections() -> int:
    """Number of connections for which descriptors are available."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, (1 << 20 if soft == resource.RLIM_INFINITY else soft) - RESERVE)


class Acceptor:
    """Accepts on listening sockets and creates the protocol of each connection;
    without `contexts`, plain HTTP."""

    def __init__(
        self,
        http1: Http1,
        http2: Http2,
        sockets: list[socket.socket],
        contexts: tls.Contexts | None,
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._sockets = list(sockets)
        self._contexts = contexts
        self._loop = asyncio.get_running_loop()
        self._patience = http1.limits.handshake_timeout
        self._sweeps = min(1.0, self._patience)
        self._limit = http1.limits.connections or most_connections()
        self._most_unauthenticated = http1.limits.unauthenticated or min(UNAUTHENTICATED, self._limit // 2)
        self.early = Unauthenticated()
        """Connections whose handshake has not begun. They cost only a descriptor and may be half of all."""
        self.unauthenticated = Unauthenticated()
        """Connections whose handshake has begun."""
        self._silent: dict[int, tuple[socket.socket, UnauthenticatedConnection, float]] = {}
        self._queues: dict[str, deque[tuple[socket.socket, UnauthenticatedConnection]]] = {}
        self._new: dict[str, None] = {}
        """Origins of which none had its turn since they came."""
        self._near: set[str] = set()
        """Origins that are this machine itself, where a kubelet's probes come from."""
        self._queued = 0
        self.handshake_errors = 0
        self._starting = False
        self._handshakes: dict[UnauthenticatedConnection, asyncio.Task[None]] = {}
        self._epoll = select.epoll() if contexts is not None and hasattr(select, "epoll") else None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        if self._epoll is not None:
            self._loop.add_reader(self._epoll.fileno(), self._on_readable)
        for sock in sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    @property
    def open(self) -> int:
        """Number of open descriptors of connections, in every state.
        One that was taken over leads to another one."""
        service = self._http1.service
        early = len(self._silent) + self._queued + len(self._handshakes)
        return early + service.open + service.upgraded + len(service.leaving)

    @property
    def unauthenticated_connections(self) -> int:
        """Connections on which nobody was authenticated yet."""
        return len(self.early) + len(self.unauthenticated)

    def stop(self) -> None:
        """Accept what waits in the backlog and close the listening sockets; accepted connections go on.

        Who connects meanwhile comes behind those that waited, so no more than a full backlog is accepted.
        """
        while self._sockets:
            sock = self._sockets.pop()
            self._loop.remove_reader(sock.fileno())
            for _ in range(BACKLOG // ACCEPTS + 1):
                if not self._accept(sock):
                    break
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def close(self) -> None:
        """Close the listening sockets and all connections that have no protocol yet."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        for sock, entry, _ in list(self._silent.values()):
            self._drop(sock, entry)
        for sock, entry in [each for queue in self._queues.values() for each in queue]:
            self._drop(sock, entry)
        self._queues.clear()
        self._new.clear()
        for task in list(self._handshakes.values()):
            task.cancel()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        if self._timer is not None:
            self._timer.cancel()

    def _accept(self, listening: socket.socket) -> bool:
        """Accept some connections; whether more may wait."""
        for _ in range(ACCEPTS):
            try:
                sock, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                if self.early.evict() or self.unauthenticated.evict():
                    self._count_refused()
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(PAUSE, self._accept_again, listening)
                return False
            sock.settimeout(0)
            if self._contexts is not None:
                receive_buffer.narrow(sock, crowded=self.unauthenticated_connections >= CROWD)
            who = origin(peer)
            if who not in self._near and sock.getsockname()[:1] == peer[:1]:
                self._near.add(who)
            self._add(sock, who)
        return True

    def _accept_again(self, listening: socket.socket) -> None:
        if self._sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _add(self, sock: socket.socket, origin: str) -> None:
        """Add a connection; if there are too many, evict another one."""
        full = self.open >= self._limit
        if full or len(self.early) >= self._limit // 2:
            self._count_refused()
            if not self.early.evict() and not self.unauthenticated.evict():
                sock.close()
                return
        if self._epoll is None:
            self._begin(sock, origin)
            return
        entry = self.early.add(origin, sock.close)
        entry.end = functools.partial(self._drop, sock, entry)
        self._silent[sock.fileno()] = sock, entry, self._loop.time()
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        if self._timer is None:
            self._timer = self._loop.call_later(self._sweeps, self._sweep)

    def _count_refused(self) -> None:
        self._http1.service.refused_connections += 1

    def _drop(self, sock: socket.socket, entry: UnauthenticatedConnection) -> None:
        """Close a connection that has no protocol yet."""
        if self._silent.pop(sock.fileno(), None) is not None and self._epoll is not None:
            self._epoll.unregister(sock.fileno())
        sock.close()
        entry.leave()

    def _sweep(self) -> None:
        """Close connections that have been silent for longer than HANDSHAKE_TIMEOUT."""
        self._timer = None
        until = self._loop.time() - self._patience
        while self._silent:
            sock, entry, since = next(iter(self._silent.values()))
            if since > until:
                self._timer = self._loop.call_later(self._sweeps, self._sweep)
                return
            self._drop(sock, entry)

    def _on_readable(self) -> None:
        """Queue connections whose first bytes have arrived for their handshakes."""
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0, READY):
            sock, entry, _ = self._silent.pop(fd)
            self._epoll.unregister(fd)
            if not _has_data(sock):
                self._drop(sock, entry)
                continue
            queue = self._queues.get(entry.origin)
            if queue is None:
                queue = self._queues[entry.origin] = deque()
                self._new[entry.origin] = None
            queue.append((sock, entry))
            self._queued += 1
        if not self._starting:
            self._start_handshakes()

    def _start_handshakes(self) -> None:
        """Begin a few handshakes, taking the origins in turn:
        that which has waited longest, and this machine itself, or that which came last.

        So all come to it, and who looks at the server while thousands wait, as probes do, is answered soon.
        """
        self._starting = False
        started = 0
        while self._queues and started < HANDSHAKES:
            if not self._make_room():
                self._starting = True
                self._loop.call_later(FULL, self._start_handshakes)
                return
            origin = self._soon() if started % 2 else next(iter(self._queues))
            self._new.pop(origin, None)
            queue = self._queues.pop(origin)
            sock, entry = queue.popleft()
            self._queued -= 1
            if queue:  # behind the others
                self._queues[origin] = queue
            if sock.fileno() >= 0:  # it was not evicted while it was queued
                entry.leave()
                self._begin(sock, entry.origin)
                started += 1
        if self._queues:
            self._starting = True
            self._loop.call_soon(self._start_handshakes)

    def _soon(self) -> str:
        """The origin whose turn is before its time."""
        near = next((each for each in self._near if each in self._queues), None)
        return near or next(reversed(self._new), None) or next(iter(self._queues))

    def _make_room(self) -> bool:
        """Whether there is room for another handshake:
        made by an origin that has many, else by who had its time."""
        if len(self.unauthenticated) < self._most_unauthenticated:
            return True
        many = self.unauthenticated.most > max(1, self._most_unauthenticated // SHARES)
        evicted = self.unauthenticated.evict(self._loop.time() - (0.0 if many else self._patience))
        if evicted:
            self._count_refused()
        return evicted

    def _begin(self, sock: socket.socket, origin: str) -> None:
        if len(self.unauthenticated) >= self._most_unauthenticated and self.unauthenticated.evict():
            self._count_refused()
        entry = self.unauthenticated.add(origin, sock.close, self._loop.time())
        task = self._loop.create_task(self._handshake(sock, entry))
        entry.end = task.cancel
        self._handshakes[entry] = task

    async def _handshake(self, sock: socket.socket, entry: UnauthenticatedConnection) -> None:
        """Do the TLS handshake of a connection, then attach its protocol."""

        def protocol() -> Any:
            return Negotiated(self._http1, self._http2, entry)

        secure: dict[str, Any] = {}
        if self._contexts is not None:
            secure = {
                "ssl": self._contexts.context,
                "ssl_handshake_timeout": self._patience,
                "ssl_shutdown_timeout": CLOSE_TIMEOUT,
            }
        try:
            transport, _ = await self._loop.connect_accepted_socket(protocol, sock, **secure)
            entry.end = transport.abort
        except OSError:  # a failed handshake is no error of the server
            self.handshake_errors += self._contexts is not None
            entry.leave()
        except BaseException:
            entry.leave()
            raise
        finally:
            self._handshakes.pop(entry, None)


def _has_data(sock: socket.socket) -> bool:
    """Whether the peer has sent bytes rather than closed the connection."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
