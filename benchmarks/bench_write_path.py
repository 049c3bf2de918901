"""The whole way of a write in process, from the parsed request to the answer: a 6 KB pod with two managers.

    pytest benchmarks/bench_write_path.py --benchmark-only

No sockets and no TLS: what is timed is the pipeline, the store (in memory) and the watch cache.
"""

import asyncio
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import Any

import pytest
import uvloop
from in_process import TOKEN, made

from pilothouse.server.request import Request

PODS = "/api/v1/namespaces/bench/pods"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def container(name: str, i: int) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"registry.local/team/{name}:v1.2.3",
        "env": [{"name": f"SETTING_{k}", "value": f"value-{k}-of-{i}"} for k in range(8)],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
    }


def pod(name: str, i: int = 0) -> dict[str, Any]:
    labels = {"app": f"app-{i % 100}", "tier": "web", "pod-template-hash": "6d4cf56db6"}
    annotations = {"example.com/revision": str(i), "example.com/note": "n" * 200}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "automountServiceAccountToken": False,
            "nodeName": f"node-{i % 500}",
            "containers": [container("main", i), container("side", i)],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


def version(body: bytes) -> str:
    return str(json.loads(body)["metadata"]["resourceVersion"])


class Rig:
    """A server in memory that is sent requests without a socket."""

    def __init__(self, *flags: str) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.directory = tempfile.TemporaryDirectory()
        directory = self.directory.name
        self.server = made(pathlib.Path(directory), f"--write-kubeconfig={directory}/config", *flags)
        self.loop = self.runner.get_loop()
        self.runner.run(self.server.start())
        self.count = 0
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
        self.send("POST", "/api/v1/namespaces/bench/serviceaccounts", {"metadata": {"name": "default"}})
        leases = "/apis/coordination.k8s.io/v1/namespaces/bench/leases"
        self.lease_version = version(self.send("POST", leases, {"metadata": {"name": "node"}}))
        self.send("POST", PODS, pod("one"))
        self.apply()

    def close(self) -> None:
        self.runner.run(self.server.stop(0))
        self.runner.close()
        self.directory.cleanup()

    async def _send(self, request: Request) -> bytes:
        response = self.server.pipeline.handle(request)
        if isawaitable(response):
            response = await response
        if response.status >= 400 and response.status != 409:
            raise AssertionError(response.body)
        assert isinstance(response.body, bytes)
        if response.on_done is not None:
            response.on_done(len(response.body), None)
        return response.body

    def send(self, method: str, target: str, body: Any, content_type: str = "application/json") -> bytes:
        headers = {
            "authorization": f"Bearer {TOKEN}",
            "accept": "application/json",
            "content-type": content_type,
            "user-agent": "bench/1",
        }
        encoded = b"" if body is None else json.dumps(body).encode()
        request = Request(method, target, headers, list(headers.items()), encoded)
        return self.loop.run_until_complete(self._send(request))

    # The operations, each a real change every time.

    def create(self) -> None:
        self.count += 1
        self.send("POST", PODS, pod(f"pod-{self.count}", self.count))

    def update(self) -> None:
        self.count += 1
        obj = pod("one")
        obj["spec"]["serviceAccountName"] = "default"
        obj["metadata"]["annotations"]["example.com/tick"] = str(self.count)
        obj["metadata"]["labels"]["bench"] = "v"
        self.send("PUT", f"{PODS}/one", obj)

    def merge(self) -> None:
        self.count += 1
        change = {"metadata": {"annotations": {"example.com/tick": str(self.count)}}}
        self.send("PATCH", f"{PODS}/one", change, MERGE)

    def status(self) -> None:
        self.count += 1
        ready = {"type": "Ready", "status": "True", "message": str(self.count)}
        status = {"phase": "Running", "podIP": f"10.1.1.{self.count % 250}", "conditions": [ready]}
        self.send("PATCH", f"{PODS}/one/status", {"status": status}, STRATEGIC)

    def apply(self) -> None:
        self.count += 1
        metadata = {"name": "one", "labels": {"bench": f"v{self.count}"}}
        config = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        self.send("PATCH", f"{PODS}/one?fieldManager=bench&force=true", config, APPLY)

    def lease(self) -> None:
        self.count += 1
        target = "/apis/coordination.k8s.io/v1/namespaces/bench/leases"
        metadata = {"name": "node", "resourceVersion": self.lease_version}
        renewed = f"2025-01-01T00:00:00.{self.count % 1_000_000:06d}Z"
        spec = {"holderIdentity": "node", "leaseDurationSeconds": 40, "renewTime": renewed}
        obj = {"metadata": metadata, "spec": spec}
        self.lease_version = version(self.send("PUT", f"{target}/node", obj))

    def get(self) -> None:
        self.send("GET", f"{PODS}/one", None)

    def create_and_delete(self) -> None:
        self.create()
        self.send("DELETE", f"{PODS}/pod-{self.count}?gracePeriodSeconds=0", None)


OPERATIONS: dict[str, Callable[[Rig], None]] = {
    "create": Rig.create,
    "update": Rig.update,
    "merge patch": Rig.merge,
    "status patch": Rig.status,
    "apply": Rig.apply,
    "lease": Rig.lease,
    "create and delete": Rig.create_and_delete,
    "get": Rig.get,
}


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_write(benchmark: Any, rig: Rig, name: str) -> None:
    benchmark(OPERATIONS[name], rig)
