"""Deletes pods that nobody will end: those of nodes that are gone, and the oldest ended ones (podgc)."""

from collections.abc import Callable

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.conditions import condition, with_condition
from pilothouse.simulate.workloads.nodes.taints import PREFIX
from pilothouse.simulate.workloads.pods import IndexedPod, condition_of, oldest_first
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler

QUARANTINE = 40.0
"""Seconds after which a node that is gone stays so."""
MOST_ENDED = 12500
"""Ended pods that are kept (--terminated-pod-gc-threshold)."""
OUT_OF_SERVICE = PREFIX + "out-of-service"
REASON = "DeletionByPodGC"


class PodCollection(Reconciler):
    """Follows nodes, and pods by their nodes."""

    def __init__(self, parts: Parts, most_ended: int = MOST_ENDED) -> None:
        super().__init__(parts, "v1", "nodes", "pod-garbage-collector")
        self.most_ended = most_ended
        self._ended: dict[str, IndexedPod] = {}
        self._gone: dict[str, float] = {}
        self._of_pods = self.pods.resource

    def follows(self) -> list[Callable[[], None]]:
        return [self.pods.listen(self._pod_changed)]

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        if old is not None:
            self._ended.pop(old.key, None)
        if new is None:
            return
        if new.node and (old is None or new.deleting):
            self.enqueue("", new.node)
        if new.ended and not new.deleting:
            self._ended[new.key] = new
            if len(self._ended) > self.most_ended:
                self.enqueue("", "")

    async def reconcile(self, obj: Object) -> None:
        name = obj["metadata"]["name"]
        self._gone.pop(name, None)
        await self._trim()
        taints = (obj.get("spec") or {}).get("taints") or ()
        if any(one["key"] == OUT_OF_SERVICE for one in taints) and not _is_ready(obj):
            for pod in self.pods.on_node(name):
                if pod.deleting:
                    await self._remove(pod, "PodGC: node is out of service")

    async def removed(self, namespace: str, name: str) -> float | None:
        await self._trim()
        pods = self.pods.on_node(name)
        if not pods:
            self._gone.pop(name, None)
            return None
        now = self.clock.time()
        left = self._gone.setdefault(name, now) + QUARANTINE - now
        if left > 0:
            return left
        for pod in pods:
            await self._remove(pod, "PodGC: node no longer exists")
        return None

    async def _trim(self) -> None:
        """Delete the oldest ended pods when there are too many."""
        surplus = len(self._ended) - self.most_ended
        if surplus > 0:
            for pod in sorted(self._ended.values(), key=oldest_first)[:surplus]:
                await self.client.delete(self._of_pods, pod.namespace, pod.name, _now(pod))

    async def _remove(self, pod: IndexedPod, message: str) -> None:
        """Say that a pod has failed, and delete it without waiting for its kubelet."""
        told = condition("DisruptionTarget", "True", REASON, message, self.clock.stamp())

        def edit(live: Object) -> None:
            status = live.setdefault("status", {})
            told["observedGeneration"] = live["metadata"].get("generation") or 0
            status["conditions"] = with_condition(status.get("conditions"), told)
            status["phase"] = "Failed"

        try:
            if not pod.ended:
                resource = self._of_pods
                await self.client.change(resource, pod.namespace, pod.name, edit, "status", pod.uid)
            await self.client.delete(self._of_pods, pod.namespace, pod.name, _now(pod))
        except (errors.NotFound, errors.Conflict):
            return


def _now(pod: IndexedPod) -> Object:
    """Options that delete a pod at once."""
    return {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}


def _is_ready(node: Object) -> bool:
    return bool(condition_of(node, "Ready").get("status") == "True")
