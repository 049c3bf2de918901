"""The facts of pods that controllers look at, and the order in which surplus pods are deleted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import log2
from sys import intern

from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.index import Indexed, ObjectIndex, identity, remove
from pilothouse.simulate.workloads.moments import elapsed, seconds
from pilothouse.simulate.workloads.numbers import number_in

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@frozen(kw_only=True)
class IndexedPod(Indexed):
    """The facts of a pod. `ready_since` is "" while it is not ready."""

    phase: str
    node: str
    ready_since: str
    restarts: int
    """Of the container that was restarted most often."""
    all_restarts: int
    """Of all containers together."""
    cost: int
    finalizers: tuple[str, ...]
    ips: tuple[str, ...]
    host: tuple[str, str]
    """Hostname and subdomain."""
    ports: tuple[tuple[str, str, int], ...]
    """Name, protocol and number of each port with a name."""
    pinned: str
    """The node that it has, or the one that alone it may have."""
    claims: tuple[str, ...]
    """The persistent volume claims that it uses."""

    ready: bool
    ended: bool
    active: bool
    """Whether it counts as a replica: it has not ended and nobody deletes it."""

    def available_in(self, clock: Clock, least: int) -> float | None:
        """Seconds until it has been ready for `least` seconds; 0 or less when it has,
        None while it is not ready."""
        if not self.ready_since:
            return None
        return least - elapsed(clock, self.ready_since) if least else 0


def condition_of(pod: Object, kind: str) -> Object:
    """A condition of an object, {} when it has none of that type."""
    found = ((pod.get("status") or {}).get("conditions")) or ()
    return next((one for one in found if one.get("type") == kind), {})


def pod_facts(key: str, pod: Object) -> IndexedPod:
    """The facts of a pod."""
    status, metadata, spec = pod.get("status") or {}, pod["metadata"], pod.get("spec") or {}
    ready = condition_of(pod, "Ready")
    since = ready.get("lastTransitionTime") or metadata.get("creationTimestamp") or ""
    is_ready, phase = ready.get("status") == "True", status.get("phase", "")
    ended = phase in ("Succeeded", "Failed")
    statuses = status.get("containerStatuses") or ()
    every = (*statuses, *(status.get("initContainerStatuses") or ()))
    return IndexedPod(
        **identity(key, pod),
        phase=intern(phase),
        node=intern(spec.get("nodeName", "")),
        ready_since=intern(since) if is_ready else "",
        ready=is_ready and bool(since),
        ended=ended,
        active=not ended and not metadata.get("deletionTimestamp"),
        restarts=max((one.get("restartCount", 0) for one in statuses), default=0),
        all_restarts=sum(one.get("restartCount", 0) for one in every),
        cost=number_in((metadata.get("annotations") or {}).get(DELETION_COST, "0")),
        finalizers=tuple(metadata.get("finalizers") or ()),
        ips=tuple(one["ip"] for one in status.get("podIPs") or () if one.get("ip")),
        host=(spec.get("hostname", ""), spec.get("subdomain", "")),
        ports=tuple(_named_ports(spec)),
        pinned=intern(spec.get("nodeName") or _pinned_to(spec)),
        claims=tuple(_claims(spec, metadata["name"])),
    )


def _claims(spec: Object, name: str) -> Iterator[str]:
    for volume in spec.get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            yield f"{name}-{volume['name']}"


def _pinned_to(spec: Object) -> str:
    """The node that a pod of a daemon set asks for by name."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("operator") == "In":
                return str(field["values"][0])
    return ""


def _named_ports(spec: Object) -> Iterator[tuple[str, str, int]]:
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield port["name"], port.get("protocol", "TCP"), port["containerPort"]


class PodIndex(ObjectIndex[IndexedPod]):
    """All pods, by their nodes and by labels that selectors name, too."""

    def __init__(self, client: Client) -> None:
        super().__init__(client, client.resource("", "v1", "pods"), pod_facts)
        self._nodes: dict[str, dict[str, IndexedPod]] = {}
        self._labels: dict[str, dict[str, dict[str, IndexedPod]]] = {}

    def on_node(self, node: str) -> list[IndexedPod]:
        """The pods of a node."""
        return list(self._nodes.get(node, {}).values())

    def select(self, namespace: str, labels: Mapping[str, str]) -> list[IndexedPod]:
        """The pods of a namespace that have all of these labels;
        the first call with a label makes its index."""
        groups = [self._labelled(name).get(f"{namespace}/{value}", {}) for name, value in labels.items()]
        fewest = min(groups, key=len, default=None)
        if fewest is None:
            return self.among(namespace)
        return [pod for pod in fewest.values() if labels.items() <= pod.labels.items()]

    def _labelled(self, name: str) -> dict[str, dict[str, IndexedPod]]:
        groups = self._labels.get(name)
        if groups is None:
            groups = self._labels[name] = {}
            for pod in self.all():
                if name in pod.labels:
                    groups.setdefault(f"{pod.namespace}/{pod.labels[name]}", {})[pod.key] = pod
        return groups

    def keep(self, facts: IndexedPod) -> None:
        super().keep(facts)
        if facts.node:
            self._nodes.setdefault(facts.node, {})[facts.key] = facts
        for name, groups in self._labels.items():
            if name in facts.labels:
                groups.setdefault(f"{facts.namespace}/{facts.labels[name]}", {})[facts.key] = facts

    def drop(self, facts: IndexedPod) -> None:
        super().drop(facts)
        if facts.node:
            remove(self._nodes, facts.node, facts.key)
        for name, groups in self._labels.items():
            if name in facts.labels:
                remove(groups, f"{facts.namespace}/{facts.labels[name]}", facts.key)


def to_delete(
    pods: Iterable[IndexedPod], count: int, related: Iterable[IndexedPod], clock: Clock
) -> list[IndexedPod]:
    """The pods to delete first (ActivePodsWithRanks): those that do least, then those whose node has the most
    related pods, then the younger ones."""
    crowd = Counter(pod.node for pod in related if pod.active)

    def rank(pod: IndexedPod) -> tuple[object, ...]:
        return (
            bool(pod.node),
            _PHASES.get(pod.phase, 1),
            pod.ready,
            pod.cost,
            -crowd[pod.node],
            _magnitude(clock, pod.ready_since),
            -pod.restarts,
            _magnitude(clock, pod.created),
            pod.uid,
        )

    return sorted(pods, key=rank)[:count]


def _magnitude(clock: Clock, since: str) -> int:
    """The logarithm of an age, so that pods of a similar age are told apart by chance instead."""
    age = elapsed(clock, since) * 1e9 if since else 0
    return int(log2(age)) if age > 1 else -1


def available(pods: Iterable[IndexedPod], clock: Clock, least: int) -> tuple[int, float | None]:
    """How many pods have been ready for `least` seconds, and in how many seconds the next one will have."""
    waits = [pod.available_in(clock, least) for pod in pods]
    later = [wait for wait in waits if wait is not None and wait > 0]
    return sum(wait is not None and wait <= 0 for wait in waits), min(later, default=None)


def oldest_first(facts: Indexed) -> tuple[float, str]:
    """A key that sorts objects by age."""
    return (seconds(facts.created) if facts.created else 0.0, facts.name)
