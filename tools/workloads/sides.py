"""The two clusters that are compared: one whose controllers are ours, and one with those of Kubernetes."""

import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import yaml
from workloads.case import CLUSTER, KINDS, Call, Case, Object

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import Subprocess

SIMULATION = {
    "apiVersion": "simulate.pilothouse.dev/v1alpha1",
    "kind": "Simulation",
    "nodes": [
        {
            "name": "worker",
            "count": 4,
            "zones": ["a", "b"],
            "labels": {"pool": "main"},
            "resources": {"cpu": 64, "memory": "256Gi", "pods": 500},
        },
        {
            "name": "gpu",
            "count": 1,
            "labels": {"pool": "gpu", "node-role.kubernetes.io/control-plane": ""},
            "resources": {"nvidia.com/gpu": 2},
            "taints": [{"key": "gpu", "effect": "NoSchedule"}],
        },
        {
            "name": "small",
            "count": 3,
            "zones": ["a", "b", "c"],
            "labels": {"pool": "small"},
            "resources": {"cpu": 2, "memory": "4Gi", "pods": 10},
            "taints": [{"key": "pool", "value": "small", "effect": "NoSchedule"}],
        },
    ],
}
"""The nodes of both."""
OURS = "*,-service-lb-controller,-ingress-addresses,-standard-storage-class"
"""Our controllers that a stock controller manager has, too."""
SECONDS = 150.0
"""How long a step may take until nothing moves any more."""
LOOK = 0.1
FAST = ("--kube-api-qps=2000", "--kube-api-burst=4000")


class Side:
    """A cluster, and when something has changed last in each namespace. `stock` are programs of Kubernetes,
    which take the places of our controllers; without them `controllers` says which of ours run."""

    def __init__(
        self,
        directory: pathlib.Path,
        *,
        stock: Sequence[str] = (),
        controllers: str = OURS,
        patience: float = 1.0,
    ) -> None:
        self.directory = directory
        self.patience = patience
        self.stock = stock
        simulation = directory / "simulation.yaml"
        simulation.write_text(yaml.safe_dump(SIMULATION))
        flags = [f"--simulate={simulation}", "--allow-privileged"]
        flags.append(f"--simulate-controllers={'nodes,kubelet' if stock else controllers}")
        flags += ["--controllers=-*"] if stock else []
        self.server = Subprocess(flags)
        self.programs: list[subprocess.Popen[bytes]] = []
        self.moved: dict[str, float] = {}
        self.ends = False

    def __enter__(self) -> Self:
        self.server.start()
        try:
            for program in self.stock:
                self._run(program)
            for base, plural in KINDS.values():
                if plural != "events":
                    threading.Thread(target=self._follow, args=(f"{base}/{plural}",), daemon=True).start()
            time.sleep(self.patience)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.ends = True
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.wait(20)
        self.server.stop()

    def _run(self, path: str) -> None:
        """Start a program of Kubernetes, and wait until it is healthy."""
        name, data, [port] = pathlib.Path(path).name, self.server.directory, free_ports(1)
        kinds = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        flags = [f"--{kind}={self.server.kubeconfig}" for kind in kinds]
        flags += ["--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={port}", *FAST]
        flags += [f"--cert-dir={self.directory}/{name}"]
        if "scheduler" not in name:
            flags += [f"--service-account-private-key-file={data}/sa.key", f"--root-ca-file={data}/ca.crt"]
            flags += ["--horizontal-pod-autoscaler-sync-period=1s", "--concurrent-job-syncs=20"]
        with open(self.directory / f"{name}.log", "wb") as log:
            self.programs.append(subprocess.Popen([path, *flags], stdout=log, stderr=log))
        until = time.monotonic() + 60
        context = self.server.context()
        context.check_hostname, context.verify_mode = False, 0  # type: ignore[assignment]
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(
                    f"https://127.0.0.1:{port}/healthz", timeout=2, context=context
                ).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise TimeoutError(f"{name} does not become healthy: {self.directory}/{name}.log")

    def client(self) -> KubeClient:
        return KubeClient(self.server.url, self.server.context())

    def _follow(self, path: str) -> None:
        """Note when objects of a kind change."""
        while not self.ends:
            try:
                with self.client() as client:
                    for event in client.events(f"{path}?watch=true", time.monotonic() + 600):
                        namespace = event["object"].get("metadata", {}).get("namespace", "")
                        self.moved[namespace] = time.monotonic()
            except (OSError, RefusedError, ValueError):
                time.sleep(0.05)

    def play(self, case: Case) -> dict[str, list[Object]]:
        """Do the steps of a case; its objects at the end."""
        with self.client() as client:
            self._send(client, Call("POST", "/api/v1/namespaces", {"metadata": {"name": case.namespace}}))
            self._await_account(client, case.namespace)
            for step in case.steps:
                for call in step.calls:
                    self._send(client, call)
                if step.calls:
                    client.close()  # the server would close it meanwhile
                    self._settle(case.namespace, step.quiet * self.patience)
            found = self._found(client, case)
            for path in case.leave:
                self._send(client, Call("DELETE", path, None))
            self._send(client, Call("DELETE", f"/api/v1/namespaces/{case.namespace}", None))
            if case.alone:
                self._gone(client, case.namespace)
            return found

    def _send(self, client: KubeClient, call: Call) -> None:
        try:
            client.call(call.method, call.path, call.body, call.media)
        except RefusedError:  # the other side refuses it, too: both are the same server
            return

    def _await_account(self, client: KubeClient, namespace: str) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                client.call("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            except RefusedError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"no service account in {namespace}")

    def _gone(self, client: KubeClient, namespace: str) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                client.call("GET", f"/api/v1/namespaces/{namespace}")
            except RefusedError:
                return
            time.sleep(LOOK)

    def _settle(self, namespace: str, quiet: float) -> None:
        begin = time.monotonic()
        while time.monotonic() < begin + SECONDS:
            if time.monotonic() - max(self.moved.get(namespace, 0.0), begin) > quiet:
                return
            time.sleep(LOOK)

    def _found(self, client: KubeClient, case: Case) -> dict[str, list[Object]]:
        out = {kind: list(client.call("GET", case.path(kind))["items"]) for kind in KINDS}
        for kind in CLUSTER:
            listed = client.call("GET", case.path(kind))["items"]
            out[kind] = [one for one in listed if one["metadata"]["name"].startswith(f"{case.namespace}-")]
        return out


def both(ours: Side, other: Side, case: Case) -> tuple[dict[str, list[Object]], dict[str, list[Object]]]:
    """Play a case on both sides at once."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(ours.play, case), pool.submit(other.play, case)
        return first.result(), second.result()


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A folder for what the sides write."""
    return tempfile.TemporaryDirectory(prefix="workloads-")
