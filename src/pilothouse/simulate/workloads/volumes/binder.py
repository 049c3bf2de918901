"""Binds claims to volumes, and makes the volumes of storage classes."""

from collections.abc import Callable

from pilothouse import errors
from pilothouse.admission.defaultclass import default_class
from pilothouse.admission.storageclass import IS_DEFAULT
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.simulate.workloads.volumes.matching import (
    BY_CONTROLLER,
    COMPLETED,
    best,
    class_of,
    is_open,
    is_reserved,
    mismatch,
)
from pilothouse.simulate.workloads.volumes.provisioning import (
    BETA_PROVISIONER,
    NONE,
    PROVISIONER,
    reference,
    volume_for,
    waits_for_pod,
)
from pilothouse.storage._entry import Entry

CLASSES = "storageclasses.storage.k8s.io"


class ClaimBinder(Reconciler):
    """Gives each claim its volume."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "v1", "persistentvolumeclaims", "persistentvolume-controller")
        self.volumes = self.client.resource("", "v1", "persistentvolumes")
        self.classes = self.client.resource("storage.k8s.io", "v1", "storageclasses")

    def follows(self) -> list[Callable[[], None]]:
        return [
            follow(self.client, self.volumes, self._volume_changed),
            follow(self.client, self.classes, lambda new, old: self._try_again()),
        ]

    def _volume_changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new if new is not None else old
        assert entry is not None
        claim = decode(entry)["spec"].get("claimRef")
        if claim is not None:
            self.enqueue(claim.get("namespace", ""), claim.get("name", ""))
        else:
            self._try_again()

    def _try_again(self) -> None:
        """Look at every claim that has no volume."""
        for claim in self.client.readers.list("persistentvolumeclaims"):
            if not claim["spec"].get("volumeName"):
                self.enqueue(claim["metadata"]["namespace"], claim["metadata"]["name"])

    async def reconcile(self, obj: Object) -> None:
        done = COMPLETED in (obj["metadata"].get("annotations") or {})
        if obj["metadata"].get("deletionTimestamp") and not done:
            return
        name = obj["spec"].get("volumeName")
        if not name:
            await self._find(obj)
            return
        volume = self.client.readers.get("persistentvolumes", "", name)
        if volume is None:
            if done:
                note = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
                await self._lose(obj, "ClaimLost", note)
        elif is_reserved(volume, obj):
            if not (done and _is_bound(volume) and _is_bound(obj)):
                await self._bind(obj, volume)
        elif volume["spec"].get("claimRef") is None and not done:
            await self._take(obj, volume)
        elif done:
            note = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lose(obj, "ClaimMisbound", note)
        else:
            note = f"volume {quote(name)} already bound to a different claim."
            self.events.warning(obj, "FailedBinding", note)

    async def _lose(self, obj: Object, reason: str, note: str) -> None:
        if (obj.get("status") or {}).get("phase") != "Lost":
            self.events.warning(obj, reason, note)
        await self.write_status(obj, {"phase": "Lost", "accessModes": None, "capacity": None})

    async def _take(self, obj: Object, volume: Object) -> None:
        """Bind the volume that a claim names, if it can serve."""
        why = mismatch(volume, obj)
        if why:
            name = volume["metadata"]["name"]
            note = f"Cannot bind to requested volume {quote(name)}: {why}"
            self.events.warning(obj, "VolumeMismatch", note)
        else:
            await self._bind(obj, volume)

    async def _find(self, obj: Object) -> None:
        """Find a volume for a claim, or have one made."""
        if is_open(obj) and (chosen := self._default()):
            await self.change(obj, lambda live: live["spec"].update(storageClassName=chosen))
            return  # its watch leads back here
        named = class_of(obj)
        storage_class = self.client.readers.get(CLASSES, "", named) if named else None
        volumes = list(self.client.readers.list("persistentvolumes"))
        waits = waits_for_pod(obj, storage_class)
        found = best(obj, [one for one in volumes if is_reserved(one, obj)] if waits else volumes)
        if found is not None:
            await self._bind(obj, found)
        elif waits:
            note = "waiting for first consumer to be created before binding"
            self.events.normal(obj, "WaitForFirstConsumer", note)
        elif not named:
            note = "no persistent volumes available for this claim and no storage class is set"
            self.events.normal(obj, "FailedBinding", note)
        elif storage_class is None:
            note = f"storageclass.storage.k8s.io {quote(named)} not found"
            self.events.warning(obj, "ProvisioningFailed", note)
        elif storage_class["provisioner"] == NONE:
            note = f"no volume plugin matched name: {NONE}"
            self.events.warning(obj, "ProvisioningFailed", note)
        else:
            await self._provision(obj, storage_class)

    def _default(self) -> str:
        """The class of claims that name none, "" without one."""
        found = default_class(self.client.readers.list(CLASSES), IS_DEFAULT)
        return str(found["metadata"]["name"]) if found is not None else ""

    async def _provision(self, obj: Object, storage_class: Object) -> None:
        provisioner = storage_class["provisioner"]

        def edit(live: Object) -> None:
            annotations = live["metadata"].setdefault("annotations", {})
            annotations |= {PROVISIONER: provisioner, BETA_PROVISIONER: provisioner}

        if not await self.change(obj, edit):
            return
        made, _ = self.volumes.decode_value(volume_for(obj, storage_class))
        name = made["metadata"]["name"]
        if await self.client.create(self.volumes, made):  # its watch leads back here, to bind it
            self.events.normal(obj, "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    async def _bind(self, obj: Object, volume: Object) -> None:
        """Have claim and volume name each other, the volume first (bind)."""
        name = volume["metadata"]["name"]

        def hold(live: Object) -> None:
            had = live["spec"].get("claimRef")
            if had is None:
                live["metadata"].setdefault("annotations", {})[BY_CONTROLLER] = "yes"
            if had is None or had.get("uid") != obj["metadata"]["uid"]:
                live["spec"]["claimRef"] = reference(obj)

        def settle(live: Object) -> None:
            live.setdefault("status", {})["phase"] = "Bound"

        def name_it(live: Object) -> None:
            annotations = live["metadata"].setdefault("annotations", {})
            if not live["spec"].get("volumeName"):
                annotations[BY_CONTROLLER] = "yes"
            annotations[COMPLETED] = "yes"
            live["spec"]["volumeName"] = name

        uid = volume["metadata"]["uid"]
        try:
            await self.client.change(self.volumes, "", name, hold, uid=uid)
            await self.client.change(self.volumes, "", name, settle, "status", uid=uid)
        except (errors.NotFound, errors.Conflict):
            return
        spec = volume["spec"]
        if await self.change(obj, name_it):
            have = {"accessModes": spec.get("accessModes"), "capacity": spec.get("capacity")}
            await self.write_status(obj, {"phase": "Bound", **have})


def _is_bound(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("phase") == "Bound")
