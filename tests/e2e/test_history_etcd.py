"""The history of servers that share an etcd: each knows its own users, and asks the others about theirs."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually

from pilothouse.storage.sqlite.changes import last_of
from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import InProcess
from pilothouse.testing.users import issue

pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
    pytest.mark.slow,
]

MAPS = "/api/v1/namespaces/default/configmaps"
CHANGES = (
    "/apis/history.pilothouse.dev/v1/namespaces/default/changes?fieldSelector=object.resource=configmaps"
)
MERGE = "application/merge-patch+json"


class Pair:
    """Two servers over one etcd, of which both keep a history."""

    def __init__(self, url: str) -> None:
        address = "--advertise-address=127.0.0.1"
        flags = ["--storage-backend=etcd3", f"--etcd-servers={url}", "--history", address]
        self.one, self.other = InProcess(flags), InProcess(flags)
        self.clients: list[KubeClient] = []

    def start(self) -> None:
        """Start both, with one CA."""
        for server in (self.one, self.other):
            server.start()
            self.clients.append(server._client())
            if server is self.one:
                for name in ("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key"):
                    shutil.copy(server.directory / name, self.other.directory / name)

    def stop(self) -> None:
        """Stop both."""
        for client, server in zip(self.clients, (self.one, self.other), strict=True):
            client._connection.close()
            server.stop()

    def away(self, during: Callable[[], None]) -> KubeClient:
        """Stop the second server, and start it again on its data after something has been done; a client."""
        self.clients.pop()._connection.close()
        directory = self.other.directory
        self.other.directory = directory / "none"
        self.other.stop()
        self.other.directory = directory
        during()
        self.other.start()
        self.clients.append(self.other._client())
        return self.clients[-1]

    def move(self, server: InProcess) -> None:
        """Move what a server's history has been told, and compact the store."""

        async def work() -> None:
            cluster = server._server.cluster
            history, storage = cluster.handlers.verbs.history, cluster.registry.storage
            while await history.recorder.step(last_of(history.revision)):
                pass
            await storage.compact(history.recorder.recorded)

        server.run(work())


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with EtcdCluster(tmp_path) as etcd:
        pair = Pair(etcd.urls[0])
        pair.start()
        yield pair
        pair.stop()


def changed(client: KubeClient, name: str, count: int, *, known: bool = False) -> list[Any]:
    """The changes of a ConfigMap, the oldest first, once there are so many; known: with their authors."""

    def found() -> list[Any]:
        items: list[Any] = client.call("GET", f"{CHANGES},object.name={name}")["items"]
        complete = len(items) == count and (not known or all("user" in item for item in items))
        return items[::-1] if complete else []

    return eventually(found, "changes")


def test_each_server_knows_the_users_of_both(pair: Pair) -> None:
    """Each asks the other who has made its changes, by the address in its lease."""
    one, other = pair.clients
    made = one.call("POST", MAPS, {"metadata": {"name": "a"}, "data": {"n": "0"}})
    changed(other, "a", 1)
    by_other = other.call("PATCH", f"{MAPS}/a", {"data": {"n": "1"}}, MERGE)
    changed(one, "a", 2)
    one.call("PATCH", f"{MAPS}/a", {"data": {"n": "2"}}, MERGE)
    one.call("DELETE", f"{MAPS}/a")
    for moved in (False, True):
        if moved:
            pair.move(pair.one)
            pair.move(pair.other)
        mine, theirs = changed(one, "a", 4, known=True), changed(other, "a", 4, known=True)
        for name in ("revision", "user", "auditID", "verb", "sourceIPs", "operation"):
            assert [change[name] for change in mine] == [change[name] for change in theirs]
        assert [change["operation"] for change in mine] == ["Created", "Changed", "Changed", "Deleted"]
        assert [change["user"]["username"] for change in mine] == ["kubernetes-admin"] * 4
        assert mine[1]["fields"] == [{"path": ".data.n", "old": "0", "new": "1"}]
        assert [change["verb"] for change in theirs] == ["create", "patch", "patch", "delete"]
        for client in (one, other):
            for obj in (made, by_other):
                query = f"?resourceVersionMatch=Exact&resourceVersion={obj['metadata']['resourceVersion']}"
                then = client.call("GET", f"{MAPS}/a{query}")
                assert then["data"] == obj["data"] and then["metadata"] == obj["metadata"]
    with pytest.raises(RefusedError, match="404"):
        one.call("GET", f"{MAPS}/a")


