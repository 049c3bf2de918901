"""`kubectl history`: the commands about the history, as a plugin of kubectl."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pilothouse import cli
from pilothouse.commands import plugin

if TYPE_CHECKING:
    from commands.conftest import Kept

KUBECTL = Path(sys.executable).with_name("kubectl")


@pytest.mark.parametrize("name", plugin.COMMANDS)
def test_each_command_has_help_by_its_own_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.kubectl_history([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"  kubectl history {name} " in text and "Command flags:" in text
    usage = text[: text.index("Command flags:")]
    assert "pilothouse " not in usage.replace("`pilothouse serve`", "")


def test_help_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.kubectl_history([]) == cli.kubectl_history(["--help"]) == cli.kubectl_history(["help"]) == 0
    text = capsys.readouterr().out
    assert text == plugin.USAGE * 3
    assert all(f"  kubectl history {name} " in text for name in plugin.COMMANDS)
    assert cli.kubectl_history(["blam"]) == 2
    assert capsys.readouterr().err == (
        'Error: unknown command "blam" for "kubectl history"\n\nDid you mean this?\n\tblame\n\n'
        "Run 'kubectl history --help' for usage.\n"
    )
    assert cli.kubectl_history(["undo", "--frce"]) == cli.kubectl_history(["purge"]) == 2
    text = capsys.readouterr().err
    assert "Run 'kubectl history undo --help' for usage." in text
    assert '"kubectl history purge" takes KIND/NAME' in text


@pytest.mark.slow
@pytest.mark.skipif(not KUBECTL.exists(), reason="no kubectl")
def test_kubectl_runs_it(kept: "Kept", tmp_path: Path) -> None:
    kept.create("configmaps", "a", data={"k": "1"})
    kept.change("configmaps", "a", {"data": {"k": "2"}})
    program = tmp_path / "kubectl-history"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "from pilothouse.cli import kubectl_history\nsys.exit(kubectl_history())\n"
    )
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(kept.server.kubeconfig),
    }

    def kubectl(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [KUBECTL, "history", *words, "-n", kept.namespace],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert ".data.k: 1 -> 2" in kubectl("list", "cm/a")[1]
    assert "│   k: '2'" in kubectl("blame", "cm/a")[1]
    status, text = kubectl("diff", "cm/a")
    assert status == 1 and "\n-  k: '1'\n+  k: '2'\n" in text
    assert kubectl("undo", "cm/a")[1].startswith("updated  configmaps/a")
    assert kubectl("restore", "cm/a", "--at=0s")[1].startswith("unchanged  configmaps/a")


def test_the_package_installs_it() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["kubectl-history"].split(":")
    assert getattr(import_module(module), function) is cli.kubectl_history
