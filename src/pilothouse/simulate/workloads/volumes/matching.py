"""Which volume a claim gets. Nothing here reads or writes."""

from collections.abc import Iterable
from typing import Any

from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import from_label_selector

BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
COMPLETED = "pv.kubernetes.io/bind-completed"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def class_of(obj: Object) -> str:
    """The storage class of a claim or a volume, "" for none."""
    named = (obj["metadata"].get("annotations") or {}).get(BETA_CLASS)
    return str(named if named is not None else obj["spec"].get("storageClassName") or "")


def is_open(claim: Object) -> bool:
    """Whether a claim leaves its class to the cluster: it names none, not even "" for none."""
    noted = BETA_CLASS in (claim["metadata"].get("annotations") or {})
    return claim["spec"].get("storageClassName") is None and not noted


def storage(amounts: Object | None) -> quantity.Quantity:
    return quantity.parse((amounts or {}).get("storage", "0"))


def is_reserved(volume: Object, claim: Object) -> bool:
    """Whether a volume is for this claim and no other."""
    wanted, metadata = volume["spec"].get("claimRef") or {}, claim["metadata"]
    same = (wanted.get("namespace"), wanted.get("name")) == (metadata["namespace"], metadata["name"])
    return same and wanted.get("uid") in (None, "", metadata["uid"])


def mismatch(volume: Object, claim: Object, *, by_class: bool = True) -> str:
    """Why a volume cannot serve a claim, "" when it can."""
    spec, asked = volume["spec"], claim["spec"]
    if storage(spec.get("capacity")) < storage((asked.get("resources") or {}).get("requests")):
        return "requested PV is too small"
    if by_class and class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if (spec.get("volumeMode") or "Filesystem") != (asked.get("volumeMode") or "Filesystem"):
        return "incompatible volumeMode"
    if not set(asked.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def best(claim: Object, volumes: Iterable[Object]) -> Object | None:
    """The volume that serves a claim: of those with the fewest access modes the one that is reserved for it,
    else the smallest free one."""
    selector = claim["spec"].get("selector")
    chosen = from_label_selector(selector) if selector is not None else None
    fitting: list[Object] = []
    for volume in volumes:
        if volume["metadata"].get("deletionTimestamp"):
            continue
        if is_reserved(volume, claim):
            fitting += [volume] if not mismatch(volume, claim, by_class=False) else []
            continue
        free = (
            volume["spec"].get("claimRef") is None
            and (volume.get("status") or {}).get("phase") == "Available"
        )
        labels = volume["metadata"].get("labels") or {}
        if free and not mismatch(volume, claim) and (chosen is None or chosen.matches_labels(labels)):
            fitting.append(volume)

    def rank(volume: Object) -> tuple[Any, ...]:
        spec = volume["spec"]
        size = storage(spec.get("capacity"))
        return len(spec["accessModes"]), not is_reserved(volume, claim), size, volume["metadata"]["name"]

    return min(fitting, key=rank, default=None)
