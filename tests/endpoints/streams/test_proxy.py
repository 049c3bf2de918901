"""Proxies of nodes, pods and services, with a real TLS server as kubelet."""

import ast
import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from backend import Backend, own_address
from endpoints.upgrades import connected, until
from eventually import aeventually
from harness import PODS, Rig, plug
from kubelets import kubelet, node, pod

from pilothouse import errors
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.endpoints.streams import proxy

ADDRESS = own_address()


class Elsewhere(AdmissionPlugin):
    """Changes the path of a proxy."""

    def wants(self, a: Any) -> bool:
        return a.operation == "CONNECT"

    def mutate(self, a: Any) -> dict[str, Any]:
        return {**a.obj, "path": "/else where"}


async def test_streams_want_a_host(rig: Rig) -> None:
    await pod(rig, "two", "", ("a", "b"))
    assert (
        await rig.fail(400, "POST", f"{PODS}/two/exec?container=a") == "pod two does not have a host assigned"
    )


async def test_streams_want_an_upgrade(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "a")
        for path in ("exec?command=ls", "attach", "portforward"):
            assert await rig.fail(400, "POST", f"{PODS}/a/{path}") == "Upgrade request required"
        assert (await rig.call("DELETE", f"{PODS}/a/exec")).status == 405
        assert (await rig.call("POST", f"{PODS}/a/log")).status == 405


@pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")
async def test_the_proxy_of_a_service(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet, address=ADDRESS) as backend:
        services, slices = (
            "/api/v1/namespaces/default/services",
            "/apis/discovery.k8s.io/v1/namespaces/default",
        )
        ports = [{"name": "https", "port": 443}]
        await rig.ok("POST", services, {"metadata": {"name": "s"}, "spec": {"ports": ports}})
        assert (await rig.call("GET", f"{services}/s:https/proxy/")).status == 404
        assert (
            await rig.fail(503, "GET", f"{services}/s:80/proxy/")
            == 'no service port 80 found for service "s"'
        )
        slice_ = {
            "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": backend.port}],
        }
        await rig.ok("POST", f"{slices}/endpointslices", slice_)
        answer = await rig.call("PUT", f"{services}/https:s:443/proxy/a%20b/?x=1", b"data")
        assert (answer.status, answer.headers["x-of"]) == (201, "kubelet")
        method, path, headers, body = backend.requests[0]
        assert (method, path, body) == ("PUT", "/a%20b/?x=1", b"data")
        root = f"{services}/https:s:443/proxy"
        assert headers["x-forwarded-uri"] == [f"{root}/a%20b/"]
        moved = await rig.call("GET", f"{root}/moved", headers={"Host": "api"})
        assert (moved.status, moved.headers["location"]) == (302, f"{root}/there?x=1")
        bare = await rig.call("GET", f"{root}?x=1")
        assert (bare.status, bare.headers["location"]) == (301, f"{root}/?x=1")
        plug(rig.chain, Elsewhere())
        await rig.call("GET", f"{root}/here?x=1")
        assert backend.requests[-1][1] == "/else%20where?x=1", "as a plugin has it"


@pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")
async def test_links_of_a_page_lead_through_the_proxy(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet, address=ADDRESS) as backend:
        await pod(rig, "w")
        made = await rig.ok("GET", f"{PODS}/w")
        made["status"] = {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
        await rig.ok("PUT", f"{PODS}/w/status", made)
        root = f"{PODS}/https:w:{backend.port}/proxy"
        page = await rig.call("GET", f"{root}/page/")
        assert page.body == f'<a href="{root}/x">\n<p>'
        assert page.headers["x-of"] == "pod"
        assert not [name for name in page.headers if name.startswith("access-control")]
        assert page.headers.keys().isdisjoint(("service-worker-allowed", "clear-site-data")), (
            "of the whole origin"
        )
        packed = await rig.respond("GET", f"{root}/page/?gzip=1")
        assert isinstance(packed.body, bytes) and gzip.decompress(packed.body) == page.body.encode()
        assert ("Content-Encoding", "gzip") in packed.headers
        plain = await rig.call("GET", f"{root}/page/?type=text/plain")
        assert plain.body == "<a href='/x'>\n<p>"
        assert (await rig.call("HEAD", f"{root}/page/")).status == 200
        size = 2 << 20
        stream = (await rig.call("GET", f"{root}/page/?size={size}")).stream
        assert stream is not None
        await aeventually(lambda: stream.closed, "the whole page")
        assert stream.data == page.body.encode() + b"x" * size


async def test_nodes_on_this_host_are_no_targets(rig: Rig, tmp_path: Path) -> None:
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        assert await rig.fail(400, "GET", "/api/v1/nodes/n1/proxy/healthz") == "address not allowed"
    assert await rig.fail(404, "GET", "/api/v1/nodes/x/proxy/healthz") == 'nodes "x" not found'


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ("", "a", "")),
        ("a:1", ("", "a", "1")),
        ("https:a:", ("https", "a", "")),
        (":a:x", ("", "a", "x")),
    ],
)
def test_names_of_targets(text: str, parts: tuple[str, str, str]) -> None:
    assert proxy.split(text, "pod") == parts


