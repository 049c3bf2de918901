"""Makes the claims of a stateful set's pods, and says with what they are deleted."""

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.registry.client import Client
from pilothouse.simulate.workloads.events import EventQueue
from pilothouse.simulate.workloads.ownership import reference
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.statefulset.identity import claim_names, claims_for


class PodClaims:
    """Writes the persistent volume claims of stateful sets."""

    def __init__(self, client: Client, events: EventQueue) -> None:
        self.client = client
        self.events = events
        self.resource = client.resource("", "v1", "persistentvolumeclaims")

    async def make(self, obj: Object, ordinal: int) -> None:
        """Make the claims that a pod lacks."""
        set_name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        for claim in claims_for(obj, ordinal):
            name = claim["metadata"]["name"]
            if self.client.readers.get("persistentvolumeclaims", namespace, name) is not None:
                continue
            made, _ = self.resource.decode_value(claim)
            if await self.client.create(self.resource, made):
                pod = f"{set_name}-{ordinal}"
                note = f"Create Claim {name} Pod {pod} in StatefulSet {set_name} success"
                self.events.normal(obj, "SuccessfulCreate", note)

    async def settle(self, obj: Object, ordinal: int, pod: IndexedPod | None, *, surplus: bool) -> None:
        """Have the claims of a pod owned by what they shall go with: the set, the surplus pod, or nobody."""
        policy = obj["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        owner: Object | None = None
        if surplus and pod is not None and policy.get("whenScaled") == "Delete":
            about = {"name": pod.name, "uid": pod.uid}
            owner = reference({"apiVersion": "v1", "kind": "Pod", "metadata": about})
        elif policy.get("whenDeleted") == "Delete" and not (surplus and policy.get("whenScaled") == "Delete"):
            owner = reference(obj)
        for name in claim_names(obj, ordinal).values():
            await self._own(obj, name, owner)

    async def _own(self, obj: Object, name: str, owner: Object | None) -> None:
        namespace, set_name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        claim = self.client.readers.get("persistentvolumeclaims", namespace, name)
        if claim is None:
            return
        have = claim["metadata"].get("ownerReferences") or []
        others = [one for one in have if not _is_ours(one, obj, set_name)]
        wanted = [*others, owner] if owner is not None else others
        if wanted == have:
            return

        def edit(live: Object) -> None:
            live["metadata"].pop("ownerReferences", None)
            if wanted:
                live["metadata"]["ownerReferences"] = wanted

        try:
            await self.client.change_metadata(self.resource, namespace, name, edit, claim["metadata"]["uid"])
        except (errors.NotFound, errors.Conflict):
            return


def _is_ours(owner: Object, obj: Object, set_name: str) -> bool:
    """Whether a reference names the set or one of its pods."""
    if owner.get("uid") == obj["metadata"]["uid"]:
        return True
    return owner.get("kind") == "Pod" and str(owner.get("name", "")).rpartition("-")[0] == set_name
