"""A server restarts, and all nodes of a cluster come back at once: how long until each is served, and what
others notice.

usage: python benchmarks/restart.py [NODES] [--certificates]

Each node has an address and a user of its own, by a bearer token or a client certificate, and one
connection, on which it sends the lists of a kubelet and then a watch of its pods. The nodes live in two
processes; they try again when the server is away, and after Retry-After when they are refused. Meanwhile a
bystander in a third process, who is no administrator, GETs a config map over one connection, and /readyz
over a fresh one each time, from the server's own address as a kubelet does, and from another one. Printed
are the seconds from the start of the server's process until all nodes watch again, refusals, connections
that were cut, the most memory, and how long the bystander waited. The status is 1 when a node was cut or
refused otherwise than by 429, or a goal is missed.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import pathlib
import random
import resource
import ssl
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection as Pipe

import processes
import startup
import uvloop
from memory import Connection

from pilothouse.pki import CertificateAuthority

NODES = 5000
PROCESSES = 2
AWAY = (0.2, 1.0)
"""Seconds after which a node tries again to connect, at least and at most."""
SILENCE = 60.0
"""Seconds without an answer after which a node gives a request up."""
BYSTANDER_MS, ALL_SECONDS = 1000.0, 60.0
"""The goals: the 99th percentile of the bystander, and the time until all nodes are served."""
OBJECT = "/api/v1/namespaces/default/configmaps/bystander"
LISTS = (
    "/api/v1/nodes?fieldSelector=metadata.name%3D{0}",
    "/api/v1/pods?fieldSelector=spec.nodeName%3D{0}",
    "/api/v1/services?resourceVersion=0",
    "/apis/node.k8s.io/v1/runtimeclasses?resourceVersion=0",
    "/apis/storage.k8s.io/v1/csidrivers?resourceVersion=0",
)
WATCH = "/api/v1/pods?watch=1&resourceVersion=0&fieldSelector=spec.nodeName%3D{0}"


def name_of(number: int) -> str:
    return f"node-{number:05}"


def address_of(number: int) -> str:
    """A loopback address of its own for each node."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


class Failed(Exception):
    """An answer that a node must not get."""


async def ask(connection: Connection, target: str, token: str, *, body: bool = True) -> tuple[int, float]:
    """Send a GET and read its answer: the status, and the seconds after which to try again."""
    credentials = f"Authorization: Bearer {token}\r\n" if token else ""
    connection.writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n{credentials}\r\n".encode())
    async with asyncio.timeout(SILENCE):
        status, headers = await connection.head()
        if body or status != 200:
            if headers.get("transfer-encoding") == "chunked":
                while await connection.chunk():
                    pass
            else:
                await connection.reader.readexactly(int(headers.get("content-length", 0)))
    return status, float(headers.get("retry-after", 0))


class Crowd:
    """Some of the nodes, in a process of their own."""

    def __init__(self, port: int, numbers: range, directory: str, *, certificates: bool) -> None:
        self.port, self.numbers = port, numbers
        self.certificates = pathlib.Path(directory, "nodes") if certificates else None
        self.counts: Counter[str] = Counter()
        self.watching = 0
        self.restarted = False
        self.all = asyncio.Event()
        self.served: list[float] = []

    def context_of(self, number: int) -> ssl.SSLContext:
        context = ssl._create_unverified_context()
        if self.certificates is not None:
            context.load_cert_chain(self.certificates / name_of(number))
        return context

    async def node(self, number: int) -> None:
        context, name = self.context_of(number), name_of(number)
        token = "" if self.certificates is not None else name
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    streams = await asyncio.open_connection(
                        "127.0.0.1", self.port, ssl=context, local_addr=(address_of(number), 0), limit=1 << 16
                    )
                connection = Connection(*streams)
            except (ConnectionRefusedError, ConnectionResetError) as error:
                self.counts[
                    "away" if isinstance(error, ConnectionRefusedError) else "cut in the handshake"
                ] += 1
                await asyncio.sleep(random.uniform(*AWAY))
                continue
            except (OSError, TimeoutError) as error:
                self.counts[f"no connection: {error!r}"] += 1
                await asyncio.sleep(random.uniform(*AWAY))
                continue
            stage = "before it watched"
            try:
                for target in LISTS:
                    await self.get(connection, target.format(name), token)
                await self.get(connection, WATCH.format(name), token, body=False)
                self.up()
                stage = "while it watched"
                while await connection.chunk():
                    pass
            except (OSError, EOFError, TimeoutError, Failed) as error:
                if self.restarted:
                    self.counts[f"cut {stage}: {error!r}"] += 1
            finally:
                connection.writer.transport.abort()
            await asyncio.sleep(random.uniform(*AWAY))

    async def get(self, connection: Connection, target: str, token: str, *, body: bool = True) -> None:
        while True:
            status, pause = await ask(connection, target, token, body=body)
            if status == 200:
                return
            self.counts[str(status)] += 1
            if status != 429 or not pause:
                raise Failed(f"{status} for {target}")
            await asyncio.sleep(pause)

    def up(self) -> None:
        self.watching += 1
        self.served.append(time.monotonic())
        if self.watching >= len(self.numbers):
            self.all.set()

    async def main(self, pipe: Pipe) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.node(number)) for number in self.numbers]
        await self.all.wait()
        pipe.send("watching")
        await loop.run_in_executor(None, pipe.recv)  # the server will restart now
        self.watching = 0
        self.served, self.restarted = [], True
        self.counts.clear()
        self.all.clear()
        pipe.send("ready")
        await self.all.wait()
        pipe.send((self.served, self.counts))
        await loop.run_in_executor(None, pipe.recv)
        for task in tasks:
            task.cancel()


