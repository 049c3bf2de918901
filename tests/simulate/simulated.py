"""A server in process with what simulates, in virtual time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self

from eventually import aeventually
from harness import Rig, pod

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.assembly.simulation import SimulatedCluster
from pilothouse.lifecycle import Opened
from pilothouse.simulate.clock import Clock

Object = dict[str, Any]
PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
SIMULATE = "simulate.pilothouse.dev/"


class Simulated(Rig):
    """A rig whose pods come alive; `simulate` is the value of the flag."""

    def __init__(
        self,
        clock: Clock,
        simulate: str = "nodes=1",
        *,
        only: str = "*",
        flags: Sequence[str] = (),
        plugins: Sequence[AdmissionPlugin] = (NamespaceLifecycle(),),
    ) -> None:
        super().__init__(
            plugins,
            namespaces=("default", "kube-system", "kube-node-lease"),
            flags=[f"--simulate={simulate}", f"--simulate-controllers={only}", *flags],
        )
        self.clock = clock
        self.parts = Opened()
        self.cluster: SimulatedCluster

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.simulate()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.parts.aclose()
        await super().__aexit__(*error)

    async def simulate(self) -> None:
        """Start what simulates."""
        self.cluster = SimulatedCluster(self.config, self.client, self.clock, self.handlers.streams)
        for part in self.cluster.parts():
            self.parts.start(part)
        await self.settle()

    async def restart(self) -> None:
        """End what simulates, and start it anew over the same objects."""
        await self.parts.aclose()
        self.parts = Opened()
        await self.simulate()

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, and let everybody do what has become due."""
        self.clock.advance(seconds)
        await self.clock.caught_up()
        await self.settle()

    async def create(self, name: str, *, spec: Object | None = None, **members: Any) -> Object:
        """Create a pod; `members` go to its metadata."""
        made: Object = await self.ok("POST", PODS, pod(name, spec=spec, **members))
        return made

    async def pod(self, name: str) -> Object:
        """A pod as it is now."""
        found: Object = await self.ok("GET", f"{PODS}/{name}")
        return found

    async def status(self, name: str) -> Object:
        """The status of a pod once nothing moves any more."""
        await self.settle()
        found: Object = (await self.pod(name))["status"]
        return found

    async def reached(self, name: str, check: Callable[[Object], object], what: str) -> Object:
        """Wait until a pod is as `check` wants it; the pod."""

        async def look() -> Object | None:
            found = await self.pod(name)
            return found if check(found) else None

        found = await aeventually(look, f"pod {name}: {what}")
        assert found is not None
        return found

    async def placed(self, name: str) -> str:
        """The node that a pod gets, "" if it gets none."""
        await self.settle()
        node: str = (await self.pod(name))["spec"].get("nodeName", "")
        return node

    async def refusal(self, name: str) -> str:
        """The message for which a pod has no node."""
        found = await self.reached(name, lambda one: condition(one, "PodScheduled"), "is judged")
        said = condition(found, "PodScheduled")
        assert said["status"] == "False" and said["reason"] == "Unschedulable", said
        return str(said["message"])

    async def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of the events about an object."""
        await asyncio.sleep(1)  # in virtual time
        await self.settle()
        found = await self.ok("GET", "/api/v1/namespaces/default/events")
        return [
            (one["reason"], one["message"]) for one in found["items"] if one["involvedObject"]["name"] == name
        ]

    async def node(self, name: str, **members: Any) -> Object:
        """Create a node of the API, which nobody simulates; `members` go to labels, spec or allocatable."""
        allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **(members.get("allocatable") or {})}
        made: Object = await self.ok(
            "POST",
            NODES,
            {
                "metadata": {
                    "name": name,
                    "labels": {"kubernetes.io/hostname": name, **(members.get("labels") or {})},
                },
                "spec": members.get("spec") or {},
                "status": {"allocatable": allocatable, "capacity": allocatable},
            },
        )
        return made

    async def edit(self, path: str, patch: Object) -> Object:
        """Merge a patch into an object."""
        headers = {"Content-Type": "application/merge-patch+json"}
        changed: Object = await self.ok("PATCH", path, patch, headers=headers)
        return changed


def condition(obj: Object, kind: str) -> Object:
    """A condition of an object; {} if it has none of the type."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})


def holds(obj: Object, kind: str) -> bool:
    """Whether a condition is True."""
    return bool(condition(obj, kind).get("status") == "True")


def requesting(**requests: str) -> Object:
    """The spec of a pod whose container requests this."""
    return {"containers": [{"name": "c", "image": "nginx", "resources": {"requests": requests}}]}


def container(pod: Object, name: str = "c") -> Object:
    """The status of a container."""
    status = pod["status"]
    lists = [status.get(f"{kind}ContainerStatuses") or [] for kind in ("init", "ephemeral")]
    listed = [*(status.get("containerStatuses") or []), *lists[0], *lists[1]]
    found: Object = next(one for one in listed if one["name"] == name)
    return found


def on_node(**spec: Any) -> dict[str, Any]:
    """The spec of a pod that has its node."""
    return {"nodeName": "node-0", **spec}


def said(**texts: str) -> dict[str, str]:
    """Annotations: `exit_code="1"`; two underscores separate the name of a container."""
    return {SIMULATE + name.replace("__", ".").replace("_", "-"): text for name, text in texts.items()}
