"""Real API servers for tests: on a thread of this process, or as a subprocess."""

import asyncio
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pilothouse.storage.keys import ROOT
from pilothouse.testing.client import context
from pilothouse.testing.helpers import Checkpoint, Helpers, Signing
from pilothouse.testing.ports import check, free_ports, wait_or_move

if TYPE_CHECKING:
    from pilothouse.clusters.directory import Directory
    from pilothouse.testing.client import KubeClient

T = TypeVar("T")

START_SECONDS = 30.0
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
FILLED = {f"{ROOT}serviceaccounts/{name}/default" for name in NAMESPACES} | {
    f"{ROOT}configmaps/{name}/kube-root-ca.crt" for name in NAMESPACES
}
"""Keys of the objects that controllers create in the first namespaces."""


class APIServer(Signing, Helpers):
    """Base of both kinds: `url`, and the paths `kubeconfig`, `ca_file`, `client_cert` and `client_key`."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        self.flags = tuple(flags)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pilothouse-"))
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @cached_property
    def root(self) -> "KubeClient":
        """A client of the administrator; not for several threads at once."""
        return self._client()

    @property
    def kubeconfig(self) -> pathlib.Path:
        return self.directory / "admin.kubeconfig"

    @property
    def ca_file(self) -> pathlib.Path:
        return self.directory / "ca.crt"

    @property
    def client_cert(self) -> pathlib.Path:
        return self.directory / "admin.crt"

    @property
    def client_key(self) -> pathlib.Path:
        return self.directory / "admin.key"

    def arguments(self) -> list[str]:
        """The command line without the program."""
        return [
            f"--data-dir={self.directory}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--storage-backend=memory",
            f"--write-kubeconfig={self.kubeconfig}",
            *self.flags,
        ]

    def close_root(self) -> None:
        """Close the connection of `root`, if there is one."""
        if "root" in self.__dict__:
            self.root.close()

    def fills_namespaces(self) -> bool:
        """Whether a controller creates a service account in every namespace."""
        from pilothouse.configuration import options

        return options.parse(self.arguments()).runs("serviceaccount")

    def context(self) -> ssl.SSLContext:
        """TLS settings of an administrator."""
        return context(self.ca_file, self.client_cert, self.client_key)

    def start(self) -> Self:
        """Start the server and wait until it is ready."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the server and remove its files."""
        raise NotImplementedError

    def reset(self) -> None:
        """Restore the state of a freshly started cluster."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class InProcess(APIServer):
    """A server on a thread with its own event loop."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        super().__init__(flags)
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self._server: Any = None
        self._fresh: Any = {}
        self._checkpoints: Any = None

    def start(self) -> Self:
        import uvloop

        from pilothouse.clusters.kind import kind_of
        from pilothouse.configuration import options
        from pilothouse.process import stacks

        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self._loop = uvloop.new_event_loop()
        stacks.deepen()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pilothouse", daemon=True)
        self._thread.start()
        config = options.parse(self.arguments())
        self._server = kind_of(config)(config, sockets=[sock])
        self.run(self._server.start())
        self.run(self._snapshot())
        return self

    @property
    def clusters(self) -> "Directory":
        """The logical clusters of a server that serves with --clusters."""
        found: Directory = self._server.directory
        return found

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's event loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    async def _snapshot(self) -> None:
        """Save the state of the fresh cluster once the controllers have filled the first namespaces."""
        from pilothouse.assembly.testing import checkpoints_of

        cluster, simulated = self._server.cluster, self._server.cluster.simulated
        self._checkpoints = cluster.checkpoints or checkpoints_of(cluster.registry, self._server.host.clock)
        deadline = time.monotonic() + START_SECONDS
        while True:
            before, self._fresh = self._fresh, await self._checkpoints.current()
            filled = not self.fills_namespaces() or self._fresh.keys() >= FILLED
            if filled and (simulated is None or (simulated.complete() and self._fresh == before)):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("the controllers did not fill the first namespaces")
            await asyncio.sleep(0.005 if simulated is None else 0.02)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(*self.run(self._checkpoints.take()))

    def restore(self, checkpoint: Checkpoint) -> int:
        return int(self.run(self._checkpoints.restore(checkpoint.name)))

    def reset(self) -> None:
        self.forget_users()
        self.run(self._reset())

    async def _reset(self) -> None:
        if self._server.cluster.handlers.faults is not None:
            self._server.cluster.handlers.faults.clear()
        self._server.host.clock.thaw()
        self._checkpoints.clear()
        await self._checkpoints.put(self._fresh)

    def stop(self) -> None:
        self.close_root()
        if self._thread is None:
            return
        self.run(self._server.stop(drain=1.0))
        self.run(asyncio.sleep(0.01))  # until connections over TLS have ended: uvloop closes no loop before
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = None
        shutil.rmtree(self.directory, ignore_errors=True)


class Subprocess(APIServer):
    """A server in a process of its own; reset() starts it again. `choose(1)` chooses its port."""

    def __init__(self, flags: Sequence[str] = (), choose: Callable[[int], list[int]] = free_ports) -> None:
        super().__init__(flags)
        self._choose = choose
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> pathlib.Path:
        """The server's log."""
        return self.directory / "server.log"

    def start(self) -> Self:
        self._spawn()
        wait_or_move(self._wait, self._move)
        return self

    def _move(self) -> None:
        self.log.unlink()
        self._spawn()

    def _spawn(self) -> None:
        [self.port] = self._choose(1)
        command = [sys.executable, "-m", "pilothouse", "serve", *self.arguments()]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            check(self.process, self.log)
            if self.client_key.exists() and ready(self):
                return
            time.sleep(0.01)
        raise TimeoutError("the server did not become ready")

    def reset(self) -> None:
        self.forget_users()
        self._end()
        self.start()

    def _end(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self) -> None:
        self.close_root()
        self._end()
        shutil.rmtree(self.directory, ignore_errors=True)


def ready(server: APIServer) -> bool:
    """Whether a server is ready and, if a controller does that, has filled the first namespaces."""
    paths = ["/readyz"]
    if server.fills_namespaces():
        paths += [f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt" for namespace in NAMESPACES]
    try:
        for path in paths:
            with urllib.request.urlopen(server.url + path, timeout=2, context=server.context()) as answer:
                if answer.status != 200:
                    return False
    except (OSError, urllib.error.URLError):
        return False
    return True


def environment(server: APIServer) -> dict[str, str]:
    """Environment variables for a client program such as kubectl."""
    return {**os.environ, "KUBECONFIG": str(server.kubeconfig)}


MAKERS: dict[str, Callable[[Sequence[str]], APIServer]] = {"thread": InProcess, "process": Subprocess}
