"""The objects of simulated nodes, their status, and the networks of their pods."""

import heapq
import ipaddress
import uuid
from collections.abc import Iterable, Mapping

from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.configuration.simulation.groups import RESOURCES, NodeGroup
from pilothouse.configuration.simulation.stages import PREFIX

NODE = f"{PREFIX}node"
"""The annotation of a simulated node; its value is the name of the group."""

STATE = f"{PREFIX}state"
"""The annotation by which a node is broken: NotReady, Unreachable, MemoryPressure, DiskPressure, PIDPressure;
several are separated by commas."""

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
PORT = 10250

PODS = ipaddress.ip_network("10.128.0.0/9")
"""Where the networks of pods are."""
LENGTH = 23
"""The length of the prefix of a node's network: as many pods fit as a node may have."""
ADDRESSES = 1 << (32 - LENGTH)
HOSTS = ipaddress.ip_network("172.24.0.0/13")
"""Where the addresses of nodes are."""

_PRESSURES = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)
_UNDER = {
    "MemoryPressure": ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    "DiskPressure": ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    "PIDPressure": ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
}


def states(node: Object) -> frozenset[str]:
    """In which way a node is broken."""
    text = (node["metadata"].get("annotations") or {}).get(STATE, "")
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def is_simulated(node: Object) -> bool:
    """Whether a node is ours."""
    return NODE in (node["metadata"].get("annotations") or {})


def new_node(group: NodeGroup, number: int) -> Object:
    """A node of a group, without what depends on other nodes."""
    name = f"{group.name}-{number}"
    labels = {
        "beta.kubernetes.io/arch": group.arch,
        "beta.kubernetes.io/os": group.os,
        "kubernetes.io/arch": group.arch,
        HOSTNAME: name,
        "kubernetes.io/os": group.os,
    }
    if group.zones:
        labels[ZONE] = group.zones[number % len(group.zones)]
    metadata: Object = {
        "name": name,
        "labels": labels | dict(group.labels),
        "annotations": {NODE: group.name, **group.annotations},
    }
    spec: Object = {"taints": [dict(taint) for taint in group.taints]} if group.taints else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


class Networks:
    """Gives each node a network for its pods and an address; nodes that are known keep theirs."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._free: list[int] = []
        self._next = 0

    def number(self, name: str) -> int:
        """The number of a node: the lowest that is free, unless it has one."""
        if name not in self._taken:
            if not self._free:
                self._free.append(self._next)
                self._next += 1
            self._taken[name] = heapq.heappop(self._free)
        return self._taken[name]

    def learn(self, name: str, cidr: str) -> None:
        """A node has this network already."""
        network = ipaddress.ip_network(cidr, strict=False)
        first = int(network.network_address) - int(PODS.network_address)
        if name in self._taken or network.version != 4 or not 0 <= first < PODS.num_addresses:
            return
        number = first // ADDRESSES
        for between in range(self._next, number):
            heapq.heappush(self._free, between)
        self._next = max(self._next, number + 1)
        if number in self._free:
            self._free.remove(number)
            heapq.heapify(self._free)
        self._taken[name] = number

    def forget(self, name: str) -> None:
        """A node is gone."""
        number = self._taken.pop(name, None)
        if number is not None:
            heapq.heappush(self._free, number)

    def cidr(self, name: str) -> str:
        """The network of the pods of a node."""
        return f"{PODS.network_address + self.number(name) * ADDRESSES}/{LENGTH}"

    def address(self, name: str) -> str:
        """The address of a node."""
        return str(HOSTS.network_address + 2 + self.number(name))


def status(node: Object, group: NodeGroup, address: str, version: str, now: str) -> Object:
    """The status that the kubelet of a node reports; what it has said of its resources stays."""
    old = node.get("status") or {}
    metadata = node["metadata"]
    resources = {**(group.resources or RESOURCES), **(old.get("capacity") or {})}
    capacity = {name: quantity.canonical(text) for name, text in resources.items()}
    known = {condition.get("type", ""): condition for condition in old.get("conditions") or ()}
    fresh = [_since(condition, known, now) for condition in _conditions(states(node), now)]
    others = [c for name, c in known.items() if name not in {one["type"] for one in fresh}]
    return {
        **old,
        "capacity": capacity,
        "allocatable": {**capacity, **(old.get("allocatable") or {})},
        "conditions": [*others, *fresh],
        "addresses": old.get("addresses")
        or [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": metadata["name"]}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
        "nodeInfo": old["nodeInfo"]
        if (old.get("nodeInfo") or {}).get("machineID")
        else _info(metadata, group, version),
    }


def _conditions(broken: frozenset[str], now: str) -> Iterable[Object]:
    for kind, reason, message in _PRESSURES:
        under = kind in broken
        why, text = _UNDER[kind] if under else (reason, message)
        yield _condition(kind, "True" if under else "False", why, text, now)
    if "NotReady" in broken:
        text = "container runtime is down: the simulation was asked for it"
        yield _condition("Ready", "False", "KubeletNotReady", text, now)
    else:
        yield _condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", now)


def _condition(kind: str, value: str, reason: str, message: str, now: str) -> Object:
    return {
        "type": kind,
        "status": value,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def _since(condition: Object, known: Mapping[str, Object], now: str) -> Object:
    """A condition with the times of the one that it repeats."""
    old = known.get(condition["type"])
    if old is None or old.get("status") != condition["status"]:
        return condition
    if all(old.get(member) == condition[member] for member in ("reason", "message")):
        return old
    return {**condition, "lastTransitionTime": old.get("lastTransitionTime", now)}


def _info(metadata: Object, group: NodeGroup, version: str) -> Object:
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, metadata["name"])
    labels = metadata.get("labels") or {}
    return {
        "architecture": labels.get("kubernetes.io/arch", group.arch),
        "bootID": str(uuid.uuid5(identity, "boot")),
        "containerRuntimeVersion": "simulated://1.0",
        "kernelVersion": "6.12.0-simulated",
        "kubeProxyVersion": "",
        "kubeletVersion": version,
        "machineID": identity.hex,
        "operatingSystem": labels.get("kubernetes.io/os", group.os),
        "osImage": "Simulated",
        "systemUUID": str(identity),
    }
