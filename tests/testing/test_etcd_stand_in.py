"""The stand-in for etcd is healthy, keeps nothing, and ends as it is told."""

import json
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from eventually import eventually

from pilothouse.testing import etcd_stand_in
from pilothouse.testing.ports import free_ports

PROGRAM = [sys.executable, "-IS", str(pathlib.Path(etcd_stand_in.__file__))]


def test_it_says_that_it_is_healthy_and_keeps_nothing(tmp_path: pathlib.Path) -> None:
    """The flags are those of envtest."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    flags = ["--advertise-client-urls", url, f"--listen-client-urls={url}", f"--data-dir={tmp_path}"]

    def health() -> bytes:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.URLError:
            return b""

    with subprocess.Popen([*PROGRAM, *flags, "--unsafe-no-fsync=true"], stderr=subprocess.PIPE) as process:
        try:
            assert json.loads(eventually(health, "an answer")) == {"health": "true"}
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{url}/v3/kv/range", timeout=5)
        finally:
            process.terminate()
        assert process.stderr is not None and process.stderr.read() == b"", "it says nothing of requests"
    assert list(tmp_path.iterdir()) == []


def test_its_help_ends_well() -> None:
    """envtest looks for flags in it."""
    done = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert "--listen-client-urls" in done.stdout and "--unsafe-no-fsync" not in done.stdout
