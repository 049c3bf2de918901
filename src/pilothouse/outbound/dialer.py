"""Opens connections to other servers: directly here, through a proxy by `outbound.egress`."""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pilothouse.waiting import in_task

P = TypeVar("P", bound=asyncio.BaseProtocol)

CONNECT_SECONDS = 30.0
"""Time for a connection to be made, its TLS handshake included (Go's http.DefaultTransport)."""


UNVERIFIED = "tls: failed to verify certificate"
"""How an error begins when the other side's certificate is not valid."""


class DialError(Exception):
    """A connection that was not made; the text is in the words of Go's dialer."""


class Dialer:
    """Opens TCP connections straight to their addresses, IPv4 and IPv6 in turns (RFC 8305)."""

    async def connect(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> tuple[asyncio.Transport, P]:
        """Connect to a host name or address, with TLS where there is a `context`; DialError when it fails.

        The certificate is checked for `server_name`, for the host when there is none. What `factory` makes is
        called as by `loop.create_connection`: `connection_made` before this returns, and data afterwards.
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
        import aiohappyeyeballs

        loop = asyncio.get_running_loop()
        found = await addresses(host, port)
        sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=0.25, loop=loop)
        return await loop.create_connection(
            factory, sock=sock, ssl=context, server_hostname=name if context else None
        )

    async def close(self) -> None:
        """Give up what belongs to the connections; those who use them have closed them before."""

    @property
    def idle(self) -> bool:
        """Whether no connection needs the dialer any more, so that it need not be closed."""
        return True

    async def streams(
        self, host: str, port: int, context: ssl.SSLContext | None = None, server_name: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Like `connect`, with a reader and a writer of the bytes."""
        reader = asyncio.StreamReader()
        transport, protocol = await self.connect(
            lambda: asyncio.StreamReaderProtocol(reader), host, port, context, server_name
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


class Switch(Dialer):
    """Opens connections by another dialer, in whose place a further one may be put.
    Open connections stay as they are."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._former: list[Dialer] = []

    async def connect(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> tuple[asyncio.Transport, P]:
        return await self._dialer.connect(factory, host, port, context, server_name)

    def use(self, dialer: Dialer) -> None:
        """Open connections by this dialer from now on."""
        self._former = [one for one in (*self._former, self._dialer) if not one.idle]
        self._dialer = dialer

    async def close(self) -> None:
        for dialer in (*self._former, self._dialer):
            await dialer.close()


Address = tuple[int, int, int, str, tuple[Any, ...]]
"""One result of getaddrinfo."""


async def addresses(host: str, port: int) -> Sequence[Address]:
    """The addresses of a host; an address is not looked up, which would take a thread."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, at = (socket.AF_INET, (host, port)) if version == 4 else (socket.AF_INET6, (host, port, 0, 0))
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", at)]


def join(host: str, port: int) -> str:
    """host:port, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_UNVERIFIED = dict.fromkeys((18, 19, 20, 21), "certificate signed by unknown authority")
"""Go's message where OpenSSL has these codes:
self-signed, self-signed in the chain, no local issuer, no signer."""


def why(error: BaseException, address: str, network: str = "tcp") -> str:
    """The message of Go's dialer about an error."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = _UNVERIFIED.get(error.verify_code, error.verify_message)
        return f"{UNVERIFIED}: x509: {said}"
    if isinstance(error, ssl.SSLError):
        return f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"dial {network} {address}: i/o timeout"
    if isinstance(error, socket.gaierror):
        return f"dial {network}: lookup {address.rpartition(':')[0].strip('[]')}: no such host"
    if isinstance(error, OSError):
        said = os.strerror(error.errno) if error.errno else str(error)
        return f"dial {network} {address}: connect: {said.lower()}"
    return str(error) or type(error).__name__
