"""A minimal HTTPS client for tests that count every answer: no retries, no pool, one connection at a time."""

import asyncio
import json
import ssl
from typing import Any


class Lost(Exception):
    """The connection broke: whether the request had an effect is not known."""


class Connection:
    """Keeps one connection; opens another after a failure. `token` goes with every request."""

    def __init__(self, port: int, context: ssl.SSLContext, timeout: float = 15.0, token: str = "") -> None:
        self.port = port
        self.token = token
        self.context = context
        self.timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def open(self) -> bool:
        """Whether the next request goes over the same connection."""
        return self._streams is not None

    @property
    def peer(self) -> str:
        """The common name in the certificate of the server at the other end, "" without a connection."""
        if self._streams is None:
            return ""
        certificate = self._streams[1].get_extra_info("peercert") or {}
        return next((v for part in certificate["subject"] for k, v in part if k == "commonName"), "")

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded body; Lost when the connection broke, TimeoutError when nothing came in time."""
        try:
            async with asyncio.timeout(self.timeout):
                reader, _ = await self._send(method, path, body)
                status, headers = await self._head(reader)
                data = await self._body(reader, headers)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise
            raise Lost(repr(error)) from error
        except BaseException:
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        if not headers.get("content-type", "").startswith("application/json"):
            return status, data.decode()
        return status, json.loads(data)

    async def watch(self, path: str) -> "Watch":
        """Start a watch; Lost when that fails."""
        try:
            async with asyncio.timeout(self.timeout):
                reader, _ = await self._send("GET", path, None)
                status, headers = await self._head(reader)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            self.close()
            raise Lost(repr(error)) from error
        if status != 200:
            data = await self._body(reader, headers)
            raise Lost(f"{status} {data!r}")
        return Watch(reader)

    async def end(self) -> None:
        """Close, and let the loop take note."""
        self.close()
        await asyncio.sleep(0.01)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _send(
        self, method: str, path: str, body: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            # The server has ended it while it was idle, which the pools of Go and urllib3 see as well.
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.context, limit=1 << 22
            )
        reader, writer = self._streams
        # without spaces, as Go's clients write it:
        # kube-apiserver compares the data of revisions by their bytes
        data = json.dumps(body, separators=(",", ":")).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        if self.token:
            head += f"Authorization: Bearer {self.token}\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        return reader, writer

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        out = b""
        while piece := await chunk(reader):
            out += piece
        return out


async def chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk of a chunked body; empty at its end."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


class Watch:
    """The events of one watch."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self._rest = b""

    async def next(self) -> dict[str, Any] | None:
        """The next event; None at a clean end, Lost when the connection broke."""
        while b"\n" not in self._rest:
            try:
                piece = await chunk(self.reader)
            except (OSError, asyncio.IncompleteReadError, ssl.SSLError, ValueError) as error:
                raise Lost(repr(error)) from error
            if not piece:
                return None
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        out: dict[str, Any] = json.loads(line)
        return out
