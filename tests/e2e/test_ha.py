"""Clients of three servers on three etcd members behind HAProxy,
while processes are killed and paused at random.

PILOTHOUSE_HA_SECONDS sets how long (default 8), PILOTHOUSE_HA_SEED repeats a run. PILOTHOUSE_HA_PAUSE is the
longest time between two steps of a client (default 0.1 seconds; 0 is as fast as the servers can).
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from typing import Any

import pytest
from e2e.etcd_log import changes
from e2e.history import Log, Operation, check
from e2e.http_client import Connection, Lost
from eventually import aeventually

from pilothouse.testing.ha import MEMBERS, Ha, missing

SECONDS = float(os.environ.get("PILOTHOUSE_HA_SECONDS", "8"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600 + SECONDS),
    pytest.mark.skipif(bool(missing()), reason="needs etcd and haproxy; apt-get install etcd-server haproxy"),
]

SEED = int(os.environ.get("PILOTHOUSE_HA_SEED", str(random.randrange(10**6))))
PAUSE = float(os.environ.get("PILOTHOUSE_HA_PAUSE", "0.1"))
CLIENTS, WATCHERS, KEYS = 16, 3, 8
MAPS = "/api/v1/namespaces/checked/configmaps"
TIMEOUT = 15.0


def version(obj: dict[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])


class Client:
    """Creates, changes by compare-and-set, deletes and reads a few keys that all clients share."""

    def __init__(self, number: int, ha: Ha, operations: list[Operation]) -> None:
        self.number = number
        self.operations = operations
        self.hung = 0
        self.unknown = 0
        self.connection = Connection(ha.port, ha.context(), TIMEOUT)
        self._random = random.Random(SEED + number)

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            key = f"k{self._random.randrange(KEYS)}"
            try:
                await self._step(key)
            except Lost:
                self.unknown += 1
                await asyncio.sleep(0.01)
            except TimeoutError:
                self.hung += 1
            await asyncio.sleep(self._random.uniform(0, PAUSE))
        await self.connection.end()

    async def _step(self, key: str) -> None:
        found = await self._read(key)
        choice = self._random.random()
        if found is None:
            body = {"metadata": {"name": key}, "data": {"expects": "0", "by": str(self.number)}}
            await self._write(key, "create", "POST", MAPS, body)
        elif choice < 0.15:
            options = {"preconditions": {"resourceVersion": found["metadata"]["resourceVersion"]}}
            await self._write(key, "delete", "DELETE", f"{MAPS}/{key}", options)
        elif choice < 0.8:
            found["data"] = {"expects": found["metadata"]["resourceVersion"], "by": str(self.number)}
            await self._write(key, "update", "PUT", f"{MAPS}/{key}", found)

    async def _read(self, key: str) -> dict[str, Any] | None:
        start = time.monotonic()
        status, found = await self.connection.request("GET", f"{MAPS}/{key}")
        if status not in (200, 404):
            raise Lost(str(status))
        revision = version(found) if status == 200 else 0
        self.operations.append(Operation(key, "read", start, time.monotonic(), revision))
        return found if status == 200 else None

    async def _write(self, key: str, kind: str, method: str, path: str, body: Any) -> None:
        start = time.monotonic()
        status, answer = await self.connection.request(method, path, body)
        end = time.monotonic()
        if status in (200, 201):
            if kind != "delete":  # the answer to a delete does not tell its revision
                self.operations.append(Operation(key, kind, start, end, version(answer)))
        elif status not in (404, 409):
            raise Lost(str(status))


class Watcher:
    """Follows all keys; after a break it goes on from the last version it has seen."""

    def __init__(self, ha: Ha, since: int) -> None:
        self.since = since
        self.seen: list[tuple[int, str, bool]] = []
        self.breaks = 0
        self.connection = Connection(ha.port, ha.context(), 5.0)

    async def run(self) -> None:
        while True:
            try:
                watch = await self.connection.watch(
                    f"{MAPS}?watch=1&allowWatchBookmarks=1&timeoutSeconds=7&resourceVersion={self.since}"
                )
                async with asyncio.timeout(12):  # a paused server says nothing at all
                    while (event := await watch.next()) is not None:
                        self._take(event)
            except (Lost, TimeoutError):
                self.breaks += 1
                await asyncio.sleep(0.01)
            self.connection.close()

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            raise Lost(str(event))
        self.since = version(event["object"])
        if event["type"] != "BOOKMARK":
            name = event["object"]["metadata"]["name"]
            self.seen.append((self.since, name, event["type"] == "DELETED"))


class Trouble:
    """Kills, pauses and restarts servers and members, one at a time."""

    def __init__(self, ha: Ha) -> None:
        self.ha = ha
        self.done: list[str] = []
        self._random = random.Random(SEED)

    async def run(self, until: float) -> None:
        while time.monotonic() < until - 6:
            index = self._random.randrange(MEMBERS)
            what = self._random.choice(["kill server", "pause server", "kill member", "pause member"])
            self.done.append(f"{what} {index}")
            await getattr(self, "_" + what.replace(" ", "_"))(index)
            await asyncio.sleep(self._random.uniform(0.5, 1.5))

    async def _kill_server(self, index: int) -> None:
        process = self.ha.servers[index]
        assert process is not None
        process.kill()
        process.wait()
        await asyncio.sleep(self._random.uniform(0.2, 1.5))
        self.ha.start_server(index)
        await asyncio.to_thread(self.ha.wait_server, index)

    async def _pause_server(self, index: int) -> None:
        process = self.ha.servers[index]
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(0.5, 3))
        process.send_signal(signal.SIGCONT)

    async def _kill_member(self, index: int) -> None:
        self.ha.etcd.kill(index)
        await asyncio.sleep(self._random.uniform(0.2, 1.5))
        self.ha.etcd.start(index)
        await asyncio.to_thread(self.ha.etcd.wait)

    async def _pause_member(self, index: int) -> None:
        self.ha.etcd.signal(index, signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(0.5, 3))
        self.ha.etcd.signal(index, signal.SIGCONT)


def etcd_log(ha: Ha, since: int, until: int) -> dict[str, Log]:
    """The changes in etcd's history; also checks each compare-and-set."""
    logs: dict[str, Log] = {}
    for change in changes(ha.etcd, "/registry/configmaps/checked/", since, until):
        log = logs.setdefault(change.name, Log())
        if not change.deleted:
            expects = int(json.loads(change.value)["data"]["expects"])
            last = log.revisions[-1] if log.revisions else 0
            before = 0 if last in log.deleted else last
            assert expects == before, (
                f"{change.name}: {change.revision} was made of {expects}, not of {before}"
            )
        log.add(change.revision, change.deleted)
    return logs


