"""The HTTP client for kubelets, pods, services, webhooks and aggregated servers."""

import asyncio
import base64
import os
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import field
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from weakref import WeakSet

from pilothouse import spans
from pilothouse.gotext import quote
from pilothouse.outbound.dialer import Dialer, DialError
from pilothouse.outbound.metrics import RestClientMetrics
from pilothouse.process.frozen import frozen
from pilothouse.server._turns import Line
from pilothouse.server.pem import pem_files

if TYPE_CHECKING:
    import aiohttp

    from pilothouse.outbound.upgrade import Upgrade

CHUNK = 64 * 1024
LONGEST = 1 << 63
"""A Content-Length that Go's client does not read, nor longer ones;
of more than 64 bits the parser refuses it."""
BROKEN = "net/http: HTTP/1.x transport connection broken"
TIMED_OUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


class ClientError(Exception):
    """A request that got no answer; the text is in the words of Go's client."""


class Unanswered(OSError):
    """A request that got no answer, or one that is no success;
    `status` is the code of an answer, 0 without one."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status

    @property
    def timed_out(self) -> bool:
        """Whether the request timed out, on this side or on the other."""
        return self.status == 504 or str(self) == TIMED_OUT

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered in a moment (client-go's DefaultShouldRetry)."""
        return self.status in (429, 500, 504) or "connection reset" in str(self)


@frozen
class Trust:
    """How the other side's certificate is checked: by a CA bundle (PEM), by the system's CAs when there
    is none, or not at all.

    `server_name` replaces the address when its certificate is checked. Our own certificate and key are files
    (`cert_file`, `key_file`) or PEM text (`cert`, `key`).
    """

    ca: bytes = b""
    insecure: bool = False
    server_name: str = ""
    cert_file: str = ""
    key_file: str = ""
    cert: bytes = b""
    key: bytes = field(default=b"", repr=False)

    def context(self) -> ssl.SSLContext:
        """A TLS context; ClientError when files or certificates cannot be used."""
        try:
            context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.cert_file or self.cert:
                with pem_files(self.cert or self.cert_file, self.key or self.key_file) as (
                    cert_file,
                    key_file,
                ):
                    context.load_cert_chain(cert_file, key_file)
        except (OSError, ValueError) as err:
            raise ClientError(f"tls: {err}") from None
        return context

    def stamp(self) -> "Stamp":
        """A value that changes when the files of our certificate are replaced; empty where there are none."""
        try:
            return tuple(os.stat(path).st_mtime_ns for path in (self.cert_file, self.key_file) if path)
        except OSError:
            return (0,)


Stamp = tuple[int, ...]

INSECURE = Trust(insecure=True)


def bundle(text: str) -> bytes:
    """A caBundle of an API object as PEM."""
    return base64.b64decode(text or "")


class Answer:
    """The head of an answer, and its body to be read; `close` gives the connection back or up."""

    def __init__(self, response: "aiohttp.ClientResponse") -> None:
        self.count: Callable[[int], None] | None = None
        """Called with the length of the body once that has been read."""
        self._response = response
        self.status: int = response.status
        self.headers: list[tuple[str, str]] = [(str(name), value) for name, value in response.headers.items()]

    def header(self, name: str) -> str:
        """The first value of a header, "" without one."""
        return str(self._response.headers.get(name, ""))

    async def read(self, limit: int) -> bytes:
        """The whole body, up to `limit` bytes; one that is said to be longer is not read at all."""
        said = self.header("Content-Length")
        if said.isdecimal() and int(said) > limit:
            self.close()
            raise ClientError(f"the answer is longer than {limit} bytes")
        out = bytearray()
        async for piece in self.pieces():
            out += piece
            if len(out) > limit:
                raise ClientError(f"the answer is longer than {limit} bytes")
        if self.count is not None:
            self.count(len(out))
        return bytes(out)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes; ClientError when it breaks off."""
        import aiohttp

        try:
            async for piece in self._response.content.iter_chunked(CHUNK):
                yield piece
        except (aiohttp.ClientError, OSError, TimeoutError) as err:
            raise ClientError("unexpected EOF") from err
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection up, unless the body has been read to its end.

        It is aborted: a proper close of TLS reads on until the other side has closed too, up to 30 s, and a
        hostile server sends all the while.
        """
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()


