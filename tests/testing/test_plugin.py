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