def test_nothing_is_lost(ha: Ha) -> None:
    operations: list[Operation] = []

    async def main() -> tuple[list[Client], list[Watcher], Trouble, int, int]:
        setup = Connection(ha.port, ha.context(), TIMEOUT)
        status, made = await setup.request("POST", "/api/v1/namespaces", {"metadata": {"name": "checked"}})
        assert status == 201, made

        async def filled() -> bool:
            return (await setup.request("GET", f"{MAPS}/kube-root-ca.crt"))[0] == 200

        await aeventually(filled, "the controllers put their config map there")
        _, listed = await setup.request("GET", MAPS)
        since = int(listed["metadata"]["resourceVersion"])
        watchers = [Watcher(ha, since) for _ in range(WATCHERS)]
        watching = [asyncio.ensure_future(w.run()) for w in watchers]
        until = time.monotonic() + SECONDS
        clients = [Client(n, ha, operations) for n in range(CLIENTS)]
        trouble = Trouble(ha)
        await asyncio.gather(trouble.run(until), *(c.run(until) for c in clients))
        status, last = 0, dict[str, Any]()
        end = time.monotonic() + 30
        while status not in (201, 409):
            assert time.monotonic() < end
            try:
                body = {"metadata": {"name": "last"}, "data": {"expects": "0"}}
                status, last = await setup.request("POST", MAPS, body)
            except (Lost, TimeoutError):
                await asyncio.sleep(0.01)
        if status == 409:
            status, last = await setup.request("GET", f"{MAPS}/last")
        await aeventually(
            lambda: all(w.seen and w.seen[-1][1] == "last" for w in watchers), "all see the last change", 30
        )
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for watcher in watchers:
            await watcher.connection.end()
        await setup.end()
        return clients, watchers, trouble, since, version(last)

    clients, watchers, trouble, since, last = asyncio.run(main())
    context = f"seed {SEED}: {trouble.done}"
    logs = etcd_log(ha, since + 1, last)
    assert check(operations, logs) == [], context
    happened = sorted((r, name, r in log.deleted) for name, log in logs.items() for r in log.revisions)
    for watcher in watchers:
        assert watcher.seen == happened, context
    assert sum(c.hung for c in clients) == 0, context
    writes = sum(1 for o in operations if o.kind != "read")
    print(f"{context}; {len(operations)} operations, {writes} writes acknowledged, ", end="")
    print(f"{sum(c.unknown for c in clients)} lost, {[w.breaks for w in watchers]} breaks of watches")
    assert writes > 50 * min(SECONDS, 10) / 10