def _close_unwanted(task: "asyncio.Task[Answer]") -> None:
    """Close an answer that has come although nobody waits for it any more:
    its body, such as a log that is followed, may have no end."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


ANSWER_BYTES = 1 << 20
"""Longest answer that `Outbound.exchange` reads."""


class Outbound:
    """Sends requests, with connections kept per address and trust. Redirects are answers like others.

    Every request of this server to another one goes through `open`.
    """

    def __init__(self, dialer: Dialer | None = None, metrics: RestClientMetrics | None = None) -> None:
        """Connections are opened by `dialer`, straight to their addresses without one."""
        self.dialer = dialer or Dialer()
        self._metrics = metrics or RestClientMetrics()
        self._session: aiohttp.ClientSession | None = None
        self._users: WeakSet[object] = WeakSet()
        """The requests of the session that are under way, and the answers that are being read."""
        self._former: list[tuple[aiohttp.ClientSession, WeakSet[object]]] = []
        self._contexts: dict[Trust, tuple[Stamp, ssl.SSLContext]] = {}
        self._line: Line | None = None

    async def open(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        trust: Trust = INSECURE,
        timeout: float | None = None,
        counted: bool = False,
    ) -> Answer:
        """Send a request and read the head of its answer, within `timeout` seconds; raises ClientError.

        counted: whether the metrics have it, as the other side is one that the configuration names. It takes
        part in the trace of the request that is being served, and its headers say so.
        """
        if counted:
            return await self._counted(method, url, headers, body, trust, timeout)
        within = spans.current.get()
        if within is None:
            headers = joined(headers, spans.carried.get())
            return await self._answered(self._request(method, url, headers, body, trust), timeout)
        with within.child(f"HTTP {method}", _attributes(method, url), kind=spans.CLIENT) as span:
            headers = joined(headers, span.headers())
            answer = await self._answered(self._request(method, url, headers, body, trust), timeout)
            span.attributes["http.response.status_code"] = answer.status
            span.failed = answer.status >= 400
            return answer

    async def _answered(self, request: Coroutine[object, object, Answer], timeout: float | None) -> Answer:
        """The answer to a request, within `timeout` seconds; raises ClientError."""
        # A task of its own: until a request first waits, its pipeline runs outside of any task.
        task = asyncio.get_running_loop().create_task(request)
        try:
            await asyncio.wait((task,), timeout=timeout)
            if not task.done():
                raise ClientError(TIMED_OUT)
            return task.result()
        except asyncio.CancelledError:
            task.add_done_callback(_close_unwanted)
            raise
        finally:
            task.cancel()  # has no effect on a task that is done
            del task  # whose error holds this frame: what was sent would stay until the next collection

    async def _counted(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        trust: Trust,
        timeout: float | None,
    ) -> Answer:
        metrics, host = self._metrics, urlsplit(url).netloc.rpartition("@")[2]
        began, status = perf_counter(), 0
        try:
            answer = await self.open(method, url, headers=headers, body=body, trust=trust, timeout=timeout)
            status = answer.status
        finally:
            metrics.asked(method, host, len(body), perf_counter() - began, status)
        answer.count = lambda size: metrics.received.observe(size, host, method)
        return answer

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        trust: Trust = INSECURE,
        timeout: float,
    ) -> bytes:
        """The whole body of a successful answer, 1 MiB at most; raises Unanswered for everything else."""
        try:
            answer = await self.open(
                method, url, headers=headers, body=body, trust=trust, timeout=timeout, counted=True
            )
            data = await answer.read(ANSWER_BYTES)
        except ClientError as error:
            raise Unanswered(str(error)) from None
        if not 200 <= answer.status < 300:
            raise Unanswered(f"{method} {url}: status code {answer.status}", answer.status)
        return data

    async def upgrade(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], trust: Trust = INSECURE
    ) -> "Upgrade":
        """Send a request to upgrade, with exactly these headers;
        `outbound.upgrade.UpgradeError` without an answer."""
        from pilothouse.outbound.upgrade import UpgradeError, upgrade

        try:
            context = self._context(trust)
        except ClientError as err:
            raise UpgradeError(f"error dialing backend: {err}") from None
        return await upgrade(
            self.dialer, self.line, method, url, headers, context=context, server_name=trust.server_name
        )

    @property
    def line(self) -> Line:
        """The line in which connections wait for the turn in which their answers are read."""
        if self._line is None:
            self._line = Line(asyncio.get_running_loop())
        return self._line

    async def _request(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, trust: Trust
    ) -> Answer:
        import aiohttp
        from multidict import CIMultiDict
        from yarl import URL

        context, session, users = self._context(trust), self._open_session(), self._users
        users.add(asyncio.current_task())
        try:
            response = await session.request(
                method,
                URL(url, encoded=True),
                headers=CIMultiDict(headers),
                data=body or None,
                ssl=context if url.startswith("https:") else True,
                server_hostname=trust.server_name or None,
                allow_redirects=False,
            )
        except (DialError, aiohttp.ClientError, OSError, ValueError) as err:
            said = "EOF" if was_closed_idle(err) else str(err)
            raise ClientError(said or type(err).__name__) from err
        answer = Answer(response)
        length = answer.header("Content-Length")
        if length and int(length) >= LONGEST:
            answer.close()
            raise ClientError(f"{BROKEN}: bad Content-Length {quote(length)}")
        users.add(answer)
        return answer

    def _context(self, trust: Trust) -> ssl.SSLContext:
        """The TLS context of a trust, made anew when the files of our certificate have been replaced."""
        known, stamp = self._contexts.get(trust), trust.stamp()
        fits = known is not None and known[0] == stamp
        self._metrics.transport_calls.inc("hit" if fits else "miss")
        if known is None or not fits:
            if len(self._contexts) >= 256:
                self._contexts.clear()
            known = self._contexts[trust] = stamp, trust.context()
        return known[1]

    def _open_session(self) -> "aiohttp.ClientSession":
        import aiohttp

        from pilothouse.outbound.connector import BUFFER, Connector

        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=Connector(self.dialer, self.line),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                read_bufsize=BUFFER,
                max_line_size=1 << 16,
                max_field_size=1 << 20,
            )
        return self._session

    @property
    def contexts(self) -> int:
        """How many TLS contexts are kept."""
        return len(self._contexts)

    async def renew(self) -> None:
        """Open new connections for the requests to come. Those that are under way keep theirs."""
        if self._session is not None:
            self._former.append((self._session, self._users))
            self._session, self._users = None, WeakSet()
        former, self._former = self._former, [one for one in self._former if one[1]]
        for session, users in former:
            if not users:
                await session.close()

    async def close(self) -> None:
        """Close all connections."""
        former, self._former = self._former, []
        for session in [*(one for one, _ in former), self._session]:
            if session is not None:
                await session.close()
        self._session = None


def joined(headers: Sequence[tuple[str, str]], more: spans.Headers) -> Sequence[tuple[str, str]]:
    """Headers with those of `more`, which replace others of the same name."""
    if not more:
        return headers
    names = {name for name, _ in more}
    return [*((name, value) for name, value in headers if name.lower() not in names), *more]


def _attributes(method: str, url: str) -> dict[str, spans.Value]:
    """The attributes that otelhttp gives a request that is sent (semantic conventions for HTTP clients)."""
    parts = urlsplit(url)
    out: dict[str, spans.Value] = {
        "http.request.method": method,
        "url.full": url,
        "server.address": parts.hostname or "",
        "network.protocol.version": "1.1",
    }
    if parts.port is not None:
        out["server.port"] = parts.port
    return out


def was_closed_idle(err: BaseException | None) -> bool:
    """Whether the other side closed the connection before it answered anything, or `err` comes from that."""
    cause = err.__cause__ if isinstance(err, ClientError) else err
    if cause is None:
        return False
    import aiohttp

    return isinstance(cause, aiohttp.ServerDisconnectedError)
