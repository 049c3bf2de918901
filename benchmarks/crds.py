"""Makes many definitions of custom resources against a running server: how long it takes, what memory they need.

python benchmarks/crds.py --server https://127.0.0.1:6443 --token TOKEN --pid PID [--count 1000] [--groups 50]
"""

import argparse
import asyncio
import json
import ssl
import time
from pathlib import Path
from typing import Any

FIELDS = 30
KINDS = (
    {"type": "string", "maxLength": 253, "pattern": "^[a-z0-9.-]*$"},
    {"type": "integer", "minimum": 0, "maximum": 65535, "format": "int32"},
    {"type": "boolean", "default": False},
    {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"x-kubernetes-int-or-string": True},
)


def definition(i: int, groups: int) -> dict[str, Any]:
    """A definition of realistic size: 30 described fields, a status, two columns."""
    group, plural = f"g{i % groups}.example.com", f"things{i}"
    spec = {
        f"field{n}": {
            **KINDS[n % len(KINDS)],
            "description": f"What field {n} means to whoever reads this. " * 2,
        }
        for n in range(FIELDS)
    }
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": spec, "required": ["field0"]},
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": f"Thing{i}"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                }
            ],
        },
    }


class Connection:
    """One keep-alive connection."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self.host, self.port, self.token = host, port, token
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, ssl=context)

    async def send(
        self, method: str, path: str, body: Any = None, accept: str = "application/json"
    ) -> tuple[int, bytes]:
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.token}\r\nAccept: {accept}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self.writer.write(head.encode() + data)
        await self.writer.drain()
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        status = int(answer.split()[1])
        if b"content-length:" in answer:
            size = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
            return status, await self.reader.readexactly(size)
        out = b""
        while size := int(await self.reader.readline(), 16):
            out += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return status, out


def memory(pid: int) -> float:
    """Private memory of a process in MB (Pss + swap)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return (found["Pss"] + found["SwapPss"]) / 1024


async def timed(connection: Connection, label: str, path: str, accept: str = "application/json") -> None:
    start = time.perf_counter()
    status, body = await connection.send("GET", path, accept=accept)
    print(f"{label}: {status}, {len(body)} bytes, {time.perf_counter() - start:.3f} s")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="https://127.0.0.1:6443")
    parser.add_argument("--token", required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--connections", type=int, default=8)
    args = parser.parse_args()
    host, port = args.server.removeprefix("https://").split(":")
    connections = [Connection(host, int(port), args.token) for _ in range(args.connections)]
    await asyncio.gather(*(connection.open() for connection in connections))
    first = connections[0]
    await timed(first, "built-in list before", "/api/v1/namespaces")
    before, start = memory(args.pid), time.perf_counter()
    waiting = iter(range(args.count))

    async def work(connection: Connection) -> None:
        for i in waiting:
            status, body = await connection.send(
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(i, args.groups)
            )
            assert status == 201, body

    await asyncio.gather(*map(work, connections))
    print(f"created {args.count} in {time.perf_counter() - start:.1f} s")
    last = definition(args.count - 1, args.groups)["spec"]
    while (await first.send("GET", f"/apis/{last['group']}/v1/{last['names']['plural']}"))[0] != 200:
        await asyncio.sleep(0.01)
    print(f"served after {time.perf_counter() - start:.1f} s")
    print(f"memory: {(memory(args.pid) - before) / args.count * 1024:.0f} kB each")
    aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    await timed(first, "discovery", "/apis", aggregated)
    await timed(first, "discovery again", "/apis", aggregated)
    await timed(first, "one group's version", f"/apis/{last['group']}/v1")
    await timed(first, "openapi v3 index", "/openapi/v3")
    await timed(first, "one openapi document", f"/openapi/v3/apis/{last['group']}/v1")
    await timed(first, "built-in list after", "/api/v1/namespaces")


if __name__ == "__main__":
    asyncio.run(main())
