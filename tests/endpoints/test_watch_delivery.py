"""Watches over real sockets: slow readers get every event once and in order."""

import asyncio
import json
import random
from typing import Any

import uvloop
from eventually import aeventually

from pilothouse._json import JsonEncoder
from pilothouse._watchcache import ResourceCache
from pilothouse.server.http1 import Http1
from pilothouse.server.request import Handler, Request, Response, Stream
from pilothouse.storage.memory import MemoryStorage
from pilothouse.storage.watchcache import Cacher

PREFIX = "/registry/pods/"
EVENTS = 300
WATCHERS = 16


async def read_events(port: int, wanted: int, pause: int) -> list[dict[str, Any]]:
    """Watch until `wanted` events have come; now and then read nothing for `pause` turns of the loop."""
    chance = random.Random(pause)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=8192)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    events: list[dict[str, Any]] = []
    text = b""
    while len(events) < wanted:
        size = int(await reader.readuntil(b"\r\n"), 16)
        assert size, f"the watch ended after {len(events)} events"
        text += (await reader.readexactly(size + 2))[:-2]
        *lines, text = text.split(b"\n")
        events += [json.loads(line) for line in lines]
        if chance.random() < 0.05:
            for _ in range(pause):
                await asyncio.sleep(0)
    writer.close()
    return events


def watching(cache: ResourceCache) -> Handler:
    encoder = JsonEncoder("Pod", "v1")

    def begin(stream: Stream) -> None:
        cache.watch(PREFIX, "", None, None, encoder, stream)

    def handler(request: Request) -> Response:
        return Response(200, start=begin)

    return handler


async def deliver(burst: int, size: int) -> None:
    store = MemoryStorage()
    await store.start()
    cacher = Cacher(store)
    await cacher.start()
    pods = cacher.resource(PREFIX, lambda obj: {})
    loop = asyncio.get_running_loop()
    http1: Any = Http1(watching(pods), loop=loop)
    server = await loop.create_server(http1, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            readers = [group.create_task(read_events(port, EVENTS, 100 * (i % 3))) for i in range(WATCHERS)]
            await aeventually(lambda: pods.watchers == WATCHERS, "all watches to begin")
            written = []
            for i in range(EVENTS):
                value = {"kind": "Pod", "metadata": {"name": f"p{i}", "annotations": {"pad": "x" * size}}}
                kv = await store.create(f"{PREFIX}ns/p{i}", json.dumps(value).encode())
                written.append(kv.mod)
                if i % burst == burst - 1:
                    await asyncio.sleep(0)
        for reader in readers:
            events = reader.result()
            assert [int(event["object"]["metadata"]["resourceVersion"]) for event in events] == written
    finally:
        http1.close()
        server.close()
        await cacher.close()
        await store.close()


def test_slow_readers_get_every_event_once() -> None:
    """A burst that is larger than what one turn of the loop writes, and readers that now and then pause."""
    for burst in (1, EVENTS):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(deliver(burst, 6000))
