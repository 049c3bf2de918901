"""The recorded scenarios inside a logical cluster, beside a hundred others that are under load.

PILOTHOUSE_CONFORMANCE names the folder that has run.py with its cases. The cluster is reached by its host
name. It knows the users of the scenarios by tokens of a provider, as token files do not count in logical
clusters.
"""

import asyncio
import csv
import importlib.util
import itertools
import json
import os
import pathlib
import socket
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import pytest
from clusters.provider import Provider
from e2e.http_client import Connection

from pilothouse import pki
from pilothouse.authn.x509 import scope_unit
from pilothouse.testing.server import Subprocess

T = TypeVar("T")

FOLDER = os.environ.get("PILOTHOUSE_CONFORMANCE", "")
AREAS = os.environ.get("PILOTHOUSE_CONFORMANCE_AREAS", "").split()
"""Areas or scenarios to play; none for all."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not FOLDER, reason="on request: PILOTHOUSE_CONFORMANCE=/folder/with/run.py"),
]

CLUSTERS = "/apis/pilothouse.dev/v1alpha1/clusters"
MAPS = "/api/v1/namespaces/default/configmaps"
DOMAIN = "clusters.test"
FLAGS = (
    "--clusters",
    f"--clusters-domain={DOMAIN}",
    "--disable-admission-plugins=NodeRestriction",
    "--service-cluster-ip-range=10.0.0.0/16",
    "--authorization-mode=Node,RBAC",
    "--allow-privileged",
    "--controllers=-*",
)
"""The flags with which the scenarios were recorded."""
NEIGHBOURS = 100
PAUSE = 1.0
"""Seconds between two writes in each neighbour."""
DIFFERENT: dict[str, set[int]] = {
    "auth/oidc_discovery": {0, 1, 2, 6},
    "auth/token_bound_to_node": {2},
    "auth/token_bound_to_pod": {2},
    "auth/token_bound_to_secret": {2},
    "auth/token_request_defaults": {1, 3, 5, 7, 8},
    "auth/token_request_validation": {4, 5},
    "auth/token_use": {5, 6},
    "discovery/openid-discovery": {0, 2},
    "fuzzpatch/71-010": {2},
    "workloads/reviews": {11},
}
"""Steps of scenarios that tell the issuer or the kind of its keys, which each cluster has of its own, and one
that differs in a lone server too (fuzzpatch)."""


class Beside:
    """An event loop on a thread of its own, while it is entered: the provider, and the load."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine."""
        return self.begin(work).result()

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class Load:
    """Writes in many clusters; `uids` are theirs by their names."""

    def __init__(self, server: Subprocess, uids: dict[str, str]) -> None:
        self._server, self._uids = server, uids
        self._ended = False
        self.answers: Counter[int] = Counter()

    def end(self) -> None:
        """Have `run` return."""
        self._ended = True

    async def run(self) -> None:
        """Write until the end."""
        await asyncio.gather(*(self._write(name, uid) for name, uid in self._uids.items()))

    async def _write(self, name: str, uid: str) -> None:
        connection = Connection(self._server.port, context_of(self._server, uid), timeout=60)
        path = f"/clusters/{name}{MAPS}"
        for number in itertools.count():
            if self._ended:
                await connection.end()
                return
            body = {"metadata": {"name": f"m{number}"}, "data": {"number": str(number)}}
            for method, target, content in (("POST", path, body), ("DELETE", f"{path}/m{number}", None)):
                status, _ = await connection.request(method, target, content)
                self.answers[status] += 1
            await asyncio.sleep(PAUSE)


def context_of(server: Subprocess, uid: str) -> ssl.SSLContext:
    """The TLS settings of a cluster's administrator."""
    authority = pki.CertificateAuthority.load(server.directory / "ca.crt", server.directory / "ca.key")
    assert authority is not None
    pair = authority.issue("admin", ("system:masters",), server=False, unit=scope_unit(uid))
    path = server.directory / f"{uid}.pem"
    path.write_bytes(b"".join(pair))
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.load_cert_chain(path)
    path.unlink()
    return context


def player(port: int, tokens: dict[str, str]) -> Any:
    """The module run.py, whose requests go to a port of this host whatever the name of the server, with
    tokens in place of those of the scenarios."""
    spec = importlib.util.spec_from_file_location("conformance_run", pathlib.Path(FOLDER) / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Server(module.Server):  # type: ignore[misc]
        def connect(self, timeout: float | None = None) -> Any:
            made = super().connect(timeout)
            made._create_connection = lambda address, *more: socket.create_connection(
                ("127.0.0.1", port), *more
            )
            return made

        def send(self, connection: Any, step: Any) -> Any:
            text = json.dumps({"token": self.token} | step)
            for known, token in tokens.items():
                text = text.replace(f'"{known}"', f'"{token}"')
            return super().send(connection, json.loads(text))

    module.Server = Server
    return module


def made(server: Subprocess, name: str, **spec: Any) -> str:
    """The UID of a new cluster."""
    body = {"apiVersion": "pilothouse.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
    return str(server.root.call("POST", CLUSTERS, body | {"spec": spec})["metadata"]["uid"])


def users(provider: Provider) -> dict[str, str]:
    """Tokens of the provider by those of the scenarios, the administrator's first."""
    with open(pathlib.Path(FOLDER) / "tokens.csv", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return {
        token: provider.token(name, 7200, uid=uid, groups=groups.split(","))
        for token, name, uid, groups in rows
    }


@pytest.fixture
def beside() -> Iterator[Beside]:
    with Beside() as started:
        yield started


def test_all_scenarios_beside_others_that_are_under_load(
    beside: Beside, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, report = Provider(), tmp_path / "report.json"
    beside.run(provider.start(tmp_path))
    tokens = users(provider)
    groups, uid = {"claim": "groups", "prefix": ""}, {"claim": "uid"}
    with Subprocess(FLAGS) as server:
        made(server, "one", authentication=provider.spec("", groups=groups, uid=uid))
        names = [f"other-{number}" for number in range(NEIGHBOURS)]
        load = Load(server, {name: made(server, name) for name in names})
        running = beside.begin(load.run())
        url = f"https://one.{DOMAIN}:{server.port}"
        command = ["run.py", "--server", url, "--token", next(iter(tokens)), "--json", str(report), *AREAS]
        monkeypatch.setattr(sys, "argv", command)
        try:
            player(server.port, tokens).main()
        finally:
            load.end()
            running.result()
    beside.run(provider.stop())
    rows = json.loads(report.read_text())
    different = {(row["scenario"], row["step"]): row["differences"] for row in rows if not row["pass"]}
    known = {(name, step) for name, steps in DIFFERENT.items() for step in steps}
    new = "\n".join(f"{place}: {told}" for place, told in different.items() if place not in known)
    print(f"{len(rows)} steps, {len(different)} differ; {load.answers.total()} requests of the others")
    assert not new, new
    assert set(load.answers) == {200, 201}, load.answers
    assert load.answers[201] > NEIGHBOURS
