"""Lets deleted claims and volumes go when nobody uses them any more."""

from collections.abc import Callable

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler

CLAIM, VOLUME = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


def _without(finalizer: str) -> Callable[[Object], None]:
    def edit(live: Object) -> None:
        left = [one for one in live["metadata"].pop("finalizers", None) or () if one != finalizer]
        if left:
            live["metadata"]["finalizers"] = left

    return edit


def _waits(obj: Object, finalizer: str) -> bool:
    """Whether a deleted object waits for this finalizer."""
    metadata = obj["metadata"]
    return bool(metadata.get("deletionTimestamp")) and finalizer in (metadata.get("finalizers") or ())


class ClaimProtection(Reconciler):
    """Keeps deleted claims until no pod of a node uses them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "persistentvolumeclaims", "pvc-protection-controller")

    def follows(self) -> list[Callable[[], None]]:
        return [self.pods.listen(self._pod_changed)]

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        if new is None and old is not None:
            for name in old.claims:
                self.enqueue(old.namespace, name)

    async def reconcile(self, obj: Object) -> None:
        if not _waits(obj, CLAIM):
            return
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        if not any(name in pod.claims and pod.node for pod in self.pods.among(namespace)):
            await self.change(obj, _without(CLAIM))


class VolumeProtection(Reconciler):
    """Keeps deleted volumes while they are bound."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "persistentvolumes", "pv-protection-controller")

    async def reconcile(self, obj: Object) -> None:
        if _waits(obj, VOLUME) and (obj.get("status") or {}).get("phase") != "Bound":
            await self.change(obj, _without(VOLUME))
