"""The GitHub Action: its steps are run as a runner runs them, and the rest of a job finds a server."""

import os
import pathlib
import signal
import subprocess
import sys
import zipfile
from typing import Any

import pytest
import yaml
from clients.drivers import BINARY as KUBECTL

from pilothouse.testing.ports import free_ports

ROOT = pathlib.Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
INSTALL, START = ACTION["runs"]["steps"]


def wheel(folder: pathlib.Path) -> pathlib.Path:
    """A package whose program `pilothouse` is the one of this Python."""
    path = folder / "pilothouse-1-py3-none-any.whl"
    program = f'#!/bin/sh\nexec {sys.executable} -m pilothouse "$@"\n'
    information = "pilothouse-1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        script = zipfile.ZipInfo("pilothouse-1.data/scripts/pilothouse")
        script.external_attr = 0o100755 << 16
        archive.writestr(script, program)
        archive.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: pilothouse\nVersion: 1\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


class Runner:
    """Runs the steps of the action; files tell it what they set."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._files = {name: folder / name for name in ("GITHUB_PATH", "GITHUB_ENV", "GITHUB_OUTPUT")}
        self._environment = os.environ | {name: str(path) for name, path in self._files.items()}
        self._environment |= {"RUNNER_TEMP": str(folder), "GITHUB_ACTION_PATH": str(ROOT)}

    def said(self, file: str) -> dict[str, str]:
        """The names and values that the last step has written into one of the files."""
        return dict(line.split("=", 1) for line in self._files[file].read_text().splitlines())

    def run(self, step: dict[str, Any], **inputs: str) -> "subprocess.CompletedProcess[str]":
        """A step as `shell: bash` has it."""
        for path in self._files.values():
            path.write_text("")
        given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | inputs
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=self._environment | {key: _filled(value, given) for key, value in step["env"].items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


def _filled(value: str, inputs: dict[str, str]) -> str:
    for name, text in inputs.items():
        value = value.replace(f"${{{{ inputs.{name} }}}}", text)
    assert "${{" not in value
    return value


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """One that has run the first step."""
    folder = tmp_path_factory.mktemp("runner")
    made = Runner(folder)
    done = made.run(INSTALL, package=str(wheel(folder)))
    assert done.returncode == 0, done.stdout
    return made


@pytest.mark.slow
@pytest.mark.kubectl
def test_the_rest_of_a_job_finds_a_server(runner: Runner) -> None:
    done = runner.run(START, port=str(free_ports(1)[0]), flags="--simulate nodes=2\n--v=1")
    assert done.returncode == 0, done.stdout
    told = runner.said("GITHUB_OUTPUT")
    assert runner.said("GITHUB_ENV") == {"KUBECONFIG": told["kubeconfig"]}
    server = int(pathlib.Path(told["log"]).with_name("pid").read_text())
    try:
        ready = ["wait", "node", "--all", "--for=condition=Ready", "--timeout=20s", "-o", "name"]
        got = subprocess.check_output([KUBECTL, f"--kubeconfig={told['kubeconfig']}", *ready], text=True)
        assert got.split() == ["node/node-0", "node/node-1"]
    finally:
        os.kill(server, signal.SIGTERM)


@pytest.mark.slow
def test_a_server_that_does_not_start_fails_the_job(runner: Runner) -> None:
    """Flags are words: the shell does not run what is in them."""
    done = runner.run(START, flags="--no-$(echo)such-flag")
    assert done.returncode == 1 and "unknown flag: --no-$(echo)such-flag" in done.stdout


def test_its_outputs_are_those_of_a_step() -> None:
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.{START['id']}.outputs.{name} }}}}"
        assert f"{name}=" in START["run"]
