"""The claims of a pod: where their volumes are, and which volumes they get with the node
(kube-scheduler plugins VolumeRestrictions and VolumeBinding)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pilothouse.api.values import quantity, selectors
from pilothouse.api.values.fields import Object
from pilothouse.registry.readers import Readers
from pilothouse.simulate.scheduler.cluster import NodeState
from pilothouse.simulate.scheduler.filters import VolumeFilter
from pilothouse.simulate.scheduler.node_terms import matches_selector
from pilothouse.simulate.scheduler.pods import Pending
from pilothouse.simulate.scheduler.rejection import Rejection

CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
NO_PROVISIONER = "kubernetes.io/no-provisioner"

PLUGIN, RESTRICTIONS = "VolumeBinding", "VolumeRestrictions"
NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind"
IN_USE = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


class Delayed(NamedTuple):
    """A claim that gets its volume once the pod has a node."""

    claim: Object
    storage_class: Object


class VolumeChoice(NamedTuple):
    """The volume that is bound to a claim; None: one is provisioned."""

    claim: Object
    volume: Object | None


class ClaimVolumes(VolumeFilter):
    """The claims of one pod. `problem` says why the pod goes nowhere, "" if it may."""

    def __init__(self, readers: Readers, pod: Pending) -> None:
        self._pod = pod
        self._bound: list[Object] = []
        self._delayed: list[Delayed] = []
        self._exclusive: set[str] = set()
        self._available: list[Object] = []
        self.problem = ""
        for name, ephemeral in pod.claims:
            self.problem = self.problem or self._learn(readers, name, ephemeral=ephemeral)
        if self._delayed:
            self._available = sorted(
                (one for one in readers.list(VOLUMES) if not one["metadata"].get("deletionTimestamp")),
                key=_size,
            )

    def _learn(self, readers: Readers, name: str, *, ephemeral: bool) -> str:
        """Look at a claim; why the pod goes nowhere because of it."""
        claim = readers.get(CLAIMS, self._pod.namespace, name)
        if claim is None:
            if ephemeral:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            return f'persistentvolumeclaim "{name}" not found'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
        spec = claim.get("spec") or {}
        if (claim.get("status") or {}).get("phase") == "Lost":
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{_volume(claim)}"'
        if "ReadWriteOncePod" in (spec.get("accessModes") or ()):
            self._exclusive.add(name)
        if is_bound(claim):
            volume = readers.get(VOLUMES, "", _volume(claim))
            if volume is None:
                return f'persistentvolume "{_volume(claim)}" not found'
            self._bound.append(volume)
            return ""
        storage_class = readers.get(CLASSES, "", spec.get("storageClassName") or "")
        if storage_class is None or storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
            return UNBOUND
        self._delayed.append(Delayed(claim, storage_class))
        return ""

    def rejects(self, node: NodeState) -> Rejection | None:
        """Why the pod's volumes keep it from a node."""
        if self._exclusive and any(
            other.namespace == self._pod.namespace and name in self._exclusive
            for other in node.pods.values()
            for name, _ in other.claims
        ):
            return Rejection(RESTRICTIONS, (IN_USE,))
        reasons = []
        if not all(_reaches(volume, node) for volume in self._bound):
            reasons.append(NODE_CONFLICT)
        if self._delayed and self.choices(node) is None:
            reasons.append(BIND_CONFLICT)
        return Rejection(PLUGIN, tuple(reasons), helpless=True) if reasons else None

    def choices(self, node: NodeState) -> list[VolumeChoice] | None:
        """The volumes of the claims that wait, if the pod goes on a node; None if that cannot be."""
        out: list[VolumeChoice] = []
        taken: set[str] = set()
        for claim, storage_class in self._delayed:
            selected = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
            if selected:
                if selected != node.name:
                    return None
                out.append(VolumeChoice(claim, None))
                continue
            volume = next(self._matching(claim, node, taken), None)
            if volume is None and not _may_provision(storage_class, node):
                return None
            if volume is not None:
                taken.add(volume["metadata"]["name"])
            out.append(VolumeChoice(claim, volume))
        return out

    def _matching(self, claim: Object, node: NodeState, taken: Iterable[str]) -> Iterator[Object]:
        """The volumes that a claim may get on a node, the smallest first."""
        for volume in self._available:
            if volume["metadata"]["name"] not in taken and _is_for(volume, claim) and _reaches(volume, node):
                yield volume


def is_bound(claim: Object) -> bool:
    """Whether a claim has its volume."""
    annotations = claim["metadata"].get("annotations") or {}
    return bool(_volume(claim)) and (
        BIND_COMPLETED in annotations or (claim.get("status") or {}).get("phase") == "Bound"
    )


def _volume(claim: Object) -> str:
    name: str = (claim.get("spec") or {}).get("volumeName", "")
    return name


def _size(volume: Object) -> tuple[quantity.Quantity, str]:
    text = ((volume.get("spec") or {}).get("capacity") or {}).get("storage", "0")
    return quantity.parse(text), volume["metadata"]["name"]


def _reaches(volume: Object, node: NodeState) -> bool:
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    return matches_selector(required, node.name, node.labels)


def _is_for(volume: Object, claim: Object) -> bool:
    """Whether a volume is free and has what a claim asks for."""
    spec, wanted, metadata = volume.get("spec") or {}, claim.get("spec") or {}, claim["metadata"]
    owner = spec.get("claimRef")
    if owner is not None:
        named = (owner.get("namespace"), owner.get("name")) == (metadata.get("namespace"), metadata["name"])
        if not named or owner.get("uid") not in (None, "", metadata.get("uid")):
            return False
    elif (volume.get("status") or {}).get("phase") not in (None, "Available"):
        return False
    if (spec.get("storageClassName") or "") != (wanted.get("storageClassName") or ""):
        return False
    if spec.get("volumeMode", "Filesystem") != wanted.get("volumeMode", "Filesystem"):
        return False
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return False
    asked = ((wanted.get("resources") or {}).get("requests") or {}).get("storage", "0")
    if quantity.parse(asked) > _size(volume)[0]:
        return False
    selector = wanted.get("selector")
    labels = volume["metadata"].get("labels") or {}
    return selector is None or selectors.from_label_selector(selector).matches_labels(labels)


def _may_provision(storage_class: Object, node: NodeState) -> bool:
    """Whether a volume can be made for the node."""
    if storage_class.get("provisioner", NO_PROVISIONER) == NO_PROVISIONER:
        return False
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(
        all(
            node.labels.get(one.get("key", "")) in (one.get("values") or ())
            for one in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )
