"""Logical clusters by the thousand in one server: memory, creating, waking, cost of a GET, idle cost.

Each cluster has 5 definitions and 20 objects of its own. The server is started again in the middle: suspended
clusters are measured before any is woken, and those in memory after a GET in each.

usage: python benchmarks/many_clusters.py [COUNT...] [--json FILE]
"""

import asyncio
import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass

import processes
from memory import Connection

from pilothouse import pki
from pilothouse.authn.x509 import scope_unit
from pilothouse.clusters.definition import GROUP, PLURAL, VERSION
from pilothouse.clusters.guests import PATH

CLUSTERS = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MAPS = "/api/v1/namespaces/default/configmaps"
KINDS, OBJECTS = 5, 20
AT_ONCE = 8
GETS = 20_000
IDLE_SECONDS = 10.0
SIZES = (10, 100, 1000)


@dataclass
class Measured:
    """The measurements with a number of clusters; memory is in KB for each beyond the first."""

    clusters: int
    created_a_second: float
    new_kb: float
    suspended_kb: float
    woken_kb: float
    wake_ms: float
    get_us: float
    lone_get_us: float
    idle_core: float


class Server:
    """`pilothouse serve --clusters` on a data directory."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.uids: dict[str, str] = {}
        """The UIDs of clusters by their names."""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start the server, and stop it at the end."""
        command = [sys.executable, "-m", "pilothouse", "serve", f"--data-dir={self.folder}", "--clusters"]
        command += ["--bind-address=127.0.0.1", f"--secure-port={self.port}", "--clusters-idle-timeout=0"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not self._answers():
                time.sleep(0.05)
            yield
        finally:
            self.process.terminate()
            self.process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    @contextlib.asynccontextmanager
    async def connected(self, cluster: str | None = "") -> AsyncIterator[Connection]:
        """A connection of the administrator of a cluster; "" is the server's own, None is for nobody."""
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        if cluster is not None:
            authority = pki.CertificateAuthority.load(self.folder / "ca.crt", self.folder / "ca.key")
            assert authority is not None
            unit = scope_unit(self.uids[cluster]) if cluster else ""
            pair = authority.issue("admin", ("system:masters",), server=False, unit=unit)
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"".join(pair))
                file.flush()
                context.load_cert_chain(file.name)
        connection = await Connection.open(self.port, context)
        yield connection
        await connection.close()


def definition(number: int) -> bytes:
    """A definition with a dozen members."""
    group, plural = f"g{number}.example.com", f"widgets{number}"
    kinds = ("string", "integer", "boolean")
    members = {f"member{i}": {"type": kinds[i % 3], "description": f"The member {i}."} for i in range(12)}
    spec = {"type": "object", "properties": members}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": plural, "kind": f"Widget{number}"}
    about = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return json.dumps(kind | {"metadata": {"name": f"{plural}.{group}"}, "spec": about}).encode()


async def create(server: Server, names: list[str]) -> float:
    """Create clusters; how many a second."""
    waiting = list(reversed(names))
    begun = time.monotonic()

    async def work() -> None:
        async with server.connected() as connection:
            while waiting:
                about = {"name": waiting.pop()}
                body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Cluster", "metadata": about}
                status, answer = await connection.call("POST", CLUSTERS, json.dumps(body).encode())
                assert status == 201, answer
                metadata = json.loads(answer)["metadata"]
                server.uids[metadata["name"]] = metadata["uid"]

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    async with server.connected() as connection:
        while True:
            _, answer = await connection.call("GET", f"{CLUSTERS}/{names[-1]}")
            if json.loads(answer).get("status"):
                return len(names) / (time.monotonic() - begun)
            await asyncio.sleep(0.01)


