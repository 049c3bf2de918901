"""The controller of examples/many-clusters reconciles in logical clusters, as it does in any others."""

import contextlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from eventually import eventually

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import Subprocess

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples/many-clusters/controller.py"
MAPS = "/api/v1/namespaces/default/configmaps"
COUNT = 20
TEXT = "good morning"


@contextlib.contextmanager
def running(kubeconfig: pathlib.Path, log: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(kubeconfig), TEXT], stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def kept(api: Api) -> str:
    """The uid of the ConfigMap while it says what it should, else ""."""
    try:
        found = api.call("GET", f"{MAPS}/motd")
    except ApiError:
        return ""
    return str(found["metadata"]["uid"]) if found.get("data", {}).get("text") == TEXT else ""


@pytest.mark.slow
def test_it_reconciles_in_twenty_clusters_and_in_those_that_come(tmp_path: pathlib.Path) -> None:
    fleet, log = tmp_path / "fleet", tmp_path / "log"
    names = [f"c{number:02}" for number in range(COUNT)]
    with Subprocess(["--clusters"]) as server:
        own = [f"--kubeconfig={server.kubeconfig}", f"--data-dir={server.directory}"]
        assert cli.main(["cluster", "create", *names, own[0]]) == 0
        assert cli.main(["cluster", "kubeconfig", "--all", f"--write-kubeconfig={fleet}", *own]) == 0
        clusters = {name: Api(fleet, name) for name in names}
        with running(fleet, log) as controller:
            for name, api in clusters.items():
                eventually(lambda api=api: kept(api), f"the ConfigMap of {name}: {log.read_text()}")  # type: ignore[misc]
            first, second = clusters["c03"], clusters["c17"]
            before = kept(first)
            first.call("DELETE", f"{MAPS}/motd")
            eventually(lambda: kept(first) not in ("", before), "what is deleted returns")
            changed = second.call("GET", f"{MAPS}/motd")
            assert changed["data"]["cluster"] == "c17"
            second.call("PUT", f"{MAPS}/motd", {**changed, "data": {"text": "good night"}})
            eventually(lambda: kept(second) == changed["metadata"]["uid"], "what is changed is put right")
            assert cli.main(["cluster", "create", "late", own[0]]) == 0
            more = ["--merge", f"--write-kubeconfig={fleet}", *own]
            assert cli.main(["cluster", "kubeconfig", "late", *more]) == 0
            eventually(lambda: kept(Api(fleet, "late")), "the ConfigMap of a cluster that came later")
            controller.terminate()
            assert controller.wait(10) == 0
        assert "tried again" not in log.read_text()
