"""Watches over WebSockets."""

import json

import pytest
from endpoints.upgrades import SOCKET, connected
from harness import CONFIG_MAPS, Rig, config_map
from server.duplexes import Peer, frame, frames

TEXT, BINARY, CLOSE = 1, 2, 8
WATCH = f"{CONFIG_MAPS}?watch=1"


def seen(sent: list[tuple[int, bytes]]) -> list[tuple[str, str]]:
    """The events of text messages as pairs of type and name."""
    assert {opcode for opcode, _ in sent} <= {TEXT}
    events = [json.loads(data) for _, data in sent]
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


@pytest.mark.parametrize("protocol", ["", "binary.k8s.io", "base64.binary.k8s.io", "whatever"])
async def test_each_event_is_a_text_message(rig: Rig, protocol: str) -> None:
    """The subprotocol is chosen and has no effect, as upstream."""
    await rig.config_map("a")
    headers = {**SOCKET, "Sec-WebSocket-Protocol": protocol} if protocol else SOCKET
    async with connected(rig, "GET", WATCH, headers) as (response, peer):
        chosen = [value for name, value in response.headers if name == "Sec-WebSocket-Protocol"]
        assert chosen == ([protocol] if protocol else [])
        await rig.config_map("b")
        await rig.ok("DELETE", f"{CONFIG_MAPS}/a")
        sent = frames(peer.take())
        assert seen(sent) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
        assert all(data.endswith(b"}\n") for _, data in sent)


async def test_events_in_protobuf_are_binary_messages(rig: Rig) -> None:
    accept = {"Accept": "application/vnd.kubernetes.protobuf;stream=watch"}
    plain = await rig.watch(WATCH, headers=accept)
    async with connected(rig, "GET", WATCH, {**SOCKET, **accept}) as (_, peer):
        await rig.config_map("a")
        ((opcode, data),) = frames(peer.take())
        assert opcode == BINARY
        assert plain.data == len(data).to_bytes(4, "big") + data, "without the length"


async def test_tables_and_converted_events(rig: Rig) -> None:
    accept = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    async with connected(rig, "GET", WATCH, {**SOCKET, **accept}) as (_, peer):
        await rig.config_map("a")
        ((opcode, data),) = frames(peer.take())
        assert opcode == TEXT and json.loads(data)["object"]["kind"] == "Table"


async def test_the_end_of_a_watch(rig: Rig) -> None:
    async with connected(
        rig,
        "GET",
        f"{WATCH}&resourceVersion=1000000&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        SOCKET,
    ) as (_, peer):
        (opcode, data), closing = frames(peer.take())
        assert opcode == TEXT and json.loads(data)["type"] == "ERROR"
        assert closing == (CLOSE, b"\x03\xe8") and peer.closed


async def test_watchers_leave_with_their_socket(rig: Rig) -> None:
    async with connected(rig, "GET", WATCH, SOCKET) as (_, peer):
        peer.send(frame(TEXT, b"nobody reads it"), frame(9, b"p"))
        assert frames(peer.take()) == [(10, b"p")]
        peer.send(frame(CLOSE, b"\x03\xe8"))
        assert frames(peer.take()) == [(CLOSE, b"\x03\xe8")]
        peer.lose()
        await rig.config_map("a")
        assert peer.take() == b""


async def test_a_slow_client_gets_every_event_or_is_ended(rig: Rig) -> None:
    response = await rig.respond("GET", f"{WATCH}&allowWatchBookmarks=true", headers=SOCKET)
    peer = Peer(room=100_000)
    response.upgrade(peer.duplex)
    for number in range(15):
        await rig.config_map(f"big-{number}", data={"k": "x" * 200_000})
    held = len(peer.transport.sent)
    assert held < 3_000_000, "the rest waits as references to shared events"
    for _ in range(60):
        peer.transport.drain()
        await rig.settle()
    (_, began), *got = frames(peer.take())
    assert b"k8s.io/initial-events-end" in began
    assert [name for _, name in seen(got)] == [f"big-{n}" for n in range(15)]
    for number in range(60):
        await rig.config_map(f"huge-{number}", data={"k": "x" * 500_000})
    *events, end = frames(peer.take())
    assert end == (CLOSE, b"\x03\xe8")
    assert json.loads(events[-1][1])["type"] == "BOOKMARK", "it may resume"
    peer.lose()
    response.on_done(0, None)


async def test_several_subprotocols_are_one_too_many(rig: Rig) -> None:
    headers = {**SOCKET, "Sec-WebSocket-Protocol": "a, b"}
    assert (await rig.call("GET", WATCH, headers=headers)).status == 400
    token = "base64url.bearer.authorization.k8s.io.YWRtaW4"
    headers = {**SOCKET, "Sec-WebSocket-Protocol": f"a, {token}"}
    async with connected(rig, "GET", WATCH, headers, user="") as (response, _):
        assert ("Sec-WebSocket-Protocol", "a") in response.headers


async def test_a_list_is_no_watch(rig: Rig) -> None:
    answer = await rig.call("GET", CONFIG_MAPS, headers=SOCKET)
    assert answer.status == 200 and answer.body["kind"] == "ConfigMapList"
    await rig.ok("POST", CONFIG_MAPS, config_map("a"))
    assert (await rig.call("GET", f"{CONFIG_MAPS}/a", headers=SOCKET)).status == 200
