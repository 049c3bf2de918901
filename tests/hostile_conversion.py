"""A process of conversion webhooks that are slow or hostile; a path chooses the sort.

The argument is a directory. Prints the port and serves until its input ends.
"""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

TESTS = pathlib.Path(__file__).parent
HUGE = b" " * 10_000_000
REDIRECT, HANG, DEEP, VALUES, GROWN, LOST, LABELS, ENDLESS, SAYS = (
    f"/{name}"
    for name in ("redirect", "hang", "deep", "values", "grown", "lost", "labels", "endless", "says")
)
SORTS = ("/huge", REDIRECT, HANG, DEEP, VALUES, GROWN, LOST, LABELS, ENDLESS, SAYS)
TAKEN = (GROWN,)
"""The modes whose answers are good ones."""


async def answer(request: web.Request) -> web.StreamResponse:
    path, review = request.path, json.loads(await request.read())
    asked = review["request"]
    made = [{**obj, "apiVersion": asked["desiredAPIVersion"]} for obj in asked["objects"]]
    if path == "/huge":
        return web.Response(body=HUGE)
    if path == REDIRECT:
        return web.Response(status=307, headers={"Location": str(request.url)})
    if path == HANG:
        await asyncio.Event().wait()
    if path == DEEP:
        return web.Response(body=b'{"a":' * 200_000)
    if path == VALUES:
        return web.Response(body=b"[" + b"{}," * 300_000 + b"{}]")
    if path == GROWN:
        made[0]["spec"] = {"width": 2, "height": 3, "more": {str(i): "x" * 10 for i in range(8_000)}}
    if path == LOST:
        made = made[:-1]
    if path == LABELS:
        made[0]["metadata"] = {**made[0]["metadata"], "labels": {f"-{i}": "-" for i in range(8_000)}}
    if path == ENDLESS:
        endless = web.StreamResponse()
        await endless.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await endless.write(b"[" * 1000)
            await asyncio.sleep(0)  # a write need not wait, and the end of the connection would not be seen
        return endless
    result = {"status": "Failed" * 10_000 if path == SAYS else "Success"}
    response = {"uid": asked["uid"], "convertedObjects": made, "result": result}
    return web.json_response({**review, "request": None, "response": response})


async def serve(folder: pathlib.Path) -> None:
    from backend import Backend

    os.nice(19)  # what it uses itself keeps nobody waiting
    async with Backend(folder, answer) as backend:
        (folder / "ca.pem").write_bytes(backend.ca)
        print(backend.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def hostile(folder: pathlib.Path) -> Iterator[tuple[int, bytes]]:
    """The port and the CA of the process."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        port = int(process.stdout.readline())
        try:
            yield port, (folder / "ca.pem").read_bytes()
        finally:
            process.kill()


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    asyncio.run(serve(pathlib.Path(sys.argv[1])))
