"""Secrets are encrypted in the history as they are in the store, and read afterwards."""

import base64
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilothouse.storage.sqlite.changes import last_of
from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.kms import KMSPluginServer
from pilothouse.testing.server import InProcess

SECRETS = "/api/v1/namespaces/default/secrets"
MARK = "open-sesame-7f3a-"
KINDS = ("secretbox", "aesgcm", "aescbc")


def provider(kind: str, *names: str) -> Any:
    """A provider with some keys, the first of which encrypts."""
    keys = [{"name": one, "secret": base64.b64encode(one.encode().ljust(32, b"k")).decode()} for one in names]
    return {kind: {"keys": keys}}


class Rig:
    """A server with a history that encrypts Secrets; it starts again with other providers."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "encryption.json"
        flags = ["--storage-backend=sqlite", "--history", f"--encryption-provider-config={self.config}"]
        self.server = InProcess(flags)
        self.client: KubeClient

    def start(self, *providers: Any) -> None:
        """Start with some providers."""
        rule = {"resources": ["secrets"], "providers": providers}
        config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
        self.config.write_text(json.dumps(config | {"resources": [rule]}))
        self.server.start()
        self.client = self.server._client()

    def stop(self) -> None:
        """Stop, and keep the data."""
        self.client._connection.close()
        kept, self.server.directory = self.server.directory, self.config.parent / "none"
        self.server.stop()
        self.server.directory = kept

    def write(self, name: str, number: int) -> list[str]:
        """Create a Secret, change and delete it; its revisions."""
        values = [f"{MARK}{number}-{step}" for step in range(3)]
        obj = {"metadata": {"name": name}, "stringData": {"p": values[0]}}
        found = [self.client.call("POST", SECRETS, obj)]
        for value in values[1:]:
            patch = {"stringData": {"p": value, "q": value}}
            media = "application/merge-patch+json"
            found.append(self.client.call("PATCH", f"{SECRETS}/{name}", patch, media))
        self.client.call("DELETE", f"{SECRETS}/{name}")
        return [one["metadata"]["resourceVersion"] for one in found]

    def move(self) -> None:
        """Move all changes to the history, and compact the store."""

        async def work() -> None:
            cluster = self.server._server.cluster
            recorder, storage = cluster.handlers.verbs.history.recorder, cluster.registry.storage
            while await recorder.step(last_of(storage.revision)):
                pass
            await storage.compact(recorder.recorded)

        self.server.run(work())

    def past(self, name: str, revision: str) -> str:
        """The value of a Secret as of a revision."""
        path = f"{SECRETS}/{name}?resourceVersionMatch=Exact&resourceVersion={revision}"
        return base64.b64decode(self.client.call("GET", path)["data"]["p"]).decode()

    def check(self, name: str, number: int, revisions: list[str]) -> None:
        """All states of a Secret and all its changes can be read."""
        for step, revision in enumerate(revisions):
            assert self.past(name, revision) == f"{MARK}{number}-{step}"
        path = "/apis/history.pilothouse.dev/v1/namespaces/default/changes"
        query = f"?fieldSelector=object.resource=secrets,object.name={name}"
        changes = self.client.call("GET", path + query)["items"]
        assert [one["operation"] for one in changes] == ["Deleted", "Changed", "Changed", "Created"]
        assert base64.b64encode(f"{MARK}{number}-2".encode()).decode() in json.dumps(changes)

    def clear(self) -> list[str]:
        """The files of the data directory in which a value stands in clear."""
        spellings = [MARK.encode()]
        for shift in range(3):  # as base64 of texts in which it begins at any place
            coded = base64.b64encode(b"x" * shift + MARK.encode())
            spellings.append(coded[4 if shift else 0 : -4])
        files = [path for path in self.server.directory.rglob("*") if path.is_file()]
        assert {"state.db", "history.db"} <= {path.name for path in files}
        return [path.name for path in files if any(one in path.read_bytes() for one in spellings)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.stop()
    shutil.rmtree(rig.server.directory)


def test_the_check_finds_what_is_in_clear(rig: Rig) -> None:
    rig.start({"identity": {}})
    rig.write("a", 0)
    assert any(name.startswith("state.db") for name in rig.clear())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_secret_is_in_clear(rig: Rig, kind: str) -> None:
    rig.start(provider(kind, "one"))
    revisions = rig.write("a", 0)
    assert rig.clear() == []
    rig.check("a", 0, revisions)
    rig.move()
    assert rig.clear() == []
    rig.check("a", 0, revisions)
    rig.stop()
    assert rig.clear() == []


def test_the_past_is_read_after_a_rotation_of_keys(rig: Rig) -> None:
    rig.start(provider("secretbox", "one"))
    first = rig.write("a", 0)
    rig.move()
    rig.stop()
    rig.start(provider("aesgcm", "two"), provider("secretbox", "one"))
    second = rig.write("b", 1)
    rig.check("a", 0, first)
    rig.check("b", 1, second)
    rig.move()
    rig.check("a", 0, first)
    rig.check("b", 1, second)
    assert rig.clear() == []


def test_a_key_that_is_gone_hides_the_past_and_nothing_else(rig: Rig) -> None:
    rig.start(provider("secretbox", "one"))
    first = rig.write("a", 0)
    rig.move()
    rig.stop()
    rig.start(provider("secretbox", "two"))
    second = rig.write("b", 1)
    rig.move()
    rig.check("b", 1, second)
    made = rig.client.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c"}})
    found = rig.client.call("GET", "/api/v1/namespaces/default/configmaps/c?at=0s")
    assert found["metadata"] == made["metadata"]
    with pytest.raises(RefusedError, match=r"500.*no matching prefix found"):
        rig.past("a", first[0])


def test_the_past_is_read_with_keys_of_a_plugin(rig: Rig, tmp_path: Path) -> None:
    """Also after the next start, when no key has been fetched yet."""
    socket = f"@pilothouse-history-{secrets.token_hex(8)}"
    with KMSPluginServer(socket, tmp_path / "keys") as plugin:
        kms = {"kms": {"apiVersion": "v2", "name": "one", "endpoint": plugin.endpoint, "timeout": "3s"}}
        rig.start(kms)
        first = rig.write("a", 0)
        rig.move()
        rig.check("a", 0, first)
        rig.stop()
        plugin.rotate()
        rig.start(kms)
        rig.check("a", 0, first)
        assert rig.clear() == []


def test_a_list_of_the_past_is_the_same_from_the_cache_and_from_the_store(tmp_path: Path) -> None:
    """In pages, with objects that are gone since, that are new since, and that have changed since they were
    moved to the history's file."""
    rig = Rig(tmp_path)
    rig.server = InProcess(["--storage-backend=sqlite", "--history"])
    rig.server.start()
    rig.client = rig.server._client()
    path, merge = "/api/v1/namespaces/default/configmaps", "application/merge-patch+json"
    prefix = "/registry/configmaps/default/"

    def pages(revision: str) -> list[Any]:
        query = f"?limit=2&resourceVersion={revision}&resourceVersionMatch=Exact"
        found: list[Any] = []
        while query:
            page = rig.client.call("GET", path + query)
            assert len(page["items"]) <= 2 and page["metadata"]["resourceVersion"] == revision
            found += page["items"]
            token = page["metadata"].get("continue", "")
            query = f"?limit=2&continue={token}" if token else ""
        return found

    try:
        states = []
        for number in range(7):
            rig.client.call("POST", path, {"metadata": {"name": f"c{number}"}, "data": {"x": "y" * 300}})
        for step in range(4):
            rig.client.call("PATCH", f"{path}/c{step}", {"data": {"n": str(step)}}, merge)
            rig.client.call("DELETE", f"{path}/c{6 - step}")
            rig.client.call("POST", path, {"metadata": {"name": f"b{step}"}})
            found = rig.client.call("GET", path)
            states.append((found["metadata"]["resourceVersion"], found["items"]))
        rig.client.call("PATCH", f"{path}/b0", {"data": {"n": "later"}}, merge)
        rig.move()
        rig.client.call("PATCH", f"{path}/b1", {"data": {"n": "after the move"}}, merge)
        rig.client.call("DELETE", f"{path}/b2")
        cluster = rig.server._server.cluster
        history, cacher = cluster.handlers.verbs.history, cluster.registry.store.cacher
        for _ in range(2):  # once more with what is remembered
            for revision, items in states:
                assert history.reader.undoable(int(revision), cacher.revision)  # from the cache
                assert pages(revision) == items
        for revision, items in states:
            from_store, more = rig.server.run(history.entries(prefix, "", 0, int(revision)))
            made = [json.loads(entry.value) for entry in from_store]
            for one in made:  # as items of a list are
                del one["kind"], one["apiVersion"]
            assert not more and made == items
    finally:
        rig.stop()
        shutil.rmtree(rig.server.directory)
