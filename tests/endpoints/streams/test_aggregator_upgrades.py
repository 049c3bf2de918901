"""Upgrades that aggregated servers grant: passed on with the user's name, both ways."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from backend import Backend, own_address
from endpoints.streams.test_aggregator import APISERVICES, api_service, condition, following, metrics, service
from endpoints.upgrades import SOCKET, connected, messages
from harness import Rig
from server.duplexes import frame

ADDRESS = own_address()
PATH = "/apis/metrics.k8s.io/v1beta1/nodes/a/console"
__all__ = ["following"]

pytestmark = pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")


async def speaks(request: Any) -> Any:
    """Greets a WebSocket and sends back what comes; refuses some."""
    if "/refused" in request.path:
        return web.Response(status=403, text="not you")
    if "/moved" in request.path:
        return web.Response(status=302, headers={"Location": "/there"})
    if request.headers.get("Upgrade", "") != "websocket":
        return await metrics(request)
    socket = web.WebSocketResponse(protocols=("console",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data.upper())
    return socket


async def test_upgrades_go_to_the_backend(rig: Rig, following: Any, tmp_path: Path) -> None:
    async with Backend(tmp_path, speaks, ("m.default.svc",), ADDRESS) as backend:
        await service(rig, backend)
        await rig.ok("POST", APISERVICES, api_service(backend))
        await condition(rig, "Passed")
        backend.requests.clear()
        offered = {**SOCKET, "Sec-WebSocket-Protocol": "console", "X-Remote-User": "somebody"}
        async with connected(rig, "GET", PATH, offered) as (response, peer):
            assert ("Sec-WebSocket-Protocol", "console") in response.headers
            peer.send(frame(2, b"hello"))
            assert await messages(peer, 1) == [(2, b"HELLO")]
        headers = next(headers for _, path, headers, _ in backend.requests if path == PATH)
        assert headers["x-remote-user"] == ["admin"] and "authorization" not in headers
        refused = await rig.call("GET", f"{PATH}/refused", headers=offered)
        assert (refused.status, refused.body) == (403, "not you")
        moved = await rig.call("GET", f"{PATH}/moved", headers=offered)
        assert (moved.status, moved.body) == (503, "invalid upgrade response: status code 302\n")
    away = await rig.call("GET", PATH, headers=offered)
    assert away.status == 503 and away.body.startswith("error dialing backend: dial tcp ")
