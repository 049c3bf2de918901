"""Three servers are replaced one after the other under load, by ours and back: nothing is lost.

They are kube-apiservers at first if PILOTHOUSE_REFERENCE is the path of its binary. Otherwise all of them are
ours, and there is no way back.
PILOTHOUSE_MOVE_CLIENTS is the number of writers, and of watchers: 20 by default.
"""

import asyncio
import os
import pathlib
import re
import time
from typing import Any

import pytest
from e2e.etcd_log import changes
from e2e.http_client import Connection
from e2e.moving import MAPS, NAMESPACE, TIMEOUT, Cluster, Restart, Restarts, Watcher, Writer, version
from e2e.reference import EITHER, OURS
from eventually import aeventually

from pilothouse.testing.ha import MEMBERS, missing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason="needs etcd and haproxy; apt-get install etcd-server haproxy"),
]

CLIENTS = int(os.environ.get("PILOTHOUSE_MOVE_CLIENTS", "20"))
GROUPS = max(1, CLIENTS // 10)
"""Each group of writers is followed by as many watchers."""
PAUSE = 1.0
"""Seconds between two writes of a writer."""
BETWEEN = CLIENTS
"""Writes that are acknowledged between two restarts."""


class Move:
    """The clients, and the operator who replaces the servers."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.restarts = Restarts()
        self.writers: list[Writer] = []
        self.watchers: list[Watcher] = []
        self.since = self.last = 0

    async def run(self, there: list[str], here: list[str]) -> None:
        """Replace one program by the other and back, if they differ, server by server, under load."""
        setup = Connection(self.cluster.port, self.cluster.context(), TIMEOUT)
        status, made = await setup.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        assert status == 201, made
        self.since = version(made)
        cluster, restarts = self.cluster, self.restarts
        self.writers = [Writer(n, n % GROUPS, cluster, restarts) for n in range(CLIENTS)]
        self.watchers = [Watcher(n, n % GROUPS, cluster, self.since, restarts) for n in range(CLIENTS)]
        watching = [asyncio.ensure_future(watcher.run()) for watcher in self.watchers]
        done = asyncio.Event()
        writing = [asyncio.ensure_future(writer.run(done, PAUSE)) for writer in self.writers]
        try:
            for program in (here, there) if there != here else (here,):
                for index in range(MEMBERS):
                    await self._written()
                    await self._replace(index, program)
            await self._written()
        finally:
            done.set()
        await asyncio.gather(*writing)
        await self._mark(setup)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for watcher in self.watchers:
            watcher.connection.close()
        await setup.end()

    async def _written(self) -> None:
        wanted = self._acknowledged() + BETWEEN
        await aeventually(lambda: self._acknowledged() >= wanted, f"{BETWEEN} more writes", 60)

    def _acknowledged(self) -> int:
        return sum(len(writer.acknowledged) + writer.deletions for writer in self.writers)

    async def _replace(self, index: int, program: list[str]) -> None:
        restart = Restart(self.cluster.name(index), time.monotonic())
        self.restarts.done.append(restart)
        await asyncio.to_thread(self.cluster.replace, index, program)
        restart.end = time.monotonic()

    async def _mark(self, setup: Connection) -> None:
        """Make one last object in every group, which all watchers must see."""
        setup.close()  # it may lead to a server that is gone
        for group in range(GROUPS):
            obj = {"metadata": {"name": f"last{group}", "labels": {"group": str(group)}}}
            status, made = await setup.request("POST", MAPS, obj)
            assert status == 201, made
            self.last = version(made)
        await aeventually(
            lambda: all(w.seen and w.seen[-1][1] == f"last{w.group}" for w in self.watchers),
            "all see the last object of their group",
            30,
        )

    def problems(self) -> list[str]:
        """The changes that were lost, seen twice or out of order,
        and the streams that broke without a restart."""
        happened: dict[int, list[tuple[int, str, bool]]] = {group: [] for group in range(GROUPS)}
        revisions: dict[str, list[int]] = {}
        deletions: dict[str, int] = {}
        for change in changes(self.cluster.etcd, f"/registry/configmaps/{NAMESPACE}/", self.since, self.last):
            numbered = re.fullmatch(r"(?:w|last)(\d+)", change.name)
            if numbered is None:  # a controller's
                continue
            group = int(numbered[1]) % GROUPS
            happened[group].append((change.revision, change.name, change.deleted))
            if change.deleted:
                deletions[change.name] = deletions.get(change.name, 0) + 1
            else:
                revisions.setdefault(change.name, []).append(change.revision)
        found = list(self.restarts.faults)
        for restart in self.restarts.done:
            often = {number: count for number, count in restart.watches.items() if count > 1}
            if often and restart.server.startswith("ours"):
                found.append(f"{restart.server}: watchers were cut off more than once: {often}")
        for writer in self.writers:
            lost = set(writer.acknowledged) - set(revisions.get(writer.name, ()))
            if lost or writer.deletions > deletions.get(writer.name, 0):
                found.append(
                    f"{writer.name}: {sorted(lost)} of {writer.acknowledged} are lost, or a deletion is"
                )
            if len(writer.acknowledged) + writer.unknown < len(revisions.get(writer.name, ())):
                found.append(f"{writer.name}: more was written than was asked for")
        for watcher in self.watchers:
            found += watcher.problems(happened[watcher.group])
        return found

    def report(self) -> str:
        counts: dict[str, Any] = {
            "writes acknowledged": self._acknowledged(),
            "writes not known": sum(w.unknown for w in self.writers),
            "slowest write": f"{max(w.slowest for w in self.writers):.2f} s",
            "events seen": sum(len(w.seen) for w in self.watchers),
            "watches that a kube-apiserver ended without a restart": self.restarts.forced.total(),
            "lists after a 410": sum(len(w.gaps) for w in self.watchers),
        }
        return "\n".join([f"{CLIENTS} writers, {CLIENTS} watchers: {counts}", *map(str, self.restarts.done)])


@pytest.mark.parametrize(
    "there",
    EITHER,
)
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path: pathlib.Path, there: list[str]) -> None:
    cluster = Cluster(tmp_path, there)
    cluster.start()
    try:
        move = Move(cluster)
        asyncio.run(move.run(there, OURS))
        print(move.report())
        assert move.problems() == []
        assert sum(len(writer.acknowledged) for writer in move.writers) >= len(move.restarts.done) * BETWEEN
    finally:
        cluster.stop()
