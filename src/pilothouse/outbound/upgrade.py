"""Upgraded connections to other servers:
sends a request to upgrade and hands over the bytes after a 101 answer."""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import field
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pilothouse.outbound.dialer import Dialer, DialError
from pilothouse.outbound.portions import INFORMATIONAL, Portions
from pilothouse.process.record import record
from pilothouse.server._turns import Line
from pilothouse.server.upgrade import Duplex
from pilothouse.waiting import in_task

HEAD_BYTES = 1 << 20
"""Longest head of an answer, as upstream (apiserver util/proxy, maxHeaderBytes)."""

HEAD_LINES = 1000
"""Most lines of a head; upstream has no such limit."""

HEAD_SECONDS = 60.0
"""Time for the head of an answer, and again for the body of a refusal. Upstream waits for ever."""

BODY_BYTES = 64 * 1024
"""How much of the body of a refusal is read; what is longer is cut there."""


class UpgradeError(Exception):
    """The request got no answer. The text is upstream's of util/proxy, in the words of Go's client."""


@record
class Upgrade:
    """The answer to a request to upgrade:
    the connection where it was granted, else the body that says why not."""

    status: int
    headers: list[tuple[str, str]]
    duplex: Duplex | None = None
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header, by its lower-case name; "" without one."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@record
class _Head:
    """The part of an answer that the parser has read."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)


async def upgrade(
    dialer: Dialer,
    line: Line,
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    context: ssl.SSLContext,
    server_name: str = "",
) -> Upgrade:
    """Send a request to upgrade, without a body, and read its answer.

    `headers` are sent as they are, after Host unless they contain it. In `line` the answer waits for its turn
    to be read. A granted duplex is the caller's to close. Raises UpgradeError when there is no answer.
    """
    await in_task()
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        _, client = await dialer.connect(
            lambda: _Client(line), parts.hostname or "", port, context if secure else None, server_name
        )
    except DialError as err:
        raise UpgradeError(f"error dialing backend: {err}") from None
    try:
        client.send(method, url, headers)
        async with asyncio.timeout(HEAD_SECONDS):
            why = await client.head_read
        if why:
            raise UpgradeError(why)
        if client.head.status == 101:
            return Upgrade(101, client.head.headers, client.granted())
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                await client.body_read
        except TimeoutError:
            pass  # what has come of the body must do
        return Upgrade(client.head.status, client.head.headers, None, bytes(client.body))
    except TimeoutError:
        raise UpgradeError("context deadline exceeded while awaiting headers") from None
    finally:
        client.leave()


class _Client(asyncio.Protocol):
    """Reads the answer. The connection is closed by `leave` unless its duplex was taken by `granted`."""

    def __init__(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        self.head = _Head()
        self.head_read: asyncio.Future[str] = loop.create_future()
        """Why there is no head, "" once there is one:
        an error would hold the frames that it passes, and the request in them."""
        self.body_read: asyncio.Future[None] = loop.create_future()
        self.body = bytearray()
        self._raw = bytearray()
        self._seen = 0  # bytes of it in which no head ends
        # Both refer to this object; none of them is there any more once the answer was read.
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._portions: Portions | None = Portions(
            line, self._feed, lambda: not self.body_read.done(), self._stop
        )
        self._interim = 0
        self._transport: asyncio.Transport | None = None
        self._duplex: Duplex | None = None  # from the head of a 101 answer on
        self._granted = False

    def send(self, method: str, url: str, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head of the request."""
        parts = urlsplit(url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        lines = [_line(f"{method} {target} HTTP/1.1")]
        sent: Sequence[tuple[str, str]] = list(headers)
        if not any(name.lower() == "host" for name, _ in sent):
            lines.append(f"Host: {parts.netloc}")
        lines += [f"{name}: {_line(value)}" for name, value in sent]
        if self._transport is None:
            return  # the peer has gone, and `connection_lost` has said so
        try:
            self._transport.write("\r\n".join([*lines, "", ""]).encode())
        except RuntimeError:
            pass  # uvloop: the same, and `connection_lost` follows

    def granted(self) -> Duplex:
        """The connection's bytes after the head of a 101 answer."""
        assert self._duplex is not None
        self._granted = True
        return self._duplex

    def leave(self) -> None:
        """Close the connection if it was not handed over, and keep nothing of what it has brought."""
        if not self._granted:
            if self._transport is not None:
                self._transport.abort()
            self._raw, self.body, self.head = bytearray(), bytearray(), _Head()
        if self._portions is not None:
            self._portions.clear()
        self._parser = self._portions = None
        for future in (self.head_read, self.body_read):
            future.cancel()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of uvloop's own class

    def data_received(self, data: bytes) -> None:
        if self._duplex is not None:
            self._duplex.on_data(data)
        elif self.head_read.done():
            if self._portions is not None and not self.body_read.done():
                self._portions.put(data)
        else:
            self._read_head(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None  # it refers to this object, and TLS has large buffers
        if self._duplex is not None:
            self._duplex.on_lost(exc)
            return
        if not self.head_read.done():
            self.head_read.set_result("unexpected EOF")
        if self._portions is not None and self._portions.held:
            self._portions.drained = self._end_body
        else:
            self._end_body()

    def pause_writing(self) -> None:
        if self._duplex is not None:
            self._duplex.on_blocked(blocked=True)

    def resume_writing(self) -> None:
        if self._duplex is not None:
            self._duplex.on_blocked(blocked=False)

    def _stop(self, stopped: bool) -> None:
        if self._transport is None:
            return
        if stopped:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # --- the answer

    def _read_head(self, data: bytes) -> None:
        self._raw += data
        while not self.head_read.done():
            end = self._raw.find(b"\r\n\r\n", max(0, self._seen - 3))
            self._seen = len(self._raw)
            if (end + 4 if end >= 0 else self._seen) > HEAD_BYTES:
                self._fail("header size limit exceeded")
            elif end < 0:
                return
            else:
                head = bytes(self._raw[: end + 4])
                del self._raw[: end + 4]
                self._seen = 0
                self._take_head(head)
        rest, self._raw = bytes(self._raw), bytearray()
        if rest:
            self.data_received(rest)

    def _take_head(self, head: bytes) -> None:
        if head.count(b"\n") > HEAD_LINES:
            self._fail("header size limit exceeded")
            return
        self._feed(head)
        status = self.head.status
        if self.head_read.done():
            return
        if status == 0:
            self._fail("malformed HTTP response")
        elif 100 <= status < 200 and status != 101:
            self._interim += 1
            if self._interim > INFORMATIONAL:
                self._fail("net/http: too many 1xx informational responses")
            self.head = _Head()  # the final one follows
            self._parser = HttpResponseParser(self)
        else:
            if status == 101:
                assert self._transport is not None
                self._duplex = Duplex(self._transport)
            self.head_read.set_result("")

    def _feed(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass
        except HttpParserError:
            if self.head_read.done():
                self._end_body()
            else:
                self._fail("malformed HTTP response")

    def _fail(self, text: str) -> None:
        if not self.head_read.done():
            self.head_read.set_result(text)
        self._end_body()

    def _end_body(self) -> None:
        if not self.body_read.done():
            self.body_read.set_result(None)

    # --- httptools' callbacks

    def on_header(self, name: bytes, value: bytes | None) -> None:
        self.head.headers.append((name.decode("latin-1"), (value or b"").decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self.head.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if len(self.body) < BODY_BYTES:
            self.body += data[: BODY_BYTES - len(self.body)]
        if len(self.body) >= BODY_BYTES:
            self._end_body()

    def on_message_complete(self) -> None:
        if self.head.status >= 200:
            self._end_body()


def _line(value: str) -> str:
    """A header's value without line breaks, so that it cannot add headers."""
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")
