"""How much a peer may send ahead of what is read, which is also the most that one read brings.

TLS keeps two buffers of the size of a connection's largest read until the connection ends.
"""

import contextlib
import socket

NARROW = 32 * 1024
"""SO_RCVBUF of a connection without an authenticated request. A read brings up to 64 KB then. With half of
it, packets of the loopback device find no room, and each is sent again after 200 ms."""

NARROWEST = 16 * 1024
"""SO_RCVBUF of such a connection that comes while there is a crowd of them, for a thousand times the buffers
of a read of 64 KB are 145 MB. A long head over the loopback device takes longer then."""

DEFAULT = 64 * 1024
"""The size with which connections begin."""

MOST = 4 * 1024 * 1024
"""The size to ask for where the system cannot be left to choose again; `net.core.rmem_max` limits it."""

_BUFFER_LOCK = 72
"""Linux' SO_BUF_LOCK (5.15), for which Python's socket has no name:
0 lets the system size the buffers again."""


def narrow(sock: socket.socket, *, crowded: bool = False) -> None:
    """Let little come ahead, and less in a crowd. The system does not size the buffer any more."""
    with contextlib.suppress(OSError):  # the connection has ended meanwhile
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROWEST if crowded else NARROW)


def widen(sock: socket.socket) -> None:
    """Let the system size the buffer, as it does by default: by what the peer sends in a round trip."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEFAULT)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _BUFFER_LOCK, 0)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MOST)
