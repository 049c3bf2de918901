"""Lets volumes grow when their claims ask for more (pkg/controller/volume/expand), at once."""

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.simulate.workloads.volumes.matching import storage


class VolumeExpansion(Reconciler):
    """Gives bound claims the size that they ask for. The server lets those grow alone whose class
    allows it."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "persistentvolumeclaims", "volume_expand")
        self.volumes = self.client.resource("", "v1", "persistentvolumes")

    async def reconcile(self, obj: Object) -> None:
        status = obj.get("status") or {}
        asked = (obj["spec"].get("resources") or {}).get("requests") or {}
        volume = self.client.readers.get("persistentvolumes", "", obj["spec"].get("volumeName") or "")
        if status.get("phase") != "Bound" or volume is None:
            return
        if storage(asked) <= storage(status.get("capacity")):
            return

        def grow(live: Object) -> None:
            if storage(live["spec"].get("capacity")) < storage(asked):
                live["spec"]["capacity"] = {**live["spec"]["capacity"], "storage": asked["storage"]}

        metadata = volume["metadata"]
        try:
            await self.client.change(self.volumes, "", metadata["name"], grow, uid=metadata["uid"])
        except (errors.NotFound, errors.Conflict):
            return
        self.events.normal(
            obj, "VolumeResizeSuccessful", "ExpandVolume succeeded for volume " + metadata["name"]
        )
        capacity = {**(status.get("capacity") or {}), "storage": asked["storage"]}
        await self.write_status(obj, {"capacity": capacity})
