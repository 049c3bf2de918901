"""A connection whose bytes a test writes itself."""

import asyncio
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self


class Connection:
    """HTTP/1.1 without any help: requests may be pipelined, and targets are sent as they are."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()
        await asyncio.sleep(0)

    async def send(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        flush: bool = True,
    ) -> None:
        """Send a request; with `flush` it has left this side."""
        named = {"host": "localhost", "content-type": "application/json", **(headers or {})}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in named.items())
        self._writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        if flush:
            await self._writer.drain()

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def some(self, size: int) -> bytes:
        """So many bytes."""
        async with asyncio.timeout(30):
            return await self._reader.readexactly(size)

    async def head(self) -> bytes:
        """The head of the next answer."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """All that comes until the end of the connection."""
        return await self._reader.read()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer, which is not a stream."""
        async with asyncio.timeout(10):
            head = (await self.head()).decode()
            lines = head.split("\r\n")
            named: dict[str, Any] = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            size = int(named.get("content-length", "0"))
            return int(lines[0].split(" ")[1]), await self._reader.readexactly(size)
