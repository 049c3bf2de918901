"""Group versions that another server answers, from the APIService to the answer."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aggregated
import pytest
from aiohttp import web
from backend import Backend, own_address
from eventually import aeventually
from harness import ADMIN, Rig, Stream

from pilothouse import errors
from pilothouse.controllers.apiservices import APIServices
from pilothouse.controllers.remote_discovery import RemoteDiscovery
from pilothouse.controllers.remote_openapi import OpenAPIFetch, RemoteOpenAPI
from pilothouse.endpoints.streams import aggregator
from pilothouse.endpoints.streams.aggregator import Aggregator
from pilothouse.endpoints.streams.relay import Relay
from pilothouse.outbound.http import INSECURE
from pilothouse.registry.service_resolver import ServiceResolver

ADDRESS = own_address()
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

pytestmark = pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")


async def metrics(request: Any) -> Any:
    if request.path == "/apis":
        return web.Response(status=406)
    if request.path == "/apis/metrics.k8s.io/v1beta1":
        resources = [
            {
                "name": "nodes",
                "singularName": "",
                "namespaced": False,
                "kind": "NodeMetrics",
                "verbs": ["get"],
            },
            {"name": "nodes/raw", "singularName": "", "namespaced": False, "kind": "Raw", "verbs": ["get"]},
        ]
        return web.json_response({"kind": "APIResourceList", "resources": resources})
    if request.path.endswith("/away"):
        return web.Response(status=301, headers={"Location": "https://elsewhere/"})
    return web.json_response({"kind": "NodeMetricsList", "items": []})


def api_service(backend: Any, **spec: Any) -> dict[str, Any]:
    base = {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"namespace": "default", "name": "m", "port": 443},
    }
    if backend is not None:
        base["caBundle"] = base64.b64encode(backend.ca).decode()
    return {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": base | spec}


async def service(rig: Rig, backend: Any) -> None:
    await rig.ok("POST", SERVICES, {"metadata": {"name": "m"}, "spec": {"ports": [{"port": 443}]}})
    slice_ = {
        "metadata": {"name": "m-1", "labels": {"kubernetes.io/service-name": "m"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS]}],
        "ports": [{"name": "", "port": backend.port}],
    }
    await rig.ok("POST", SLICES, slice_)


async def condition(rig: Rig, reason: Any) -> Any:
    """Wait for a reason of the condition Available; the condition."""

    async def look() -> Any:
        obj = await rig.ok("GET", f"{APISERVICES}/v1beta1.metrics.k8s.io")
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return next((found for found in conditions if found.get("reason") == reason), None)

    return await aeventually(look, f"the reason {reason}", 20)


@pytest.fixture
def following(rig: Rig, runner: asyncio.Runner) -> Iterator[Any]:
    """The controller over the rig, with endpoints as the way to services."""
    resolver = ServiceResolver(rig.readers, by_endpoints=True)
    rig.handlers.dispatcher.aggregator = Aggregator(rig.handlers.relay, resolver)
    remote = RemoteDiscovery(rig.outbound, resolver)
    controller = APIServices(rig.client("kube-apiserver"), rig.discovery, remote)

    async def start() -> None:
        controller.start()

    runner.run(start())
    yield controller
    runner.run(controller.close())


async def test_requests_go_to_the_backend(rig: Rig, following: Any, tmp_path: Path) -> None:
    async with Backend(tmp_path, metrics, ("m.default.svc",), ADDRESS) as backend:
        cert, key = backend.client_files("front-proxy")
        resolver = ServiceResolver(rig.readers, by_endpoints=True, cert_file=cert, key_file=key)
        rig.handlers.dispatcher.aggregator = Aggregator(rig.handlers.relay, resolver)
        await service(rig, backend)
        await rig.ok("POST", APISERVICES, api_service(backend))
        assert await condition(rig, "Passed")
        backend.requests.clear()
        backend.clients.clear()
        answer = await rig.call("GET", "/apis/metrics.k8s.io/v1beta1/nodes?limit=5")
        assert answer.body == {"kind": "NodeMetricsList", "items": []}
        # The controller asks as well, by itself and as nobody.
        asked = zip(backend.requests, backend.clients, strict=True)
        [((method, path, headers, _), client)] = [(r, c) for r, c in asked if "nodes" in r[1]]
        assert (method, path) == ("GET", "/apis/metrics.k8s.io/v1beta1/nodes?limit=5")
        assert headers["x-remote-user"] == ["admin"] and headers["x-remote-uid"] == ["1"]
        assert headers["x-remote-group"] == ["system:masters", "system:authenticated"]
        assert "authorization" not in headers
        assert client == "front-proxy"
        away = await rig.call("GET", "/apis/metrics.k8s.io/v1beta1/away")
        assert (away.status, away.body) == (502, aggregator.REDIRECTED.decode())


async def test_the_backend_is_in_discovery(rig: Rig, following: Any, tmp_path: Path) -> None:
    async with Backend(tmp_path, metrics, ("m.default.svc",), ADDRESS) as backend:
        await service(rig, backend)
        await rig.ok("POST", APISERVICES, api_service(backend))
        await condition(rig, "Passed")
        groups = (await rig.ok("GET", "/apis"))["groups"]
        assert groups[-1]["name"] == "metrics.k8s.io"

        async def current() -> Any:
            items = (await rig.ok("GET", "/apis", headers={"Accept": AGGREGATED}))["items"]
            [version] = [i["versions"][0] for i in items if i["metadata"]["name"] == "metrics.k8s.io"]
            return version if version["freshness"] == "Current" else None

        [resource] = (await aeventually(current, "the backend's resources in discovery"))["resources"]
        kind = {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "NodeMetrics"}
        assert (resource["resource"], resource["responseKind"]) == ("nodes", kind)
        assert resource["subresources"][0]["subresource"] == "raw"
        await rig.ok("DELETE", f"{APISERVICES}/v1beta1.metrics.k8s.io")
        gone = await rig.call("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
        assert (gone.status, gone.body) == (404, "404 page not found\n")


async def test_a_backend_with_another_certificate(rig: Rig, following: Any, tmp_path: Path) -> None:
    async with Backend(tmp_path, metrics, ("other.default.svc",), ADDRESS) as backend:
        await service(rig, backend)
        await rig.ok("POST", APISERVICES, api_service(backend))
        assert "failed to verify certificate" in (await condition(rig, "FailedDiscoveryCheck"))["message"]
        answer = await rig.call("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
        assert (answer.status, answer.body) == (503, "service unavailable\n")
        patch = {"spec": {"insecureSkipTLSVerify": True, "caBundle": None}}
        kind = {"Content-Type": "application/merge-patch+json"}
        await rig.ok("PATCH", f"{APISERVICES}/v1beta1.metrics.k8s.io", patch, headers=kind)
        await condition(rig, "Passed")
        assert (await rig.call("GET", "/apis/metrics.k8s.io/v1beta1/nodes")).status == 200


async def test_reasons_follow_the_cluster(rig: Rig, following: Any) -> None:
    await rig.ok("POST", APISERVICES, api_service(None, insecureSkipTLSVerify=True))
    found = await condition(rig, "ServiceNotFound")
    assert found["message"] == 'service/m in "default" is not present'
    stale = (await rig.ok("GET", "/apis", headers={"Accept": AGGREGATED}))["items"][-1]
    assert stale["versions"] == [{"version": "v1beta1", "freshness": "Stale"}]
    made: dict[str, Any] = {"metadata": {"name": "m"}, "spec": {"ports": [{"port": 1}]}}
    await rig.ok("POST", SERVICES, made)
    found = await condition(rig, "ServicePortError")
    assert found["message"] == 'service/m in "default" is not listening on port 443'
    await rig.ok("DELETE", f"{SERVICES}/m")
    made["spec"]["ports"] = [{"port": 443}]
    await rig.ok("POST", SERVICES, made)
    await condition(rig, "EndpointsNotFound")
    slice_ = {
        "metadata": {"name": "m-1", "labels": {"kubernetes.io/service-name": "m"}},
        "addressType": "IPv4",
        "endpoints": [],
    }
    await rig.ok("POST", SLICES, slice_)
    found = await condition(rig, "MissingEndpoints")
    assert found["message"] == 'endpointslices for service/m in "default" have no addresses with port name ""'


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/apis/a.b/v1", ("a.b", "v1")),
        ("/apis/a.b/v1/things/x", ("a.b", "v1")),
        ("/api/v1/pods", ("", "v1")),
        ("/apis/a.b", ("", "")),
        ("/healthz", ("", "")),
    ],
)
def test_versions_of_paths(path: str, version: tuple[str, str]) -> None:
    assert aggregator.version_of(path) == version


async def test_nobody_names_himself_to_a_backend(rig: Rig, following: Any, tmp_path: Path) -> None:
    async with Backend(tmp_path, metrics, ("m.default.svc",), ADDRESS) as backend:
        relay = Relay(rig.outbound, ("X-User", "X-Other", "X-Id", "X-Group"), ("X-More-",))
        resolver = ServiceResolver(rig.readers, by_endpoints=True)
        rig.handlers.dispatcher.aggregator = Aggregator(relay, resolver)
        await service(rig, backend)
        await rig.ok("POST", APISERVICES, api_service(backend))
        await condition(rig, "Passed")
        backend.requests.clear()
        sent = {
            "X-User": "root",
            "X-Other": "root",
            "X-Id": "0",
            "X-Group": "system:masters",
            "X-More-Scopes": "all",
            "X-Remote-User": "root",
            "X-Remote-Group": "system:masters",
            "X-Remote-Extra-Scopes": "all",
            "X-Forwarded-Uri": "/else",
            "X-Forwarded-Host": "else",
            "Connection": "close, X-Private , X-Remote-Uid",
            "X-Private": "secret",
            "X-Kept": "yes",
        }
        await rig.ok("GET", "/apis/metrics.k8s.io/v1beta1/nodes", headers=sent)
        [(_, path, headers, _)] = [r for r in backend.requests if "nodes" in r[1]]
        hidden = (
            "x-user",
            "x-other",
            "x-id",
            "x-group",
            "x-more-scopes",
            "x-private",
            "x-remote-extra-scopes",
        )
        assert not set(hidden) & headers.keys() and headers["x-kept"] == ["yes"]
        assert headers["x-remote-user"] == ["admin"] and headers["x-remote-uid"] == ["1"]
        assert headers["x-remote-group"] == ["system:masters", "system:authenticated"]
        assert headers["x-forwarded-uri"] == [path] and headers["x-forwarded-host"] != ["else"]


class Here(ServiceResolver):
    """Every backend answers at one address."""

    def url(self, backend: Any) -> str:
        return "https://10.0.0.5:443"

    def trust(self, backend: Any) -> Any:
        return INSECURE


class Asked(Relay):
    """Notes where a request would go."""

    async def forward(self, ctx: Any, url: str, *args: Any, **kwargs: Any) -> None:
        self.url = url
        raise errors.ServiceUnavailable("enough")


async def test_a_target_without_a_slash_names_no_other_host(rig: Rig) -> None:
    relay = Asked(rig.outbound)
    passing = Aggregator(relay, Here(rig.readers))
    backend: Any = SimpleNamespace(available=True)
    for target, path in (
        ("/apis/a/v1/b?c", "/apis/a/v1/b?c"),
        ("x@127.0.0.1:1/apis/a/v1/b", "/x@127.0.0.1:1/apis/a/v1/b"),
    ):
        info = SimpleNamespace(is_resource=True, path=target)
        ctx: Any = SimpleNamespace(request=rig.request("GET", target), info=info, user=ADMIN)
        await passing.handle(ctx, backend)
        assert relay.url == f"https://10.0.0.5:443{path}"


# The tests' aggregated server


@pytest.fixture
def wardle(rig: Rig, runner: asyncio.Runner, tmp_path: Path, following: Any) -> Iterator[Any]:
    """An aggregated server that is registered and available, and whose documents are read."""
    server = Backend(tmp_path, aggregated.Aggregated(), ("w.default.svc",), ADDRESS)
    via, documents = rig.handlers.via, rig.handlers.remote_documents
    resolver = ServiceResolver(rig.readers, by_endpoints=True)
    rig.handlers.dispatcher.aggregator = Aggregator(
        rig.handlers.relay, resolver, documents=documents, via=via
    )
    fetch = OpenAPIFetch(rig.outbound, resolver, [aggregator.via_header(via)])
    reading = RemoteOpenAPI(rig.client("kube-apiserver"), fetch, documents)

    async def start() -> None:
        await server.__aenter__()
        reading.start()
        await aggregated.register(rig, server.port, base64.b64encode(server.ca).decode())
        name = aggregated.PREFIX[1:]
        await aeventually(lambda: _has(rig, name), "its documents", 20)

    async def stop() -> None:
        await reading.close()
        await server.__aexit__()

    runner.run(start())
    yield server
    runner.run(stop())


async def _has(rig: Rig, name: str) -> bool:
    return name in json.loads(await rig.ok("GET", "/openapi/v3"))["paths"]


async def test_documents_of_version_3_are_passed_on(rig: Rig, wardle: Any) -> None:
    paths = json.loads(await rig.ok("GET", "/openapi/v3"))["paths"]
    url = f"/openapi/v3{aggregated.PREFIX}?hash=A1"
    assert paths[aggregated.PREFIX[1:]] == {"serverRelativeURL": url}
    assert "apps/v1" in str(paths["apis/apps/v1"]) and "=A1" not in str(paths["apis/apps/v1"])
    assert await rig.ok("GET", url) == {"openapi": "3.0.0", "of": "admin"}
    assert url in [path for _, path, *_ in wardle.requests]
    assert (await rig.ok("GET", "/openapi/v3/apis/apps/v1"))["info"]["title"] == "Kubernetes"
    await rig.ok("DELETE", f"{APISERVICES}/{aggregated.NAME}")
    assert not await _has(rig, aggregated.PREFIX[1:])
    assert (await rig.call("GET", url)).status == 404


async def test_an_outdated_hash_leads_to_the_newer_document(rig: Rig, wardle: Any) -> None:
    """The index is up to a minute old. No other redirect is passed on."""
    path = f"/openapi/v3{aggregated.PREFIX}"
    answer = await rig.call("GET", f"{path}?hash=A0", headers={"Host": "here"})
    assert (answer.status, answer.headers["location"]) == (301, f"{path}?hash=A1")
    request = rig.request("GET", f"{path}?hash=A0", headers={"Host": "here"})
    request.prefix = "/clusters/a"  # the same in a logical cluster
    waiting: Any = rig.pipeline.handle(request)
    response = await waiting
    assert ("Location", f"/clusters/a{path}?hash=A1") in response.headers
    for elsewhere in ("https://elsewhere" + path, f"{path}/more", f"//elsewhere{path}"):
        wardle.handler.elsewhere = elsewhere
        assert (await rig.call("GET", f"{path}?hash=A0")).status == 502


async def test_documents_of_version_2_are_merged(rig: Rig, wardle: Any) -> None:
    document = await rig.ok("GET", "/openapi/v2")
    assert f"{aggregated.PREFIX}/flunders" in document["paths"]
    assert "listAppsV1NamespacedDeployment" in str(
        document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]
    )
    flunder = document["definitions"][aggregated.FLUNDER]
    name = f"{aggregated.META}.ObjectMeta"
    assert flunder["properties"]["metadata"] == {"$ref": f"#/definitions/{name}_v2"}
    assert document["definitions"][f"{name}_v2"] == {"type": "object", "description": "Another release's."}
    assert "annotations" in document["definitions"][name]["properties"]
    headers = {"Accept": "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"}
    written = await rig.respond("GET", "/openapi/v2", headers=headers)
    body: Any = written.body  # it is unpacked while it is sent
    assert b"/apis/wardle.example.com/v1/flunders" in b"".join(body)
    tag = (await rig.call("GET", "/openapi/v2")).headers["etag"]
    assert (await rig.call("GET", "/openapi/v2", headers={"If-None-Match": tag})).status == 304
    await rig.ok("DELETE", f"{APISERVICES}/{aggregated.NAME}")
    assert (await rig.call("GET", "/openapi/v2")).headers["etag"] != tag
    assert aggregated.FLUNDER not in (await rig.ok("GET", "/openapi/v2"))["definitions"]


async def test_a_converted_document_is_answered_here(rig: Rig, wardle: Any) -> None:
    wardle.handler.v3 = False
    patch = {"spec": {"versionPriority": 7, "service": {"port": 444}}}
    kind = {"Content-Type": "application/merge-patch+json"}
    ports = {"spec": {"ports": [{"port": 444}]}}
    await rig.ok("PATCH", "/api/v1/namespaces/default/services/w", ports, headers=kind)
    await rig.ok("PATCH", f"{APISERVICES}/{aggregated.NAME}", patch, headers=kind)
    url = f"/openapi/v3{aggregated.PREFIX}"

    async def converted() -> Any:
        answer = await rig.call("GET", url)
        return answer.status == 200 and "components" in answer.body and answer

    answer = await aeventually(converted, "the converted document", 20)
    assert aggregated.FLUNDER in answer.body["components"]["schemas"]
    tag = answer.headers["etag"].strip('"')
    assert (await rig.call("GET", f"{url}?hash={tag}")).headers["cache-control"] == "public, immutable"


async def test_a_watch_is_passed_on_no_faster_than_it_is_read(rig: Rig, wardle: Any) -> None:
    """A client that reads nothing stops the other server's writes;
    what it has missed comes later, in full."""
    api: aggregated.Aggregated = wardle.handler
    answer = await rig.respond("GET", f"{aggregated.PREFIX}/flunders?watch=1")
    assert answer.start is not None
    stream = Slow(answer.on_done)
    answer.start(stream)
    await aeventually(lambda: _is(api.watchers), "the watch")
    event = b'{"type":"ADDED","object":{"kind":"Flunder"}}\n'
    api.watchers[0].put_nowait(event)
    await aeventually(lambda: _is(stream.data == event), "the first event")
    stream.full = True
    for _ in range(200):
        api.watchers[0].put_nowait(b"x" * 99_999 + b"\n")
    await aeventually(lambda: _is(stream.sent > len(event)), "some of the others")
    last = -1
    while last != stream.sent:
        last = stream.sent
        await asyncio.sleep(0.01)
    assert stream.sent < 8 << 20  # the rest waits in the other server, and in the buffers of the sockets
    stream.drain()
    await aeventually(lambda: _is(stream.sent == len(event) + 200 * 100_000), "all of them", 20)
    api.watchers[0].put_nowait(b"")
    await aeventually(lambda: _is(stream.closed), "the end")


async def _is(value: Any) -> bool:
    return bool(value)


class Slow(Stream):
    """A client that reads nothing while it is `full`."""

    full = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._on_drain: list[Any] = []

    def write(self, data: bytes) -> None:
        self.data = data
        self.sent += len(data)

    def buffered(self) -> int:
        return 1 << 30 if self.full else 0

    def on_drain(self, callback: Any) -> None:
        self._on_drain.append(callback)

    def drain(self) -> None:
        self.full = False
        for callback in self._on_drain:
            callback()


async def test_a_request_that_comes_back_is_refused(rig: Rig, wardle: Any) -> None:
    await rig.ok("GET", f"{aggregated.PREFIX}/flunders", headers={"Via": "1.0 somebody"})
    [sent] = [headers["via"] for _, path, headers, _ in wardle.requests if path.endswith("/flunders")]
    assert sent == ["1.0 somebody", f"1.1 {rig.handlers.via}"]
    count = len(wardle.requests)
    answer = await rig.call("GET", f"{aggregated.PREFIX}/flunders", headers={"Via": ", ".join(sent)})
    assert (answer.status, answer.body) == (508, f"{aggregator.LOOP}\n")
    assert [path for _, path, *_ in wardle.requests[count:] if path.endswith("/flunders")] == []
