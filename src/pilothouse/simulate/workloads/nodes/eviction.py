"""Deletes pods that do not tolerate the taints of their nodes (pkg/controller/tainteviction)."""

from pilothouse.api.values.fields import Object
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.conditions import condition, with_condition
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.nodes.taints import tolerated_for
from pilothouse.simulate.workloads.pod_control import PodControl
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.storage._entry import Entry

REASON = "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"


class TaintEviction(Reconciler):
    """Follows pods with nodes, and the taints of nodes."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "pods", "taint-eviction-controller")
        self.control = PodControl(self.client, self.events)
        self.nodes = self.client.resource("", "v1", "nodes")
        self._evicting: dict[str, list[Object]] = {}
        self._since: dict[str, float] = {}

    def start(self) -> None:
        """Follow nodes and pods; a pod matters only while its node has taints."""
        self._stops.append(self.pods.listen(self._pod_changed))
        self._stops.append(follow(self.client, self.nodes, self._node_changed))

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        pod = new or old
        assert pod is not None
        key = f"{pod.namespace}/{pod.name}"
        if key in self._since or (new is not None and new.node in self._evicting):
            self.queue.add(key)

    def _node_changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new if new is not None else old
        assert entry is not None
        name = entry.key.removeprefix(self.nodes.key_prefix)
        taints = (decode(new).get("spec") or {}).get("taints") or () if new is not None else ()
        hard = [one for one in taints if one["effect"] == "NoExecute"]
        if hard == self._evicting.get(name, []):
            return
        self._evicting[name] = hard
        if not hard:
            del self._evicting[name]
        for pod in self.pods.on_node(name):
            self.enqueue(pod.namespace, pod.name)

    async def removed(self, namespace: str, name: str) -> None:
        self._since.pop(f"{namespace}/{name}", None)

    async def reconcile(self, obj: Object) -> float | None:
        metadata, spec = obj["metadata"], obj["spec"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        taints = self._evicting.get(spec.get("nodeName", ""), [])
        left = tolerated_for(spec.get("tolerations") or (), taints) if taints else None
        if left is None or metadata.get("deletionTimestamp"):
            if self._since.pop(key, None) is not None and not metadata.get("deletionTimestamp"):
                self.events.normal(obj, "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return None
        now = self.clock.time()
        due = self._since.setdefault(key, now) + left
        if due > now:
            return due - now
        self.events.normal(obj, "TaintManagerEviction", f"Marking for deletion Pod {key}")
        await self._evict(obj)
        return None

    async def _evict(self, obj: Object) -> None:
        told = condition("DisruptionTarget", "True", *REASON, self.clock.stamp())

        def edit(live: Object) -> None:
            status = live.setdefault("status", {})
            told["observedGeneration"] = live["metadata"].get("generation") or 0
            status["conditions"] = with_condition(status.get("conditions"), told)

        metadata = obj["metadata"]
        if await self.change(obj, edit, "status"):
            pod = self.pods.find(metadata["namespace"], metadata["name"])
            if pod is not None and pod.uid == metadata["uid"]:
                await self.control.delete(pod)
