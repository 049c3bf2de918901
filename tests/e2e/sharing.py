"""Servers that share an etcd and divide logical clusters among them, and clients of each."""

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from eventually import eventually

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.clusters import CLUSTERS, LogicalServer
from pilothouse.testing.etcd import EtcdCluster
from pilothouse.testing.server import Subprocess

T = TypeVar("T")

MAPS = "/api/v1/namespaces/default/configmaps"
KEYS = ("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key")
"""The files that servers of one cluster have in common."""
PATIENCE = 60.0
"""Seconds in which another server must serve a cluster; the lease lasts six."""


class Sharer(Subprocess):
    """One of the servers. It stays on its port when it is started again."""

    def _spawn(self) -> None:
        if self.port:
            self._choose = lambda number: [self.port]
        super()._spawn()

    def pause(self) -> None:
        """Stop the process until `go_on`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have a stopped process go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def crash(self) -> None:
        """Kill the process; its files stay."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def end(self) -> None:
        """Stop the process in order; its files stay."""
        assert self.process is not None
        self.close_root()
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process = None

    def told(self) -> str:
        """The log."""
        return self.log.read_text()

    def metric(self, name: str) -> float:
        """The sum of the samples of a metric."""
        lines = self.root.data("/metrics").decode().splitlines()
        return sum(
            float(one.rpartition(" ")[2]) for one in lines if one.startswith((f"{name} ", f"{name}{{"))
        )


class Sharers:
    """An etcd and its servers."""

    def __init__(self, directory: Path, count: int, *flags: str) -> None:
        self.etcd = EtcdCluster(directory)
        self._flags = flags
        self._count = count
        self.servers: list[Sharer] = []
        self.clients: list[KubeClient] = []

    def start(self) -> None:
        """Start etcd, then the servers, all with the CAs of the first."""
        self.etcd.start_all()
        etcd = f"--etcd-servers={self.etcd.urls[0]}"
        flags = ["--storage-backend=etcd3", etcd, "--clusters", "--advertise-address=127.0.0.1", *self._flags]
        for _ in range(self._count):
            made = Sharer(flags)
            if self.servers:
                for name in KEYS:
                    shutil.copy(self.servers[0].directory / name, made.directory / name)
            self.servers.append(made)
            made.start()

    def stop(self) -> None:
        """Stop all."""
        for client in self.clients:
            client.close()
        for one in self.servers:
            if one.process is not None:
                one.go_on()
            one.stop()
        self.etcd.stop()

    def cluster(self, name: str, by: Sharer, copy_of: str = "") -> "SharedCluster":
        """A new cluster, made by the API of one of the servers, once it is ready."""
        made = LogicalServer(by, name, copy_of).start()
        eventually(lambda: is_ready(by, name), f"the cluster {name}", PATIENCE)
        return SharedCluster(made, self)


class SharedCluster:
    """A logical cluster, with a client of its administrator for each server."""

    def __init__(self, made: LogicalServer, all: Sharers) -> None:
        self.name = made.name
        self.made = made
        self._all = all

    def client(self, server: Sharer) -> KubeClient:
        """A client that asks one of the servers, closed with these."""
        made = KubeClient(f"{server.url}/clusters/{self.name}", self.made.context(), 2 * PATIENCE)
        self._all.clients.append(made)
        return made

    def at(self, server: Sharer) -> LogicalServer:
        """The cluster as it is reached through one of the servers."""
        found = LogicalServer(server, self.name)
        found.unit = self.made.unit
        return found

    def owner(self) -> Sharer | None:
        """The server that has the cluster in memory, None when none has."""
        for one in self._all.servers:
            if one.process is not None and f'"{self.name}"' in awake(one):
                return one
        return None


def is_ready(server: Sharer, name: str) -> bool:
    """Whether the object of a cluster says that it is served."""
    obj = server.root.call("GET", f"{CLUSTERS}/{name}")
    conditions = (obj.get("status") or {}).get("conditions") or [{}]
    return bool(conditions[0].get("status") == "True")


def awake(server: Sharer) -> str:
    """The lines of the metrics that name the clusters in a server's memory."""
    lines = server.root.data("/metrics").decode().splitlines()
    return "\n".join(one for one in lines if one.startswith("pilothouse_cluster_requests{"))


def retried(call: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The result of a call, once it is not refused because a cluster moves, nor its answer lost."""

    def answered() -> list[T]:
        try:
            return [call()]
        except RefusedError as error:
            if error.code not in (503, 504):
                raise
        except OSError:
            pass
        return []

    return eventually(answered, "an answer", seconds)[0]


def config_map(name: str, **data: str) -> dict[str, Any]:
    """A config map."""
    return {"metadata": {"name": name}, "data": data}


@contextlib.contextmanager
def sharing(directory: Path, count: int, *flags: str) -> Iterator[Sharers]:
    """Servers that are stopped in the end."""
    made = Sharers(directory, count, *flags)
    try:
        made.start()
        yield made
    finally:
        made.stop()
