"""Keeps as many pods as a replica set asks for (pkg/controller/replicaset)."""

from collections.abc import Iterable

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.conditions import condition, found, with_condition, without
from pilothouse.simulate.workloads.numbers import counted
from pilothouse.simulate.workloads.pod_control import PodWrites, pod_of
from pilothouse.simulate.workloads.pod_owner import PodOwner
from pilothouse.simulate.workloads.pods import IndexedPod, available, to_delete
from pilothouse.simulate.workloads.reconciler import Parts

BURST = 500
"""Pods that are created or deleted at a time."""
FAILURE = "ReplicaFailure"


class ReplicaSets(PodOwner):
    """Makes and deletes the pods of replica sets."""

    kind = "ReplicaSet"

    def __init__(
        self,
        parts: Parts,
        group_version: str = "apps/v1",
        plural: str = "replicasets",
        component: str = "replicaset-controller",
    ) -> None:
        super().__init__(parts, group_version, plural, component)

    async def reconcile(self, obj: Object) -> float | None:
        pods = await self.claimed(obj)
        outcome = PodWrites()
        if not obj["metadata"].get("deletionTimestamp"):
            outcome = await self._manage(obj, [pod for pod in pods if pod.active])
            pods = self.pods.owned(obj["metadata"]["uid"])
        active = [pod for pod in pods if pod.active]
        ready, later = available(active, self.clock, obj["spec"].get("minReadySeconds") or 0)
        status = self._status(obj, active, ready, outcome) | self.terminating(pods)
        await self.write_status(obj, status)
        if outcome.error is not None:
            raise outcome.error
        return later

    async def _manage(self, obj: Object, active: list[IndexedPod]) -> PodWrites:
        """Create the pods that are missing, or delete those that are too many."""
        surplus = len(active) - _replicas(obj)
        if surplus < 0:
            template = obj["spec"].get("template") or {}
            return await self.control.create_some(
                min(-surplus, BURST), lambda number: pod_of(template, obj), obj
            )
        if surplus > 0:
            chosen = to_delete(active, min(surplus, BURST), self._related(obj), self.clock)
            return await self.control.delete_some(chosen, obj)
        return PodWrites()

    def _related(self, obj: Object) -> Iterable[IndexedPod]:
        """The pods of the set and of the other sets of its deployment: they share nodes."""
        metadata = obj["metadata"]
        owner = next((o["uid"] for o in metadata.get("ownerReferences") or () if o.get("controller")), "")
        if not owner:
            return self.pods.owned(metadata["uid"])
        siblings = self.client.readers.list(self.resource.group_resource, metadata["namespace"])
        return [
            pod
            for one in siblings
            if any(o["uid"] == owner for o in one["metadata"].get("ownerReferences") or ())
            for pod in self.pods.owned(one["metadata"]["uid"])
        ]

    def _status(self, obj: Object, active: list[IndexedPod], ready: int, outcome: PodWrites) -> Object:
        labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
        full = sum(labels.items() <= pod.labels.items() for pod in active)
        status: Object = {
            "replicas": len(active),
            "observedGeneration": obj["metadata"].get("generation", 0),
            "conditions": self._conditions(obj, outcome) or None,
        }
        numbers = counted(
            fullyLabeledReplicas=full,
            readyReplicas=sum(pod.ready for pod in active),
            availableReplicas=ready,
        )
        for name in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
            status[name] = numbers.get(name)
        return status

    def terminating(self, pods: list[IndexedPod]) -> Object:
        """The member of the status that counts pods on their way out."""
        return {"terminatingReplicas": sum(bool(pod.deleting) and not pod.ended for pod in pods)}

    def _conditions(self, obj: Object, outcome: PodWrites) -> list[Object]:
        had: list[Object] = (obj.get("status") or {}).get("conditions") or []
        if outcome.error is None:
            return without(had, FAILURE)
        if found(had, FAILURE) is not None:
            return had
        failed = condition(FAILURE, "True", outcome.reason, str(outcome.error), self.clock.stamp())
        return with_condition(had, failed)


def _replicas(obj: Object) -> int:
    asked = obj["spec"].get("replicas")
    return 1 if asked is None else int(asked)
