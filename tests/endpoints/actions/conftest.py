"""A whole server that keeps a history, for the tests of a module."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from eventually import eventually

from pilothouse.storage.sqlite.changes import last_of
from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.server import InProcess

HISTORY = "/apis/history.pilothouse.dev/v1"
AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}


class Answer(NamedTuple):
    """The status of an answer, and the object in it."""

    status: int
    body: Any


def review(kind: str, spec: Any) -> Any:
    """The body of a Blame, an Undo or a Restore."""
    return {"apiVersion": "history.pilothouse.dev/v1", "kind": kind[:-1].capitalize(), "spec": spec}


class User:
    """Somebody who sends requests on one connection."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The object in a good answer."""
        return self._client.call(method, path, body, **more)

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Any answer."""
        try:
            return Answer(200, self._client.call(method, path, body))
        except RefusedError as error:
            return Answer(error.code, error.status)

    def watched(self, path: str) -> list[Any]:
        """The objects of the events of a watch that ends by itself."""
        return [event["object"] for event in self._client.events(path, time.monotonic() + 30)]

    def patch(self, path: str, body: Any) -> Any:
        """Merge into an object."""
        return self.ok("PATCH", path, body, media="application/merge-patch+json")

    def review(self, kind: str, spec: Any, query: str = "") -> Any:
        """The answer to a Blame, an Undo or a Restore."""
        return self.ok("POST", f"{HISTORY}/{kind}{query}", review(kind, spec))["status"]

    def refused(self, kind: str, spec: Any) -> Answer:
        """The refusal of a Blame, an Undo or a Restore."""
        answer = self.ask("POST", f"{HISTORY}/{kind}", review(kind, spec))
        assert answer.status >= 400, answer
        return answer


class Kept:
    """A server that keeps a history, and its users."""

    def __init__(self, server: InProcess, audit: Path) -> None:
        self.server = server
        self._clients = contextlib.ExitStack()
        self.admin = User(self._clients.enter_context(server._client()))
        self._audit = audit
        self._namespaces = 0

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    @property
    def revision(self) -> int:
        """The newest revision."""
        revision: int = self.server._server.cluster.registry.storage.revision
        return revision

    def user(self, name: str, rules: Any = (), namespace: str = "", role: str = "") -> User:
        """A user with some rights."""
        found = self.server.user(name, rules=rules, namespace=namespace, role=role)
        return User(self._clients.enter_context(KubeClient(self.server.url, found.context())))

    def namespace(self, prefix: str = "space") -> str:
        """A new namespace."""
        self._namespaces += 1
        name = f"{prefix}-{self._namespaces}"
        self.admin.ok("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def move(self) -> None:
        """Move all changes from the store to the history's file, and compact the store."""

        async def work() -> None:
            cluster = self.server._server.cluster
            recorder = cluster.handlers.verbs.history.recorder
            while await recorder.step(last_of(self.revision)):
                pass
            await cluster.registry.storage.compact(recorder.recorded)

        self.server.run(work())

    def audited(self, user: str = "", **members: Any) -> list[Any]:
        """The audit events of requests with some members, once the log is written."""
        mark = f"/mark-{time.monotonic_ns()}"
        self.admin.ask("GET", mark)
        eventually(lambda: mark in self._audit.read_text(), "the audit log")
        events = [json.loads(line) for line in self._audit.read_text().splitlines()]
        return [
            one
            for one in events
            if one["stage"] == "ResponseComplete"
            and user in ("", one["user"]["username"])
            and all({**one, **one.get("objectRef", {})}.get(name) == value for name, value in members.items())
        ]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """The server; its tests have namespaces of their own."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "policy.json").write_text(json.dumps(AUDIT))
    flags = ["--storage-backend=sqlite", "--history", f"--audit-log-path={folder}/audit.log"]
    with InProcess([*flags, f"--audit-policy-file={folder}/policy.json"]) as server:
        kept = Kept(server, folder / "audit.log")
        yield kept
        kept.close()
