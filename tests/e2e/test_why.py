"""`pilothouse why` finds a request whichever process of whichever server has answered it."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from e2e.test_workers import wait_for_all, workers

from pilothouse.commands.api import Api
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Subprocess]]:
    """Two servers with the keys of one cluster: one of two processes, one of its own."""
    folder = tmp_path_factory.mktemp("etcd")
    with EtcdCluster(folder) as etcd:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}"]
        # The Service has one port for all servers, that of the one which wrote it last:
        # the first leaves it to the second.
        alone = "--endpoint-reconciler-type=none"
        with Subprocess([*flags, "--workers=2", alone, "--advertise-address=192.0.2.77"]) as first:
            wait_for_all(first)
            own = [
                "--bind-address=0.0.0.0",
                f"--cert-dir={folder}/certs",
                f"--write-kubeconfig={folder}/second.kubeconfig",
            ]
            second = Subprocess([*flags, *own])
            second.directory = first.directory
            with second:
                yield [first, second]


def why(server: Subprocess, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pilothouse", "why", f"--kubeconfig={server.kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_every_worker_is_asked(servers: list[Subprocess]) -> None:
    first, _ = servers
    api = Api(first.kubeconfig)
    for number in range(8):
        api.call("GET", f"/api/v1/namespaces?limit={number + 1}")
    found = set()
    for number in range(2):
        done = why(first, "-o", "json", "--resource=namespaces", "--verb=list")
        assert done.returncode == 0, done.stderr
        for one in json.loads(done.stdout)["requests"][:2]:
            answer = why(first, "-o", "json", one["auditID"])
            assert answer.returncode == 0, (number, answer.stderr)
            found.add(json.loads(answer.stdout)["server"]["process"])
    assert found <= set(workers(first))
    missed = why(first, "nope")
    assert missed.returncode == 1
    for process in workers(first):
        assert f"process {process} of apiserver-" in missed.stderr


def test_the_other_server_is_asked(servers: list[Subprocess]) -> None:
    first, second = servers
    api = Api(first.kubeconfig).other("127.0.0.1", second.port)
    api.call("GET", "/api/v1/namespaces?limit=77")
    listed = api.call("GET", "/debug/requests?resource=namespaces")["requests"]
    audit_id = listed[0]["auditID"]
    done = why(first, "-o", "json", audit_id)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["requests"][0]["request"]["query"] == "limit=77"
    assert second.process is not None and found["server"]["process"] == second.process.pid
