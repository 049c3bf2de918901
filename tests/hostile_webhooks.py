"""A process of webhooks that are broken, slow or hostile; a path chooses the sort.

The argument is a directory. Prints the port and the CA's file once it serves.
"""

import asyncio
import base64
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

HUGE = b" " * 10_000_000


def _patch(operations: list[Any]) -> str:
    return base64.b64encode(json.dumps(operations).encode()).decode()


GROWING = [{"op": "add", "path": "/data", "value": {"a": "x" * 10_000}}]
GROWING += [{"op": "copy", "from": "/data/a", "path": f"/data/{i}"} for i in range(90)]
PATCHES = {
    "/grow": _patch(GROWING),
    "/many": _patch(
        [{"op": "add", "path": f"/metadata/annotations/{i}", "value": "x"} for i in range(30_000)]
    ),
    "/metadata": _patch([{"op": "replace", "path": "/metadata/namespace", "value": "kube-system"}]),
    "/broken": base64.b64encode(b"[{").decode(),
}
SORTS = ("/hang", "/huge", "/endless", "/deep", "/values", "/redirect", "/warnings", "/reset", *PATCHES)


async def answer(request: web.Request) -> web.StreamResponse:
    path = request.path
    review = json.loads(await request.read())
    response = {"uid": review["request"]["uid"], "allowed": True}
    if path == "/hang":
        await asyncio.Event().wait()
    elif path == "/huge":
        return web.Response(body=HUGE)
    elif path == "/endless":
        stream = web.StreamResponse()
        await stream.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await stream.write(HUGE[:65536])
            await asyncio.sleep(0)  # a write need not wait, and the end of the connection would not be seen
        return stream
    elif path == "/deep":
        return web.Response(body=b'{"a":' * 400_000)
    elif path == "/values":
        return web.Response(body=b"[" + b"{}," * 1_000_000 + b"{}]")
    elif path == "/redirect":
        return web.Response(status=307, headers={"Location": str(request.url)})
    elif path == "/warnings":
        response["warnings"] = [f"{i} {'w' * 100}" for i in range(20_000)]
    elif path == "/reset":
        assert request.transport is not None
        request.transport.abort()
    else:
        response |= {"patch": PATCHES[path], "patchType": "JSONPatch"}
    return web.json_response(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
    )


@contextmanager
def hostile(directory: pathlib.Path) -> Iterator[tuple[int, bytes]]:
    """The program, from outside: its port and its CA."""
    command = [sys.executable, __file__, str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    try:
        port = int(process.stdout.readline())
        yield port, (directory / "hooks.crt").read_bytes()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


async def main(directory: pathlib.Path) -> None:
    from backend import Backend

    os.nice(19)  # what it uses itself keeps nobody waiting
    async with Backend(directory, answer) as backend:
        (directory / "hooks.crt").write_bytes(backend.ca)
        print(backend.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    asyncio.run(main(pathlib.Path(sys.argv[1])))
