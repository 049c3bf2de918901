"""The resources that aggregated servers say they serve."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aggregated import ADDRESS, GROUP, PREFIX, RESOURCE, VERSION, Aggregated, backend, register
from aiohttp import web
from backend import Backend
from harness import Rig

from pilothouse.controllers import remote_discovery
from pilothouse.controllers.remote_discovery import RemoteDiscovery
from pilothouse.registry.service_resolver import ServiceResolver

pytestmark = pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")
NO_KIND = {"group": "", "version": "", "kind": ""}


class Asking(Backend):
    """The tests' aggregated server, and what asks it."""

    def __init__(self, folder: Path, rig: Rig, handler: Any = None) -> None:
        self.api = Aggregated()
        super().__init__(folder, handler or self.api, ("w.default.svc",), ADDRESS)
        self.remote = RemoteDiscovery(
            rig.outbound, ServiceResolver(rig.readers, by_endpoints=True), [("Via", "1.1 me")]
        )

    @property
    def service(self) -> Any:
        return backend(ca_bundle=base64.b64encode(self.ca).decode())

    async def resources(self, group: str = GROUP, version: str = VERSION) -> Any:
        self.requests.clear()
        return await self.remote.resources_of(self.service, group, version)


@asynccontextmanager
async def serving(rig: Rig, folder: Path, handler: Any = None) -> AsyncIterator[Asking]:
    async with Asking(folder, rig, handler) as server:
        await register(rig, server.port, base64.b64encode(server.ca).decode())
        yield server


async def test_the_aggregated_document_is_read_when_it_has_changed(rig: Rig, tmp_path: Path) -> None:
    async with serving(rig, tmp_path) as server:
        assert await server.resources() == [RESOURCE]
        assert await server.resources("other.example.com") == []  # of the same server
        [(_, path, headers, _)] = server.requests
        assert (path, "if-none-match" in headers) == ("/apis", True)
        assert headers["x-remote-user"] == ["system:kube-aggregator"]
        assert headers["x-remote-group"] == ["system:masters"]
        assert headers["via"] == ["1.1 me"]
        server.api.resources = [RESOURCE, {**RESOURCE, "resource": "fischers"}]
        assert len(await server.resources()) == 2
        server.api.tags = False
        assert len(await server.resources()) == 2
        assert len(await server.resources()) == 2
        assert "if-none-match" not in server.requests[0][2]


async def test_kinds_that_are_missing_are_empty(rig: Rig, tmp_path: Path) -> None:
    async with serving(rig, tmp_path) as server:
        sub = {"subresource": "status", "responseKind": None, "verbs": ["get"]}
        server.api.resources = [{"resource": "flunders", "verbs": [], "subresources": [sub]}]
        [found] = await server.resources()
        assert found["responseKind"] == found["subresources"][0]["responseKind"] == NO_KIND


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 503},
        {"status": 304},
        {"text": "{}"},
        {"text": "["},
        {"text": '{"items":[{"versions":[{"version":"v1","resources":[1]}]}]}'},
        {"text": " " * (remote_discovery.LIMIT + 1)},
    ],
)
async def test_documents_that_cannot_be_read(rig: Rig, tmp_path: Path, answer: Any) -> None:
    kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

    async def respond(request: Any) -> Any:
        if request.path == PREFIX:
            return web.Response(status=500)
        return web.Response(headers={"Content-Type": kind}, **answer)

    async with serving(rig, tmp_path, respond) as server:
        assert await server.resources() is None


async def test_few_servers_are_remembered(rig: Rig, tmp_path: Path) -> None:
    async with serving(rig, tmp_path) as server:
        known = server.remote._known
        for number in range(remote_discovery.KEPT):
            known[backend(name=str(number))] = remote_discovery._Known("", {})
        await server.resources()
        assert len(known) == remote_discovery.KEPT
        assert backend(name="0") not in known and backend(name="1") in known
