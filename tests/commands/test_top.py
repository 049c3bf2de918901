"""`pilothouse top` with a server."""

import threading
from pathlib import Path

import pytest

from pilothouse import cli
from pilothouse.commands import readings, samples, top_screen
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import InProcess

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(autouse=True)
def no_other_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_what_a_server_does(capsys: pytest.CaptureFixture[str]) -> None:
    with InProcess() as server:
        api, done = Api(server.kubeconfig), threading.Event()

        def load() -> None:
            while not done.is_set():
                api.call("GET", MAPS)
                with pytest.raises(ApiError):
                    api.call("POST", MAPS, {"metadata": {"name": "Bad_"}})

        worker = threading.Thread(target=load)
        worker.start()
        try:
            assert cli.main(["top", "--once", "--interval=500ms", f"--data-dir={server.directory}"]) == 0
        finally:
            done.set()
            worker.join()
        out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if line]
    for verb in ("LIST", "POST"):
        [(rate, *times)] = [line[2:] for line in lines if line[:2] == ["configmaps", verb]]
        assert float(rate) > 0 and all(one.endswith(("us", "ms")) for one in times)
    [(seats, executing, *_)] = [line[1:] for line in lines if line[0] == "global-default"]
    assert int(seats) > 0 and int(executing) >= 0
    assert "memory" in out and "MiB" in out and "watches" in out and "store" in out
    assert [line for line in out.splitlines() if MAPS in line and " 422 " in line], out


def test_paths_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the terminal nor rich takes commands from those who send requests."""
    with InProcess() as server:
        with pytest.raises(ApiError):
            Api(server.kubeconfig).call("GET", "/api/v1/namespaces/[/x]%1b[31m:x:/pods/a")
        assert cli.main(["top", "--once", "--interval=10ms", f"--data-dir={server.directory}"]) == 0
        assert cli.main(["why", "--code=404", f"--data-dir={server.directory}"]) == 0
    out = capsys.readouterr().out
    assert out.count("/api/v1/namespaces/[/x]\\x1b[31m:x:/pods/a") >= 2 and "\x1b" not in out, out


def test_who_may_not_ask_is_told_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["top", "x"]) == cli.main(["top", "--interval=0s"]) == 2
    assert "does not take any arguments" in capsys.readouterr().err
    assert cli.main(["top", "--once", "--data-dir=/nonexistent"]) == 1
    assert "there is no kubeconfig" in capsys.readouterr().err


def test_requests_come_in_the_order_of_their_rates() -> None:
    now = samples.parse(
        'apiserver_request_total{resource="pods",verb="GET",code="200"} 2\n'
        'apiserver_request_total{resource="leases",group="coordination.k8s.io",verb="PUT",code="200"} 8\n'
        'apiserver_request_total{resource="nodes",verb="GET",code="200"} 0\n'
    )
    table = top_screen._requests(readings._resources(samples.scaled(now, 2.0)))
    assert [list(column.cells) for column in table.columns[:3]] == [
        ["leases.coordination.k8s.io", "pods"],
        ["PUT", "GET"],
        ["4.0", "1.0"],
    ]
