"""Idle watches as streams of HTTP/2 connections: memory for a connection and for a watch.

usage: python benchmarks/streams.py [CONNECTIONS [WATCHES_OF_EACH]]

A connection is a node: its streams watch what a kubelet and a kube-proxy watch, with a bearer token. They
live in a second process, which writes frames itself and reads no more of the answers than their heads. The
memory of a connection alone is measured with one watch on each, before the others are opened.
"""

import asyncio
import functools
import multiprocessing
import pathlib
import resource
import ssl
import struct
import sys
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any

import processes
import startup
from hpack import Encoder

CONNECTIONS, WATCHES = 600, 17
NODE_KB, WATCH_KB = 110.0, 6.0
"""The goals: for a node with 18 watches, for a watch of 10,000 on 600 connections."""
TOKEN = "watcher"
AT_ONCE = 50
"""Connections that are opened at a time."""

PATHS = (
    "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-{0:06}",
    "/api/v1/nodes?fieldSelector=metadata.name%3Dnode-{0:06}",
    "/api/v1/services?labelSelector=%21service.kubernetes.io%2Fheadless",
    "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=%21service.kubernetes.io%2Fheadless",
    "/apis/node.k8s.io/v1/runtimeclasses?",
    "/apis/storage.k8s.io/v1/csidrivers?",
    "/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name%3Dconfig-{1}",
    "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Dsecret-{1}",
)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


class Node(asyncio.Protocol):
    """One connection; counts the heads of answers, and acknowledges settings and pings."""

    def __init__(self, number: int) -> None:
        self.number, self.next, self.heads, self.awaited = number, 1, 0, 0
        self.encoder, self.rest, self.lost = Encoder(), b"", False
        self.all = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))

    def watch(self, count: int) -> None:
        """Open streams."""
        out = []
        for _ in range(count):
            index = self.next // 2
            path = PATHS[index % len(PATHS)].format(self.number, index)
            fields = [(":authority", "127.0.0.1"), (":method", "GET"), (":scheme", "https")]
            fields += [
                (":path", f"{path}&watch=1&allowWatchBookmarks=true&timeoutSeconds=1800&resourceVersion=0")
            ]
            fields += [("accept", "application/json"), ("accept-encoding", "gzip")]
            fields += [("user-agent", "kubelet/v1.36.2 (linux/amd64) kubernetes/0000000")]
            fields += [("authorization", f"Bearer {TOKEN}")]
            out.append(frame(1, 5, self.next, self.encoder.encode(fields)))
            self.next += 2
        self.awaited += count
        self.all.clear()
        self.transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        at = 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3])
            if len(data) - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            self.heads += kind == 1
            if kind in (4, 6) and not flags & 1:
                self.transport.write(frame(kind, 1, 0, b"" if kind == 4 else data[at + 9 : at + 17]))
            at += 9 + size
        self.rest = data[at:]
        if self.heads >= self.awaited:
            self.all.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def crowd(pipe: Pipe, port: int, connections: int, watches: int) -> None:
    """The clients, in a process of their own."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (connections + 1000, connections + 1000))
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2"])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        nodes: list[Node] = []

        async def some(left: Any) -> None:
            for number in left:
                _, node = await loop.create_connection(
                    functools.partial(Node, number), "127.0.0.1", port, ssl=context
                )
                nodes.append(node)
                node.watch(1)
                await asyncio.wait_for(node.all.wait(), 30)

        left = iter(range(connections))
        await asyncio.gather(*(some(left) for _ in range(AT_ONCE)))
        pipe.send("one")
        await loop.run_in_executor(None, pipe.recv)
        for node in nodes:
            node.watch(watches - 1)
            await asyncio.wait_for(node.all.wait(), 30)
        pipe.send("all")
        await loop.run_in_executor(None, pipe.recv)
        pipe.send(sum(node.lost for node in nodes))

    asyncio.run(main())


def measure(connections: int, watches: int) -> dict[str, float]:
    """Kilobytes for a connection with one watch, for each further watch, and lost connections."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory:
        port = startup.free_port()
        tokens = pathlib.Path(directory, "tokens.csv")
        tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
        process = startup.serve(directory, port, "--min-request-timeout=1800", f"--token-auth-file={tokens}")
        try:
            startup.wait_ready(port, process)
            time.sleep(startup.SETTLE_SECONDS)
            before = processes.resident(process.pid)
            mine, theirs = spawn.Pipe()
            clients = spawn.Process(target=crowd, args=(theirs, port, connections, watches))
            clients.start()
            assert mine.recv() == "one"
            time.sleep(startup.SETTLE_SECONDS)
            one = processes.resident(process.pid)
            mine.send("go on")
            assert mine.recv() == "all"
            time.sleep(startup.SETTLE_SECONDS)
            every = processes.resident(process.pid)
            mine.send("end")
            lost = mine.recv()
            clients.join(10)
            clients.kill()
            return {
                "one": (one - before) * 1024 / connections,
                "further": (every - one) * 1024 / connections / (watches - 1),
                "watch": (every - before) * 1024 / connections / watches,
                "node": (every - before) * 1024 / connections,
                "lost": lost,
            }
        finally:
            startup.end(process)


def main() -> int:
    connections = int(sys.argv[1]) if len(sys.argv) > 1 else CONNECTIONS
    watches = int(sys.argv[2]) if len(sys.argv) > 2 else WATCHES
    got = measure(connections, watches)
    rows = [
        ("a connection with one watch", got["one"], "KB", None),
        ("a further watch on it", got["further"], "KB", None),
        ("a watch, with its share of the connection", got["watch"], "KB", WATCH_KB),
        ("a node", got["node"], "KB", NODE_KB),
        ("connections that ended", got["lost"], "", 0.0),
    ]
    print(f"{connections} connections with {watches} watches each")
    for name, value, unit, goal in rows:
        print(f"{name:45} {value:8.2f} {unit:2}" + (f"  (goal: {goal:g})" if goal is not None else ""))
    return int(any(goal is not None and value > goal for _, value, _, goal in rows))


if __name__ == "__main__":
    raise SystemExit(main())