async def fill(server: Server, name: str) -> None:
    """Write the definitions and objects of a cluster."""
    async with server.connected(name) as connection:
        base = f"{PATH}{name}"
        for number in range(KINDS):
            status, answer = await connection.call("POST", f"{base}{DEFINITIONS}", definition(number))
            assert status == 201, answer
        for number in range(OBJECTS // 2):
            body: dict[str, object] = {
                "metadata": {"name": f"m{number}"},
                "data": {"text": f"{name}-{number}" * 20},
            }
            status, answer = await connection.call("POST", f"{base}{MAPS}", json.dumps(body).encode())
            assert status == 201, answer
        for number in range(OBJECTS // 2):
            kind, group = f"Widget{number % KINDS}", f"g{number % KINDS}.example.com"
            spec = {f"member{i}": (f"{name} {i}", i, True)[i % 3] for i in range(12)}
            about = {"name": f"w{number}"}
            body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": about, "spec": spec}
            path = f"{base}/apis/{group}/v1/namespaces/default/{kind.lower().replace('widget', 'widgets')}"
            while True:
                status, answer = await connection.call("POST", path, json.dumps(body).encode())
                if status != 404:  # the definition is not served yet
                    break
                await asyncio.sleep(0.01)
            assert status == 201, answer


async def touch(server: Server, names: list[str]) -> float:
    """Have one request in each cluster; the median of the milliseconds."""
    took = []
    async with server.connected(None) as connection:  # anybody may ask for the version
        for name in names:
            begun = time.monotonic()
            status, answer = await connection.call("GET", f"{PATH}{name}/version")
            assert status == 200, answer
            took.append(1000 * (time.monotonic() - begun))
    return sorted(took)[len(took) // 2]


async def gets(server: Server, cluster: str) -> float:
    """Microseconds of processor time of a GET of a ConfigMap."""
    path = f"{MAPS}/kube-root-ca.crt"
    async with server.connected(cluster) as connection:
        path = f"{PATH}{cluster}{path}" if cluster else path
        for _ in range(200):
            await connection.call("GET", path)
        before = processes.cpu_seconds(server.pid)
        for _ in range(GETS):
            status, answer = await connection.call("GET", path)
            assert status == 200, answer
        return 1e6 * (processes.cpu_seconds(server.pid) - before) / GETS


async def measure(count: int, folder: pathlib.Path) -> Measured:
    """Measure a server with a number of clusters."""
    server, names = Server(folder), [f"c{number}" for number in range(count)]
    with server.running():
        await create(server, ["first"])
        await touch(server, ["first"])
        await fill(server, "first")
        lone = processes.resident(server.pid)
        rate = await create(server, names)
        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*(fill(server, name) for name in names[start : start + AT_ONCE]))
        new = processes.resident(server.pid)
    with server.running():
        empty = processes.resident(server.pid)
        await touch(server, ["first"])
        first = processes.resident(server.pid)
        wake = await touch(server, names)
        woken = processes.resident(server.pid)
        lone_get, one_get = await gets(server, ""), await gets(server, names[-1])
        await asyncio.sleep(1)
        before = processes.cpu_seconds(server.pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (processes.cpu_seconds(server.pid) - before) / IDLE_SECONDS
    with tempfile.TemporaryDirectory() as other:
        alone = Server(pathlib.Path(other))
        with alone.running():
            none = processes.resident(alone.pid)
    return Measured(
        clusters=count,
        created_a_second=round(rate),
        new_kb=round(1024 * (new - lone) / count),
        suspended_kb=round(1024 * (empty - none) / count, 2),
        woken_kb=round(1024 * (woken - first) / count),
        wake_ms=round(wake, 1),
        get_us=round(one_get, 1),
        lone_get_us=round(lone_get, 1),
        idle_core=round(idle, 4),
    )


def main(arguments: list[str]) -> None:
    """Measure each size, print it, and keep all in a file if one is named."""
    out = ""
    if "--json" in arguments:
        at = arguments.index("--json")
        out = arguments[at + 1]
        del arguments[at : at + 2]
    found = []
    for count in map(int, arguments or SIZES):
        with tempfile.TemporaryDirectory() as folder:
            measured = asyncio.run(measure(count, pathlib.Path(folder)))
        print(json.dumps(asdict(measured)), flush=True)
        found.append(asdict(measured))
    if out:
        pathlib.Path(out).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
