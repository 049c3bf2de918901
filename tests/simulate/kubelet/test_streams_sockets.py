"""Exec, attach and port-forward of simulated pods by WebSockets."""

import json
from urllib.parse import quote

from endpoints.upgrades import SOCKET, connected, messages
from server.duplexes import frame
from simulate.simulated import PODS, Simulated, on_node, said

from pilothouse.endpoints.streams.local_forward import PROTOCOL
from pilothouse.outbound import spdy
from pilothouse.simulate.clock import Clock

ONLY = "nodes,kubelet"
TEXT, BINARY, CLOSE = 1, 2, 8
STDOUT, ERROR = b"\x01", b"\x03"
V5 = {**SOCKET, "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}
EXEC = f"{PODS}/a/exec?command=date&stdout=true"


async def test_a_command_writes_and_ends_as_annotations_say(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(exec_output="now", exec_exit_code="7"))
        await rig.settle()
        async with connected(rig, "GET", EXEC, V5) as (_, peer):
            begun, written, ended, closed = await messages(peer, 4)
        assert begun == (BINARY, STDOUT) and written == (BINARY, STDOUT + b"now\n")
        status = json.loads(ended[1].removeprefix(ERROR))
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
        assert closed == (CLOSE, b"\x03\xe8")


async def test_a_command_that_succeeds_says_so(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node())
        await rig.settle()
        async with connected(rig, "GET", EXEC, V5) as (_, peer):
            _, ended, _ = await messages(peer, 3)
        assert json.loads(ended[1].removeprefix(ERROR)) == {"metadata": {}, "status": "Success"}


async def test_what_cannot_be_connected_is_refused(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(start_after="5"))
        await rig.settle()
        assert await rig.fail(400, "GET", EXEC) == "Upgrade request required"
        spdy_headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
        assert "by WebSockets only" in await rig.fail(
            400, "POST", f"{PODS}/a/portforward", headers=spdy_headers
        )
        assert 'container not found ("c")' in await rig.fail(500, "GET", EXEC, headers=V5)
        await rig.pass_time(5)
        assert "by WebSockets only" in await rig.fail(400, "POST", EXEC, headers=spdy_headers)
        old = {**SOCKET, "Sec-WebSocket-Protocol": "channel.k8s.io"}
        assert (await rig.call("GET", EXEC, headers=old)).status == 403


async def test_an_attached_client_leaves_with_the_container(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        notes = said(exit_after="10", logs="before")
        await rig.create("a", spec=on_node(restartPolicy="Never"), annotations=notes)
        await rig.settle()
        async with connected(rig, "GET", f"{PODS}/a/attach?stdout=true", V5) as (_, peer):
            [begun] = await messages(peer, 1)
            assert begun == (BINARY, STDOUT)
            await rig.pass_time(10)
            ended, closed = await messages(peer, 2)
        assert json.loads(ended[1].removeprefix(ERROR))["status"] == "Success"
        assert closed[0] == CLOSE


async def test_a_forwarded_connection_gets_what_the_port_sends(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        containers = [
            {"name": "x", "image": "i", "ports": [{"containerPort": 80}]},
            {"name": "y", "image": "i", "ports": [{"containerPort": 81}]},
        ]
        notes = said(port_output__x="from x", port_output__y="from y")
        await rig.create("a", spec=on_node(containers=containers), annotations=notes)
        await rig.settle()
        headers = {**SOCKET, "Sec-WebSocket-Protocol": PROTOCOL}
        for number, (port, text) in enumerate((("80", b"from x"), ("81", b"from y"), ("9", b"from x"))):
            target = f"{PODS}/a/portforward?ports={quote(port)}"
            async with connected(rig, "GET", target, headers) as (_, peer):
                writer = spdy.FrameWriter()
                named = {"port": port, "requestid": str(number)}
                peer.send(frame(BINARY, writer.syn_stream(1, {"streamtype": "error", **named}, fin=True)))
                peer.send(frame(BINARY, writer.syn_stream(3, {"streamtype": "data", **named})))
                got = await messages(peer, 3)
                assert got[2] == (BINARY, b"".join(spdy.data_frames(3, text)))
                peer.send(frame(BINARY, next(spdy.data_frames(3, b"bye"))))
                data, error = await messages(peer, 2)
                assert data == (BINARY, next(spdy.data_frames(3, b"", fin=True)))
                assert error == (BINARY, next(spdy.data_frames(1, b"", fin=True)))
