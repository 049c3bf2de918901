"""A kubelet for tests, with its node and pods."""

import gzip
from typing import Any

from aiohttp import web
from backend import Backend
from harness import PODS, Rig

LONG = 3 << 20
"""Bytes of the log of the pod `long`."""


async def kubelet(request: web.Request) -> web.StreamResponse:
    """Answers as the pod's name or the path asks."""
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
    if request.path == "/page/":
        page = b"<a href='/x'>\n<p>" + b"x" * int(request.query.get("size", 0))
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "x", "X-Of": "pod"}
        headers |= {"Service-Worker-Allowed": "/", "Clear-Site-Data": '"*"'}
        if request.query.get("gzip"):
            page, headers["Content-Encoding"] = gzip.compress(page), "gzip"
        return web.Response(body=page, content_type=request.query.get("type", "text/html"), headers=headers)
    return web.Response(
        status=201, body=await request.read(), headers={"X-Of": "kubelet", "Connection": "close"}
    )


async def node(rig: Rig, backend: Backend, address: str = "127.0.0.1", name: str = "n1") -> None:
    """A node whose kubelet is `backend`."""
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": backend.port}},
    }
    await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": name}, "status": status})


async def pod(rig: Rig, name: str, node: str = "n1", containers: tuple[str, ...] = ("c",)) -> None:
    """A pod, on a node where `node` is not empty."""
    spec: dict[str, Any] = {"containers": [{"name": c, "image": "i"} for c in containers]}
    if node:
        spec["nodeName"] = node
    await rig.ok("POST", PODS, {"metadata": {"name": name}, "spec": spec})
