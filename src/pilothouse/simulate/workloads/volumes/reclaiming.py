"""Keeps the phases of volumes, and deletes those whose claims are gone, if their policy is so."""

from collections.abc import Callable

from pilothouse.api.values.fields import Object
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.storage._entry import Entry


class VolumePhases(Reconciler):
    """Says of each volume whether it is available, bound or released."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "persistentvolumes", "persistentvolume-controller")
        self.claims = self.client.resource("", "v1", "persistentvolumeclaims")

    def follows(self) -> list[Callable[[], None]]:
        return [follow(self.client, self.claims, self._claim_changed)]

    def _claim_changed(self, new: Entry | None, old: Entry | None) -> None:
        for entry in (new, old):
            name = decode(entry)["spec"].get("volumeName") if entry is not None else None
            if name:
                self.enqueue("", name)

    async def reconcile(self, obj: Object) -> None:
        wanted = obj["spec"].get("claimRef")
        phase = (obj.get("status") or {}).get("phase")
        if wanted is None or not wanted.get("uid"):
            await self.write_status(obj, {"phase": "Available"})
            return
        claim = self.client.readers.get("persistentvolumeclaims", wanted["namespace"], wanted["name"])
        if claim is not None and claim["metadata"]["uid"] == wanted["uid"]:
            if claim["spec"].get("volumeName") == obj["metadata"]["name"]:
                await self.write_status(obj, {"phase": "Bound"})
            return
        if phase != "Released":
            await self.write_status(obj, {"phase": "Released"})
        deleting = obj["metadata"].get("deletionTimestamp")
        if obj["spec"].get("persistentVolumeReclaimPolicy") == "Delete" and not deleting:
            await self.client.delete(self.resource, "", obj["metadata"]["name"])
