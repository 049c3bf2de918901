"""A konnectivity server of the tests' own:
it speaks the gRPC protocol on a Unix socket and connects by itself."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio

from pilothouse.outbound import konnectivity as protocol
from pilothouse.outbound.konnectivity import packet, read_packet


class KonnectivityServer:
    """Serves while it is entered; `targets` keeps what clients asked for, `closed` the connections that they
    closed, `ended` those that either side has closed.

    `error` is answered instead of a connection; `closing` closes the dial instead; `answer` makes the whole
    answer out of the number of the dial.
    """

    def __init__(
        self,
        folder: Path,
        *,
        error: str = "",
        closing: bool = False,
        names: Any = None,
        answer: Callable[[int], bytes] | None = None,
    ) -> None:
        self.answer = answer
        self.path = str(folder / "konnectivity.sock")
        self.error = error
        self.closing = closing
        self.names = names or {}
        self.targets: list[str] = []
        self.closed: list[int] = []
        self.ended: list[int] = []

    @property
    def connection(self) -> dict[str, Any]:
        """The `connection` of an egress selection that leads here."""
        return {"proxyProtocol": "GRPC", "transport": {"uds": {"udsName": self.path}}}

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        handler: Any = grpc.stream_stream_rpc_method_handler(self._serve)
        generic = grpc.method_handlers_generic_handler("ProxyService", {"Proxy": handler})
        self._server.add_generic_rpc_handlers((generic,))
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.stop(0)

    async def _serve(self, requests: Any, context: Any) -> None:
        kind, dial = read_packet(await context.read())
        assert kind == protocol.DIAL_REQUEST and dial[1] == b"tcp"
        target, asked = dial[2].decode(), dial[3]
        self.targets.append(target)
        if self.answer is not None:
            await context.write(self.answer(asked))
            return
        if self.closing:
            await context.write(packet(protocol.DIAL_CLOSE, (1, asked)))
            return
        if self.error:
            await context.write(packet(protocol.DIAL_RESPONSE, (1, self.error.encode()), (3, asked)))
            return
        number = len(self.targets)
        host, _, port = target.rpartition(":")
        reader, writer = await asyncio.open_connection(self.names.get(host, host), int(port))
        try:
            await context.write(packet(protocol.DIAL_RESPONSE, (2, number), (3, asked)))
            await self._pass_on(context, number, reader, writer)
        finally:
            self.ended.append(number)
            writer.transport.abort()

    async def _pass_on(
        self, context: Any, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        back = asyncio.ensure_future(self._back(context, number, reader))
        try:
            while (data := await context.read()) is not grpc.aio.EOF:
                kind, payload = read_packet(data)
                if kind == protocol.CLOSE_REQUEST:
                    self.closed.append(number)
                    await context.write(packet(protocol.CLOSE_RESPONSE, (2, number)))
                    return
                assert kind == protocol.DATA and payload[1] == number
                writer.write(payload[3])
                await writer.drain()
        finally:
            back.cancel()

    async def _back(self, context: Any, number: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(30_000):
                await context.write(packet(protocol.DATA, (1, number), (3, piece)))
            await context.write(packet(protocol.CLOSE_RESPONSE, (2, number)))
