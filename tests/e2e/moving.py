"""A cluster whose servers are replaced one by one under load, and the clients that notice what is lost.

Three servers with three members of etcd behind HAProxy. Every server is started with kube-apiserver's flags,
so each can be one of ours or a real kube-apiserver.
"""

import asyncio
import itertools
import pathlib
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from e2e.http_client import Connection, Lost
from e2e.reference import OURS, flags

from pilothouse.files import write_file
from pilothouse.pki import CertificateAuthority
from pilothouse.testing.ha import MEMBERS, Ha

NAMESPACE = "moved"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
TIMEOUT = 30.0
DELAY = 3
"""Seconds for which a server that is told to stop goes on, so that HAProxy notices."""
DRAIN = 15
"""Seconds for which kube-apiserver then waits for requests, and watches are among them."""
GRACE = 2.0
"""Seconds after a restart in which its breaks may be noticed."""


class Cluster(Ha):
    """`programs` are the commands by which the servers are started next."""

    def __init__(self, directory: pathlib.Path, program: list[str]) -> None:
        super().__init__(directory, etcd_members=1)
        self.programs = [program] * MEMBERS

    def command(self, index: int) -> list[str]:
        directory, name = self.directory / f"server{index}", self.name(index)
        if not (self.data / f"{name}.crt").exists():
            self._certify(name)
        made = flags(self.data, self.etcd.urls, self.ports[index], directory, name)
        return [
            *self.programs[index],
            *made,
            f"--advertise-address=192.0.2.{index + 1}",
            f"--shutdown-delay-duration={DELAY}s",
            f"--request-timeout={DRAIN}s",
        ]

    def name(self, index: int) -> str:
        """The name in the server's certificate, by which clients know which server has answered."""
        return f"{'ours' if self.programs[index] == OURS else 'other'}-{index}"

    def _certify(self, name: str) -> None:
        authority = CertificateAuthority.load(self.data / "ca.crt", self.data / "ca.key")
        certificate, key = authority.issue(name, hosts=["127.0.0.1", "localhost"], server=True)
        write_file(self.data / f"{name}.crt", certificate)
        write_file(self.data / f"{name}.key", key)

    def replace(self, index: int, program: list[str]) -> None:
        """Stop a server as an operator does, start another one in its place and wait until that is ready."""
        process = self.servers[index]
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        self.programs[index] = program
        self.start_server(index)
        self.wait_server(index)


@dataclass
class Restart:
    """The time at which a server was replaced by another one, and what clients noticed of it."""

    server: str
    start: float
    end: float = float("inf")
    noticed: Counter[str] = field(default_factory=Counter)
    watches: Counter[int] = field(default_factory=Counter)
    """How often each watcher was cut off by the server."""

    def __str__(self) -> str:
        return f"{self.server}: {self.end - self.start:.1f} s, {dict(sorted(self.noticed.items()))}"


@dataclass
class Restarts:
    """The restarts, in order. An event outside of them is a fault."""

    done: list[Restart] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    forced: Counter[str] = field(default_factory=Counter)
    """How often a kube-apiserver has ended watches without being restarted,
    as it does when it gets no processor."""

    def note(self, what: str, detail: str) -> Restart | None:
        """Something that only a restart may bring about."""
        now = time.monotonic()
        for restart in reversed(self.done):
            if restart.start <= now <= restart.end + GRACE:
                restart.noticed[what] += 1
                return restart
        self.faults.append(f"{what}: {detail}")
        return None

    def cut(self, number: int, server: str, how: str) -> None:
        """A watch of a server has ended: one of ours ends it once, and only when it is restarted."""
        now = time.monotonic()
        for restart in reversed(self.done):
            if restart.server == server and restart.start <= now <= restart.end + GRACE:
                restart.noticed["watches ended"] += 1
                restart.watches[number] += 1
                return
        if server.startswith("ours"):
            self.faults.append(f"a watch of {server}: {how}")
        else:
            self.forced[server] += 1


def version(obj: Any) -> int:
    return int(obj["metadata"]["resourceVersion"])


