"""`pilothouse bench`: a sheet of a server that it starts,
of one that runs, and two sheets beside each other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from pilothouse import cli
from pilothouse.commands import bench, machine
from pilothouse.commands.api import Api
from pilothouse.commands.bench_load import OBJECTS, TOGETHER, WATCHES, Own, Scraped, quantile
from pilothouse.commands.readings import ClusterReadings, Reading
from pilothouse.testing.server import InProcess, Subprocess

MEASURED = [
    ("create", 1),
    ("create", TOGETHER),
    ("get", 1),
    ("get", TOGETHER),
    (f"list {OBJECTS}", 1),
    ("patch", 1),
    ("patch", TOGETHER),
    ("watch event", WATCHES),
    ("connect", 1),
    ("delete", 1),
    ("delete", TOGETHER),
]


def judge(sheet: Any) -> None:
    """Check the properties that every sheet has."""
    assert [(one["name"], one["together"]) for one in sheet["figures"]] == MEASURED
    for one in sheet["figures"]:
        assert (
            one["processor"] >= 0 and one["count"] > 0 and one["rate"] > 0 and 0 < one["p50"] <= one["p99"]
        ), one
        assert one["rounds"] == one["processor"] / sheet["calibration"]["roundSeconds"]
    assert sum(one["count"] for one in sheet["figures"] if one["name"] == "delete") == OBJECTS
    cost = {one["name"]: one["processor"] for one in sheet["figures"]}
    assert cost[f"list {OBJECTS}"] > cost["get"]
    assert 0 < sheet["memoryBytes"]["empty"] <= sheet["memoryBytes"]["last"]
    assert {"processor", "cores", "memoryBytes", "python", "load", "durableWriteSeconds"} <= set(
        sheet["machine"]
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_own_server(tmp_path: Path) -> None:
    """The server is a process in a temporary folder, of which nothing is left;
    the sheet is compared with itself."""
    command = [sys.executable, "-m", "pilothouse", "bench", "--seconds=200ms", "--json", "--", "--v=0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    sheet = json.loads(done.stdout)
    judge(sheet)
    assert all(one["rounds"] > 0 for one in sheet["figures"])
    assert min(sheet["startSeconds"].values()) > 0 and set(sheet["startSeconds"]) == {"empty", "again"}
    assert sheet["server"]["what"] == "its own server --v=0"
    steps = ["start", "start", "calibration", "create", "get", "list", "patch", "watch", "connect", "delete"]
    assert done.stderr.splitlines() == [f"measuring: {step}" for step in steps]
    assert list(tmp_path.iterdir()) == []
    rows = list(bench.lines(sheet, sheet))
    assert len(rows) == 8 + len(MEASURED) and all(row.endswith(" 1.00") for row in rows[8:])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The namespace of the measurement is removed; nothing else is touched."""
    with Subprocess() as server:
        api = Api(server.kubeconfig)
        api.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "kept"}})
        arguments = ["bench", f"--kubeconfig={server.kubeconfig}", "--seconds=200ms"]
        assert cli.main([*arguments, "-o=json"]) == 0
        sheet = json.loads(capsys.readouterr().out)
        judge(sheet)
        assert sheet["startSeconds"] == {} and sheet["server"]["what"] == server.url
        names = {one["metadata"]["name"]: one for one in api.call("GET", "/api/v1/namespaces")["items"]}
        left = names.get(f"pilothouse-bench-{os.getpid()}")
        assert left is None or left["metadata"]["deletionTimestamp"]
        api.call("GET", "/api/v1/namespaces/default/configmaps/kept")


def test_who_may_not_write_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with InProcess() as server:
        kubeconfig = tmp_path / "kubeconfig"
        flags = [f"--data-dir={server.directory}", f"--server={server.url}", "--user=jane"]
        assert cli.main(["kubeconfig", *flags, f"--write-kubeconfig={kubeconfig}"]) == 0
        assert cli.main(["bench", f"--kubeconfig={kubeconfig}"]) == 1
    assert 'User "jane" cannot' in capsys.readouterr().err


def test_what_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}")
    (tmp_path / "newer").write_text('{"version": 99}')
    for words, said, status in (
        (["-o", "xml"], "allowed formats are: json,table,wide,yaml", 2),
        (["x"], "does not take any arguments", 2),
        (["--seconds=0s"], "must be positive", 2),
        (["--kubeconfig=x", "--", "--v=1"], "takes no flags of a server", 2),
        (["--", "--secure-port=-1"], "must be between", 2),
        ([f"--against={tmp_path}/other"], "is no sheet", 1),
        ([f"--against={tmp_path}/newer"], "is a sheet of version 99", 1),
        (["--", "--cert-dir=/proc/none"], "the server did not become ready", 1),
    ):
        assert cli.main(["bench", *words]) == status
        assert said in capsys.readouterr().err, words


def test_quantiles() -> None:
    times = [float(i) for i in range(100, 0, -1)]
    assert (quantile(0.5, times), quantile(0.99, times), quantile(0.99, [7.0])) == (50.0, 99.0, 7.0)


def test_a_machine_that_does_something_else_is_told() -> None:
    assert bench._busy({"before": 20e-6, "after": 21e-6}) == ""
    assert "before 20.0us, after 40.0us" in bench._busy({"before": 20e-6, "after": 40e-6})


def test_the_calibration_takes_the_same_each_time() -> None:
    """Within what other programs on the machine make of it."""
    first, second = machine.calibration(), machine.calibration()
    assert 1e-6 < first < 1e-3 and 1 / 3 < first / second < 3


def test_a_process_and_its_metrics_say_the_same() -> None:
    with InProcess() as server:
        cluster = ClusterReadings(Api(server.kubeconfig))
        own, scraped = Own(os.getpid()), Scraped(cluster)
        assert abs(own.memory() - scraped.memory()) < 64 << 20
        before = own.processor(), scraped.processor()
        machine.calibration()
        used = own.processor() - before[0], scraped.processor() - before[1]
        assert used[0] > 0.4 and abs(used[0] - used[1]) < 0.3
        cluster.close()


class Three:
    """Three servers, each with its own numbers; every scrape takes one of them a second."""

    def __init__(self) -> None:
        self.scrapes = 0

    def read(self) -> dict[str, Reading]:
        self.scrapes += 1
        used = [100.0, 5000.0, 70.0 + self.scrapes]
        return {
            str(at): Reading(
                0.0, {"process_cpu_seconds_total": {"": one}, "process_resident_memory_bytes": {"": 1.0}}
            )
            for at, one in enumerate(used)
        }


def test_several_servers_are_added_up() -> None:
    scraped = Scraped(cast("ClusterReadings", Three()))
    assert scraped.processor() == scraped.processor() == 5173.0
    assert scraped.memory() == 3.0
