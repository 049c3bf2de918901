"""Connections through a konnectivity server by its gRPC protocol
(apiserver-network-proxy konnectivity-client).

Each connection has a gRPC stream of its own. The caller holds one end of a socket pair, and a task passes the
bytes on between the other end and the stream. Needs grpcio (extra `etcd` or `kms`).
"""

import asyncio
import contextlib
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from pilothouse import gotext, wire
from pilothouse.outbound.dialer import Dialer, DialError, P, join, why
from pilothouse.outbound.metrics import EgressMetrics

PROTOCOL, TRANSPORT = "grpc", "uds"
METHOD = "/ProxyService/Proxy"
DIAL_REQUEST, DIAL_RESPONSE, CLOSE_REQUEST, CLOSE_RESPONSE, DATA, DIAL_CLOSE = range(6)
"""Types of packets."""

PAYLOADS = {DIAL_REQUEST: 2, DIAL_RESPONSE: 3, DATA: 4, CLOSE_REQUEST: 5, CLOSE_RESPONSE: 6, DIAL_CLOSE: 7}
"""The field of a packet in which the payload of each type is."""

MEMBERS: dict[int, dict[int, type]] = {
    DIAL_REQUEST: {1: bytes, 2: bytes, 3: int},
    DIAL_RESPONSE: {1: bytes, 2: int, 3: int},
    DATA: {1: int, 2: bytes, 3: bytes},
    CLOSE_REQUEST: {1: int},
    CLOSE_RESPONSE: {1: bytes, 2: int},
    DIAL_CLOSE: {1: int},
}
"""The fields of the payloads that are read, and their types."""

PIECE = 32 * 1024
"""Bytes of a data packet, and bytes that are read from either side before they are passed on."""

PACKET_BYTES = 256 * 1024
"""Longest packet of a server; an agent sends pieces of 4 KiB."""

FIELDS = 16
"""Most fields of a packet, and of its payload."""

CLOSE_SECONDS = 10.0
"""Time for the server to confirm that a connection is closed."""

OPTIONS = (
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", PACKET_BYTES),
)

Payload = dict[int, Any]


def packet(kind: int, *fields: tuple[int, int | bytes | None]) -> bytes:
    """Encode a packet with the fields of its payload."""
    return wire.message((1, kind), (PAYLOADS[kind], wire.message(*fields)))


def read_packet(data: bytes) -> tuple[int, Payload]:
    """The type of a packet and the fields of its payload; WireError when it is none."""
    fields = wire.fields(data, FIELDS)
    kind = fields.get(1, 0)
    content = fields.get(PAYLOADS.get(kind, 0), b"") if isinstance(kind, int) else None
    if not isinstance(content, bytes):
        raise wire.WireError("packet without a payload")
    payload = wire.fields(content, FIELDS)
    for number, type_ in MEMBERS.get(kind, {}).items():
        if not isinstance(payload.get(number, type_()), type_):
            raise wire.WireError(f"field {number} of a payload has another type")
    return kind, payload


class KonnectivityDialer(Dialer):
    """Opens connections through the konnectivity server that listens on a Unix socket."""

    def __init__(self, path: str, metrics: EgressMetrics) -> None:
        self._path = path
        self._metrics = metrics
        self._joined: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        return not self._joined

    async def close(self) -> None:
        """End all connections."""
        for task in self._joined:
            task.cancel()
        if self._joined:
            await asyncio.wait(self._joined)

    async def _connect(
        self, factory: Callable[[], P], host: str, port: int, context: ssl.SSLContext | None, name: str
    ) -> tuple[asyncio.Transport, P]:
        import grpc.aio

        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is raised; stderr is the log's
        loop = asyncio.get_running_loop()
        start = loop.time()
        self._metrics.starts.inc(PROTOCOL, TRANSPORT)
        channel = grpc.aio.insecure_channel(f"unix:{self._path}", options=OPTIONS)
        try:
            with self._metrics.failing(PROTOCOL, "connect", TRANSPORT):
                await self._ready(channel)
            with self._metrics.failing(PROTOCOL, "proxy", TRANSPORT):
                call: Any = channel.stream_stream(METHOD)()
                number = await _dial(call, join(host, port))
        except BaseException:
            await channel.close()
            raise
        self._metrics.seconds.observe(loop.time() - start, PROTOCOL, TRANSPORT)
        near, far = socket.socketpair()
        near.settimeout(0)
        far.settimeout(0)
        task = loop.create_task(_pass_on(channel, call, number, far))
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)
        try:
            return await loop.create_unix_connection(
                factory, sock=near, ssl=context, server_hostname=name if context else None
            )
        except BaseException:
            near.close()
            raise

    async def _ready(self, channel: Any) -> None:
        """Wait for the connection to the server; DialError when there is none."""
        import grpc

        state = channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                raise DialError(f'connection error: desc = "transport: {await self._fault()}"')
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)

    async def _fault(self) -> str:
        """Why there is no connection to the server; gRPC does not tell."""
        try:
            _, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            return f"Error while dialing: {why(error, self._path, 'unix')}"
        writer.close()
        return "connection closed before server preface received"


async def _dial(call: Any, address: str) -> int:
    """Have the server connect; the number of the connection, DialError with what the server says."""
    asked = secrets.randbits(63)
    try:
        await call.write(packet(DIAL_REQUEST, (1, b"tcp"), (2, address.encode()), (3, asked)))
        async for kind, payload in _packets(call):
            if kind == DIAL_CLOSE:
                raise DialError("dial closed")
            if kind == DIAL_RESPONSE and payload.get(3, 0) == asked:
                if payload.get(1):
                    raise DialError(gotext.short(payload[1].decode("utf-8", "replace")))
                number: int = payload.get(2, 0)
                return number
    except wire.WireError as error:
        raise DialError(str(error)) from None
    except Exception as error:  # grpc's errors have no class in common but this
        if isinstance(error, DialError):
            raise
        raise DialError("tunnel closed") from error
    raise DialError("tunnel closed")


async def _packets(call: Any) -> AsyncIterator[tuple[int, Payload]]:
    import grpc.aio

    while (data := await call.read()) is not grpc.aio.EOF:
        yield read_packet(data)


async def _pass_on(channel: Any, call: Any, number: int, far: socket.socket) -> None:
    """Pass on what either side sends, no faster than the other one takes it, until one of them has ended."""
    reader, writer = await asyncio.open_unix_connection(sock=far)
    ways = [
        asyncio.ensure_future(_to_server(call, number, reader)),
        asyncio.ensure_future(_from_server(call, number, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if ways[0].done():
            await asyncio.wait(ways, timeout=CLOSE_SECONDS)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        writer.close()
        await channel.close()


async def _to_server(call: Any, number: int, reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(Exception):  # the connection ends, whatever has failed
        while piece := await reader.read(PIECE):
            await call.write(packet(DATA, (1, number), (3, piece)))
        await call.write(packet(CLOSE_REQUEST, (1, number)))


async def _from_server(call: Any, number: int, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(Exception):
        async for kind, payload in _packets(call):
            if payload.get(1 if kind == DATA else 2, 0) != number:
                continue
            if kind == CLOSE_RESPONSE:
                break
            if kind == DATA:
                writer.write(payload.get(3, b""))
                await writer.drain()
    writer.close()