HERE, ELSEWHERE = "127.0.0.1", "127.3.0.1"
"""Addresses of the bystander: that of the server itself, and one that nobody else has."""


class Bystander:
    """Asks for one object over a connection that it keeps, and for /readyz over fresh ones."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.times: dict[str, list[float]] = {"GET": [], "readyz": [], "readyz here": []}
        self.failed: Counter[str] = Counter()

    async def main(self, pipe: Pipe) -> None:
        loop = asyncio.get_running_loop()
        end = loop.run_in_executor(None, pipe.recv)
        pipe.send("ready")
        probes = self.probes(end, "readyz", ELSEWHERE), self.probes(end, "readyz here", HERE)
        await asyncio.gather(self.gets(end), *probes)
        pipe.send((self.times, self.failed))

    async def open(self, source: str) -> Connection:
        context = ssl._create_unverified_context()
        return Connection(
            *await asyncio.open_connection(HERE, self.port, ssl=context, local_addr=(source, 0))
        )

    async def first(self, source: str = ELSEWHERE) -> Connection:
        """A connection as soon as the server is back."""
        while True:
            try:
                return await self.open(source)
            except OSError:
                await asyncio.sleep(0.05)

    async def gets(self, end: "asyncio.Future[object]") -> None:
        connection = await self.first()
        while not end.done():
            begun = time.monotonic()
            status, _ = await ask(connection, OBJECT, "bystander")
            self.times["GET"].append(time.monotonic() - begun)
            if status != 200:
                self.failed[f"GET {status}"] += 1
            await asyncio.sleep(0.02)

    async def probes(self, end: "asyncio.Future[object]", what: str, source: str) -> None:
        await (await self.first(source)).close()
        while not end.done():
            begun = time.monotonic()
            try:
                connection = await self.open(source)
                status, _ = await ask(connection, "/readyz", "")
                connection.writer.transport.abort()
                if status != 200:
                    self.failed[f"readyz {status}"] += 1
            except OSError as error:
                self.failed[f"readyz {error!r}"] += 1
            self.times[what].append(time.monotonic() - begun)
            await asyncio.sleep(0.1)


def _crowd(pipe: Pipe, port: int, numbers: range, directory: str, certificates: bool) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    async def main() -> None:
        await Crowd(port, numbers, directory, certificates=certificates).main(pipe)

    uvloop.run(main())


def _bystander(pipe: Pipe, port: int) -> None:
    async def main() -> None:
        await Bystander(port).main(pipe)

    uvloop.run(main())


async def fill(port: int, context: ssl.SSLContext, nodes: int) -> None:
    """A node and a pod that is bound to it for each; what the bystander may read."""
    numbers = iter(range(nodes))

    async def post(connection: Connection, path: str, body: object) -> None:
        status, said = await connection.call("POST", path, json.dumps(body).encode())
        assert status == 201, said

    async def some() -> None:
        connection = await Connection.open(port, context)
        for number in numbers:
            name = name_of(number)
            labels = {f"example.com/label-{i}": "x" * 40 for i in range(20)}
            await post(connection, "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
            spec = {"nodeName": name, "containers": [{"name": "c", "image": "i"}]}
            await post(
                connection, "/api/v1/namespaces/default/pods", {"metadata": {"name": name}, "spec": spec}
            )
        await connection.close()

    first = await Connection.open(port, context)
    await post(first, OBJECT.rpartition("/")[0], {"metadata": {"name": "bystander"}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bystander"}
    binding = {"metadata": {"name": "bystander"}, "roleRef": role, "subjects": [subject]}
    await post(first, "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding)
    await first.close()
    await asyncio.gather(*(some() for _ in range(8)))


def credentials(directory: pathlib.Path, nodes: int, *, certificates: bool) -> None:
    """A token for each node and for the bystander, and a certificate for each node."""
    lines = [f'{name_of(i)},system:node:{name_of(i)},{i},"system:nodes"' for i in range(nodes)]
    (directory / "tokens.csv").write_text("\n".join([*lines, "bystander,bystander,b", ""]))
    if certificates:
        authority = CertificateAuthority.create()
        (directory / "nodes").mkdir()
        (directory / "nodes.crt").write_text(ssl.DER_cert_to_PEM_cert(authority.der()))
        for i in range(nodes):
            certificate, key = authority.issue(f"system:node:{name_of(i)}", ["system:nodes"], server=False)
            (directory / "nodes" / name_of(i)).write_bytes(certificate + key)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int((len(values) - 1) * share)] * 1000 if values else float("nan")


def measure(nodes: int = NODES, *, certificates: bool = False) -> dict[str, float]:
    """The figures to print, by name; the errors that the nodes counted are in "failed"."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        files, port = pathlib.Path(directory), startup.free_port()
        credentials(files, nodes, certificates=certificates)
        flags = [f"--token-auth-file={files / 'tokens.csv'}", "--authorization-mode=Node,RBAC"]
        if certificates:
            flags.append(f"--client-ca-file={files / 'nodes.crt'}")
        process = startup.serve(directory, port, *flags)
        stack.callback(lambda: startup.end(process))
        startup.wait_ready(port, process, 120)
        context = ssl._create_unverified_context()
        context.load_cert_chain(files / "admin.crt", files / "admin.key")
        uvloop.run(fill(port, context, nodes))
        spawned = multiprocessing.get_context("spawn")
        crowds = []
        for part in range(PROCESSES):
            pipe, end = spawned.Pipe()
            arguments = (end, port, range(part, nodes, PROCESSES), directory, certificates)
            stack.callback(_started(spawned.Process(target=_crowd, args=arguments)).kill)
            crowds.append(pipe)
        pipe, end = spawned.Pipe()
        print("filled", flush=True)
        for crowd in crowds:
            assert crowd.recv() == "watching"
        print("all nodes watch", flush=True)
        for crowd in crowds:
            crowd.send("restart")
            assert crowd.recv() == "ready"
        startup.end(process)
        stack.callback(_started(spawned.Process(target=_bystander, args=(end, port))).kill)
        assert pipe.recv() == "ready"
        process = startup.serve(directory, port, *flags)
        begun = time.monotonic()
        told = [crowd.recv() for crowd in crowds]
        pipe.send("end")
        times, failed = pipe.recv()
        served = sorted(at - begun for some, _ in told for at in some)
        counts = sum((counts for _, counts in told), Counter[str]()) + failed
        print(dict(counts))
        allowed = ("away", "429")
        return {
            "first": served[0],
            "half": served[len(served) // 2],
            "all": served[-1],
            "megabytes": processes.peak(process.pid),
            "processor": processes.cpu_seconds(process.pid),
            "429": counts["429"],
            "failed": sum(count for what, count in counts.items() if what not in allowed),
            "get-p99": percentile(times["GET"], 0.99),
            "get-most": percentile(times["GET"], 1.0),
            "readyz-p99": percentile(times["readyz"], 0.99),
            "readyz-most": percentile(times["readyz"], 1.0),
            "here-p99": percentile(times["readyz here"], 0.99),
            "here-most": percentile(times["readyz here"], 1.0),
        }


def _started(process: "multiprocessing.process.BaseProcess") -> "multiprocessing.process.BaseProcess":
    process.start()
    return process


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nodes", nargs="?", type=int, default=NODES)
    parser.add_argument("--certificates", action="store_true")
    args = parser.parse_args()
    got = measure(args.nodes, certificates=args.certificates)
    for name, value in got.items():
        print(f"{name:12} {value:10.2f}")
    return int(got["failed"] > 0 or got["all"] > ALL_SECONDS or got["readyz-p99"] > BYSTANDER_MS)


if __name__ == "__main__":
    sys.exit(main())
