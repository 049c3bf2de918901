"""Many watchers on one server: memory for each, how long an event takes to reach all,
what others notice meanwhile.

usage: python benchmarks/watchers.py [WATCHERS]

Each watcher is a TLS connection of its own that watches the config maps of one namespace with a bearer
token. They live in a second process, the requests of the bystander in a third. `Bare` says what the same
connections cost a server of uvloop and TLS that answers each with one head and does nothing else: what is
above it is ours.
"""

import asyncio
import json
import multiprocessing
import os
import pathlib
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any

import processes
import startup
import uvloop
from memory import PATH, Connection

WATCHERS = 10_000
IDLE_KB, ALL_SECONDS, P99_MS = 25.0, 1.0, 100.0
"""The goals with 10,000."""
TOKEN = "watcher"
AT_ONCE = 50
"""Connections that are opened at a time."""
EVENTS = 3


class Watcher(asyncio.Protocol):
    """Counts the events of one watch."""

    def __init__(self, crowd: "Crowd", request: bytes) -> None:
        self.crowd, self.request = crowd, request
        self.watching: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.watching.done() and b"200 OK" in data:
            self.watching.set_result(None)
        self.crowd.seen += data.count(b'"type":"ADDED"')
        if self.crowd.seen >= self.crowd.awaited:
            self.crowd.all.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.lost += 1


class Crowd:
    """The watchers, in a process of their own; it is told what to do and tells when it was done."""

    def __init__(self, port: int, directory: str) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=str(pathlib.Path(directory, "ca.crt")))
        self.seen, self.awaited, self.lost = 0, 1 << 60, 0
        self.all = asyncio.Event()

    async def open(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        head = f"GET {PATH}?watch=1&timeoutSeconds=1800 HTTP/1.1\r\nHost: x\r\n"
        request = f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        left = iter(range(count))

        async def some() -> None:
            for _ in left:
                _, watcher = await loop.create_connection(
                    lambda: Watcher(self, request), "127.0.0.1", self.port, ssl=self.context
                )
                await watcher.watching

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    async def main(self, pipe: Pipe, count: int) -> None:
        loop = asyncio.get_running_loop()
        await self.open(count)
        pipe.send("open")
        while (events := await loop.run_in_executor(None, pipe.recv)) is not None:
            self.seen, self.awaited = 0, events * count
            self.all.clear()
            pipe.send("ready")
            await asyncio.wait_for(self.all.wait(), 120)
            pipe.send(time.monotonic())
        pipe.send(self.lost)


class Bare(asyncio.Protocol):
    """A watch as the transport alone sees it: a request comes, a head goes out, the connection stays."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def bare(pipe: Pipe, directory: str, count: int) -> None:
    """A server of `Bare` with the same certificate;
    sends its port, then what the connections cost when asked."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, count + 1000))
    pid = os.getpid()

    async def main() -> None:
        files = pathlib.Path(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files / "apiserver.crt", files / "apiserver.key")
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Bare, "127.0.0.1", 0, ssl=context, backlog=4096)
        before = processes.resident(pid)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        pipe.send((processes.resident(pid) - before) * 1024 / count)

    uvloop.run(main())


def context_of(directory: str) -> ssl.SSLContext:
    files = pathlib.Path(directory)
    context = ssl.create_default_context(cafile=str(files / "ca.crt"))
    context.load_cert_chain(files / "admin.crt", files / "admin.key")
    return context


def crowd(pipe: Pipe, port: int, directory: str, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, count + 1000))

    async def main() -> None:
        await Crowd(port, directory).main(pipe, count)

    uvloop.run(main())


def bystander(pipe: Pipe, port: int, directory: str) -> None:
    """GETs of one object until told to stop; tells how long each took."""

    async def main() -> None:
        connection = await Connection.open(port, context_of(directory))
        took = []
        while not pipe.poll():
            begun = time.monotonic()
            status, _ = await connection.call("GET", "/api/v1/namespaces/default")
            assert status == 200
            took.append(time.monotonic() - begun)
            await asyncio.sleep(0.002)
        pipe.send(took)

    asyncio.run(main())


