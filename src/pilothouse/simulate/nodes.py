"""Keeps simulated nodes: creates those of the simulation, and says for each what its kubelet would say."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.configuration.simulation.groups import NodeGroup
from pilothouse.configuration.simulation.read import Simulation
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.simulate import conditions, machines
from pilothouse.simulate.clock import Clock

NOT_READY = "node.kubernetes.io/not-ready"


class Machine(NamedTuple):
    """A node that is simulated."""

    name: str
    uid: str
    cidr: str
    address: str
    broken: frozenset[str]

    @property
    def reachable(self) -> bool:
        """Whether its kubelet works."""
        return "Unreachable" not in self.broken


class Machines:
    """The simulated nodes that there are, for those who act for their kubelets.

    A node is simulated that has the annotation `simulate.pilothouse.dev/node`, no matter who has created it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, Machine] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._following = False
        self.networks = machines.Networks()

    def follow(self, listener: Callable[[str], None]) -> None:
        """Call back with the name of each simulated node, at once and when it comes, goes or changes."""
        self._listeners.append(listener)
        if not self._following:
            self._following = True
            self._client.readers.subscribe("nodes", self._changed)
        else:
            for name in list(self._known):
                listener(name)

    def get(self, name: str) -> Machine | None:
        """A node, if it is simulated."""
        return self._known.get(name)

    def all(self) -> list[Machine]:
        """All of them."""
        return list(self._known.values())

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        name = key.rpartition("/")[2]
        if new is None or not machines.is_simulated(new):
            if self._known.pop(name, None) is None:
                return
            self.networks.forget(name)
        else:
            cidr = (new.get("spec") or {}).get("podCIDR", "")
            if cidr:
                self.networks.learn(name, cidr)
            addresses = (new.get("status") or {}).get("addresses") or ()
            own = next((a["address"] for a in addresses if a.get("type") == "InternalIP"), "")
            self._known[name] = Machine(
                name=name,
                uid=new["metadata"]["uid"],
                cidr=cidr or self.networks.cidr(name),
                address=own or self.networks.address(name),
                broken=machines.states(new),
            )
        for listener in self._listeners:
            listener(name)


class SimulatedNodes(Background):
    """Creates the nodes of a simulation that are missing at the start, and keeps the status of all that are
    simulated. One that is deleted later stays away until the next start."""

    def __init__(
        self, client: Client, clock: Clock, simulation: Simulation, known: Machines, version: str
    ) -> None:
        self._client = client
        self._clock = clock
        self._simulation = simulation
        self._machines = known
        self._version = version
        self._nodes = client.resource("", "v1", "nodes")
        self._groups = {group.name: group for group in simulation.groups}
        self._queue = WorkQueue("simulated-nodes", self._sync, metrics=client.metrics)
        self._creating: asyncio.Task[None] | None = None
        self._new: set[str] = set()
        """The nodes that were created and not looked at since."""

    def start(self) -> None:
        """Follow nodes, and create those that are missing."""
        self._machines.follow(self._queue.add)
        self._creating = asyncio.get_running_loop().create_task(self._create())

    async def close(self) -> None:
        if self._creating is not None:
            self._creating.cancel()
            await asyncio.wait([self._creating])
        await self._queue.close()

    async def _create(self) -> None:
        for group in self._simulation.groups:
            for number in range(group.count):
                node = machines.new_node(group, number)
                name = node["metadata"]["name"]
                if self._client.get(self._nodes, "", name) is None:
                    self._complete(node, group)
                    self._new.add(name)
                    await self._client.create(self._nodes, node)

    def _complete(self, node: Object, group: NodeGroup) -> None:
        """Set what the kubelet and the allocator of networks set."""
        name, networks = node["metadata"]["name"], self._machines.networks
        spec = node.setdefault("spec", {})
        if not spec.get("podCIDR"):
            spec["podCIDR"] = networks.cidr(name)
            spec["podCIDRs"] = [spec["podCIDR"]]
        now = self._clock.stamp()
        node["status"] = machines.status(node, group, networks.address(name), self._version, now)

    def _group(self, node: Object) -> NodeGroup:
        named = (node["metadata"].get("annotations") or {}).get(machines.NODE, "")
        return self._groups.get(named) or NodeGroup()

    async def _sync(self, name: str) -> None:
        node = self._client.get(self._nodes, "", name)
        if node is None or not machines.is_simulated(node) or "Unreachable" in machines.states(node):
            return
        if name in self._new or conditions.find(node.get("status") or {}, "Ready") is None:
            self._new.discard(name)
            await self._welcome(node)
        wanted = dict(node)
        wanted["spec"] = dict(node.get("spec") or {})
        self._complete(wanted, self._group(node))
        uid = node["metadata"]["uid"]
        try:
            if wanted["spec"] != (node.get("spec") or {}):
                await self._client.change(self._nodes, "", name, lambda obj: _networks(obj, wanted), uid=uid)
            if wanted["status"] != node.get("status"):
                await self._client.change(
                    self._nodes, "", name, lambda obj: obj.update(status=wanted["status"]), "status", uid
                )
        except (errors.NotFound, errors.Conflict):
            return

    async def _welcome(self, node: Object) -> None:
        """Take the taint from a new node with which nodes begin: it is ready from its first moment."""
        taints = (node.get("spec") or {}).get("taints") or ()
        if not any(taint.get("key") == NOT_READY for taint in taints):
            return

        def edit(obj: Object) -> None:
            kept = [taint for taint in obj["spec"].pop("taints", ()) if taint.get("key") != NOT_READY]
            if kept:
                obj["spec"]["taints"] = kept

        metadata = node["metadata"]
        try:
            await self._client.change(self._nodes, "", metadata["name"], edit, uid=metadata["uid"])
        except (errors.NotFound, errors.Conflict):
            return


def is_welcome(node: Object) -> bool:
    """Whether a node is ready, and has lost the taint with which nodes begin."""
    taints = (node.get("spec") or {}).get("taints") or ()
    tainted = any(taint.get("key") == NOT_READY for taint in taints)
    return conditions.is_true(node.get("status") or {}, "Ready") and not tainted


def _networks(node: Object, wanted: Object) -> None:
    members = ("podCIDR", "podCIDRs")
    node.setdefault("spec", {}).update({member: wanted["spec"][member] for member in members})
