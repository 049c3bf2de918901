"""A cluster without nodes: the server in process, the controllers that a test names, and a kubelet."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Rig

from pilothouse.controllers.garbage import GarbageCollector
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.maker import WorkloadOptions, controllers

NS = "/api/v1/namespaces/default"
MERGE = {"Content-Type": "application/merge-patch+json"}


class Kubelet(Background):
    """Runs every pod at once, unless `hold` is set, and ends those that are deleted with a grace."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self.hold = False
        self.started = 0
        self.pods = client.resource("", "v1", "pods")
        self.queue = WorkQueue("kubelet", self._run)

    def start(self) -> None:
        self.client.readers.subscribe("pods", self._changed)

    async def close(self) -> None:
        await self.queue.close()

    def _changed(self, key: str, new: Any, old: Any) -> None:
        if new is not None and not self.hold:
            self.queue.add(new["metadata"]["namespace"] + "/" + new["metadata"]["name"])

    async def _run(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        pod = self.client.get(self.pods, namespace, name)
        if pod is None:
            return
        if pod["metadata"].get("deletionTimestamp"):
            if "gracePeriodSeconds" not in pod and not self.hold:
                await self.client.delete(self.pods, namespace, name, {"gracePeriodSeconds": 0})
        elif pod["status"]["phase"] == "Pending":
            await self.ready(name, namespace=namespace)

    async def status(self, name: str, namespace: str = "default", **members: Any) -> None:
        """Write members of a pod's status."""

        def edit(pod: Any) -> None:
            pod["status"] = {**pod["status"], **members}

        await self.client.change(self.pods, namespace, name, edit, "status")

    async def ready(self, name: str, ready: str = "True", namespace: str = "default") -> None:
        """Have a pod run and be ready, or not."""
        if ready == "True":
            self.started += 1
        condition = {"type": "Ready", "status": ready, "lastTransitionTime": self.clock.stamp()}
        ip = f"10.1.{self.started // 250}.{self.started % 250 + 1}"
        await self.status(
            name, namespace, phase="Running", conditions=[condition], podIP=ip, podIPs=[{"ip": ip}]
        )

    async def finish(self, name: str, code: int = 0, **members: Any) -> None:
        """End a pod with an exit code."""
        ended = {"exitCode": code, "finishedAt": self.clock.stamp()}
        container = {"name": "c", "image": "nginx", "imageID": "", "ready": False, "restartCount": 0}
        phase = "Failed" if code else "Succeeded"
        statuses = [{**container, "state": {"terminated": ended}}]
        unready = {"type": "Ready", "status": "False", "lastTransitionTime": self.clock.stamp()}
        told = {"conditions": [unready], **members}
        await self.status(name, phase=phase, containerStatuses=statuses, **told)


class Cluster(Rig):
    """The server, its clock, the kubelet and the controllers that run."""

    clock: Clock
    kubelet: Kubelet

    async def begin(self) -> None:
        await self.start()
        self.clock = Clock()
        self.running: dict[str, Background] = {}
        self.kubelet = Kubelet(self.client("kubelet"), self.clock)
        self.running["kubelet"] = self.kubelet
        self.kubelet.start()

    async def run(self, *names: str, garbage: bool = False, options: WorkloadOptions | None = None) -> None:
        """Start controllers by their names."""
        made = controllers(self.client, self.clock, options)
        if garbage:
            self.running["garbage"] = GarbageCollector(self.client())
            self.running["garbage"].start()
        for name in names:
            self.running[name] = made[name]()
            self.running[name].start()

    async def end(self) -> None:
        for part in reversed(self.running.values()):
            await part.close()
        await self.clock.close()
        await self.stop()

    async def advance(self, seconds: float) -> None:
        """Move the clock, and let what follows from it happen."""
        self.clock.advance(seconds)
        await self.settle()

    async def post(self, kind: str, obj: Any, group: str = "/api/v1") -> Any:
        """Create an object in the namespace default, and let what follows from it happen."""
        await self.ok("POST", f"{group}/namespaces/default/{kind}", obj)
        await self.settle()

    async def patch(self, path: str, body: Any, group: str = "/api/v1") -> Any:
        """Merge a patch into an object of the namespace default, and let what follows from it happen."""
        await self.ok("PATCH", f"{group}/namespaces/default/{path}", body, headers=MERGE)
        await self.settle()

    async def get(self, path: str, group: str = "/api/v1") -> Any:
        return await self.ok("GET", f"{group}/namespaces/default/{path}")

    async def pods(self, selector: str = "") -> list[Any]:
        """The pods of the namespace default."""
        items: list[Any] = (await self.get(f"pods?labelSelector={selector}"))["items"]
        return items

    async def events(self, kind: str = "") -> list[tuple[str, str]]:
        """Reason and message of each event, of objects of a kind."""
        items = (await self.get("events"))["items"]
        return [(e["reason"], e["message"]) for e in items if kind in ("", e["involvedObject"]["kind"])]


@pytest.fixture
def cluster(runner: asyncio.Runner) -> Iterator[Cluster]:
    """A server with a clock and a kubelet, and no controllers yet."""
    cluster = Cluster()
    runner.run(cluster.begin())
    yield cluster
    runner.run(cluster.end())
