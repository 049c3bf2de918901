"""The proxy of `pilothouse console`: an address on the loopback for one browser, with a kubeconfig's rights.

The first part of each path is a secret. Other pages and other users of the host do not know it, so they
cannot send requests. An answer that is not of the console itself gets no scripts: a page of a pod would read
the secret in its own address.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    TCPConnector,
    WSMsgType,
    WSServerHandshakeError,
    web,
)
from multidict import CIMultiDict
from yarl import URL

from pilothouse.outbound.kubeconfig import Kubeconfig

HOST = "127.0.0.1"
CONSOLE = "console/"
FILE = re.compile(r"console/([\w-]+\.\w+)?")
"""The paths of the console's own files."""
HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Headers of one connection (RFC 9110, 7.6.1)."""
BROWSERS = frozenset(("authorization", "cookie", "host", "origin", "proxy-authorization", "referer"))
"""Headers that are about the browser's page or its user: the server sees a client that is no browser."""
NO_SCRIPTS = "sandbox"
"""The Content-Security-Policy of all answers but the console's."""


class ConsoleProxy:
    """Passes requests on to the server of a kubeconfig, if their path begins with the secret."""

    def __init__(self, config: Kubeconfig, secret: str) -> None:
        self._config = config
        self._secret = secret
        self._session: ClientSession

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[str]:
        """Serve on a port of the loopback within the block; the address of the console."""
        connector = TCPConnector(ssl=self._config.trust.context(), limit=0)
        timeout = ClientTimeout(total=None, sock_connect=30)
        async with ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as self._session:
            runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.5)
            await runner.setup()
            try:
                await web.TCPSite(runner, HOST, port).start()
                yield f"http://{HOST}:{runner.addresses[0][1]}/{self._secret}/{CONSOLE}"
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        secret, _, path = request.raw_path.removeprefix("/").partition("/")
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return web.Response(
                status=404, text="404: the address that the command has told is a longer one\n"
            )
        target = URL(f"{self._config.server.rstrip('/')}/{path}", encoded=True)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, target)
            return await self._request(request, target, own=bool(FILE.fullmatch(path.partition("?")[0])))
        except WSServerHandshakeError as error:
            return web.Response(status=error.status)
        except (ClientError, OSError) as error:
            return web.Response(status=502, text=f"{self._config.server}: {error}\n")

    def _sent(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """The headers of a request to the server, and the name by which it is trusted."""
        kept = CIMultiDict((name, value) for name, value in headers.items() if _goes_on(name))
        kept.extend(self._config.headers)
        return {"headers": kept, "server_hostname": self._config.trust.server_name or None}

    async def _request(self, request: web.BaseRequest, target: URL, *, own: bool) -> web.StreamResponse:
        body = request.content if request.body_exists else None
        sent = self._sent(request.headers)
        async with self._session.request(
            request.method,
            target,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent",),
            **sent,
        ) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP]
            out = web.StreamResponse(status=answer.status, reason=answer.reason, headers=CIMultiDict(kept))
            if not own:
                out.headers["Content-Security-Policy"] = NO_SCRIPTS
            await out.prepare(request)
            async for part in answer.content.iter_any():
                await out.write(part)
            await out.write_eof()
            return out

    async def _websocket(self, request: web.BaseRequest, target: URL) -> web.StreamResponse:
        offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        sent = self._sent({})
        async with self._session.ws_connect(target, protocols=offered, max_msg_size=0, **sent) as there:
            here = web.WebSocketResponse(protocols=[there.protocol] if there.protocol else (), max_msg_size=0)
            await here.prepare(request)
            ways = [asyncio.create_task(_pass_on(*ends)) for ends in ((here, there), (there, here))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await here.close()
            return here


def _goes_on(name: str) -> bool:
    """Whether a header of the browser is passed on to the server."""
    known = name.lower()
    return known not in HOP and known not in BROWSERS and not known.startswith("sec-")


async def _pass_on(source: Any, target: Any) -> None:
    """Pass the messages of a WebSocket on until it ends."""
    with suppress(ConnectionError):
        async for message in source:
            if message.type is WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await target.send_bytes(message.data)
