"""Logs and proxies, with a kubelet that is there."""

import asyncio
import dataclasses

import pytest
from aiohttp import web
from backend import Backend, own_address
from harness import PODS

from pilothouse.endpoints import proxy
from pilothouse.server.request import Response

ADDRESS = own_address()
LONG = 3 << 20


async def kubelet(request):
    if request.path.startswith("/containerLogs/default/long/"):
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(LONG >> 16):
            await answer.write(b"x" * (1 << 16))
        return answer
    if request.path.startswith("/containerLogs/default/gone/"):
        return web.Response(status=404, text="no such container")
    if request.path.startswith("/containerLogs/default/broken/"):
        return web.Response(status=500, text="oops")
    if request.path.startswith("/containerLogs/"):
        return web.Response(text="hello\n")
    if request.path == "/moved":
        return web.Response(status=302, headers={"Location": "/there?x=1"})
    return web.Response(
        status=201, body=await request.read(), headers={"X-Of": "kubelet", "Connection": "close"}
    )


async def node(rig, backend, address="127.0.0.1", name="n1"):
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": backend.port}},
    }
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": name}, "status": status})


async def pod(rig, name, node="n1", containers=("c",)):
    spec = {"containers": [{"name": c, "image": "i"} for c in containers]}
    if node:
        spec["nodeName"] = node
    await rig.ok("POST", PODS, {"metadata": {"name": name}, "spec": spec})


class Peer:
    """A client that takes nothing until it is asked to."""

    def __init__(self):
        self.taken, self.waiting, self.most = 0, 0, 0
        self.closed = asyncio.Event()
        self.callbacks = []

    def write(self, data):
        self.waiting += len(data)
        self.most = max(self.most, self.waiting)

    def buffered(self):
        return self.waiting

    def close(self):
        self.closed.set()

    abort = close

    def on_close(self, callback):
        pass

    def on_drain(self, callback):
        self.callbacks.append(callback)

    def take(self):
        self.taken += self.waiting
        self.waiting = 0
        for callback in self.callbacks:
            callback()


async def test_logs_come_from_the_kubelet(rig, tmp_path):
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "a")
        answer = await rig.call("GET", f"{PODS}/a/log?follow=true&tailLines=5&sinceTime=2020-01-02T03:04:05Z")
        assert (answer.status, answer.body) == (200, "hello\n")
        assert answer.headers["content-type"] == "text/plain"
        assert backend.requests[0][:2] == (
            "GET",
            "/containerLogs/default/a/c?follow=true&sinceTime=2020-01-02T03%3A04%3A05Z&tailLines=5",
        )
        assert "authorization" not in backend.requests[0][2]


async def test_long_logs_go_no_faster_than_the_client(rig, tmp_path):
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "long")
        response = await rig.handle("GET", f"{PODS}/long/log")
        assert isinstance(response, Response) and response.start is not None
        peer = Peer()
        response.start(peer)
        while not peer.closed.is_set():
            await asyncio.sleep(0.01)
            peer.take()
        peer.take()
        assert peer.taken == LONG and peer.most < 2 << 20


async def test_what_the_kubelet_refuses(rig, tmp_path):
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "gone")
        await pod(rig, "broken")
        missing = "the server could not find the requested resource ( pods/log gone)"
        assert await rig.fail(404, "GET", f"{PODS}/gone/log") == missing
        assert await rig.fail(500, "GET", f"{PODS}/broken/log") == "Internal error occurred: oops"


async def test_kubelets_are_checked_and_know_us(rig, tmp_path):
    async with Backend(tmp_path, kubelet) as backend:
        ca = tmp_path / "ca.crt"
        ca.write_bytes(backend.ca)
        cert, key = backend.client_files("apiserver")
        rig.services.options = dataclasses.replace(
            rig.services.options,
            kubelet_certificate_authority=str(ca),
            kubelet_client_certificate=cert,
            kubelet_client_key=key,
        )
        await node(rig, backend)
        await pod(rig, "a")
        assert (await rig.call("GET", f"{PODS}/a/log")).body == "hello\n"
        assert backend.clients == ["apiserver"]
        async with Backend(tmp_path, kubelet, clients_of=backend) as other:
            await node(rig, other, name="n2")
            await pod(rig, "b", "n2")
            message = await rig.fail(500, "GET", f"{PODS}/b/log")
            assert "failed to verify certificate" in message
            answer = await rig.call("GET", f"{PODS}/b/log?insecureSkipTLSVerifyBackend=true")
            assert answer.body == "hello\n"