def test_a_killed_server_is_missed_by_its_connections_only(ha: Ha) -> None:
    """A client loses the connection that it had, and perhaps one more to a server that is dying;
    none of them waits long."""
    errors: Counter[int] = Counter()
    answered: Counter[int] = Counter()
    longest = 0.0
    done = asyncio.Event()

    async def client(number: int) -> None:
        nonlocal longest
        connection = Connection(ha.port, ha.context(), TIMEOUT)
        while not done.is_set():
            start = time.monotonic()
            try:
                status, _ = await connection.request("GET", "/api/v1/namespaces/default")
                assert status == 200
                answered[number] += 1
            except Lost:
                errors[number] += 1
            longest = max(longest, time.monotonic() - start)
        await connection.end()

    async def main() -> None:
        clients = [asyncio.ensure_future(client(number)) for number in range(24)]
        await aeventually(lambda: answered.total() > 120, "the clients are under way", 60)
        process = ha.servers[1]
        assert process is not None
        process.kill()
        process.wait()
        since = Counter(answered)
        await aeventually(lambda: all(answered[n] > since[n] + 20 for n in range(24)), "all go on", 60)
        done.set()
        await asyncio.gather(*clients)

    asyncio.run(main())
    assert errors and max(errors.values()) <= 2, errors
    assert longest < 3.0


def test_a_server_told_to_stop_breaks_nothing(ha: Ha) -> None:
    """Requests go on elsewhere, a watch ends cleanly, the status is 0."""
    answered: Counter[int] = Counter()
    done = asyncio.Event()

    async def client(number: int) -> None:
        connection = Connection(ha.port, ha.context(), TIMEOUT)
        while not done.is_set():
            status, _ = await connection.request("GET", "/api/v1/namespaces/default")
            assert status == 200
            answered[number] += 1
            await asyncio.sleep(PAUSE)
        await connection.end()

    async def main() -> None:
        watcher = Connection(ha.ports[2], ha.context(), TIMEOUT)
        watch = await watcher.watch("/api/v1/namespaces?watch=1&timeoutSeconds=30")
        clients = [asyncio.ensure_future(client(number)) for number in range(12)]
        await aeventually(lambda: answered.total() > 120, "the clients are under way", 60)
        process = ha.servers[2]
        assert process is not None
        process.terminate()
        while (await asyncio.wait_for(watch.next(), 30)) is not None:
            pass
        assert await asyncio.to_thread(process.wait, 30) == 0
        since = Counter(answered)
        await aeventually(lambda: all(answered[n] > since[n] + 10 for n in range(12)), "all go on", 60)
        done.set()
        await asyncio.gather(*clients)
        await watcher.end()

    asyncio.run(main())


def test_a_dead_server_is_no_endpoint_after_fifteen_seconds(ha: Ha) -> None:
    """And each server has a lease of its own, by which others know it."""
    everyone = {f"192.0.2.{index + 1}" for index in range(MEMBERS)}

    async def endpoints(connection: Connection) -> set[str]:
        status, found = await connection.request("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
        assert status == 200
        return {a["ip"] for s in found.get("subsets") or () for a in s["addresses"]}

    async def slices(connection: Connection) -> set[str]:
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
        status, found = await connection.request("GET", path)
        assert status == 200
        return {ip for e in found.get("endpoints") or () for ip in e["addresses"]}

    async def until(wanted: set[str], connection: Connection, seconds: float) -> float:
        async def reached() -> bool:
            return await endpoints(connection) == wanted == await slices(connection)

        start = time.monotonic()
        await aeventually(reached, f"the endpoints {wanted}", seconds)
        return time.monotonic() - start

    async def main() -> None:
        connection = Connection(ha.ports[0], ha.context(), TIMEOUT)
        await until(everyone, connection, 5)
        process = ha.servers[1]
        assert process is not None
        process.kill()
        process.wait()
        passed = await until(everyone - {"192.0.2.2"}, connection, 15)
        print(f"out of the endpoints {passed:.1f} s after its death")
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
        status, listed = await connection.request(
            "GET", f"{leases}?labelSelector=apiserver.kubernetes.io/identity%3Dkube-apiserver"
        )
        assert status == 200 and len(listed["items"]) == MEMBERS
        assert len({lease["spec"]["holderIdentity"] for lease in listed["items"]}) == MEMBERS
        ha.start_server(1)
        await asyncio.to_thread(ha.wait_server, 1)
        await until(everyone, connection, 5)
        await connection.end()

    asyncio.run(main())
