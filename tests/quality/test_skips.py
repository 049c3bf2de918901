"""PILOTHOUSE_CI=1 turns skipped tests into failures; see tests/conftest.py."""

import os
import pathlib
import subprocess
import sys

import pytest

CONFTEST = pathlib.Path(__file__).parents[1] / "conftest.py"
SKIPS = """
import pytest

@pytest.mark.skipif(True, reason="no etcd binary; apt-get install etcd-server")
def test_mark(): ...

def test_module():
    pytest.importorskip("no_such_module")

def test_call():
    pytest.skip("no public definitions: pip failed")

@pytest.fixture
def tool():
    pytest.skip("no tool")

def test_fixture(tool): ...

@pytest.mark.skipif(True, reason="on request: WANTED=1")
def test_request(): ...

@pytest.mark.skipif(True, reason="not on this host: it has no clock")
def test_host(): ...

@pytest.mark.xfail(reason="not yet")
def test_xfail():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "failed", "skipped"),
    [
        ("", [], ["call", "fixture", "host", "mark", "module", "request"]),
        ("1", ["call", "fixture", "mark", "module"], ["host", "request"]),
    ],
)
def test_what_is_not_installed_fails_in_ci(
    tmp_path: pathlib.Path, ci: str, failed: list[str], skipped: list[str]
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_skips.py").write_text(SKIPS)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PILOTHOUSE_CI": ci, "PYTHONPATH": str(CONFTEST.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    results = [
        line.split() for line in done.stdout.splitlines() if "test_skips.py::test_" in line and "%]" in line
    ]

    def named(*words: str) -> list[str]:
        return sorted(row[0].rpartition("::test_")[2] for row in results if row[1] in words)

    assert (named("FAILED", "ERROR"), named("SKIPPED")) == (failed, skipped), done.stdout
