"""Connections through an HTTP CONNECT proxy (apiserver server/egressselector, KEP-1281)."""

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import NamedTuple, cast

from pilothouse.gotext import quote, short
from pilothouse.outbound.dialer import Dialer, DialError, P, join, why
from pilothouse.outbound.metrics import EgressMetrics

PROTOCOL = "http_connect"

HEAD_BYTES = 1 << 16
"""Longest head of a proxy's answer; a proxy that sends more is refused."""

_END = re.compile(rb"\r?\n\r?\n")


class Proxy(NamedTuple):
    """The address of a proxy: a host and a port,
    with TLS where there is a context, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    context: ssl.SSLContext | None = None
    server_name: str = ""
    path: str = ""

    @property
    def transport(self) -> str:
        """The label of its metrics."""
        return "uds" if self.path else "tcp"

    @property
    def address(self) -> str:
        """The name in error texts."""
        return self.path or join(self.host, self.port)


class ProxyDialer(Dialer):
    """Opens connections by a CONNECT request to a proxy.
    TLS to the server goes through it, the proxy sees none of it."""

    def __init__(self, proxy: Proxy, metrics: EgressMetrics) -> None:
        self._proxy = proxy
        self._metrics = metrics

    async def _connect(
        self, factory: Callable[[], P], host: str, port: int, context: ssl.SSLContext | None, name: str
    ) -> tuple[asyncio.Transport, P]:
        transport = await self._tunnel(join(host, port))
        protocol = factory()
        loop = asyncio.get_running_loop()
        if context is not None:
            try:
                secured = await loop.start_tls(transport, protocol, context, server_hostname=name)
            except BaseException:
                transport.abort()
                raise
            assert secured is not None
            transport = secured
        else:
            transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if context is None:
            transport.resume_reading()
        return transport, protocol

    async def _tunnel(self, address: str) -> asyncio.Transport:
        """A connection that the proxy has joined with `address`; nothing is read from it yet."""
        labels = PROTOCOL, self._proxy.transport
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._metrics.starts.inc(*labels)
        with self._metrics.failing(PROTOCOL, "connect", self._proxy.transport):
            transport, waiting = await self._reach()
        try:
            with self._metrics.failing(PROTOCOL, "proxy", self._proxy.transport):
                transport.write(f"CONNECT {address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                check(await waiting.head, address, self._proxy.address)
        except BaseException:
            transport.abort()
            raise
        self._metrics.seconds.observe(loop.time() - start, *labels)
        return transport

    async def _reach(self) -> "tuple[asyncio.Transport, _Waiting]":
        """The connection to the proxy; DialError when there is none."""
        loop, proxy = asyncio.get_running_loop(), self._proxy
        try:
            if proxy.path:
                return await loop.create_unix_connection(_Waiting, proxy.path)
            return await loop.create_connection(
                _Waiting,
                proxy.host,
                proxy.port,
                ssl=proxy.context,
                server_hostname=(proxy.server_name or proxy.host) if proxy.context else None,
            )
        except OSError as error:
            raise DialError(why(error, proxy.address, "unix" if proxy.path else "tcp")) from error


class _Waiting(asyncio.Protocol):
    """Reads the head of a proxy's answer, and no further."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        seen = max(0, len(self._received) - 3)
        self._received += data
        if self.head.done():
            return
        if _END.search(self._received, seen) or len(self._received) > HEAD_BYTES:
            assert self._transport is not None
            self._transport.pause_reading()
            self.head.set_result(bytes(self._received))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.head.done():
            self.head.set_result(b"")


def check(answer: bytes, address: str, proxy: str) -> None:
    """Raise DialError unless a proxy's answer says that it has connected, and nothing else."""
    problem, code, status = _status(answer)
    if problem:
        raise DialError(
            f"reading HTTP response from CONNECT to {address} via proxy {proxy} failed: {problem}"
        )
    if code != "200":
        raise DialError(f"proxy error from {proxy} while dialing {address}, code {int(code)}: {status}")
    end = _END.search(answer)
    assert end is not None
    if len(answer) > end.end():
        raise DialError(
            f'unexpected {len(answer) - end.end()} bytes of buffered data from CONNECT proxy "{proxy}"'
        )


def _status(answer: bytes) -> tuple[str, str, str]:
    """The fault in the head of an answer, its status code, and the code with the reason."""
    if not _END.search(answer):
        return "unexpected EOF", "", ""
    line = answer.split(b"\n", 1)[0].rstrip(b"\r").decode("latin-1")
    version, found, status = line.partition(" ")
    status = status.lstrip(" ")
    code = status.partition(" ")[0]
    if not found:
        return f"malformed HTTP response {quote(line)}", "", ""
    if len(code) != 3 or not (code.isascii() and code.isdigit()):
        return f"malformed HTTP status code {quote(code)}", "", ""
    if not re.fullmatch(r"HTTP/\d\.\d", version):
        return f"malformed HTTP version {quote(version)}", "", ""
    return "", code, short(status)
