"""The units in deploy/systemd."""

import pathlib
import re
import shutil
import subprocess

import pytest

UNITS = pathlib.Path(__file__).parents[2] / "deploy" / "systemd"
TOOL = shutil.which("systemd-analyze")

pytestmark = pytest.mark.skipif(TOOL is None, reason="no systemd-analyze; apt-get install systemd")


def analyze(*arguments: str) -> str:
    assert TOOL is not None
    done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_service_is_hardened() -> None:
    """0 is no exposure, 10 is that of a service with all rights."""
    said = analyze("security", "--offline=true", str(UNITS / "pilothouse.service"))
    found = re.search(r"Overall exposure level for pilothouse.service: ([\d.]+)", said)
    assert found is not None, said
    assert float(found[1]) < 2


@pytest.mark.parametrize("unit", ["pilothouse.service", "pilothouse.socket"])
def test_systemd_knows_each_setting(unit: str, tmp_path: pathlib.Path) -> None:
    """systemd ignores an unknown setting of a unit, with a warning."""
    program = tmp_path / "pilothouse"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS.iterdir():
        text = path.read_text().replace("/opt/pilothouse/bin/pilothouse", str(program))
        (tmp_path / path.name).write_text(text)
    said = analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit))
    assert [line for line in said.splitlines() if "pilothouse." in line] == []
