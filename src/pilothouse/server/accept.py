"""Accepts connections: how many there may be, which are cut when there are too many, and when handshakes begin.

A connection over TLS that has sent nothing costs a descriptor and no more: it waits in an epoll set until the first
bytes come. Then it is queued, in one queue for each origin, and a few handshakes begin in each turn of the loop, so
that a flood of them does not block the loop.
"""

import asyncio
import errno
import functools
import resource
import select
import socket
from collections import deque
from typing import Any

from pilothouse.server import tls
from pilothouse.server.http1 import Http1
from pilothouse.server.unauthenticated import Unauthenticated, UnauthenticatedConnection, origin

ACCEPTS = 64
"""Connections that are accepted in one turn of the loop: about a millisecond."""

HANDSHAKES = 2
"""Handshakes that begin in one turn of the loop: each is a signature, 0.1 to 1 ms."""

READY = 256
"""Connections that are queued for their handshake in one turn of the loop."""

RESERVE = 128
"""Descriptors that are kept for the store, the log and outbound connections, and for those that are being closed."""

UNAUTHENTICATED = 1024
"""Connections from the handshake on, until somebody is authenticated; a flag changes it. Each takes about 140 KB."""

CLOSE_TIMEOUT = 30.0
"""Seconds that a peer has to take the rest of an answer and to reply to TLS's close_notify."""

PAUSE = 0.05
"""Seconds without accepting when the system has no descriptor left."""

_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the limit of open files as far as the system allows; the limit before and after."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # some systems allow less than they tell
        pass
    return soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def most_connections() -> int:
    """Connections for which there are descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, (1 << 20 if soft == resource.RLIM_INFINITY else soft) - RESERVE)


class Acceptor:
    """Accepts on listening sockets and gives connections their protocol; plain ones without `contexts`."""

    def __init__(self, http1: Http1, sockets: list[socket.socket], contexts: tls.Contexts | None) -> None:
        self._http1 = http1
        self._sockets = sockets
        self._contexts = contexts
        self._loop = asyncio.get_running_loop()
        self._patience = http1.limits.handshake_timeout
        self._sweeps = min(1.0, self._patience)
        self._limit = http1.limits.connections or most_connections()
        self._most_unauthenticated = http1.limits.unauthenticated or min(UNAUTHENTICATED, self._limit // 2)
        self.early = Unauthenticated()
        """Those whose handshake has not begun: they cost a descriptor only, and may be half of all."""
        self.unauthenticated = Unauthenticated()
        """Those whose handshake has begun."""
        self._silent: dict[int, tuple[socket.socket, UnauthenticatedConnection, float]] = {}
        self._queues: dict[str, deque[tuple[socket.socket, UnauthenticatedConnection]]] = {}
        self._queued = 0
        self.handshake_errors = 0
        self._starting = False
        self._handshakes: dict[UnauthenticatedConnection, asyncio.Task[None]] = {}
        self._epoll = select.epoll() if contexts is not None and hasattr(select, "epoll") else None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        if self._epoll is not None:
            self._loop.add_reader(self._epoll.fileno(), self._heard)
        for sock in sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    @property
    def open(self) -> int:
        """Descriptors of connections in every state."""
        service = self._http1.service
        early = len(self._silent) + self._queued + len(self._handshakes)
        return early + service.open + len(service.leaving)

    @property
    def unauthenticated_connections(self) -> int:
        """Connections on which nobody was authenticated yet."""
        return len(self.early) + len(self.unauthenticated)

    def close(self) -> None:
        """Close the listening sockets and what has no protocol yet."""
        if self._closed:
            return
        self._closed = True
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        for sock, entry, _ in list(self._silent.values()):
            self._drop(sock, entry)
        for sock, entry in [each for queue in self._queues.values() for each in queue]:
            self._drop(sock, entry)
        self._queues.clear()
        for task in list(self._handshakes.values()):
            task.cancel()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        if self._timer is not None:
            self._timer.cancel()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._refused(self.early.evict() or self.unauthenticated.evict())
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(PAUSE, self._accept_again, listening)
                return
            sock.setblocking(False)
            self._take(sock, origin(peer))

    def _accept_again(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _take(self, sock: socket.socket, origin: str) -> None:
        """Take one more connection; when there are too many another one is cut."""
        full = self.open >= self._limit
        if full or len(self.early) >= self._limit // 2:
            self._refused(True)
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

    def _refused(self, one: bool) -> None:
        self._http1.service.refused_connections += one

    def _drop(self, sock: socket.socket, entry: UnauthenticatedConnection) -> None:
        """Close a connection that has no protocol yet."""
        if self._silent.pop(sock.fileno(), None) is not None and self._epoll is not None:
            self._epoll.unregister(sock.fileno())
        sock.close()
        entry.leave()

    def _sweep(self) -> None:
        """Close connections that have sent nothing for too long."""
        self._timer = None
        until = self._loop.time() - self._patience
        while self._silent:
            sock, entry, since = next(iter(self._silent.values()))
            if since > until:
                self._timer = self._loop.call_later(self._sweeps, self._sweep)
                return
            self._drop(sock, entry)

    def _heard(self) -> None:
        """First bytes have come: queue the connections for their handshakes."""
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0, READY):
            sock, entry, _ = self._silent.pop(fd)
            self._epoll.unregister(fd)
            if not _speaks(sock):
                self._drop(sock, entry)
                continue
            self._queues.setdefault(entry.origin, deque()).append((sock, entry))
            self._queued += 1
        if not self._starting:
            self._start_handshakes()

    def _start_handshakes(self) -> None:
        """Begin a few handshakes, of each origin in turn."""
        self._starting = False
        started = 0
        while self._queues and started < HANDSHAKES:
            origin, queue = next(iter(self._queues.items()))
            del self._queues[origin]
            sock, entry = queue.popleft()
            self._queued -= 1
            if queue:
                self._queues[origin] = queue
            if sock.fileno() >= 0:  # it was not cut while it was queued
                entry.leave()
                self._begin(sock, entry.origin)
                started += 1
        if self._queues:
            self._starting = True
            self._loop.call_soon(self._start_handshakes)

    def _begin(self, sock: socket.socket, origin: str) -> None:
        if len(self.unauthenticated) >= self._most_unauthenticated:
            self._refused(self.unauthenticated.evict())
        entry = self.unauthenticated.add(origin, sock.close)
        task = self._loop.create_task(self._handshake(sock, entry))
        entry.end = task.cancel
        self._handshakes[entry] = task

    async def _handshake(self, sock: socket.socket, entry: UnauthenticatedConnection) -> None:
        """Do the handshake of one connection, then give it its protocol."""

        def protocol() -> Any:
            connection = self._http1()
            connection.unauthenticated = entry
            entry.busy = connection.is_answering
            return connection

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


def _speaks(sock: socket.socket) -> bool:
    """Whether bytes have come, and not the end of the connection."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
