"""Logs over WebSockets."""

import base64
from pathlib import Path

import pytest
from backend import Backend
from endpoints.upgrades import SOCKET, connected, messages
from harness import PODS, Rig
from kubelets import LONG, kubelet, node, pod
from server.duplexes import Peer, frames

TEXT, BINARY, CLOSE = 1, 2, 8


@pytest.mark.parametrize("protocol", ["", "binary.k8s.io", "base64.binary.k8s.io"])
async def test_a_log_in_messages(rig: Rig, tmp_path: Path, protocol: str) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "a")
        headers = {**SOCKET, "Sec-WebSocket-Protocol": protocol} if protocol else SOCKET
        async with connected(rig, "GET", f"{PODS}/a/log", headers) as (_, peer):
            first, line, end = await messages(peer, 3)
            coded = protocol.startswith("base64")
            assert first == (TEXT if coded else BINARY, b"")
            assert (base64.b64decode(line[1]) if coded else line[1]) == b"hello\n"
            assert end == (CLOSE, b"\x03\xe8")


async def test_a_log_waits_for_a_slow_client(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "long")
        response = await rig.respond("GET", f"{PODS}/long/log", headers=SOCKET)
        peer = Peer(room=100_000)
        response.upgrade(peer.duplex)
        while not peer.duplex.blocked or len(peer.transport.sent) < 1 << 20:
            await rig.settle()
        for _ in range(50):
            await rig.settle()
        assert len(peer.transport.sent) < LONG * 2 // 3
        while not peer.closed:
            peer.transport.drain()
            await rig.settle()
        sent = frames(peer.take())
        assert sum(len(data) for opcode, data in sent if opcode == BINARY) == LONG
        peer.lose()
        response.on_done(0, None)


async def test_a_subprotocol_that_logs_do_not_have(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "a")
        headers = {**SOCKET, "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}
        assert (await rig.call("GET", f"{PODS}/a/log", headers=headers)).status == 403
