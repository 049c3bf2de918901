"""The refusals in the report of a failed test."""

import pathlib
import threading
import time

import pytest

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.report import refused
from pilothouse.testing.server import InProcess


def miss(server: InProcess, name: str) -> None:
    with KubeClient(server.url, server.context()) as client, pytest.raises(RefusedError):
        client.call("GET", f"/api/v1/namespaces/{name}")


def test_refusals_since_a_time(server: InProcess) -> None:
    begun = time.time()
    assert refused(server.kubeconfig, begun) == ""
    miss(server, "early")
    between = time.time()
    miss(server, "late")
    line = 'get /api/v1/namespaces/{0} by kubernetes-admin: 404 NotFound: namespaces "{0}" not found'
    assert refused(server.kubeconfig, begun).splitlines() == [line.format("early"), line.format("late")]
    assert refused(server.kubeconfig, between) == line.format("late")


def test_the_latest_ones_are_shown(server: InProcess) -> None:
    begun = time.time()
    for number in range(20):
        miss(server, f"a{number}")
    assert [
        line.split()[1].rpartition("/")[2] for line in refused(server.kubeconfig, begun).splitlines()
    ] == [f"a{number}" for number in range(20)]
    miss(server, "last")
    lines = refused(server.kubeconfig, begun).splitlines()
    assert len(lines) == 20 and lines[0] == "(there were more before)"
    assert "/a2 " in lines[1] and "/last " in lines[-1]


def test_no_server_no_report(tmp_path: pathlib.Path) -> None:
    with InProcess() as server:
        (tmp_path / "gone").write_bytes(server.kubeconfig.read_bytes())
    (tmp_path / "broken").write_text("a: [")
    assert [refused(tmp_path / name, 0) for name in ("gone", "broken", "none")] == ["", "", ""]


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_not_awaited(server: InProcess) -> None:
    miss(server, "a")
    told = threading.Event()
    server._loop.call_soon_threadsafe(told.wait, 60)
    try:
        begun = time.monotonic()
        assert refused(server.kubeconfig, 0) == ""
        assert 1 < time.monotonic() - begun < 60
    finally:
        told.set()


def test_a_server_without_a_journal() -> None:
    with InProcess(["--explained-requests=0"]) as server:
        miss(server, "a")
        assert refused(server.kubeconfig, 0) == ""
