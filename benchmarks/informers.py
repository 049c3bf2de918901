"""Sixteen informers that begin at once on many large objects (KEP-3157's and KEP-5116's case): peak memory.

usage: python benchmarks/informers.py [MB] [--port PORT --pid PID --token TOKEN]

ConfigMaps of 100 KB are created, MB of them together (1,000). Then 16 clients ask at the same time for a
watch that begins with all of them, and 16 more list all of them. With --port a running server is
measured, such as a kube-apiserver. The status is 1 when the peak, less the server at rest, is above 1.6 times
the objects.
"""

import argparse
import asyncio
import json
import os
import pathlib
import ssl
import sys
import tempfile
import time
from typing import Self

import startup
from memory import Connection

SIZE = 100_000
INFORMERS = 16
MOST = 1.6
"""What is aimed at: bytes of memory for a byte of the objects."""
PATH = "/api/v1/namespaces/default/configmaps"
WATCH = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"


class Peak:
    """The most memory of a process while something runs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.megabytes = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            self.megabytes = max(self.megabytes, startup.resident(self.pid))
            await asyncio.sleep(0.02)


class Run:
    """One server and its clients."""

    def __init__(self, port: int, pid: int, context: ssl.SSLContext, token: str, count: int) -> None:
        self.port, self.pid, self.context, self.count = port, pid, context, count
        self.credentials = f"Authorization: Bearer {token}\r\n" if token else ""

    async def open(self) -> Connection:
        return await Connection.open(self.port, self.context)

    async def send(self, connection: Connection, method: str, target: str, body: bytes = b"") -> int:
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{self.credentials}"
        )
        connection.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status, headers = await connection.head()
        if headers.get("transfer-encoding") != "chunked":
            await connection.reader.readexactly(int(headers["content-length"]))
        return status

    async def fill(self) -> None:
        """Create the objects; their data does not compress."""
        numbers = iter(range(self.count))

        async def one() -> None:
            connection = await self.open()
            for number in numbers:
                data = {"k": os.urandom(SIZE // 2).hex()}
                body = json.dumps({"metadata": {"name": f"o{number:06}"}, "data": data}).encode()
                assert await self.send(connection, "POST", PATH, body) == 201
            await connection.close()

        await asyncio.gather(*(one() for _ in range(4)))

    async def watch(self) -> None:
        connection = await self.open()
        assert await self.send(connection, "GET", f"{PATH}?{WATCH}") == 200
        seen, tail = 0, b""
        while b"k8s.io/initial-events-end" not in tail:
            part = tail + await connection.chunk()
            tail = part[-200:]
            seen += part.count(b'"type":"ADDED"') - tail.count(b'"type":"ADDED"')
        assert seen + tail.count(b'"type":"ADDED"') >= self.count, seen
        await connection.close()

    async def list(self) -> None:
        connection = await self.open()
        head = f"GET {PATH}?resourceVersion=0 HTTP/1.1\r\nHost: x\r\n{self.credentials}\r\n"
        connection.writer.write(head.encode())
        status, headers = await connection.head()
        assert status == 200
        left = int(headers.get("content-length", -1))
        size = 0
        while left > 0:
            part = await connection.reader.read(min(left, 1 << 20))
            left -= len(part)
            size += len(part)
        while left < 0 and (part := await connection.chunk()):
            size += len(part)
        assert size > self.count * SIZE, size
        await connection.close()

    async def main(self) -> float:
        """The most bytes for a byte of the objects, of watches and of lists."""
        rest = startup.resident(self.pid)
        await self.fill()
        await asyncio.sleep(2)
        filled = startup.resident(self.pid)
        objects = self.count * SIZE / 1e6
        print(
            f"{self.count:,} objects of {SIZE // 1000} KB; at rest {rest:.0f} MB, with them {filled:.0f} MB"
        )
        worst = 0.0
        for name, work in (("watches", self.watch), ("lists", self.list)):
            begun = time.monotonic()
            async with Peak(self.pid) as peak:
                await asyncio.gather(*(work() for _ in range(INFORMERS)))
            times = (peak.megabytes - rest) * 1.048576 / objects
            worst = max(worst, times)
            took = time.monotonic() - begun
            print(f"{INFORMERS} {name:8} {took:6.1f} s, at most {peak.megabytes:.0f} MB: {times:.2f} times")
        return worst


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("megabytes", nargs="?", type=int, default=1000)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--token", default="")
    args = parser.parse_args()
    count = args.megabytes * 1_000_000 // SIZE
    context = ssl._create_unverified_context()
    if args.port:
        asyncio.run(Run(args.port, args.pid, context, args.token, count).main())
        return 0
    with tempfile.TemporaryDirectory() as directory:
        port = startup.free_port()
        process = startup.serve(directory, port)
        try:
            startup.wait_ready(port, process)
            files = pathlib.Path(directory)
            context.load_cert_chain(files / "admin.crt", files / "admin.key")
            worst = asyncio.run(Run(port, process.pid, context, "", count).main())
        finally:
            startup.end(process)
    print(f"at most {worst:.2f}, goal {MOST}{'' if worst <= MOST else '   <-- missed'}")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())
