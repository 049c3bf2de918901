"""Exec, attach and port-forward: which request the kubelet gets, and who may send it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints.upgrades import SOCKET, connected, messages, until
from harness import PODS, Rig
from server.duplexes import frame
from spdy_model import Frame, Model
from streaming_kubelet import StreamingKubelet

from pilothouse.outbound import spdy

SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}
V5 = {**SOCKET, "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}
TUNNEL = {**SOCKET, "Sec-WebSocket-Protocol": "SPDY/3.1+portforward.k8s.io"}
BINARY = 2


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[StreamingKubelet]:
    with StreamingKubelet(tmp_path) as kubelet:
        yield kubelet


async def fill(rig: Rig, port: int, *pods: str, features: tuple[str, ...] = ()) -> None:
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "declaredFeatures": list(features),
    }
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}, "status": status})
    for name in pods:
        spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
        await rig.ok("POST", PODS, {"metadata": {"name": name}, "spec": spec})


async def test_a_websocket_of_version_5_is_translated(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    query = "command=sh&command=-c&command=cat%3Bexit+3&stdin=1&stdout=1"
    async with connected(rig, "GET", f"{PODS}/a/exec?{query}", V5) as (response, peer):
        assert ("Sec-WebSocket-Protocol", "v5.channel.k8s.io") in response.headers
        peer.send(frame(BINARY, b"\x00in"), frame(BINARY, b"\xff\x00"))
        first, out, end, _ = await messages(peer, 4)
        assert (first, out) == ((BINARY, b"\x01"), (BINARY, b"\x01in"))
        assert json.loads(end[1][1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    ((method, target, headers),) = kubelet.requests
    assert method == "POST"
    assert target == "/exec/default/a/c?command=sh&command=-c&command=cat%3Bexit+3&error=1&input=1&output=1"
    assert [v for n, v in headers if n == "x-stream-protocol-version"][:2] == [
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
    ]
    assert "authorization" not in dict(headers)


@pytest.mark.parametrize(
    ("method", "headers", "features"),
    [
        ("POST", SPDY, ()),
        ("POST", SPDY, ("ExtendWebSocketsToKubelet",)),
        ("GET", V5, ("ExtendWebSocketsToKubelet", "Other")),
        ("GET", {**SOCKET, "Sec-WebSocket-Protocol": "v4.channel.k8s.io"}, ()),
        ("GET", {**SOCKET, "Sec-WebSocket-Protocol": "base64.channel.k8s.io"}, ()),
        ("GET", SOCKET, ()),
    ],
)
async def test_all_else_goes_to_the_kubelet_as_it_is(
    rig: Rig, kubelet: StreamingKubelet, method: str, headers: dict[str, str], features: tuple[str, ...]
) -> None:
    await fill(rig, kubelet.port, "a", features=features)
    sent = {
        **headers,
        "X-Mine": "yes",
        "Impersonate-User": "admin",
        "Impersonate-Group": "system:masters",
        "X-Remote-User": "no",
        "X-Forwarded-For": "10.9.9.9",
    }
    async with connected(rig, method, f"{PODS}/a/attach?stdin=1&tty=1", sent) as (response, _):
        ((got_method, target, got),) = kubelet.requests
        assert (got_method, target) == (method, "/attach/default/a/c?error=1&input=1&output=1&tty=1")
        seen = {name: value for name, value in got if name != "audit-id"}
        expected = {n.lower(): v for n, v in headers.items()}
        assert seen.pop("host") == f"127.0.0.1:{kubelet.port}"
        assert seen.pop("x-forwarded-for") == "10.9.9.9,"
        assert seen == {**expected, "x-mine": "yes"}
        back = {name.lower(): value for name, value in response.headers}
        assert back["upgrade"].lower() == headers["Upgrade"].lower()
        if headers is SPDY:
            assert back["x-stream-protocol-version"] == "v4.channel.k8s.io"
        if "Sec-WebSocket-Protocol" in headers:
            assert back["sec-websocket-protocol"] == headers["Sec-WebSocket-Protocol"]


async def test_a_token_is_not_passed_on(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    token = "base64url.bearer.authorization.k8s.io.YWRtaW4"
    offered = {**SOCKET, "Sec-WebSocket-Protocol": f"{token}, v4.channel.k8s.io"}
    async with connected(rig, "GET", f"{PODS}/a/attach", offered, user="") as (response, _):
        assert ("Sec-WebSocket-Protocol", "v4.channel.k8s.io") in response.headers
    ((_, _, headers),) = kubelet.requests
    assert dict(headers)["sec-websocket-protocol"] == "v4.channel.k8s.io"


async def test_port_forward_within_a_websocket(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with connected(rig, "GET", f"{PODS}/a/portforward?ports={port}&ports=81", TUNNEL) as (
        response,
        peer,
    ):
        assert ("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io") in response.headers
        writer, reader = spdy.FrameWriter(), Model()
        named = {"port": str(port), "requestid": "0"}
        opened = writer.syn_stream(1, {"streamtype": "error", **named})
        opened += writer.syn_stream(3, {"streamtype": "data", **named})
        peer.send(frame(BINARY, opened[:30]), frame(BINARY, opened[30:]))
        found: list[Frame] = []
        while not any(f.fin and f.stream == 3 for f in found):
            for _, data in await messages(peer, 1):
                found += reader.feed(data)
        said = b"".join(f.data for f in found if f.stream == 1)
        assert said.startswith(b"an error occurred forwarding")
    ((method, target, headers),) = kubelet.requests
    assert (method, target) == ("POST", f"/portForward/default/a?port={port}%2C81")
    seen = dict(headers)
    assert (seen["upgrade"], seen["x-stream-protocol-version"]) == ("SPDY/3.1", "portforward.k8s.io")
    assert not any(name.startswith("sec-websocket") for name in seen)


async def test_a_kubelet_takes_the_tunnel_itself(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a", features=("ExtendWebSocketsToKubelet",))
    async with connected(rig, "GET", f"{PODS}/a/portforward", TUNNEL):
        ((method, _, headers),) = kubelet.requests
        assert (method, dict(headers)["upgrade"]) == ("GET", "websocket")


async def test_what_the_kubelet_refuses(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "missing")
    for path, headers in (("attach", SPDY), ("portforward", TUNNEL)):
        answer = await rig.call(
            "POST" if headers is SPDY else "GET", f"{PODS}/missing/{path}", headers=headers
        )
        assert (answer.status, answer.body) == (404, 'container not found ("c")')
        assert answer.headers["content-type"].startswith("text/plain")
    refused = {**SPDY, "X-Stream-Protocol-Version": "v9.channel.k8s.io"}
    await rig.ok(
        "POST",
        PODS,
        {"metadata": {"name": "a"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}},
    )
    answer = await rig.call("POST", f"{PODS}/a/attach", headers=refused)
    assert answer.status == 403
    assert "x-accepted-stream-protocol-versions" in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"), [("attach", SPDY), ("portforward", TUNNEL), ("portforward", SPDY)]
)
async def test_a_kubelet_that_is_away(rig: Rig, path: str, headers: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    await fill(rig, port, "a")
    method = "GET" if headers is TUNNEL else "POST"
    message = await rig.fail(500, method, f"{PODS}/a/{path}", headers=headers)
    assert message == f"error dialing backend: dial tcp 127.0.0.1:{port}: connect: connection refused"


async def test_a_kubelet_that_is_away_is_told_by_the_error_channel(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    await fill(rig, port, "a")
    async with connected(rig, "GET", f"{PODS}/a/exec?command=ls", V5) as (_, peer):
        _, (_, told), _ = await messages(peer, 3)
        assert json.loads(told[1:])["message"] == (
            f'Internal error occurred: error sending request: Post "https://127.0.0.1:{port}/exec/default/a/c'
            f'?command=ls&error=1&output=1": dial tcp 127.0.0.1:{port}: connect: connection refused'
        )


async def test_who_connects_by_get_must_be_allowed_to_create(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"

    async def allow(verb: str) -> None:
        rules = [{"apiGroups": [""], "resources": ["pods/exec", "pods/attach"], "verbs": [verb]}]
        await rig.ok("POST", f"{rbac}/roles", {"metadata": {"name": verb}, "rules": rules})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": verb}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
        binding = {"metadata": {"name": verb}, "roleRef": reference, "subjects": [subject]}
        await rig.ok("POST", f"{rbac}/rolebindings", binding)

    await allow("get")
    for headers in (V5, {**SOCKET, "Sec-WebSocket-Protocol": "v4.channel.k8s.io"}):
        for path in ("exec", "attach"):
            message = await rig.fail(403, "GET", f"{PODS}/a/{path}", user="jane", headers=headers)
            assert message == 'pods "a" is forbidden: '
    await rig.fail(403, "POST", f"{PODS}/a/exec", user="jane", headers=SPDY)
    assert kubelet.requests == []
    await allow("create")
    async with connected(rig, "GET", f"{PODS}/a/attach", V5, user="jane"):
        pass
    async with connected(rig, "POST", f"{PODS}/a/attach", SPDY, user="jane"):
        pass


async def test_requests_that_are_malformed(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    assert await rig.fail(400, "GET", f"{PODS}/a/exec") == "Upgrade request required"
    assert (await rig.call("GET", f"{PODS}/a/exec", headers={**V5, "Sec-WebSocket-Key": "x"})).status == 400
    assert (
        await rig.call("GET", f"{PODS}/a/exec", headers={**V5, "Sec-WebSocket-Version": "8"})
    ).status == 400


async def test_the_client_leaves_before_it_is_told(rig: Rig, kubelet: StreamingKubelet) -> None:
    """The answer of the kubelet is there, the client is not: its connection must not stay."""
    await fill(rig, kubelet.port, "a")
    for method, path, headers in (("POST", "attach", SPDY), ("GET", "portforward", TUNNEL)):
        response = await rig.respond(method, f"{PODS}/a/{path}", headers=headers)
        assert response.status == 101 and response.on_done is not None
        assert kubelet.open == 1
        response.on_done(0, ConnectionResetError())
        await kubelet.left()


def longrunning(text: str) -> set[str]:
    """The gauge of requests that run long, for exec."""
    lines = [line for line in text.splitlines() if line.startswith("apiserver_longrunning_requests{")]
    return {line.rpartition(" ")[2] for line in lines if 'subresource="exec"' in line}


async def test_sessions_are_counted(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    async with connected(rig, "GET", f"{PODS}/a/exec?command=true", V5) as (_, peer):
        assert longrunning(await rig.ok("GET", "/metrics")) == {"1"}
        await messages(peer, 3)
    async with connected(rig, "GET", f"{PODS}/a/portforward", TUNNEL):
        pass
    await rig.call("GET", f"{PODS}/a/exec", headers={**V5, "Sec-WebSocket-Key": "x"})
    text = await rig.ok("GET", "/metrics")
    assert longrunning(text) <= {"0"}
    for line in (
        'apiserver_stream_translator_requests_total{code="200"} 1',
        'apiserver_stream_translator_requests_total{code="400"} 1',
        'apiserver_stream_tunnel_requests_total{code="101"} 1',
        (
            "apiserver_websocket_streaming_requests_total"
            '{proxy_type="translated_at_apiserver",subresource="exec"} 2'
        ),
        (
            "apiserver_websocket_streaming_requests_total"
            '{proxy_type="translated_at_apiserver",subresource="portforward"} 1'
        ),
    ):
        assert line in text.splitlines(), line


async def test_bytes_before_and_after_the_head(rig: Rig, kubelet: StreamingKubelet) -> None:
    await fill(rig, kubelet.port, "a")
    async with connected(rig, "POST", f"{PODS}/a/exec?command=cat&stdin=1", SPDY) as (_, peer):
        writer, reader = spdy.FrameWriter(), Model()
        for number, name in enumerate(("error", "stdin", "stdout", "stderr")):
            peer.send(writer.syn_stream(2 * number + 1, {"streamtype": name}))
        peer.send(*spdy.data_frames(3, b"through", fin=True))
        got = await until(peer, b"Success")
        found = list(reader.feed(got))
        assert b"".join(bytes(f.data) for f in found if f.stream == 5) == b"through"
