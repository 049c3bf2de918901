"""An aggregated API server of the tests' own:
discovery, OpenAPI in both versions, and one kind with list and watch."""

import asyncio
import hashlib
import json
from typing import Any

from aiohttp import web
from backend import own_address
from harness import Rig

from pilothouse.registry.resource import AggregatedServer as Service

ADDRESS = own_address()
GROUP, VERSION = "wardle.example.com", "v1"
PREFIX = f"/apis/{GROUP}/{VERSION}"
APISERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME = f"{VERSION}.{GROUP}"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
FLUNDER = "com.example.wardle.v1.Flunder"
KIND = {"group": GROUP, "version": VERSION, "kind": "Flunder"}

RESOURCE: dict[str, Any] = {
    "resource": "flunders",
    "responseKind": KIND,
    "scope": "Cluster",
    "singularResource": "flunder",
    "verbs": ["get", "list", "watch"],
}


def document_v2() -> dict[str, Any]:
    """A document of version 2 with a shared parameter,
    an equal and a different definition of meta/v1, and foreign paths."""
    answer = {"200": {"description": "OK", "schema": {"$ref": f"#/definitions/{FLUNDER}"}}}
    pretty = {"name": "pretty", "in": "query", "type": "string", "uniqueItems": True}
    operation = {
        "operationId": "listFlunder",
        "produces": ["application/json"],
        "responses": answer,
        "parameters": [{"$ref": "#/parameters/pretty-nJ"}],
    }
    body = {"name": "body", "in": "body", "required": True, "schema": {"$ref": f"#/definitions/{FLUNDER}"}}
    create = {"operationId": "createFlunder", "consumes": ["*/*"], "responses": answer, "parameters": [body]}
    return {
        "swagger": "2.0",
        "info": {"title": "Wardle", "version": "v0"},
        "paths": {
            f"{PREFIX}/flunders": {"get": operation, "post": create},
            "/apis/apps/v1/deployments": {"get": operation},
        },
        "parameters": {"pretty-nJ": pretty},
        "definitions": {
            FLUNDER: {
                "type": "object",
                "description": "A flunder.",
                "properties": {"metadata": {"$ref": f"#/definitions/{META}.ObjectMeta"}},
                "x-kubernetes-group-version-kind": [KIND],
            },
            f"{META}.ObjectMeta": {"type": "object", "description": "Another release's."},
            "unused.Thing": {"type": "object"},
        },
    }


class Aggregated:
    """Answers as an aggregated server; attributes say with what.
    `watchers` are the queues of open watches."""

    def __init__(self) -> None:
        self.resources = [RESOURCE]
        self.v3 = True
        self.v2: Any = document_v2()
        self.tags = True
        self.elsewhere = ""
        self.items: list[Any] = []
        self.watchers: list[asyncio.Queue[bytes]] = []

    async def __call__(self, request: Any) -> web.StreamResponse:
        path = request.path
        if path == "/apis":
            return self._discovery(request)
        if path == PREFIX:
            return web.json_response(
                {"kind": "APIResourceList", "groupVersion": f"{GROUP}/{VERSION}", "resources": []}
            )
        if path == "/openapi/v3" and self.v3:
            names = (PREFIX[1:], f"apis/{GROUP}", "apis/apps/v1", "version")
            paths = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=A1"} for name in names}
            return self._tagged(request, {"paths": paths})
        if path == f"/openapi/v3{PREFIX}" and self.v3:
            if request.query.get("hash", "A1") != "A1":
                location = self.elsewhere or f"{path}?hash=A1"
                return web.Response(status=301, headers={"Location": location})
            return web.json_response({"openapi": "3.0.0", "of": request.headers.get("X-Remote-User")})
        if path == "/openapi/v2" and self.v2 is not None:
            return self._tagged(request, self.v2)
        if path == f"{PREFIX}/flunders":
            return await self._flunders(request)
        return web.Response(status=404)

    def _discovery(self, request: Any) -> web.Response:
        versions = [{"version": VERSION, "resources": self.resources, "freshness": "Current"}]
        items = [{"metadata": {"name": GROUP}, "versions": versions}]
        kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        return self._tagged(request, {"kind": "APIGroupDiscoveryList", "items": items}, kind)

    def _tagged(self, request: Any, document: Any, kind: str = "application/json") -> web.Response:
        body = json.dumps(document).encode()
        if not self.tags:
            return web.Response(body=body, headers={"Content-Type": kind})
        headers = {"Content-Type": kind, "Etag": f'"{hashlib.sha256(body).hexdigest()}"'}
        if request.headers.get("If-None-Match") == headers["Etag"]:
            return web.Response(status=304, headers={"Etag": headers["Etag"]})
        return web.Response(body=body, headers=headers)

    async def _flunders(self, request: Any) -> web.StreamResponse:
        if request.query.get("watch") not in ("1", "true"):
            return web.json_response({"kind": "FlunderList", "metadata": {}, "items": self.items})
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.watchers.append(queue)
        try:
            while piece := await queue.get():
                await answer.write(piece)
        finally:
            self.watchers.remove(queue)
        return answer


def api_service(ca: str, **spec: Any) -> dict[str, Any]:
    """The APIService of a server behind the service default/w."""
    base = {
        "group": GROUP,
        "version": VERSION,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"namespace": "default", "name": "w", "port": 443},
        "caBundle": ca,
    }
    return {"metadata": {"name": NAME}, "spec": base | spec}


async def register(rig: Rig, port: int, ca: str) -> None:
    """Make service, endpoints and APIService of a server at this host's address."""
    namespace = "/namespaces/default"
    service = {"metadata": {"name": "w"}, "spec": {"ports": [{"port": 443}]}}
    await rig.ok("POST", f"/api/v1{namespace}/services", service)
    slice_ = {
        "metadata": {"name": "w-1", "labels": {"kubernetes.io/service-name": "w"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS]}],
        "ports": [{"name": "", "port": port}],
    }
    await rig.ok("POST", f"/apis/discovery.k8s.io/v1{namespace}/endpointslices", slice_)
    await rig.ok("POST", APISERVICES, api_service(ca))


def backend(**more: Any) -> Service:
    """A registered server, for what needs none that answers."""
    return Service(
        **{"uid": "u", "namespace": "default", "name": "w", "port": 443, "available": True, **more}
    )