async def test_a_kubelet_that_is_not_there(rig, tmp_path):
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
    await pod(rig, "a")
    where = f"127.0.0.1:{backend.port}"
    assert await rig.fail(500, "GET", f"{PODS}/a/log") == (
        f'Get "https://{where}/containerLogs/default/a/c": dial tcp {where}: connect: connection refused'
    )


async def test_containers(rig):
    await pod(rig, "two", "", ("a", "b"))
    assert await rig.fail(400, "GET", f"{PODS}/two/log") == (
        "a container name must be specified for pod two, choose one of: [a b]"
    )
    assert await rig.fail(400, "GET", f"{PODS}/two/log?container=c") == "container c is not valid for pod two"
    assert (await rig.call("GET", f"{PODS}/two/log?container=a")).status == 204
    assert (
        await rig.fail(400, "POST", f"{PODS}/two/exec?container=a") == "pod two does not have a host assigned"
    )


async def test_streams_want_an_upgrade(rig, tmp_path):
    async with Backend(tmp_path, kubelet) as backend:
        await node(rig, backend)
        await pod(rig, "a")
        for path in ("exec?command=ls", "attach", "portforward"):
            assert await rig.fail(400, "POST", f"{PODS}/a/{path}") == "Upgrade request required"
        assert (await rig.call("DELETE", f"{PODS}/a/exec")).status == 405
        assert (await rig.call("POST", f"{PODS}/a/log")).status == 405


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("tailLines=many", 400, 'strconv.ParseInt: parsing "many": invalid syntax'),
        (
            "tailLines=-1",
            422,
            'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
        (
            "limitBytes=0",
            422,
            'PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: must be greater than 0',
        ),
    ],
)
async def test_log_options(rig, query, status, message):
    assert await rig.fail(status, "GET", f"{PODS}/p/log?{query}") == message


@pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")
async def test_the_proxy_of_a_service(rig, tmp_path):
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
        assert (moved.status, moved.headers["location"]) == (302, f"https://api{root}/there?x=1")
        bare = await rig.call("GET", f"{root}?x=1")
        assert (bare.status, bare.headers["location"]) == (301, f"{root}/?x=1")


async def test_nodes_on_this_host_are_no_targets(rig, tmp_path):
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
def test_names_of_targets(text, parts):
    assert proxy.split(text, "pod") == parts


@pytest.mark.parametrize("text", ["a:b:c:d", "", "ftp:a:1", ":1"])
def test_names_that_are_none(text):
    with pytest.raises(proxy.errors.BadRequest, match="invalid pod request"):
        proxy.split(text, "pod")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:0.0.0.0",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::169.254.169.254",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "localhost",
        "",
    ],
)
def test_addresses_that_are_no_targets(address):
    assert not proxy.allowed(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "8.8.8.8", "fd00::1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::8.8.8.8"]
)
def test_addresses_that_are_targets(address):
    assert proxy.allowed(address)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::127.0.0.1"])
async def test_a_node_pod_or_service_leads_to_no_disguised_loopback(rig, address):
    made = await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n9"}})
    made["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
    await rig.ok("PUT", "/api/v1/nodes/n9/status", made)
    for path in ("n9/proxy/", "n9:80/proxy/", "https:n9:10250/proxy/"):
        assert await rig.fail(400, "GET", f"/api/v1/nodes/{path}") == "address not allowed"


@pytest.mark.parametrize(
    "port", ["80@127.0.0.1", "80%40127.0.0.1", "%4010.0.0.9", "http", "80%23", "80%3F", "-1"]
)
async def test_a_port_leads_nowhere_else(rig, port):
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


async def test_ports_of_a_service_that_are_no_numbers_are_names(rig):
    services = "/api/v1/namespaces/default/services"
    await rig.ok("POST", services, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 443}]}})
    for port in ("%C2%B2", "--5", "9" * 5000, "+", "x"):
        assert (await rig.call("GET", f"{services}/s:{port}/proxy/")).status == 404
    assert "no service port -5 found" in await rig.fail(503, "GET", f"{services}/s:-5/proxy/")
