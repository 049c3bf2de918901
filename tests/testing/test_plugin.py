"""The pytest plugin, in a separate pytest process."""

import os
import pathlib
import subprocess
import sys

import pytest

import pilothouse

SOURCE = str(pathlib.Path(pilothouse.__file__).parents[1])
PROGRAM = """
import urllib.request

def url(kube):
    return f"{kube.url}/api/v1/namespaces/default/configmaps"

def test_one(kube):
    body = b'{"metadata": {"name": "a"}}'
    request = urllib.request.Request(url(kube), body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, context=kube.context()).close()

def test_two(kube, kube_apiserver):
    with urllib.request.urlopen(url(kube), context=kube.context()) as answer:
        assert b'"name":"a"' not in answer.read()
    assert kube is kube_apiserver
    assert "--v=0" in kube.flags
"""

INSTALLED = {
    "METADATA": "Metadata-Version: 2.1\nName: pilothouse\nVersion: 1.0\n",
    "RECORD": "pilothouse/__init__.py,,\n",
    "entry_points.txt": "[pytest11]\npilothouse = pilothouse.testing.plugin\n",
}
"""The files of a wheel beside the package; the record has pytest rewrite all of its modules."""
REWRITTEN = """
import sys

import pilothouse.assembly.server

def rewritten(top):
    return {
        name for name, module in sys.modules.items()
        if name.partition(".")[0] == top and type(module.__loader__).__name__ == "AssertionRewritingHook"
    }

def test_modules(pytestconfig):
    assert pytestconfig.getoption("--kube-apiserver") == "thread"
    assert rewritten(__name__) == {__name__}
    assert rewritten("pilothouse") <= {"pilothouse", "pilothouse.testing", "pilothouse.testing.plugin"}
"""


@pytest.mark.slow
def test_pytest_rewrites_no_module_of_a_server(tmp_path: pathlib.Path) -> None:
    """Rewriting takes longer than all imports, in each job that begins without compiled files."""
    installed = tmp_path / "site" / "pilothouse-1.0.dist-info"
    installed.mkdir(parents=True)
    for name, text in INSTALLED.items():
        installed.joinpath(name).write_text(text)
    tmp_path.joinpath("test_it.py").write_text(REWRITTEN)
    path = os.pathsep.join((str(installed.parent), SOURCE))
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("where", ["thread", "process"])
def test_each_test_finds_a_fresh_server(where: str, tmp_path: pathlib.Path) -> None:
    tmp_path.joinpath("test_it.py").write_text(PROGRAM)
    flags = ["-p", "pilothouse.testing.plugin", f"--kube-apiserver={where}", "--kube-apiserver-flag=--v=0"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *flags, "."],
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
