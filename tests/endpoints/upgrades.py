"""Requests to upgrade over a rig: what the client sees, and its connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness import Rig
from server.duplexes import Peer, frames

from pilothouse.server.request import Response

SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@asynccontextmanager
async def connected(
    rig: Rig, method: str, target: str, headers: dict[str, str], user: str = "admin"
) -> AsyncIterator[tuple[Response, Peer]]:
    """The answer, which must be 101, and the client's connection."""
    response = await rig.respond(method, target, user=user, headers=headers)
    assert response.status == 101 and response.upgrade is not None, response.body
    peer = Peer()
    response.upgrade(peer.duplex)
    try:
        yield response, peer
    finally:
        peer.lose()
        assert response.on_done is not None
        response.on_done(0, None)


async def until(peer: Peer, data: bytes) -> bytes:
    """Wait until the client has got `data`, and return all that it has got."""
    while data not in peer.transport.sent:
        await asyncio.sleep(0.001)
    return peer.take()


async def messages(peer: Peer, count: int) -> list[tuple[int, bytes]]:
    """The next messages of a WebSocket."""
    while len(frames(peer.transport.sent)) < count:
        await asyncio.sleep(0.001)
    return frames(peer.take())
