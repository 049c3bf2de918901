"""A server that keeps a history, for the tests of the commands that read it."""

import json
import pathlib
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from eventually import eventually

from pilothouse import cli
from pilothouse.commands.api import Api
from pilothouse.testing.server import InProcess


class Kept:
    """The server, commands that ask it, and objects in a namespace of the test."""

    def __init__(self, server: InProcess, capsys: pytest.CaptureFixture[str], namespace: str) -> None:
        self.server = server
        self.api = Api(server.kubeconfig)
        self.namespace = namespace
        self._capsys = capsys

    def run(self, *words: str, kubeconfig: pathlib.Path | None = None) -> tuple[int, str]:
        """The exit status of `pilothouse`, and what it prints."""
        status = cli.main([*words, f"--kubeconfig={kubeconfig or self.server.kubeconfig}"])
        found = self._capsys.readouterr()
        return status, found.out + found.err

    def json(self, *words: str) -> Any:
        """The output of a command with -o json."""
        return json.loads(self.run(*words, "-o", "json")[1])

    def now(self) -> str:
        """The time, in a millisecond in which nothing has been or will be written by the test."""
        before = time.time()
        at = eventually(lambda: found if (found := time.time()) > before + 0.001 else 0.0, "a millisecond")
        eventually(lambda: time.time() > at + 0.001, "another millisecond")
        return datetime.fromtimestamp(at, UTC).isoformat()

    def collection(self, plural: str) -> str:
        """The path of the objects of a resource in the namespace, as `configmaps` or `deployments.apps`."""
        name, _, group = plural.partition(".")
        return f"{f'/apis/{group}/v1' if group else '/api/v1'}/namespaces/{self.namespace}/{name}"

    def create(self, plural: str, name: str, **members: Any) -> Any:
        """Create an object."""
        obj = {"metadata": {"name": name, **members.pop("metadata", {})}, **members}
        return self.api.call("POST", self.collection(plural), obj)

    def change(self, plural: str, name: str, members: Mapping[str, Any]) -> Any:
        """Write an object anew with other members."""
        path = f"{self.collection(plural)}/{name}"
        return self.api.call("PUT", path, {**self.api.call("GET", path), **members})

    def get(self, plural: str, name: str) -> Any:
        """An object as it is now."""
        return self.api.call("GET", f"{self.collection(plural)}/{name}")

    def delete(self, plural: str, name: str) -> None:
        """Delete an object."""
        self.api.call("DELETE", f"{self.collection(plural)}/{name}")


@pytest.fixture(scope="package")
def history_server() -> Iterator[InProcess]:
    """A server that keeps all changes."""
    with InProcess(["--storage-backend=sqlite", "--history"]) as server:
        yield server


@pytest.fixture
def kept(
    history_server: InProcess, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Kept:
    """The server with a new namespace."""
    namespace = f"t{abs(hash(request.node.nodeid)):x}"
    made = Kept(history_server, capsys, namespace)
    made.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    return made
