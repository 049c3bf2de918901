"""Makes the claims of pods with ephemeral volumes (pkg/controller/volume/ephemeral)."""

from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.ownership import reference
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.storage._entry import Entry


class EphemeralVolumes(Reconciler):
    """Makes a claim for each ephemeral volume of a pod, which goes with the pod."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "pods", "ephemeral_volume")
        self.claims = self.client.resource("", "v1", "persistentvolumeclaims")

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None and b'"ephemeral"' in new.value:
            super()._changed(new, old)

    async def reconcile(self, obj: Object) -> None:
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            return
        for volume in obj["spec"].get("volumes") or ():
            if "ephemeral" not in volume:
                continue
            name = f"{metadata['name']}-{volume['name']}"
            template = volume["ephemeral"]["volumeClaimTemplate"]
            made, _ = self.claims.decode_value(_claim(obj, name, template))
            there = self.client.readers.get("persistentvolumeclaims", metadata["namespace"], name)
            if there is None and not await self.client.create(self.claims, made):
                there = self.client.readers.get("persistentvolumeclaims", metadata["namespace"], name)
            owners = (there or {"metadata": {}})["metadata"].get("ownerReferences") or ()
            if there is not None and not any(one["uid"] == metadata["uid"] for one in owners):
                note = f'PVC "{name}" was not created for pod "{metadata["name"]}" (pod is not owner)'
                self.events.warning(obj, "FailedBinding", f"ephemeral volume {volume['name']}: {note}")


def _claim(pod: Object, name: str, template: Object) -> Object:
    given = template.get("metadata") or {}
    metadata = {m: copy(given[m]) for m in ("labels", "annotations") if given.get(m)}
    metadata |= {"name": name, "namespace": pod["metadata"]["namespace"]}
    metadata["ownerReferences"] = [reference(pod)]
    return {"metadata": metadata, "spec": copy(template["spec"])}
