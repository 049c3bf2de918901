"""Many ConfigMaps of 1 KB through a server's whole life with them:
created, listed in pages, watched, deleted.

usage: python benchmarks/memory.py [COUNT]
"""

import asyncio
import contextlib
import json
import pathlib
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import processes
import startup

AFTER_MB = 400.0
"""The goal for memory with 100,000."""
CONNECTIONS = 16
PAGE = 500
PATH = "/api/v1/namespaces/default/configmaps"


class Connection:
    """A keep-alive connection: just enough HTTP to be no bottleneck."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 22))

    async def call(
        self, method: str, path: str, body: bytes = b"", accept: str = "application/json"
    ) -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Accept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        status, headers = await self.head()
        if headers.get("transfer-encoding") != "chunked":
            return status, await self.reader.readexactly(int(headers.get("content-length", 0)))
        parts = []
        while part := await self.chunk():
            parts.append(part)
        return status, b"".join(parts)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]


@dataclass
class Run:
    """One server with `count` objects; what happened is in `rows`: step, seconds, megabytes after it."""

    port: int
    pid: int
    context: ssl.SSLContext
    count: int
    rows: list[tuple[str, float, float]] = field(default_factory=list)

    async def step(self, name: str, work: Awaitable[None]) -> None:
        begun = time.monotonic()
        await work
        self.rows.append((name, time.monotonic() - begun, processes.resident(self.pid)))

    async def each(self, act: Callable[[Connection, int], Awaitable[None]]) -> None:
        """Act on every number over several connections."""
        numbers = iter(range(self.count))

        async def one() -> None:
            connection = await Connection.open(self.port, self.context)
            for number in numbers:
                await act(connection, number)
            await connection.close()

        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))

    async def create(self) -> None:
        text = "x" * 1024

        async def act(connection: Connection, number: int) -> None:
            body = {"metadata": {"name": f"bulk-{number:06}", "labels": {"bulk": "yes"}}, "data": {"a": text}}
            status, said = await connection.call("POST", PATH, json.dumps(body).encode())
            assert status == 201, said

        await self.each(act)

    async def pages(self) -> None:
        connection = await Connection.open(self.port, self.context)
        token, seen = "", 0
        while True:
            status, said = await connection.call(
                "GET", f"{PATH}?limit={PAGE}&labelSelector=bulk&continue={token}"
            )
            assert status == 200, said[:500]
            document = json.loads(said)
            seen += len(document["items"])
            token = document["metadata"].get("continue", "")
            if not token:
                break
        assert seen == self.count, seen
        await connection.close()

    async def watch(self) -> None:
        """Every object as an initial event, to four clients at once."""

        async def one() -> None:
            connection = await Connection.open(self.port, self.context)
            query = "watch=1&labelSelector=bulk&sendInitialEvents=true&allowWatchBookmarks=true"
            query += "&resourceVersionMatch=NotOlderThan&timeoutSeconds=600"
            connection.writer.write(f"GET {PATH}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await connection.head())[0] == 200
            seen = 0
            while True:
                part = await connection.chunk()
                seen += part.count(b'"type":"ADDED"')
                if b'"k8s.io/initial-events-end"' in part:
                    break
            assert seen == self.count, seen
            await connection.close()

        await asyncio.gather(*(one() for _ in range(4)))

    async def delete(self) -> None:
        async def act(connection: Connection, number: int) -> None:
            status, said = await connection.call("DELETE", f"{PATH}/bulk-{number:06}")
            assert status == 200, said

        await self.each(act)

    async def main(self) -> None:
        self.rows.append(("start", 0.0, processes.resident(self.pid)))
        await self.step("create", self.create())
        await self.step("list in pages", self.pages())
        await self.step("watch, 4 clients", self.watch())
        self.rows.append(("with all of them", 0.0, processes.resident(self.pid)))
        await self.step("delete", self.delete())
        await asyncio.sleep(2)
        self.rows.append(("after it", 0.0, processes.resident(self.pid)))


def measure(count: int) -> list[tuple[str, float, float]]:
    """The steps of a whole run on a durable store."""
    with tempfile.TemporaryDirectory() as directory:
        port = startup.free_port()
        process = startup.serve(directory, port)
        try:
            startup.wait_ready(port, process)
            files = pathlib.Path(directory)
            context = ssl.create_default_context(cafile=str(files / "ca.crt"))
            context.load_cert_chain(files / "admin.crt", files / "admin.key")
            context.check_hostname = False
            run = Run(port, process.pid, context, count)
            asyncio.run(run.main())
            return run.rows
        finally:
            startup.end(process)


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rows = measure(count)
    print(f"{count:,} ConfigMaps of 1 KB")
    for name, seconds, megabytes in rows:
        each = f"{seconds / count * 1e6:8.0f} us each" if seconds else ""
        print(f"{name:20} {seconds:8.1f} s {megabytes:8.1f} MB {each}")
    most = max(megabytes for _, _, megabytes in rows)
    print(f"most: {most:.1f} MB, at most {AFTER_MB:g}{'' if most <= AFTER_MB else '   <-- missed'}")
    return int(most > AFTER_MB)


if __name__ == "__main__":
    sys.exit(main())