async def write(port: int, directory: str, names: list[str]) -> float:
    """Create config maps at once; when the first request was sent."""
    connections = [await Connection.open(port, context_of(directory)) for _ in names]
    begun = time.monotonic()

    async def create(connection: Connection, name: str) -> None:
        body = {"metadata": {"name": name}, "data": {"a": "x" * 1024}}
        status, said = await connection.call("POST", PATH, json.dumps(body).encode())
        assert status == 201, said

    await asyncio.gather(*map(create, connections, names))
    for connection in connections:
        connection.writer.close()
    return begun


def measure(count: int = WATCHERS) -> dict[str, float]:
    """KB of the server for each idle watcher, seconds for one and for several events to reach all,
    p99 of a GET in ms."""
    spawn = multiprocessing.get_context("spawn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, count + 1000))
    with tempfile.TemporaryDirectory() as directory:
        port = startup.free_port()
        tokens = pathlib.Path(directory, "tokens.csv")
        tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
        process = startup.serve(directory, port, "--min-request-timeout=1800", f"--token-auth-file={tokens}")
        try:
            startup.wait_ready(port, process)
            time.sleep(startup.SETTLE_SECONDS)
            return _measure(spawn, process, port, directory, count)
        finally:
            startup.end(process)


def _measure(
    spawn: Any, process: "subprocess.Popen[bytes]", port: int, directory: str, count: int
) -> dict[str, float]:
    before = processes.resident(process.pid)
    mine, theirs = spawn.Pipe()
    watchers = spawn.Process(target=crowd, args=(theirs, port, directory, count))
    watchers.start()
    assert mine.recv() == "open"
    time.sleep(startup.SETTLE_SECONDS)
    got = {"idle-kb": (processes.resident(process.pid) - before) * 1024 / count}
    control, end = spawn.Pipe()
    other = spawn.Process(target=bystander, args=(end, port, directory))
    other.start()
    for name, events in (("one-s", 1), ("several-s", EVENTS)):
        mine.send(events)
        assert mine.recv() == "ready"
        begun = asyncio.run(write(port, directory, [f"{name}-{i}" for i in range(events)]))
        got[name] = mine.recv() - begun
        time.sleep(1)
    control.send("stop")
    took = sorted(control.recv())
    got["get-p99-ms"] = took[int(len(took) * 0.99)] * 1000
    got["get-max-ms"] = took[-1] * 1000
    got["after-kb"] = (processes.resident(process.pid) - before) * 1024 / count
    mine.send(None)
    got["lost"] = mine.recv()
    for one in (other, watchers):
        one.join(30)
        one.kill()
    got["bare-kb"] = _measure_bare(spawn, directory, count)
    return got


def _measure_bare(spawn: Any, directory: str, count: int) -> float:
    mine, theirs = spawn.Pipe()
    server = spawn.Process(target=bare, args=(theirs, directory, count))
    server.start()
    port = mine.recv()
    control, end = spawn.Pipe()
    watchers = spawn.Process(target=crowd, args=(end, port, directory, count))
    watchers.start()
    assert control.recv() == "open"
    time.sleep(startup.SETTLE_SECONDS)
    mine.send("measure")
    kilobytes: float = mine.recv()
    for one in (watchers, server):
        one.kill()
        one.join()
    return kilobytes


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else WATCHERS
    got = measure(count)
    rows = [
        ("memory for an idle watcher", got["idle-kb"], "KB", IDLE_KB),
        ("the same of uvloop and TLS alone", got["bare-kb"], "KB", None),
        ("one event reaches all after", got["one-s"], "s", ALL_SECONDS),
        (f"{EVENTS} events at once reach all after", got["several-s"], "s", None),
        ("p99 of a GET meanwhile", got["get-p99-ms"], "ms", P99_MS),
        ("the longest GET", got["get-max-ms"], "ms", None),
        ("memory for a watcher after the events", got["after-kb"], "KB", None),
        ("watches that ended", got["lost"], "", 0.0),
    ]
    print(f"{count} watchers")
    for name, value, unit, goal in rows:
        print(f"{name:40} {value:8.2f} {unit:2}" + (f"  (goal: {goal:g})" if goal is not None else ""))
    return int(any(goal is not None and value > goal for _, value, _, goal in rows))


if __name__ == "__main__":
    raise SystemExit(main())