class Writer:
    """Creates an object of its own, changes it by compare-and-set and by patches, deletes it, and so on.

    After an answer that did not come it looks what is there,
    which must be what was acknowledged last or what it tried.
    """

    def __init__(self, number: int, group: int, cluster: Cluster, restarts: Restarts) -> None:
        self.name = f"w{number}"
        self.path = f"{MAPS}/{self.name}"
        self.group = group
        self.restarts = restarts
        self.acknowledged: list[int] = []
        """Revisions of creates and updates."""
        self.deletions = 0
        self.unknown = 0
        self.slowest = 0.0
        self.connection = Connection(cluster.port, cluster.context(), TIMEOUT)
        self._random = random.Random(number)
        self._there: Any = None
        self._count = itertools.count()

    async def run(self, done: asyncio.Event, pause: float) -> None:
        await asyncio.sleep(self._random.uniform(0, pause))
        while not done.is_set():
            await self._step()
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * pause)
        await self.connection.end()

    async def _step(self) -> None:
        count, choice = str(next(self._count)), self._random.random()
        wanted: Any = {
            "metadata": {"name": self.name, "labels": {"group": str(self.group)}},
            "data": {"n": count},
        }
        if self._there is None:
            answer = await self._send("POST", MAPS, wanted)
        elif choice < 0.1:
            answer, wanted = await self._send("DELETE", self.path, None), None
        else:
            wanted = {**self._there, "data": {"n": count}}
            answer = await self._send("PUT", self.path, wanted)
        if answer is None:
            await self._look(count if wanted else None)
        elif wanted is None:
            self._there = None
            self.deletions += 1
        else:
            self._there = answer
            self.acknowledged.append(version(answer))

    async def _look(self, tried: str | None) -> None:
        """Find out what has become of a write."""
        self.unknown += 1
        before = self._there["data"]["n"] if self._there is not None else None
        while True:
            self._there = await self._send("GET", self.path, None, missing=True)
            if self._there is not None:
                break
        if not self._there:
            self._there = None
        found = self._there["data"]["n"] if self._there is not None else None
        if found not in (before, tried):
            self.restarts.faults.append(f"{self.name} was {before}, {tried} was tried, {found} is there")

    async def _send(self, method: str, path: str, body: Any, missing: bool = False) -> Any:
        """The answer; None when it is not known, {} when the object is missing."""
        start = time.monotonic()
        try:
            status, answer = await self.connection.request(method, path, body)
        except (Lost, TimeoutError) as error:
            self.restarts.note("writes broken", repr(error))
            await asyncio.sleep(0.05)
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - start)
        if status < 300:
            return answer
        if status == 404 and missing:
            return {}
        if status in (429, 503, 504):
            self.restarts.note(f"writes answered {status}", str(answer))
            await asyncio.sleep(0.2)
        else:
            self.restarts.faults.append(f"{method} {path}: {status} {answer}")
        return None


class Watcher:
    """Follows the objects of a group; after a break it goes on from the last version that it has seen.

    Where the server does not have that any more (410) it lists,
    as client-go's reflectors do, and notes the gap.
    """

    def __init__(self, number: int, group: int, cluster: Cluster, since: int, restarts: Restarts) -> None:
        self.number = number
        self.group = group
        self.since = since
        self.restarts = restarts
        self.seen: list[tuple[int, str, bool]] = []
        self.gaps: list[tuple[int, int, dict[str, int]]] = []
        """(last seen revision, revision of the list, versions by name in it)"""
        self.connection = Connection(cluster.port, cluster.context(), TIMEOUT)
        self._server = ""
        """The server that has begun to answer the watch."""
        self._query = f"labelSelector=group%3D{group}"

    async def run(self) -> None:
        while True:
            self._server = ""
            try:
                await self._watch()
                how = "ended"
            except (Lost, TimeoutError) as error:
                how = repr(error)
            if self._server:
                self.restarts.cut(self.number, self._server, how)
            else:
                self.restarts.note("watches not begun", how)
            self.connection.close()
            await asyncio.sleep(0.05)

    async def _watch(self) -> None:
        options = f"watch=1&allowWatchBookmarks=1&timeoutSeconds=3000&resourceVersion={self.since}"
        watch = await self.connection.watch(f"{MAPS}?{options}&{self._query}")
        self._server = self.connection.peer
        while (event := await watch.next()) is not None:
            if event["type"] == "ERROR":
                if event["object"]["code"] != 410:
                    raise Lost(str(event))
                self.connection.close()
                await self._list()
                await self._watch()
                return
            self.since = version(event["object"])
            if event["type"] != "BOOKMARK":
                name = event["object"]["metadata"]["name"]
                self.seen.append((self.since, name, event["type"] == "DELETED"))

    async def _list(self) -> None:
        status, found = await self.connection.request("GET", f"{MAPS}?{self._query}")
        if status != 200:
            raise Lost(f"{status} {found}")
        there = {item["metadata"]["name"]: version(item) for item in found["items"]}
        self.gaps.append((self.since, version(found), there))
        self.since = version(found)

    def problems(self, happened: list[tuple[int, str, bool]]) -> Iterator[str]:
        """How what was seen differs from what has happened to the group, all but what a list has replaced."""
        wanted = [c for c in happened if not any(since < c[0] <= at for since, at, _ in self.gaps)]
        if self.seen != wanted:
            yield (
                f"group {self.group}: {len(self.seen)} events seen of {len(wanted)},"
                f" {sorted(set(wanted) ^ set(self.seen))[:5]}"
            )
        for _, at, there in self.gaps:
            state: dict[str, int] = {}
            for revision, name, deleted in happened:
                if revision <= at:
                    state.pop(name, None) if deleted else state.update({name: revision})
            if state != there:
                yield f"group {self.group}: a list at {at} has {there} instead of {state}"
