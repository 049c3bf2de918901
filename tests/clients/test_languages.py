"""The examples for tests in several languages: each starts a server, and sees a deployment become ready.

Python's always run; the others need a toolchain and its registry: `make test-languages`.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples/testing"
ASKED = os.environ.get("PILOTHOUSE_LANGUAGES", "").split()
COMMANDS = {
    "go": "go mod tidy && go vet ./... && go test ./...",
    "java": "mvn --batch-mode --quiet test",
    "node": "npm install --silent && npm test",
    "rust": "cargo test --quiet",
}

pytestmark = [pytest.mark.slow, pytest.mark.kubectl]


def run(command: str, folder: pathlib.Path) -> str:
    """Run a command in a copy of an example, with the programs of this environment."""
    environment = os.environ | {"PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-euc", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.timeout(700)
@pytest.mark.parametrize("language", sorted(COMMANDS))
def test_an_example(language: str, tmp_path: pathlib.Path) -> None:
    if language not in ASKED:
        pytest.skip("on request: make test-languages")
    folder = tmp_path / language
    shutil.copytree(EXAMPLES / language, folder)
    run(COMMANDS[language], folder)


def test_the_example_of_pytest(tmp_path: pathlib.Path) -> None:
    shutil.copy(EXAMPLES / "python/test_rollout.py", tmp_path)
    flags = "-q -p no:cacheprovider --kube-apiserver-flag=--simulate=nodes=1"
    assert "1 passed" in run(f"{sys.executable} -m pytest {flags} test_rollout.py", tmp_path)


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == {*COMMANDS, "python"}
