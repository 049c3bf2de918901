"""Finds nodes whose kubelets are silent, and taints those that are not ready
(pkg/controller/nodelifecycle)."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.conditions import condition, found, with_condition
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.nodes.taints import NOT_READY, UNREACHABLE, settled, wanted
from pilothouse.simulate.workloads.pods import IndexedPod, condition_of
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.storage._entry import Entry

LEASES = "kube-node-lease"
GRACE = 50.0
"""Seconds for which a kubelet may be silent (--node-monitor-grace-period)."""
KINDS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
STOPPED = "NodeStatusUnknown", "Kubelet stopped posting node status."
NEVER = "NodeStatusNeverUpdated", "Kubelet never posted node status."
SMALL, FEW, SHARE = 50, 2, 0.55
"""In a zone of at most so many nodes evictions stop when more than FEW of them, and this share, are lost
(--large-cluster-size-threshold, --unhealthy-zone-threshold)."""
REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"


class _Known(NamedTuple):
    """Where a node is, and whether it is ready."""

    zone: tuple[str, str]
    ready: bool


class NodeLifecycle(Reconciler):
    """Follows the leases and the status of nodes.

    A kubelet counts as silent by when it was last heard here, whatever time it says.
    When no node at all is ready, the fault is more likely on this side: then nobody is evicted.
    When most nodes of a small zone are not, no further node loses its pods.
    """

    def __init__(self, parts: Parts, grace: float = GRACE) -> None:
        super().__init__(parts, "v1", "nodes", "node-controller")
        self.grace = grace
        self.leases = self.client.resource("coordination.k8s.io", "v1", "leases")
        self._heard: dict[str, float] = {}
        self._known: dict[str, _Known] = {}
        self._numbers: Counter[_Known] = Counter()

    def follows(self) -> list[Callable[[], None]]:
        return [self.pods.follow(), follow(self.client, self.leases, self._lease_changed)]

    def _lease_changed(self, new: Entry | None, old: Entry | None) -> None:
        prefix = f"{self.leases.key_prefix}{LEASES}/"
        if new is None or not new.key.startswith(prefix):
            return
        name = new.key.removeprefix(prefix)
        if self.read("", name) is not None:  # the timer of the node finds this when it is due
            self._heard[name] = self.clock.time()

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None and (old is None or _heartbeats(decode(new)) != _heartbeats(decode(old))):
            self._heard[new.key.removeprefix(self.resource.key_prefix)] = self.clock.time()
        super()._changed(new, old)

    async def removed(self, namespace: str, name: str) -> None:
        self._heard.pop(name, None)
        self._note(name, None)

    async def reconcile(self, obj: Object) -> float | None:
        await self.clock.caught_up()  # kubelets that were due to speak have spoken
        name = obj["metadata"]["name"]
        now = self.clock.time()
        left = self._heard.setdefault(name, now) + self.grace - now
        if left <= 0:
            await self._silent(obj)
            obj = self.read("", name) or obj
        ready = condition_of(obj, "Ready").get("status") == "True"
        self._note(name, _Known(_zone(obj), ready))
        await self._taint(obj)
        if not ready:
            await self._unready_pods(obj)
        return left if left > 0 else None

    def _note(self, name: str, known: _Known | None) -> None:
        """Note whether a node is ready; when that changes who is evicted, look at all nodes."""
        before = self._state()
        old = self._known.pop(name, None)
        if old is not None:
            self._numbers[old] -= 1
        if known is not None:
            self._known[name] = known
            self._numbers[known] += 1
        if before != self._state():
            for other in self._known:
                if other != name:
                    self.enqueue("", other)

    def _state(self) -> tuple[bool, set[tuple[str, str]]]:
        """Whether any node is ready, and the zones in which evictions stand still."""
        halted = {one.zone for one in self._numbers if _halts(*self._counts(one.zone))}
        return any(number for one, number in self._numbers.items() if one.ready), halted

    def _counts(self, zone: tuple[str, str]) -> tuple[int, int]:
        """How many nodes of a zone are ready, and how many are not."""
        return self._numbers[_Known(zone, ready=True)], self._numbers[_Known(zone, ready=False)]

    def _evicts(self, obj: Object) -> bool:
        """Whether a node that is not ready loses its pods."""
        some_ready, halted = self._state()
        if not some_ready or _zone(obj) not in halted:
            return some_ready
        taints = (obj.get("spec") or {}).get("taints") or ()
        return any(one["key"] in (NOT_READY, UNREACHABLE) and one["effect"] == "NoExecute" for one in taints)

    async def _silent(self, obj: Object) -> None:
        """Say of a node that nothing is known of it."""

        def edit(live: Object) -> None:
            status = live.setdefault("status", {})
            for kind in KINDS:
                old = found(status.get("conditions"), kind)
                told = condition(kind, "Unknown", *(NEVER if old is None else STOPPED), self.clock.stamp())
                told["lastHeartbeatTime"] = (old or {}).get("lastHeartbeatTime") or live["metadata"].get(
                    "creationTimestamp"
                )
                if old is None or old["status"] != "Unknown":
                    status["conditions"] = with_condition(status.get("conditions"), told)

        await self.change(obj, edit, "status")

    async def _taint(self, obj: Object) -> None:
        have = (obj.get("spec") or {}).get("taints") or []
        needed = wanted(obj, evicts=self._evicts(obj))

        def edit(live: Object) -> None:
            spec = live.setdefault("spec", {})
            left = settled(spec.get("taints") or (), needed, self.clock.stamp())
            spec.pop("taints", None)
            if left:
                spec["taints"] = left

        if settled(have, needed, "") != have:
            await self.change(obj, edit)

    async def _unready_pods(self, obj: Object) -> None:
        """Say of the pods of a node that they are not ready."""
        name = obj["metadata"]["name"]
        marked = [pod for pod in self.pods.on_node(name) if pod.ready]
        if marked:
            self.events.normal(obj, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        for pod in marked:
            await self._unready(pod)

    async def _unready(self, pod: IndexedPod) -> None:
        def edit(live: Object) -> None:
            for one in live["status"].get("conditions") or ():
                if one["type"] == "Ready":
                    one |= {"status": "False", "lastTransitionTime": self.clock.stamp()}

        about = self.pods.object(pod)
        if about is not None:
            self.events.warning(about, "NodeNotReady", "Node is not ready")
        resource = self.pods.resource
        try:
            await self.client.change(resource, pod.namespace, pod.name, edit, "status", pod.uid)
        except (errors.NotFound, errors.Conflict):
            return


def _zone(node: Object) -> tuple[str, str]:
    """The region and the zone of a node."""
    labels = node["metadata"].get("labels") or {}
    return labels.get(REGION, ""), labels.get(ZONE, "")


def _halts(ready: int, lost: int) -> bool:
    """Whether evictions stand still in a zone: most of its nodes are lost, and it is small."""
    return 0 < ready <= SMALL - lost and lost > FEW and lost >= SHARE * (ready + lost)


def _heartbeats(node: Object) -> list[str]:
    """The times that a kubelet has put into the status."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return [one.get("lastHeartbeatTime") or "" for one in conditions]
