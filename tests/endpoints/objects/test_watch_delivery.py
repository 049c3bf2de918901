"""Watches over real sockets: slow readers get every event once and in order."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from eventually import aeventually
from server.http2.peers import Kind, Raw, number

from pilothouse.api._json import JsonEncoder
from pilothouse.server.http1 import Http1
from pilothouse.server.request import Handler, Request, Response, Stream
from pilothouse.storage._watchcache import ResourceCache
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
        events += [event for line in lines if (event := json.loads(line))["type"] != "BOOKMARK"]
        if chance.random() < 0.05:
            for _ in range(pause):
                await asyncio.sleep(0)
    writer.close()
    return events


def watching(cache: ResourceCache) -> Handler:
    encoder = JsonEncoder("Pod", "v1")

    def handler(request: Request) -> Response:
        since = int(request.query) if request.query else None

        def begin(stream: Stream) -> None:
            cache.watch(PREFIX, "", None, since, encoder, stream, bookmarks=True)

        return Response(200, start=begin)

    return handler


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[MemoryStorage, ResourceCache, Any, int]]:
    """A store, the cache of its pods, what serves watches of them, and its port."""
    store = MemoryStorage()
    await store.start()
    cacher = Cacher(store)
    await cacher.start()
    pods = cacher.resource(PREFIX, lambda obj: {})
    loop = asyncio.get_running_loop()
    http1: Any = Http1(watching(pods), loop=loop)
    server = await loop.create_server(http1, "127.0.0.1", 0)
    try:
        yield store, pods, http1, server.sockets[0].getsockname()[1]
    finally:
        http1.close()
        server.close()
        await cacher.close()
        await store.close()


async def create(store: MemoryStorage, number: int, size: int) -> int:
    """The revision of a new pod."""
    value = {"kind": "Pod", "metadata": {"name": f"p{number}", "annotations": {"pad": "x" * size}}}
    return (await store.create(f"{PREFIX}ns/p{number}", json.dumps(value).encode())).mod


def revision(event: dict[str, Any]) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


async def deliver(burst: int, size: int) -> None:
    async with serving() as (store, pods, _, port):
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            readers = [group.create_task(read_events(port, EVENTS, 100 * (i % 3))) for i in range(WATCHERS)]
            await aeventually(lambda: pods.watchers == WATCHERS, "all watches to begin")
            written = []
            for i in range(EVENTS):
                written.append(await create(store, i, size))
                if i % burst == burst - 1:
                    await asyncio.sleep(0)
        for reader in readers:
            assert [revision(event) for event in reader.result()] == written


def test_slow_readers_get_every_event_once() -> None:
    """A burst that is larger than what one turn of the loop writes, and readers that now and then pause."""
    for burst in (1, EVENTS):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(deliver(burst, 6000))


async def resume_http1() -> None:
    async with serving() as (store, pods, _, port):
        slow = await watch(port)
        await aeventually(lambda: pods.watchers == 1, "the watch to begin")
        written: list[int] = []
        while not pods.terminated:
            written.append(await create(store, len(written), 20_000))
            await asyncio.sleep(0)
        events = parsed(await body(slow))
        again = await watch(port, str(revision(events[-1])))
        written += [await create(store, len(written) + i, 20_000) for i in range(3)]
        while revision(events[-1]) != written[-1]:
            events += parsed(await chunk(again))
        check(events, written)
        again[1].close()


async def watch(port: int, since: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=8192)
    writer.write(b"GET /?%s HTTP/1.1\r\nHost: a\r\n\r\n" % since.encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def chunk(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    size = int(await connection[0].readuntil(b"\r\n"), 16)
    return (await connection[0].readexactly(size + 2))[:-2]


async def body(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    parts = [await chunk(connection)]
    while parts[-1]:
        parts.append(await chunk(connection))
    connection[1].close()
    return b"".join(parts)


def parsed(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def check(events: list[dict[str, Any]], written: list[int]) -> None:
    """Check that the events before and after a bookmark are all that was written, each once."""
    kinds = [event["type"] for event in events]
    assert kinds.count("BOOKMARK") == 1 and kinds[-1] == "ADDED"
    assert [revision(event) for event in events if event["type"] == "ADDED"] == written


async def resume_http2() -> None:
    async with serving() as (store, pods, _, _):
        peer = Raw(watching(pods), settings=b"")
        slow = peer.ask()
        written: list[int] = []
        while not pods.terminated:
            written.append(await create(store, len(written), 20_000))
            await asyncio.sleep(0)
        for stream in (0, slow):
            peer.send(number(Kind.WINDOW_UPDATE, stream, 1 << 24))
        await aeventually(lambda: peer.answers_of()[slow].ended, "the watch to end cleanly")
        events = parsed(peer.answers_of()[slow].body)
        again = peer.ask("GET", f"/?{revision(events[-1])}")
        peer.send(number(Kind.WINDOW_UPDATE, again, 1 << 24))
        written += [await create(store, len(written) + i, 20_000) for i in range(3)]
        await aeventually(
            lambda: str(written[-1]).encode() in peer.answers_of()[again].body, "the last event"
        )
        check(events + parsed(peer.answers_of()[again].body), written)


@pytest.mark.parametrize("resume", [resume_http1, resume_http2])
def test_who_was_too_slow_resumes_and_gets_every_event_once(
    resume: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(resume())
