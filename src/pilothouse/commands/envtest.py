"""`pilothouse envtest`: runs a suite with a logical cluster of its own, in a server that suites share."""

import contextlib
import datetime
import errno
import fcntl
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pilothouse import pki
from pilothouse.api.yaml import kubeconfigs
from pilothouse.authn.x509 import scope_unit
from pilothouse.clusters.definition import GROUP, KIND, VERSION
from pilothouse.commands import cluster_objects, envtest_assets
from pilothouse.commands.api import Api, ApiError
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError

SERVER_FLAGS = ("data-dir",)
FLAGS = (
    Flag("copy-of", "string", "", "command", "Begin with the objects of this cluster of the server."),
    Flag("keep", "bool", False, "command", "Leave the cluster and the server when the command has ended."),
    Flag("assets", "string", "", "command", "Write the programs of envtest into this folder; run nothing."),
)  # fmt: skip
USAGE = """Run a test suite, or any command, with an API server of its own: a logical cluster that is ready in milliseconds.

Usage:
  pilothouse envtest [--data-dir DIR] [--copy-of CLUSTER] [--keep] -- COMMAND [ARGUMENT...]
  pilothouse envtest --assets DIR

The command finds its cluster by KUBECONFIG. USE_EXISTING_CLUSTER=true has controller-runtime's envtest take it instead of starting
programs. Suites that run at the same time share one server in DIR: the first one starts it, the last one stops it. Everything is
forgotten then.

With --assets it writes etcd, kube-apiserver and kubectl into DIR, for suites that start programs: KUBEBUILDER_ASSETS=DIR. What is
called etcd there keeps nothing: the server keeps its objects itself, in memory.
"""  # noqa: E501
PREFIX = "/clusters/"
ATTEMPTS = 3
"""Tries to start the server: somebody may take its port first."""
PATIENCE = 30.0
"""Seconds that the server may take to start, or to end."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; its exit status. Raises FlagError, ConfigError, OSError, ApiError."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    command = list(arguments[at + 1 :])
    config, values, rest = options.parse_command(arguments[:at], FLAGS)
    if values["assets"]:
        if rest or command:
            raise FlagError('"pilothouse envtest --assets" runs no command')
        return _write_assets(Path(values["assets"]).absolute())
    if at == len(arguments):
        raise FlagError('"pilothouse envtest" needs -- and a command')
    if rest or not command:
        raise FlagError('"pilothouse envtest" takes its command after --')
    named = config.data.data_dir
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"pilothouse-envtest-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    with SharedServer(folder, keep=values["keep"]).used() as api:
        return _run(api, folder, command, values["copy-of"], values["keep"])


def _write_assets(folder: Path) -> int:
    """Write the programs of envtest, and print how suites find them."""
    envtest_assets.write(folder)
    print(f"export KUBEBUILDER_ASSETS={shlex.quote(str(folder))}")
    return 0


def _run(api: Api, folder: Path, command: list[str], copy_of: str, keep: bool) -> int:
    """Run a command with a cluster that goes with it."""
    name = f"envtest-{secrets.token_hex(5)}"
    spec = {"copyOf": copy_of} if copy_of else {}
    metadata = {"name": name}
    if copy_of:
        cluster_objects.call(api, "GET", copy_of)
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": spec}
    uid = cluster_objects.call(api, "POST", body=body)["metadata"]["uid"]
    try:
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as own:
            kubeconfig = Path(own) / "kubeconfig"
            kubeconfig.touch(mode=0o600)
            kubeconfig.write_bytes(_kubeconfig(api, folder, name, uid))
            environment = os.environ | {"KUBECONFIG": str(kubeconfig), "USE_EXISTING_CLUSTER": "true"}
            return _status(subprocess.run(command, env=environment, check=False).returncode)
    finally:
        if not keep:
            with contextlib.suppress(ApiError, OSError):
                cluster_objects.call(api, "DELETE", name)


def _status(code: int) -> int:
    """An exit status as shells tell it: of a command that a signal has ended, too."""
    return code if code >= 0 else 128 - code


def _kubeconfig(api: Api, folder: Path, name: str, uid: str) -> bytes:
    """A kubeconfig of the administrator of a cluster."""
    ca = folder / "ca.crt"
    authority = pki.CertificateAuthority.load(ca, folder / "ca.key", datetime.timedelta(0))
    if authority is None:
        raise OSError(f"the CA in {folder} cannot be used")
    cert, key = authority.issue("kubernetes-admin", ("system:masters",), server=False, unit=scope_unit(uid))
    server = f"{api.config.server}{PREFIX}{name}"
    return kubeconfigs.of_user(server, ca.read_bytes(), cert=cert, key=key, name=name)


class SharedServer:
    """The server of a folder. Each suite that uses it holds a lock on the file `users`.
    One that finds no other at its end stops the server."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self._folder = folder
        self._keep = keep
        self._kubeconfig = folder / "admin.kubeconfig"

    @contextlib.contextmanager
    def used(self) -> Iterator[Api]:
        """Have the server run meanwhile."""
        with open(self._folder / "users", "ab") as users:
            with self._alone():
                if not self._answers():
                    self._start()
                fcntl.flock(users, fcntl.LOCK_SH)
            try:
                yield Api(self._kubeconfig)
            finally:
                with self._alone():
                    fcntl.flock(users, fcntl.LOCK_UN)
                    if not self._keep and self._is_unused(users.fileno()):
                        self._stop()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else start or stop the server."""
        with open(self._folder / "starting", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _is_unused(self, users: int) -> bool:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _answers(self) -> bool:
        try:
            Api(self._kubeconfig).text("/readyz")
        except (OSError, ValueError, ApiError):
            return False
        return True

    def _start(self) -> None:
        for left in reversed(range(ATTEMPTS)):
            try:
                self._start_at(_free_port())
                return
            except OSError as error:
                if not left or "address already in use" not in str(error):
                    raise

    def _start_at(self, port: int) -> None:
        self._kubeconfig.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pilothouse", "serve", f"--data-dir={self._folder}", "--clusters"]
        command += ["--storage-backend=memory", "--bind-address=127.0.0.1", f"--secure-port={port}"]
        log = self._folder / "log"
        with open(log, "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        ends = time.monotonic() + PATIENCE
        while not (self._kubeconfig.exists() and self._answers()):
            if process.poll() is not None or time.monotonic() > ends:
                said = log.read_text(errors="replace").strip().splitlines()
                raise OSError(f"the server did not start: {said[-1] if said else 'it says nothing'} ({log})")
            time.sleep(0.01)
        (self._folder / "pid").write_text(f"{process.pid}\n")

    def _stop(self) -> None:
        """Stop the server, if it runs: else its number may be that of another process."""
        if not self._answers():
            return
        try:
            pid = int((self._folder / "pid").read_text())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):  # it was not started by a suite
            return
        ends = time.monotonic() + PATIENCE
        while self._answers() and time.monotonic() < ends:
            time.sleep(0.01)
        (self._folder / "pid").unlink(missing_ok=True)


def _free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
