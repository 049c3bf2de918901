"""The controller of examples/many-clusters reconciles in logical clusters, as it does in any others.

PILOTHOUSE_MANY_CLUSTERS says in how many, 20 by default; `make test-soak` takes 500. With `-s` it prints what
that takes.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from eventually import eventually
from processes import cpu_seconds, resident

from pilothouse import cli
from pilothouse.commands.api import Api, ApiError
from pilothouse.testing.server import Subprocess

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples/many-clusters/controller.py"
MAPS = "/api/v1/namespaces/default/configmaps"
COUNT = int(os.environ.get("PILOTHOUSE_MANY_CLUSTERS", "20"))
SECONDS = 60.0 + COUNT
"""How long all clusters may take."""
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


def clients(fleet: pathlib.Path, folder: pathlib.Path) -> dict[str, Api]:
    """A client for each context of a kubeconfig, which is read once: with 500 it has two megabytes."""
    folder.mkdir()
    known: Any = yaml.load(fleet.read_bytes(), yaml.CSafeLoader)
    parts = {part: {one["name"]: one for one in known[part]} for part in ("clusters", "users")}
    found = {}
    for context in known["contexts"]:
        name, about = context["name"], context["context"]
        own = {
            "contexts": [context],
            "current-context": name,
            "clusters": [parts["clusters"][about["cluster"]]],
            "users": [parts["users"][about["user"]]],
        }
        path = folder / name
        path.write_text(json.dumps(own))
        found[name] = Api(path)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300 + 2 * SECONDS)
def test_it_reconciles_in_many_clusters_and_in_those_that_come(tmp_path: pathlib.Path) -> None:
    fleet, log = tmp_path / "fleet", tmp_path / "log"
    names = [f"c{number:03}" for number in range(COUNT)]
    with Subprocess(["--clusters"]) as server:
        assert server.process is not None
        before, served = resident(server.process.pid), cpu_seconds(server.process.pid)
        own = [f"--kubeconfig={server.kubeconfig}", f"--data-dir={server.directory}"]
        assert cli.main(["cluster", "create", *names, own[0]]) == 0
        assert cli.main(["cluster", "kubeconfig", "--all", f"--write-kubeconfig={fleet}", *own]) == 0
        clusters = clients(fleet, tmp_path / "each")
        with running(fleet, log) as controller:
            begun = time.monotonic()
            eventually(lambda: log.read_text().count(": written") >= COUNT, "all clusters", SECONDS)
            print(
                f"{COUNT} clusters: all reconciled in {time.monotonic() - begun:.1f} s; the server took"
                f" {resident(server.process.pid) - before:.0f} MB and"
                f" {cpu_seconds(server.process.pid) - served:.1f} s of a processor, the controller"
                f" {resident(controller.pid):.0f} MB and {cpu_seconds(controller.pid):.1f} s"
            )
            assert all(kept(api) for api in clusters.values())
            first, second = clusters["c003"], clusters["c017"]
            uid = kept(first)
            first.call("DELETE", f"{MAPS}/motd")
            eventually(lambda: kept(first) not in ("", uid), "what is deleted returns", SECONDS)
            changed = second.call("GET", f"{MAPS}/motd")
            assert changed["data"]["cluster"] == "c017"
            second.call("PUT", f"{MAPS}/motd", {**changed, "data": {"text": "good night"}})
            eventually(
                lambda: kept(second) == changed["metadata"]["uid"], "what is changed is put right", SECONDS
            )
            assert cli.main(["cluster", "create", "late", own[0]]) == 0
            more = ["--merge", f"--write-kubeconfig={fleet}", *own]
            assert cli.main(["cluster", "kubeconfig", "late", *more]) == 0
            late = clients(fleet, tmp_path / "late")["late"]
            eventually(lambda: kept(late), "the ConfigMap of a cluster that came later", SECONDS)
            controller.terminate()
            assert controller.wait(60) == 0
        assert "tried again" not in log.read_text()
