"""The report of a failed test."""

import pathlib
import threading
import time
from types import SimpleNamespace

import pytest

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.clusters import FLAG, LogicalServer
from pilothouse.testing.report import happened
from pilothouse.testing.server import InProcess


def miss(server: InProcess | LogicalServer, name: str) -> None:
    with KubeClient(server.url, server.context()) as client, pytest.raises(RefusedError):
        client.call("GET", f"/api/v1/namespaces/{name}")


def test_what_happened_since_a_time(server: InProcess) -> None:
    begun = time.time()
    assert happened(server, begun) == ""
    miss(server, "early")
    between = time.time()
    miss(server, "late")
    line = '  get /api/v1/namespaces/{0} by kubernetes-admin: 404 NotFound: namespaces "{0}" not found'
    assert happened(server, begun).splitlines() == ["Refused", line.format("early"), line.format("late")]
    assert happened(server, between).splitlines() == ["Refused", line.format("late")]


def test_no_server_no_report(tmp_path: pathlib.Path) -> None:
    with InProcess() as server:
        (tmp_path / "gone").write_bytes(server.kubeconfig.read_bytes())
    (tmp_path / "broken").write_text("a: [")
    for name in ("gone", "broken", "none"):
        assert happened(SimpleNamespace(kubeconfig=tmp_path / name), 0) == ""


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_not_awaited(server: InProcess) -> None:
    miss(server, "a")
    told = threading.Event()
    server._loop.call_soon_threadsafe(told.wait, 60)
    try:
        begun = time.monotonic()
        assert happened(server, 0) == ""
        assert 1 < time.monotonic() - begun < 60
    finally:
        told.set()


def test_a_server_without_a_journal() -> None:
    with InProcess(["--explained-requests=0"]) as server:
        miss(server, "a")
        assert happened(server, 0) == ""


def test_a_logical_cluster_has_a_report_of_its_own() -> None:
    with InProcess([FLAG, "--faults"]) as host:
        miss(host, "of-the-host")
        with LogicalServer(host) as cluster, cluster.fault("slow", delay=0.001) as fault:
            miss(cluster, "of-the-cluster")
            lines = happened(cluster, 0).splitlines()
            assert (
                fault.count == 0
                and "  slow never struck, no requests were like its rule (delay 0.001)" in lines
            )
        assert any("of-the-cluster" in line for line in lines)
        assert not any("of-the-host" in line for line in lines)