def test_only_administrators_ask_who_has_made_the_changes(pair: Pair, tmp_path: Path) -> None:
    one, _ = pair.clients
    path = "/history/authors?after=0&upto=9"
    assert one.call("GET", path)["reached"] == 9
    assert path.partition("?")[0] not in one.call("GET", "/")["paths"]
    jane = issue(tmp_path, pair.one.url, "jane", ["dev"], pair.one.directory)
    with KubeClient(pair.one.url, jane.context()) as client, pytest.raises(RefusedError, match="403"):
        client.call("GET", path)
    for query in ("", "?after=x&upto=1", "?after=1&upto=-1"):
        with pytest.raises(RefusedError, match="400"):
            one.call("GET", f"/history/authors{query}")


def test_a_watch_of_changes_tells_of_those_that_others_make(pair: Pair) -> None:
    one, other = pair.clients
    revision = one.call("GET", CHANGES)["metadata"]["resourceVersion"]
    for name in "abc":
        other.call("POST", MAPS, {"metadata": {"name": name}})
    path = f"{CHANGES}&watch=1&timeoutSeconds=1&resourceVersion={revision}"
    seen = [event["object"]["object"]["name"] for event in one.events(path, time.monotonic() + 30.0)]
    assert [name for name in seen if name in "abc"] == ["a", "b", "c"]


def test_a_server_that_was_away_reads_what_etcd_still_has(pair: Pair) -> None:
    one, other = pair.clients
    other.call("POST", MAPS, {"metadata": {"name": "a"}, "data": {"n": "0"}})
    changed(other, "a", 1)
    changed(one, "a", 1)
    revisions: list[str] = []

    def write() -> None:
        for number in range(1, 4):
            made = one.call("PATCH", f"{MAPS}/a", {"data": {"n": str(number)}}, MERGE)
            revisions.append(made["metadata"]["resourceVersion"])

    def write_and_compact() -> None:
        write()
        storage = pair.one._server.cluster.registry.storage
        pair.one.run(storage.compact(int(revisions[2])))  # which etcd can still tell of, as upstream does it
        write()

    other = pair.away(write)
    found = changed(other, "a", 4, known=True)
    assert [change["revision"] for change in found[1:]] == revisions
    assert [change["user"]["username"] for change in found] == ["kubernetes-admin"] * 4
    revisions.clear()
    other = pair.away(write_and_compact)  # etcd has the last four changes alone
    found = changed(other, "a", 8)
    assert [change["revision"] for change in found[4:]] == revisions[2:]
    assert [change["summary"] for change in found[5:]] == [
        ".data.n: 3 -> 1",
        ".data.n: 1 -> 2",
        ".data.n: 2 -> 3",
    ]
    pair.other.run(gap_told(pair))
    query = f"?resourceVersionMatch=Exact&resourceVersion={revisions[3]}"
    assert other.call("GET", f"{MAPS}/a{query}")["data"] == {"n": "1"}
    pair.move(pair.other)
    with pytest.raises(RefusedError, match="410"):
        other.call("GET", f"{MAPS}/a?resourceVersionMatch=Exact&resourceVersion={found[0]['revision']}")


async def gap_told(pair: Pair) -> None:
    """Move what was read, after which the second server knows its gap."""
    history = pair.other._server.cluster.handlers.verbs.history
    while await history.recorder.step(last_of(history.revision)):
        pass
    [text] = history.recorder.gaps(0, 1 << 62)
    assert text.startswith("the history has a gap from")
