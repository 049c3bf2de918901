"""Writers in many logical clusters, and a server that is killed again and again: nothing acknowledged is lost
in any cluster, revisions never go back, and none is given out twice."""

import asyncio
import os
import random
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from e2e.http_client import Connection, Lost

from pilothouse.clusters.records import BASES, FOLDER
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.testing.server import Subprocess

SECONDS = float(os.environ.get("PILOTHOUSE_CLUSTERS_SECONDS", "5"))
CLUSTERS, RATE = (200, 500) if "PILOTHOUSE_CLUSTERS_SECONDS" in os.environ else (60, 150)
"""How many there are, and the writes a second."""
WRITERS = 20
LEAST_MADE, LEAST_WRITTEN = 3, 100
"""Clusters that come and go, and writes, which a run has more of."""
OBJECTS = "/apis/pilothouse.dev/v1alpha1/clusters"
MAPS = "/api/v1/namespaces/default/configmaps"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
ANYBODY = {
    "metadata": {"name": "anybody"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:anonymous"}],
}


class Killed(Subprocess):
    """A server with logical clusters that can be killed and started again."""

    def _spawn(self) -> None:
        """Stay on one port: clusters whose address is another one write by themselves, which hides faults."""
        if self.port:
            self._choose = lambda number: [self.port]
        super()._spawn()

    def crash(self) -> None:
        """Kill the server; its files stay."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def anybody(self) -> Connection:
        """A connection without credentials, which every cluster lets write."""
        return Connection(self.port, ssl.create_default_context(cafile=str(self.ca_file)))

    def admin(self) -> Connection:
        """A connection of the root's administrator."""
        return Connection(self.port, self.context())


class Ledger:
    """The writes that a cluster has acknowledged: of each object its last number, None when it is deleted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/clusters/{name}{MAPS}"
        self.known: dict[str, int | None] = {}
        self.pending: dict[str, set[int | None]] = {}
        """Writes whose answers have not come: they may have happened."""
        self.given: dict[int, tuple[str, Any]] = {}
        """The object that was told under each revision."""
        self.highest = 0
        self.count = 0

    def told(self, revision: int, name: str, what: Any) -> None:
        """A revision was given out, to a writer or to a watch."""
        known = self.given.setdefault(revision, (name, what))
        assert known == (name, what), f"{self.name}: revision {revision} was {known}, is {(name, what)}"
        self.highest = max(self.highest, revision)

    async def write(self, connection: Connection) -> None:
        """One write; Lost when the server dies."""
        self.count += 1
        number, name = self.count, f"map-{self.count % 3}"
        if number % 4 == 0:
            self.pending.setdefault(name, set()).add(None)
            status, answer = await connection.request("DELETE", f"{self.path}/{name}")
            assert status in (200, 404, 503), answer
            if status != 503:
                self._acknowledged(name, None)
                status, answer = await connection.request("GET", f"{self.path}?limit=1")
                self.highest = max(self.highest, int(answer["metadata"]["resourceVersion"]))
            return
        self.pending.setdefault(name, set()).add(number)
        body = {"metadata": {"name": name}, "data": {"n": str(number)}}
        status, answer = await connection.request("PUT", f"{self.path}/{name}", body)
        if status == 404:
            status, answer = await connection.request("POST", self.path, body)
        assert status in (200, 201, 429, 503), answer
        if status in (200, 201):
            revision = int(answer["metadata"]["resourceVersion"])
            before = self.highest
            self.told(revision, name, str(number))
            assert revision > before or revision in self.given
            self._acknowledged(name, number)

    def _acknowledged(self, name: str, number: int | None) -> None:
        self.known[name] = number
        self.pending.pop(name, None)

    async def check(self, connection: Connection) -> None:
        """Nothing acknowledged is lost, and the revision has not gone back."""
        status, answer = await connection.request("GET", self.path)
        assert status == 200, answer
        assert int(answer["metadata"]["resourceVersion"]) >= self.highest, self.name
        live = {
            one["metadata"]["name"]: int(one["data"]["n"]) for one in answer["items"] if "n" in one["data"]
        }
        for name in {*self.known, *self.pending}:
            allowed = {self.known.get(name)} | self.pending.get(name, set())
            assert live.get(name) in allowed, (self.name, name, live.get(name), allowed)
            self.known[name] = live.get(name)
        self.pending.clear()


class Load:
    """Writers, watches, and one who makes and removes clusters, while the server is killed."""

    def __init__(self, server: Killed) -> None:
        self.server = server
        self.ledgers = [Ledger(f"c{number}") for number in range(CLUSTERS)]
        self.up, self.over = asyncio.Event(), asyncio.Event()
        self.made = 0

    @property
    def written(self) -> int:
        """The writes in all clusters."""
        return sum(one.count for one in self.ledgers)

    async def prepare(self) -> None:
        """Clusters that let anybody write, all copies of the first."""
        admin = self.server.admin()
        await self._create(admin, "base", {})
        context = self._certificate("base")
        base = Connection(self.server.port, context)
        status, answer = await base.request("POST", f"/clusters/base{BINDINGS}", ANYBODY)
        assert status == 201, answer
        for ledger in self.ledgers:
            await self._create(admin, ledger.name, {"copyOf": "base"})
        await base.end()
        await admin.end()

    def _certificate(self, cluster: str) -> ssl.SSLContext:
        from pilothouse import pki
        from pilothouse.authn.x509 import scope_unit

        directory = self.server.directory
        authority = pki.CertificateAuthority.load(directory / "ca.crt", directory / "ca.key")
        assert authority is not None
        with self.server._client() as root:
            uid = root.call("GET", f"/apis/pilothouse.dev/v1alpha1/clusters/{cluster}")["metadata"]["uid"]
        cert, key = authority.issue("a", ("system:masters",), server=False, unit=scope_unit(uid))
        path = directory / "tenant.pem"
        path.write_bytes(cert + key)
        context = ssl.create_default_context(cafile=str(self.server.ca_file))
        context.load_cert_chain(path)
        return context

    async def _create(self, admin: Connection, name: str, spec: Any) -> None:
        body = {
            "apiVersion": "pilothouse.dev/v1alpha1",
            "kind": "Cluster",
            "metadata": {"name": name},
            "spec": spec,
        }
        status, answer = await admin.request("POST", OBJECTS, body)
        assert status in (201, 409, 503), answer

    async def run(self, seconds: float) -> int:
        """Kill the server every few seconds, for so long and until enough has happened; how often."""
        tasks = [asyncio.create_task(self._write(index)) for index in range(WRITERS)]
        tasks += [asyncio.create_task(self._watch(ledger)) for ledger in self.ledgers[:: CLUSTERS // 10]]
        tasks.append(asyncio.create_task(self._churn()))
        self.up.set()
        kills = 0
        while seconds > 0 or self.made <= LEAST_MADE or self.written <= LEAST_WRITTEN:
            pause = random.uniform(1.0, 3.0)
            done, _ = await asyncio.wait(tasks, timeout=pause)
            assert not done, [task.exception() for task in done]
            seconds -= pause
            self.up.clear()
            await asyncio.to_thread(self.server.crash)
            kills += 1
            await asyncio.to_thread(self.server.start)
            await self.check(CLUSTERS if SECONDS > 60 else 20)
            self.up.set()
        self.over.set()
        await asyncio.gather(*tasks)
        return kills

    async def check(self, some: int = CLUSTERS) -> None:
        """Hold what there is in so many clusters against what was acknowledged."""
        connection = self.server.anybody()
        for ledger in random.sample(self.ledgers, some):
            await ledger.check(connection)
        await connection.end()

    async def _write(self, index: int) -> None:
        mine = self.ledgers[index::WRITERS]
        while not self.over.is_set():
            await self.up.wait()
            connection = self.server.anybody()
            try:
                while self.up.is_set() and not self.over.is_set():
                    began = time.monotonic()
                    await random.choice(mine).write(connection)
                    await asyncio.sleep(max(0.0, WRITERS / RATE - (time.monotonic() - began)))
            except (Lost, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                await connection.end()

    async def _watch(self, ledger: Ledger) -> None:
        while not self.over.is_set():
            await self.up.wait()
            connection = self.server.anybody()
            try:
                watch = await connection.watch(f"{ledger.path}?watch=1&timeoutSeconds=2")
                while (event := await watch.next()) is not None:
                    obj = event["object"]
                    if event["type"] in ("ADDED", "MODIFIED") and "n" in obj.get("data", {}):
                        revision = int(obj["metadata"]["resourceVersion"])
                        ledger.told(revision, obj["metadata"]["name"], obj["data"]["n"])
            except (Lost, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                await connection.end()

    async def _churn(self) -> None:
        number = 0
        while not self.over.is_set():
            await self.up.wait()
            admin = self.server.admin()
            try:
                while self.up.is_set() and not self.over.is_set():
                    number += 1
                    name = f"churn-{number % 5}"
                    await self._create(admin, name, {"copyOf": "base"})
                    body = {"metadata": {"name": "x"}, "data": {"x": "x" * 1000}}
                    await admin.request("POST", f"/clusters/{name}{MAPS}", body)
                    status, answer = await admin.request("DELETE", f"{OBJECTS}/{name}")
                    assert status in (200, 404, 503), answer
                    self.made += 1
                    await asyncio.sleep(0.02)
            except (Lost, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                await admin.end()


async def swept(server: Killed) -> set[str]:
    """The UIDs of the clusters that there are, once those that are deleted have gone."""
    admin = server.admin()
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        status, answer = await admin.request("GET", OBJECTS)
        assert status == 200, answer
        if not any("deletionTimestamp" in one["metadata"] for one in answer["items"]):
            await admin.end()
            return {one["metadata"]["uid"] for one in answer["items"]}
        await asyncio.sleep(0.05)
    raise AssertionError("clusters that were deleted are still there")


async def rows_of(directory: Path) -> tuple[set[str], set[str]]:
    """The UIDs and base states of which the journal has rows, and the base states of which it tells."""
    journal = SqliteStorage(directory / FOLDER)
    await journal.start()
    try:
        keys = [one.key.removeprefix(rows.ROOT) for one in (await journal.range(rows.ROOT)).items]
        told = {one.key.removeprefix(BASES) for one in (await journal.range(BASES)).items}
        return {key.partition("/")[0].removesuffix(rows.REVISION) for key in keys}, told
    finally:
        await journal.close()


@pytest.mark.slow
@pytest.mark.timeout(600 + 3 * SECONDS)
def test_nothing_is_lost_in_any_cluster() -> None:
    with Killed(["--storage-backend=sqlite", "--clusters"]) as server:

        async def work() -> set[str]:
            load = Load(server)
            await load.prepare()
            kills = await load.run(SECONDS)
            await load.check()
            uids = await swept(server)
            print(f"{load.written} writes, {load.made} clusters came and went, {kills} kills")
            assert kills >= SECONDS / 5
            return uids

        uids = asyncio.run(work())
        assert server.process is not None
        server.process.terminate()
        server.process.wait(20)
        left, told = asyncio.run(rows_of(server.directory))
        assert left <= uids | told  # what was half made or half removed has gone
