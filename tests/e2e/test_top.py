"""`pilothouse top` and `pilothouse why` behind a load balancer, and of a server of several processes:
all of them are read, and each is held against itself."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.test_workers import wait_for_all, workers

from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ha import MEMBERS, Ha, missing
from pilothouse.testing.server import Subprocess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

MAPS = "/api/v1/namespaces/default/configmaps"
OLD = 1000
"""Requests that one server has answered before anybody looks; `top` may see a fifth of them in a second."""


def pilothouse(kubeconfig: pathlib.Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "pilothouse", *arguments, f"--kubeconfig={kubeconfig}", "-o=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ha(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ha]:
    if missing():
        pytest.skip("needs etcd and haproxy; apt-get install etcd-server haproxy")
    cluster = Ha(tmp_path_factory.mktemp("ha"), etcd_members=1).start()
    try:
        one = Api(cluster.directory / "server1.kubeconfig").held()
        for _ in range(OLD):
            one.call("GET", MAPS)
        one.close()
        yield cluster
    finally:
        cluster.stop()


def test_servers_behind_a_load_balancer_are_held_against_themselves(ha: Ha) -> None:
    """One server has answered a thousand requests before, which are none of this second's."""
    found = pilothouse(ha.kubeconfig, "top", "--interval=1s")
    assert len(found["servers"]) == MEMBERS and found["notes"] == []
    assert found["requests"]["perSecond"] < 200, found
    rows = {(one["resource"], one["verb"]): one["perSecond"] for one in found["resources"]}
    assert rows.get(("configmaps", "LIST"), 0) == 0
    each = [one["memoryBytes"] for one in found["servers"]]
    assert found["process"]["memoryBytes"] == pytest.approx(sum(each)) and min(each) > 20e6


def test_a_server_that_ends_is_left_out_and_comes_back(ha: Ha) -> None:
    last = ha.servers[2]
    assert last is not None
    last.terminate()
    last.wait(30)
    try:
        found = pilothouse(ha.kubeconfig, "top", "--interval=1s")
        assert len(found["servers"]) == MEMBERS - 1
    finally:
        ha.start_server(2)
        ha.wait_server(2)


def test_the_latest_requests_of_all_servers_are_listed(ha: Ha) -> None:
    asked = set()
    for index in range(MEMBERS):
        api = Api(ha.directory / f"server{index}.kubeconfig")
        name = f"Bad_{index}"
        with pytest.raises(ApiError):
            api.call("POST", MAPS, {"metadata": {"name": name}})
        asked.add(api.call("GET", "/debug/requests?code=422&limit=1")["requests"][0]["auditID"])
    found = pilothouse(ha.kubeconfig, "why", "--code=422")
    assert {one["auditID"] for one in found["requests"][:MEMBERS]} == asked
    assert len(found["servers"]) == MEMBERS and "notes" not in found
    assert len(pilothouse(ha.kubeconfig, "why", "--code=422", "--limit=2")["requests"]) == 2
    top = pilothouse(ha.kubeconfig, "top", "--interval=100ms")
    assert asked <= {one["auditID"] for one in top["refused"]["requests"]}


def test_all_processes_of_a_server_are_asked(tmp_path: pathlib.Path) -> None:
    with EtcdCluster(tmp_path) as etcd:
        flags = ["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}", "--workers=2"]
        with Subprocess(flags) as server:
            wait_for_all(server)
            api = Api(server.kubeconfig)
            for _ in range(40):
                with pytest.raises(ApiError):
                    api.call("GET", f"{MAPS}/missing")
            listed = pilothouse(server.kubeconfig, "why", "--code=404")
            assert {one["process"] for one in listed["servers"]} == set(workers(server))
            assert len([one for one in listed["requests"] if one["path"] == f"{MAPS}/missing"]) == 40
            found = pilothouse(server.kubeconfig, "top", "--interval=1s")
            assert len(found["servers"]) == 1 and found["requests"]["perSecond"] < 100
            assert {one["process"] for one in found["refused"]["servers"]} == set(workers(server))
