"""Opens connections to other servers: directly here, through a proxy by `outbound.egress`."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from pilothouse.waiting import in_task

P = TypeVar("P", bound=asyncio.BaseProtocol)

CONNECT_SECONDS = 30.0
"""Time for a connection to be made, its TLS handshake included (Go's http.DefaultTransport)."""


class DialError(Exception):
    """A connection that was not made; the text is in the words of Go's dialer."""


class Dialer:
    """Opens TCP connections straight to their addresses."""

    async def connect(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> tuple[asyncio.Transport, P]:
        """Connect to a host name or address, with TLS where there is a `context`; DialError when it fails.

        The certificate is checked for `server_name`, for the host when there is none. What `factory` makes is called
        as by `loop.create_connection`: `connection_made` before this returns, and data afterwards.
        """
        await in_task()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._connect(factory, host, port, context, server_name or host)
        except (OSError, TimeoutError) as error:
            raise DialError(why(error, join(host, port))) from error

    async def _connect(
        self, factory: Callable[[], P], host: str, port: int, context: ssl.SSLContext | None, name: str
    ) -> tuple[asyncio.Transport, P]:
        return await asyncio.get_running_loop().create_connection(
            factory,
            host,
            port,
            ssl=context,
            server_hostname=name if context else None,
        )

    async def streams(
        self, host: str, port: int, context: ssl.SSLContext | None = None, server_name: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `connect`, with a reader and a writer of the bytes."""
        reader = asyncio.StreamReader()
        transport, protocol = await self.connect(
            lambda: asyncio.StreamReaderProtocol(reader), host, port, context, server_name
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


def join(host: str, port: int) -> str:
    """host:port, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def why(error: BaseException, address: str, network: str = "tcp") -> str:
    """What Go's dialer says of an error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"dial {network} {address}: i/o timeout"
    if isinstance(error, socket.gaierror):
        return f"dial {network}: lookup {address.rpartition(':')[0].strip('[]')}: no such host"
    if isinstance(error, OSError):
        return f"dial {network} {address}: connect: {(error.strerror or str(error)).lower()}"
    return str(error) or type(error).__name__