@pytest.mark.parametrize("text", ["a:b:c:d", "", "ftp:a:1", ":1"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(errors.BadRequest, match="invalid pod request"):
        proxy.split(text, "pod")


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::127.0.0.1"])
async def test_a_node_pod_or_service_leads_to_no_disguised_loopback(rig: Rig, address: str) -> None:
    made = await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n9"}})
    made["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
    await rig.ok("PUT", "/api/v1/nodes/n9/status", made)
    for path in ("n9/proxy/", "n9:80/proxy/", "https:n9:10250/proxy/"):
        assert await rig.fail(400, "GET", f"/api/v1/nodes/{path}") == "address not allowed"


@pytest.mark.parametrize(
    "port", ["80@127.0.0.1", "80%40127.0.0.1", "%4010.0.0.9", "http", "80%23", "80%3F", "-1"]
)
async def test_a_port_leads_nowhere_else(rig: Rig, port: str) -> None:
    made = await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n8"}})
    made["status"] = {"addresses": [{"type": "InternalIP", "address": "198.51.100.1"}]}
    await rig.ok("PUT", "/api/v1/nodes/n8/status", made)
    made = await rig.ok(
        "POST", PODS, {"metadata": {"name": "w"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    made["status"] = {"podIPs": [{"ip": "198.51.100.1"}], "podIP": "198.51.100.1"}
    await rig.ok("PUT", f"{PODS}/w/status", made)
    for path in (f"/api/v1/nodes/n8:{port}/proxy/", f"{PODS}/w:{port}/proxy/"):
        assert "no such host" in await rig.fail(503, "GET", path)


async def test_ports_of_a_service_that_are_no_numbers_are_names(rig: Rig) -> None:
    services = "/api/v1/namespaces/default/services"
    await rig.ok("POST", services, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 443}]}})
    for port in ("%C2%B2", "--5", "9" * 5000, "+", "x"):
        assert (await rig.call("GET", f"{services}/s:{port}/proxy/")).status == 404
    assert "no service port -5 found" in await rig.fail(503, "GET", f"{services}/s:-5/proxy/")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An application with a protocol of its own: greets, and sends back what comes."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if "/refused" in head:
        writer.write(b"HTTP/1.1 429 Slow down\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno")
    elif "/moved" in head:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
    else:
        first, *lines = head.lower().split("\r\n")
        kept = sorted(line for line in lines if line.startswith(("x-", "sec-", "upgrade", "cookie")))
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: speech\r\nX-App: 1\r\n\r\n"
        )
        writer.write(repr([first, *kept]).encode())
        while data := await reader.read(1 << 16):
            writer.write(data.upper())
            await writer.drain()
    writer.close()


@pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")
@pytest.mark.parametrize("what", ["pods", "services"])
async def test_applications_may_upgrade(rig: Rig, what: str) -> None:
    server = await asyncio.start_server(echo, ADDRESS, 0)
    port = server.sockets[0].getsockname()[1]
    base = "/api/v1/namespaces/default"
    await pod(rig, "a", "")
    live = await rig.ok("GET", f"{PODS}/a")
    await rig.ok(
        "PUT", f"{PODS}/a/status", {**live, "status": {"podIPs": [{"ip": ADDRESS}], "podIP": ADDRESS}}
    )
    await rig.ok("POST", f"{base}/services", {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}})
    slice_ = {
        "metadata": {"name": "a-1", "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": port}],
    }
    await rig.ok("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice_)
    root = f"{base}/{what}/a:{port if what == 'pods' else 80}/proxy"
    asked = {
        "Connection": "upgrade",
        "Upgrade": "speech",
        "X-Mine": "1",
        "X-Remote-User": "no",
        "Cookie": "c=1",
    }
    try:
        for method in ("GET", "POST"):
            async with connected(rig, method, f"{root}/chat?x=1", asked) as (response, peer):
                assert ("X-App", "1") in response.headers and ("Upgrade", "speech") in response.headers
                told = ast.literal_eval((await until(peer, b"]")).decode())
                assert told[:3] == [f"{method.lower()} /chat?x=1 http/1.1", "cookie: c=1", "upgrade: speech"]
                assert told[3:] == ["x-forwarded-for: ", "x-mine: 1"]
                peer.send(b"hello")
                assert await until(peer, b"HELLO") == b"HELLO"
        answer = await rig.call("GET", f"{root}/refused", headers=asked)
        assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, "no", "3")
        message = await rig.fail(500, "GET", f"{root}/moved", headers=asked)
        assert message == "invalid upgrade response: status code 302"
        async with connected(rig, "GET", root, asked) as (_, peer):
            assert b"get / http/1.1" in await until(peer, b"]"), "no redirect to the slash"
    finally:
        server.close()
    message = await rig.fail(500, "GET", f"{root}/x", headers=asked)
    assert message == f"error dialing backend: dial tcp {ADDRESS}:{port}: connect: connection refused"
