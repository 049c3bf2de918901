"""Starts whole servers that others measure: of this tree or another one, the floor, a kube-apiserver.

Each is on a free port of loopback and on the first core; its load goes to the second, where there are two.
"""

import compileall
import contextlib
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from floor import issued
from startup import free_port

ROOT = pathlib.Path(__file__).parent.parent
FLOOR = pathlib.Path(__file__).with_name("floor.py")
KUBE_APISERVER = "KUBE_APISERVER"
"""The variable that names a kube-apiserver's binary. It needs `etcd` on the path."""
TOKEN = "benchmark"
CORES = sorted(os.sched_getaffinity(0))
SERVER, CLIENT = 0, 1
"""The cores of the server and of the client."""


@dataclass
class Started:
    """A server that runs, and the seconds that it took to its first good answer."""

    port: int
    process: "subprocess.Popen[bytes]"
    ready: float

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def pinned(core: int, command: list[str]) -> list[str]:
    if len(CORES) < 2 or not shutil.which("taskset"):
        return command
    return ["taskset", "-c", str(CORES[core % len(CORES)]), *command]


def wait_ready(url: str, process: "subprocess.Popen[bytes]", path: str = "/readyz") -> float:
    """Seconds until the server's answer is a good one."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    begun = time.monotonic()
    while time.monotonic() < begun + 60 and process.poll() is None:
        request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, context=context, timeout=2):
            return time.monotonic() - begun
        time.sleep(0.01)
    raise SystemExit(f"{process.args!r} did not become ready")


@contextlib.contextmanager
def running(
    command: list[str], core: int, log: pathlib.Path, env: Mapping[str, str] | None = None
) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("wb") as out:
        process = subprocess.Popen(pinned(core, command), stdout=out, stderr=subprocess.STDOUT, env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tokens(directory: pathlib.Path) -> str:
    path = directory / "tokens.csv"
    path.write_text(f'{TOKEN},admin,1,"system:masters"\n')
    return str(path)


@contextlib.contextmanager
def ours(directory: pathlib.Path, tree: pathlib.Path = ROOT) -> Iterator[Started]:
    """`pilothouse serve` of a tree with built modules, with the embedded store in `directory`."""
    compileall.compile_dir(tree / "src/pilothouse", quiet=1)  # as installers do
    port = free_port()
    command = [sys.executable, "-m", "pilothouse", "serve", f"--data-dir={directory / 'data'}"]
    command += ["--bind-address=127.0.0.1", f"--secure-port={port}", f"--token-auth-file={tokens(directory)}"]
    env = {**os.environ, "PYTHONPATH": str(tree.resolve() / "src")}
    with running(command, SERVER, directory / "server.log", env) as process:
        yield Started(port, process, wait_ready(f"https://127.0.0.1:{port}", process))


@contextlib.contextmanager
def floor(directory: pathlib.Path, pods: int, program: str | pathlib.Path = FLOOR) -> Iterator[Started]:
    """The floor, which begins with `pods` pods."""
    cert, key = issued(directory)
    port = free_port()
    command = [sys.executable, str(program), str(port), str(pods), f"--certificate={cert}", f"--key={key}"]
    with running(command, SERVER, directory / "floor.log") as process:
        yield Started(port, process, wait_ready(f"https://127.0.0.1:{port}", process, "/"))


@contextlib.contextmanager
def reference(directory: pathlib.Path) -> Iterator[Started]:
    """The kube-apiserver that KUBE_APISERVER names, with an etcd of its own on the client's core."""
    port, client, peer = free_port(), free_port(), free_port()
    key = directory / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    etcd = f"http://127.0.0.1:{client}"
    store = ["etcd", f"--data-dir={directory / 'etcd'}", f"--listen-client-urls={etcd}"]
    store += [f"--advertise-client-urls={etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}"]
    command = [os.environ[KUBE_APISERVER], f"--etcd-servers={etcd}", f"--secure-port={port}"]
    command += [f"--cert-dir={directory / 'certs'}", "--authorization-mode=Node,RBAC"]
    command += [f"--token-auth-file={tokens(directory)}", "--service-account-issuer=https://benchmark"]
    command += [f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"]
    with (
        running(store, CLIENT, directory / "etcd.log"),
        running(command, SERVER, directory / "reference.log") as process,
    ):
        yield Started(port, process, wait_ready(f"https://127.0.0.1:{port}", process))
