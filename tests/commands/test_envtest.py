"""`pilothouse envtest` gives each suite a cluster of its own, and all of them one server."""

import os
import pathlib
import subprocess
import sys

import pytest

from pilothouse.commands import envtest
from pilothouse.configuration.flags import FlagError

NAMESPACES = """
import json, os, ssl, sys, time, urllib.request, base64, tempfile, yaml
config = yaml.safe_load(open(os.environ["KUBECONFIG"]))
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
with tempfile.NamedTemporaryFile() as file:
    file.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
    file.flush()
    context.load_cert_chain(file.name)
url = cluster["server"] + "/api/v1/namespaces"
body = json.dumps({"metadata": {"name": sys.argv[1]}}).encode()
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
urllib.request.urlopen(request, context=context).close()
open(sys.argv[2], "w").close()
while not all(os.path.exists(one) for one in sys.argv[2:]):
    time.sleep(0.01)
with urllib.request.urlopen(url, context=context) as answer:
    print(*(one["metadata"]["name"] for one in json.load(answer)["items"]))
print(url, os.environ["USE_EXISTING_CLUSTER"])
"""
"""Creates the namespace that it is told, tells of that by a file, waits for other files, and lists."""


def started(folder: pathlib.Path, *command: str) -> "subprocess.Popen[str]":
    program = [sys.executable, "-m", "pilothouse", "envtest", f"--data-dir={folder}", "--", *command]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_suites_share_a_server_and_see_nothing_of_each_other(tmp_path: pathlib.Path) -> None:
    folder, flags = tmp_path / "shared", [str(tmp_path / name) for name in "ab"]
    suites = [
        started(folder, sys.executable, "-c", NAMESPACES, f"of-{name}", *sorted(flags, reverse=name == "b"))
        for name in "ab"
    ]
    told = [suite.communicate(timeout=60)[0].splitlines() for suite in suites]
    assert [suite.returncode for suite in suites] == [0, 0]
    seen = [set(lines[0].split()) for lines in told]
    assert "of-a" in seen[0] - seen[1] and "of-b" in seen[1] - seen[0]
    assert seen[0] & seen[1] == {"default", "kube-node-lease", "kube-public", "kube-system"}
    (one, mode), (other, _) = (lines[1].split() for lines in told)
    assert one.split("/clusters/")[0] == other.split("/clusters/")[0] and one != other and mode == "true"
    assert not (folder / "pid").exists(), "the last one has stopped the server"


@pytest.mark.slow
def test_the_exit_status_is_that_of_the_command(tmp_path: pathlib.Path) -> None:
    suite = started(tmp_path, sys.executable, "-c", "raise SystemExit(3)")
    suite.communicate(timeout=60)
    assert suite.returncode == 3
    words = [sys.executable, "-m", "pilothouse", "envtest", f"--data-dir={tmp_path}", "--copy-of=none"]
    done = subprocess.run([*words, "--", "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and '"none" not found' in done.stderr
    suite = started(tmp_path, sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    suite.communicate(timeout=60)
    assert suite.returncode == 137


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["make", "test"], "needs -- and"), (["--"], "after --"), (["x", "--", "make"], "after --")],
)
def test_faults_are_told(arguments: list[str], why: str) -> None:
    with pytest.raises(FlagError, match=why):
        envtest.run(arguments)


def test_a_folder_that_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=rf"Not a directory: '{tmp_path}/file'"):
        envtest.run([f"--data-dir={tmp_path / 'file'}", "--", "true"])


def test_a_server_that_does_not_start_says_why(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ca.crt").mkdir()
    with pytest.raises(OSError, match=r"did not start: .*ca\.crt"), envtest.SharedServer(tmp_path).used():
        pass
    assert not os.path.exists(tmp_path / "pid")
