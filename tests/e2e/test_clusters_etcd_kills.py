"""Writers in logical clusters that three servers divide, while these are killed and paused, and etcd is:
nothing acknowledged is lost, revisions never go back, and none is given out twice.

PILOTHOUSE_CLUSTERS_SECONDS sets how long (default 15), PILOTHOUSE_CLUSTERS_SEED repeats a run. Where the
seconds are set, the writers write more often.
"""

import asyncio
import os
import random
import signal
import ssl
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from e2e.http_client import Connection, Lost
from e2e.sharing import MAPS, Sharer, Sharers, retried, sharing

from pilothouse.testing.etcd import BINARY

SECONDS = float(os.environ.get("PILOTHOUSE_CLUSTERS_SECONDS", "15"))
SEED = int(os.environ.get("PILOTHOUSE_CLUSTERS_SEED", str(random.randrange(10**6))))
pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
    pytest.mark.slow,
    pytest.mark.timeout(600 + 3 * SECONDS),
]
CLUSTERS, SERVERS = 6, 3
PAUSE = 0.03 if "PILOTHOUSE_CLUSTERS_SECONDS" in os.environ else 0.1
"""Seconds between two writes into a cluster."""
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
ANYBODY = {
    "metadata": {"name": "anybody"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous"}],
}


class Book:
    """The acknowledged writes of a cluster."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/clusters/{name}{MAPS}"
        self.known: dict[str, int] = {}
        """The last number of each object that was acknowledged."""
        self.unknown: dict[str, set[int]] = {}
        """Numbers without an answer: they may have been written, or may be at any time."""
        self.given: dict[int, tuple[str, int]] = {}
        """The object and its number under each revision that was told."""
        self.highest = 0
        self.answers: Counter[int] = Counter()
        self._count = 0

    def told(self, obj: dict[str, Any]) -> None:
        """An object was told, to a writer or by a watch."""
        metadata, data = obj["metadata"], obj.get("data") or {}
        if "n" in data:
            revision, what = int(metadata["resourceVersion"]), (metadata["name"], int(data["n"]))
            known = self.given.setdefault(revision, what)
            assert known == what, f"{self.name}: revision {revision} was {known}, is {what}"
            self.highest = max(self.highest, revision)

    async def write(self, connection: Connection) -> None:
        """Create or change an object; Lost and TimeoutError when there is no answer."""
        self._count += 1
        number, name = self._count, f"map-{self._count % 3}"
        self.unknown.setdefault(name, set()).add(number)
        before, body = self.highest, {"metadata": {"name": name}, "data": {"n": str(number)}}
        status, answer = await connection.request("PUT", f"{self.path}/{name}", body)
        if status == 404:
            status, answer = await connection.request("POST", self.path, body)
        self.answers[status] += 1
        if status in (200, 201):
            assert int(answer["metadata"]["resourceVersion"]) > before
            self.told(answer)
            self.known[name] = number
            self.unknown[name].discard(number)
        else:
            assert status in (409, 429, 500, 503, 504), answer

    def check(self, answer: dict[str, Any]) -> None:
        """Hold what there is against what was acknowledged."""
        assert int(answer["metadata"]["resourceVersion"]) >= self.highest, self.name
        live = {
            one["metadata"]["name"]: int(one["data"]["n"]) for one in answer["items"] if "n" in one["data"]
        }
        for name, number in self.known.items():
            allowed = {number} | self.unknown[name]
            assert live.get(name) in allowed, (self.name, name, live.get(name), allowed)


class Load:
    """A writer and a watch for each cluster; each comes to any server."""

    def __init__(self, servers: Sharers) -> None:
        self.servers = servers.servers
        self._etcd = servers.etcd
        self.books = [Book(f"c{number}") for number in range(CLUSTERS)]
        self.over = asyncio.Event()
        self._random = random.Random(SEED)

    def connection(self) -> Connection:
        """A connection without credentials to one of the servers."""
        server = self._random.choice(self.servers)
        return Connection(server.port, ssl.create_default_context(cafile=str(server.ca_file)), 15.0)

    async def run(self, seconds: float) -> list[str]:
        """Kill or pause a server, or pause etcd, every few seconds; tells what was done."""
        tasks = [asyncio.create_task(self._write(book)) for book in self.books]
        tasks += [asyncio.create_task(self._watch(book)) for book in self.books]
        done: list[str] = []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            failed, _ = await asyncio.wait(tasks, timeout=self._random.uniform(0.5, 2.0))
            assert not failed, [task.exception() for task in failed]
            await self._trouble(self._random.choice(self.servers), done)
        self.over.set()
        await asyncio.gather(*tasks)
        return done

    async def _trouble(self, server: Sharer, done: list[str]) -> None:
        what = self._random.choice(["kill", "kill", "pause", "pause", "pause etcd"])
        done.append(what)
        if what == "kill":
            await asyncio.to_thread(server.crash)
            await asyncio.sleep(self._random.uniform(0.0, 8.0))
            await asyncio.to_thread(server.start)
        elif what == "pause etcd":
            await asyncio.to_thread(self._etcd.signal, 0, signal.SIGSTOP)
            await asyncio.sleep(self._random.uniform(1.0, 10.0))
            self._etcd.signal(0, signal.SIGCONT)
        else:
            server.pause()
            await asyncio.sleep(self._random.uniform(1.0, 10.0))
            server.go_on()

    async def _write(self, book: Book) -> None:
        while not self.over.is_set():
            connection = self.connection()
            try:
                for _ in range(10):
                    await book.write(connection)
                    await asyncio.sleep(PAUSE)
            except (Lost, TimeoutError):
                await asyncio.sleep(PAUSE)
            finally:
                await connection.end()

    async def _watch(self, book: Book) -> None:
        while not self.over.is_set():
            connection = self.connection()
            try:
                watch = await connection.watch(f"{book.path}?watch=1&timeoutSeconds=2")
                async with asyncio.timeout(20):  # a paused server says nothing at all
                    while (event := await watch.next()) is not None:
                        if event["type"] in ("ADDED", "MODIFIED"):
                            book.told(event["object"])
            except (Lost, TimeoutError):
                await asyncio.sleep(PAUSE)
            finally:
                await connection.end()


def test_nothing_is_lost_while_servers_die(tmp_path: Path) -> None:
    with sharing(tmp_path, SERVERS) as servers:
        first = servers.servers[0]
        clusters = [servers.cluster(f"c{number}", first) for number in range(CLUSTERS)]
        for number, cluster in enumerate(clusters):
            client = cluster.client(servers.servers[number % SERVERS])
            retried(lambda client=client: client.call("POST", BINDINGS, ANYBODY))  # type: ignore[misc]
        load = Load(servers)
        done = asyncio.run(load.run(SECONDS))
        for cluster, book in zip(clusters, load.books, strict=True):
            for server in servers.servers:
                client = cluster.client(server)
                book.check(retried(lambda client=client: client.call("GET", MAPS)))  # type: ignore[misc]
        answers: Counter[int] = sum((book.answers for book in load.books), Counter())
        print(f"seed {SEED}: {done}, answers {dict(answers)}")
        assert len(done) >= 2 and all(book.known for book in load.books)
