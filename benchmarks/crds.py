"""Many definitions of custom resources: what they cost, and that everything else stays as fast beside them.

usage: python benchmarks/crds.py [COUNT]
"""

import asyncio
import contextlib
import json
import math
import os
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import startup
from memory import Connection

AIMS = {
    "create-seconds": 60.0,
    "each-mb": 0.3,
    "each-used-mb": 0.3,
    "api-resources-seconds": 2.0,
    "get-ratio": 1.1,
    "list-ratio": 1.1,
    "follow-seconds": 0.1,
    "ready-seconds": 2.0,
    "other-server-seconds": 1.0,
}
"""At most, with 1,000 definitions."""
GROUPS, CONNECTIONS = 50, 8
SETTLE_SECONDS = 2.0
BLOCKS, BLOCK, STARTS = 60, 100, 3
REST_SECONDS, QUIET, QUIET_SECONDS, QUIET_SHARE = 60.0, 3, 0.1, 0.1
"""A server rests when it takes less than this share of a processor in so many intervals on end."""
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
MAPS = "/api/v1/namespaces/default/configmaps"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
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
            "description": f"What field {n} means to people who read it. " * 2,
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


@dataclass
class Server:
    """A server of this program's own on a durable store."""

    directory: Path
    port: int
    process: "subprocess.Popen[bytes]"

    async def connect(self) -> Connection:
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        context.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        context.check_hostname = False
        return await Connection.open(self.port, context)

    def cpu(self) -> float:
        """Seconds that its threads have run."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def pin(self) -> None:
        """From now on its threads run on the first processor."""
        first = {min(os.sched_getaffinity(0))}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), first)

    def runs(self) -> bool:
        """Whether a thread runs or waits for a processor. Its time until now is not in `cpu` then."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return any((task / "stat").read_text().rpartition(") ")[2].startswith("R") for task in tasks)

    def memory(self) -> float:
        """Its memory in MB, shared pages by halves or less and what is swapped out too (Pss + swap)."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        found = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
        return (found["Pss"] + found["SwapPss"]) / 1024


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Server]:
    """A server over a directory, from ready to ended."""
    port = startup.free_port()
    process = startup.serve(str(directory), port)
    try:
        startup.wait_ready(port, process)
        yield Server(directory, port, process)
    finally:
        startup.end(process)


async def ok(connection: Connection, method: str, path: str, body: Any = None, accept: str = "") -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    status, said = await connection.call(method, path, data, accept or "application/json")
    assert status in (200, 201), said[:500]
    return said


def resource_path(defined: dict[str, Any]) -> str:
    return f"/apis/{defined['spec']['group']}/v1/{defined['spec']['names']['plural']}"


async def create(server: Server, count: int) -> float:
    """Seconds until the last of `count` definitions is served."""
    begun = time.perf_counter()
    waiting = iter(range(count))

    async def one() -> None:
        connection = await server.connect()
        for number in waiting:
            await ok(connection, "POST", DEFINITIONS, definition(number, GROUPS))
        await connection.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    connection = await server.connect()
    while (await connection.call("GET", resource_path(definition(count - 1, GROUPS))))[0] != 200:
        await asyncio.sleep(0.01)
    await connection.close()
    return time.perf_counter() - begun


async def use(server: Server, count: int) -> None:
    """An object of each definition: from then on its schema is compiled, and its objects are in a cache."""
    connection = await server.connect()
    for number in range(count):
        defined = definition(number, GROUPS)
        spec = defined["spec"]
        place = f"/apis/{spec['group']}/v1/namespaces/default/{spec['names']['plural']}"
        body = {"apiVersion": f"{spec['group']}/v1", "kind": spec["names"]["kind"], "spec": {"field0": "a"}}
        await ok(connection, "POST", place, {**body, "metadata": {"name": "one"}})
    await connection.close()


def api_resources(server: Server, count: int) -> float:
    """Seconds that kubectl takes to list every resource, with nothing in its cache."""
    with tempfile.TemporaryDirectory() as home:
        config = {"KUBECONFIG": str(server.directory / "admin.kubeconfig"), "HOME": home}
        command = [str(KUBECTL), f"--server=https://127.0.0.1:{server.port}", "api-resources", "--no-headers"]
        begun = time.perf_counter()
        done = subprocess.run(command, env={**os.environ, **config}, capture_output=True, check=True)
        seconds = time.perf_counter() - begun
        assert done.stdout.count(b".example.com/v1") >= count
        return seconds


DOCUMENT = "/openapi/v3/apis/follow.example.com/v1"
LISTS = {"/apis/follow.example.com/v1": "application/json", "/apis": AGGREGATED}
OPENAPI = {"/openapi/v2": "application/json", DOCUMENT: "application/json"}


async def follow(server: Server) -> float:
    """The longest time from the answer to a change to the first request for the group version's OpenAPI
    that shows it.

    A definition is made, gets another field and is deleted. The other documents must show it then too.
    """
    connection = await server.connect()
    made = definition(0, 1)
    made["metadata"]["name"] = name = "followers.follow.example.com"
    made["spec"] |= {"group": "follow.example.com", "names": {"plural": "followers", "kind": "Follower"}}
    longest = 0.0

    async def until(mark: bytes, others: dict[str, str], *, there: bool) -> None:
        nonlocal longest
        since = asked = time.perf_counter()
        while (mark in (await connection.call("GET", DOCUMENT))[1]) != there:
            asked = time.perf_counter()
            assert asked - since < 10, "OpenAPI does not follow"
        longest = max(longest, asked - since)
        for path, accept in others.items():
            assert (mark in (await connection.call("GET", path, accept=accept))[1]) == there, path

    await ok(connection, "POST", DEFINITIONS, made)
    await until(b"Follower", LISTS | OPENAPI, there=True)
    live = json.loads(await ok(connection, "GET", f"{DEFINITIONS}/{name}"))
    schema = live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["later"] = {"type": "string"}
    await ok(connection, "PUT", f"{DEFINITIONS}/{name}", live)
    await until(b'"later"', OPENAPI, there=True)
    await ok(connection, "DELETE", f"{DEFINITIONS}/{name}")
    await until(b"Follower", LISTS | OPENAPI, there=False)
    await connection.close()
    return longest


async def rest(server: Server) -> None:
    """Wait until a server has done what it does by itself after requests, such as building documents."""
    quiet, before = 0, server.cpu()
    async with asyncio.timeout(REST_SECONDS):
        while quiet < QUIET:
            await asyncio.sleep(QUIET_SECONDS)
            now = server.cpu()
            quiet = quiet + 1 if now - before < QUIET_SHARE * QUIET_SECONDS else 0
            before = now


async def ratio(loaded: Server, empty: Server, path: str, blocks: int) -> float:
    """How much more a request costs beside the definitions: the least of each server's blocks, in turns.

    It is processor time, all of one processor. What a client sees depends on which server shares its core,
    and what a processor does depends on who else has it. The least is what no neighbour of the machine has
    added to, and nothing else that a server does meanwhile.
    """
    servers, least = (loaded, empty), [math.inf, math.inf]
    connections = [await server.connect() for server in servers]
    for server in servers:
        server.pin()
        await rest(server)
    for turn in range(blocks):
        for which in (0, 1) if turn % 2 else (1, 0):
            least[which] = min(least[which], await block(servers[which], connections[which], path))
    for connection in connections:
        await connection.close()
    return least[0] / least[1]


async def block(server: Server, connection: Connection, path: str) -> float:
    """The processor time of a server while it answers BLOCK requests."""
    before = server.cpu()
    for _ in range(BLOCK):
        await ok(connection, "GET", path)
    while server.runs():
        await asyncio.sleep(0.001)
    return server.cpu() - before


async def fill(server: Server) -> None:
    """A hundred ConfigMaps, to be listed."""
    connection = await server.connect()
    for number in range(100):
        body = {"metadata": {"name": f"c{number}"}, "data": {"a": "x" * 200}}
        await ok(connection, "POST", MAPS, body)
    await connection.close()


async def with_definitions(loaded: Server, empty: Server, count: int, blocks: int) -> dict[str, float]:
    """Measure, between two running servers, what the definitions change."""
    out: dict[str, float] = {}
    await asyncio.gather(fill(loaded), fill(empty))
    await asyncio.sleep(SETTLE_SECONDS)
    before = loaded.memory()
    out["create-seconds"] = await create(loaded, count)
    await asyncio.sleep(SETTLE_SECONDS)
    out["each-mb"] = (loaded.memory() - before) / count
    await use(loaded, count)
    await asyncio.sleep(SETTLE_SECONDS)
    out["each-used-mb"] = (loaded.memory() - before) / count
    if KUBECTL.exists():
        out["api-resources-seconds"] = api_resources(loaded, count)
    out["follow-seconds"] = await follow(loaded)
    out["get-ratio"] = await ratio(loaded, empty, f"{MAPS}/c1", blocks)
    out["list-ratio"] = await ratio(loaded, empty, MAPS, blocks)
    return out


async def serves(server: Server, path: str) -> bool:
    connection = await server.connect()
    status, _ = await connection.call("GET", path)
    await connection.close()
    return status == 200


def other_server() -> float:
    """Seconds until a definition that was made through one server of two on etcd is served by the other."""
    from pilothouse.testing.etcd import EtcdCluster
    from pilothouse.testing.server import Subprocess

    async def until_served(first: Server, second: Server) -> float:
        made, connection = definition(0, 1), await first.connect()
        await ok(connection, "POST", DEFINITIONS, made)
        await connection.close()
        begun, other = time.perf_counter(), await second.connect()
        while (await other.call("GET", resource_path(made)))[0] != 200:
            await asyncio.sleep(0.005)
        await other.close()
        return time.perf_counter() - begun

    with tempfile.TemporaryDirectory() as directory, EtcdCluster(Path(directory)) as cluster:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={cluster.urls[0]}"]
        with Subprocess(flags) as one, Subprocess(flags) as two:
            assert one.process is not None and two.process is not None
            first, second = [
                Server(s.directory, s.port, p) for s, p in ((one, one.process), (two, two.process))
            ]
            return asyncio.run(until_served(first, second))


def measure(count: int = 1000, blocks: int = BLOCKS, enough: float = 0.0) -> dict[str, float]:
    """The figures of AIMS, without those whose program is missing here (kubectl, etcd).

    A start that takes `enough` seconds at the most is the last of STARTS.
    """
    from pilothouse.testing.etcd import BINARY

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        with running(Path(one)) as loaded, running(Path(two)) as empty:
            out = asyncio.run(with_definitions(loaded, empty, count, blocks))
        last, starts = resource_path(definition(count - 1, GROUPS)), list[float]()
        while len(starts) < STARTS and min(starts, default=math.inf) > enough:
            begun = time.monotonic()
            with running(Path(one)) as again:
                starts.append(time.monotonic() - begun)
                assert asyncio.run(serves(again, last)), "not all are served when the server is ready"
        out["ready-seconds"] = min(starts)
    if BINARY is not None:
        out["other-server-seconds"] = other_server()
    return out


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    got = measure(count)
    print(f"{count:,} definitions of {FIELDS} fields")
    for name, most in AIMS.items():
        value = got.get(name)
        shown = "not measured" if value is None else f"{value:12.3f}"
        missed = value is not None and value > most
        print(f"{name:24} {shown} at most {most:g}{'   <-- missed' if missed else ''}")
    return any(value > AIMS[name] for name, value in got.items())


if __name__ == "__main__":
    sys.exit(main())
