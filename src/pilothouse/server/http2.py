"""HTTP/2 connections of one listener, and the choice between the protocols when a handshake has ended."""

import asyncio
from typing import Any

from pilothouse.server._http2 import Connection, Shared
from pilothouse.server.http1 import Http1
from pilothouse.server.unauthenticated import UnauthenticatedConnection


class Http2:
    """Makes HTTP/2 connections that share handler, limits, budgets and time-outs with a listener's HTTP/1.1.

    `shared` has the counters: connections, open_streams, streams, faults.
    """

    def __init__(self, http1: Http1) -> None:
        self._http1 = http1
        self.shared = Shared(http1.service, http1.limits.streams)

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        self._http1.keep_time()
        return Connection(self.shared)


class Negotiated(asyncio.Protocol):
    """The protocol of a connection until its handshake has ended:
    then the one that ALPN has chosen replaces it."""

    def __init__(self, http1: Http1, http2: Http2, entry: UnauthenticatedConnection) -> None:
        self._http1 = http1
        self._http2 = http2
        self._entry = entry

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over."""
        tls = transport.get_extra_info("ssl_object")
        make = self._http2 if tls is not None and tls.selected_alpn_protocol() == "h2" else self._http1
        connection: Any = make()
        connection.unauthenticated = self._entry
        self._entry.busy = connection.is_answering
        transport.set_protocol(connection)
        connection.connection_made(transport)
