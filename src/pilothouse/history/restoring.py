"""Plans what has to be written so that objects are again as they were.

An object comes back as its users made it. What the server or a controller adds (uid, resourceVersion,
creation time, status, managed fields) is made anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.history.delta import ABSENT, Delta, Path, joined, value_at
from pilothouse.history.paths import hidden, shown
from pilothouse.registry.resource import Resource

MANAGER = "history"
"""The field manager of what is restored."""

SERVERS = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
"""Members of metadata that the server sets."""

RANKS = (
    ("customresourcedefinitions.apiextensions.k8s.io", "namespaces"),
    (
        "priorityclasses.scheduling.k8s.io",
        "storageclasses.storage.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
    ),
    ("serviceaccounts", "roles.rbac.authorization.k8s.io", "secrets", "configmaps", "persistentvolumes"),
    (
        "rolebindings.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "persistentvolumeclaims",
        "services",
        "limitranges",
    ),
)
"""Resources that others need; those that are named nowhere come after them, quotas and webhooks last."""
LAST = (
    "resourcequotas",
    "poddisruptionbudgets.policy",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
)
FILLED = frozenset(("events", "endpoints", "endpointslices.discovery.k8s.io"))
"""Resources that controllers fill, which are restored only when they are named."""
JOB_LABELS = (
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "batch.kubernetes.io/job-name",
)


class RestoreAction(Enum):
    """The ways in which a plan treats an object."""

    CREATE = "Created"
    UPDATE = "Updated"
    DELETE = "Deleted"
    NOTHING = "Unchanged"
    SKIP = "Skipped"


class PlannedWrite(NamedTuple):
    """One write of a plan. obj: what to write; the present object of a delete. why: of what is skipped.
    warnings: what does not come back. size: about the bytes of the object as JSON."""

    action: RestoreAction
    resource: str
    namespace: str
    name: str
    obj: Object
    why: str = ""
    warnings: tuple[str, ...] = ()
    size: int = 0


def rank(resource: str) -> int:
    """The order in which objects of a resource are written: the lower first."""
    if resource in LAST:
        return len(RANKS) + 1
    return next((at for at, one in enumerate(RANKS) if resource in one), len(RANKS))


def filled_by_controllers(resource: Resource) -> bool:
    """Whether controllers make the objects of a resource out of others."""
    return resource.group_resource in FILLED


def plan(
    resource: str, namespace: str, name: str, then: Object | None, now: Object | None, *, prune: bool = False
) -> PlannedWrite:
    """The write that makes an object as it was; None stands for an object that is not there."""
    place = resource, namespace, name
    if then is None:
        if now is None or not prune:
            return PlannedWrite(RestoreAction.NOTHING, *place, now or {})
        return PlannedWrite(RestoreAction.DELETE, *place, now)
    if (then.get("metadata") or {}).get("deletionTimestamp"):
        return PlannedWrite(RestoreAction.SKIP, *place, then, "it was being deleted")
    controller = _controller(then)
    if controller and (now is None or _controller(now)):
        return PlannedWrite(RestoreAction.SKIP, *place, then, f"{controller} makes it")
    if now is None:
        made, warnings = _new(resource, then)
        return PlannedWrite(RestoreAction.CREATE, *place, made, "", warnings)
    if wanted(then) == wanted(now):
        return PlannedWrite(RestoreAction.NOTHING, *place, now)
    return PlannedWrite(RestoreAction.UPDATE, *place, _changed(then, now))


def wanted(obj: Object) -> Object:
    """An object without what the server and controllers set."""
    out = {name: value for name, value in obj.items() if name not in ("status", "metadata")}
    metadata = {name: value for name, value in obj["metadata"].items() if name not in SERVERS}
    metadata.pop("ownerReferences", None)  # owners that come back have other uids
    return {**out, "metadata": {name: value for name, value in metadata.items() if value}}


def _controller(obj: Object) -> str:
    """The controller that makes an object, "" for none."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return f"{owner.get('kind', '')} {owner.get('name', '')}"
    return ""


def _changed(then: Object, now: Object) -> Object:
    """The present object with everything that its users set as it was."""
    out = {**wanted(then), "metadata": {**wanted(then)["metadata"]}}
    metadata = out["metadata"]
    for member in ("uid", "resourceVersion", "ownerReferences", "finalizers"):
        if member in now["metadata"]:
            metadata[member] = now["metadata"][member]
    if "status" in now:
        out["status"] = now["status"]
    return out


def _new(resource: str, then: Object) -> tuple[Object, tuple[str, ...]]:
    """The object to create, and what of it does not come back."""
    metadata = {name: value for name, value in then["metadata"].items() if name not in SERVERS}
    obj: Object = {name: value for name, value in then.items() if name not in ("status", "metadata")}
    obj["metadata"] = metadata
    warnings = []
    if resource == "pods":
        obj["spec"] = {name: value for name, value in then["spec"].items() if name != "nodeName"}
        warnings.append("a new pod is scheduled and started; what the old one did is gone")
    elif resource == "jobs.batch" and not then["spec"].get("manualSelector"):
        obj["spec"] = _job_spec(then["spec"])
        warnings.append("the job runs again")
    elif resource == "persistentvolumeclaims":
        warnings.append("the data of a volume that was deleted does not come back")
    elif resource == "namespaces":
        metadata.pop("finalizers", None)
        obj.pop("spec", None)
    return obj, tuple(warnings)


def _job_spec(spec: Object) -> Object:
    """The spec of a job without the selector and the labels that the server makes of its uid."""
    out = {name: value for name, value in spec.items() if name != "selector"}
    template = dict(out["template"])
    metadata = dict(template.get("metadata") or {})
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name not in JOB_LABELS}
    metadata["labels"] = labels
    template["metadata"] = metadata
    out["template"] = template
    return out


def in_order(writes: Iterable[PlannedWrite]) -> Iterator[list[PlannedWrite]]:
    """Groups of writes, of which each can be carried out at once when those before it have been.

    Owners come before what they own, and deletes last.
    """
    left = sorted(
        writes,
        key=lambda one: (one.action is RestoreAction.DELETE, rank(one.resource), one.resource, one.name),
    )
    while left:
        names = {(one.obj.get("kind"), one.name) for one in left if one.action is not RestoreAction.DELETE}
        free = [one for one in left if not _owners(one) & (names - {(one.obj.get("kind"), one.name)})]
        free = free or left  # owners in a circle
        first = (free[0].action is RestoreAction.DELETE, rank(free[0].resource))
        ready = [one for one in free if (one.action is RestoreAction.DELETE, rank(one.resource)) == first]
        yield ready
        chosen = {id(one) for one in ready}
        left = [one for one in left if id(one) not in chosen]


def _owners(write: PlannedWrite) -> set[tuple[str, str]]:
    """The kinds and names of the owners of what is written."""
    if write.action is RestoreAction.DELETE:
        return set()
    owners = (write.obj.get("metadata") or {}).get("ownerReferences") or ()
    return {(owner.get("kind"), owner.get("name")) for owner in owners}


def owned_anew(obj: Object, uids: Mapping[tuple[str, str], str]) -> Object:
    """An object whose owner references have the uids of the owners that are there now; others are dropped.

    uids: by kind and name.
    """
    owners = obj["metadata"].get("ownerReferences")
    if not owners:
        return obj
    kept = [
        {**owner, "uid": uids[owner.get("kind", ""), owner.get("name", "")]}
        for owner in owners
        if (owner.get("kind", ""), owner.get("name", "")) in uids
    ]
    metadata = {name: value for name, value in obj["metadata"].items() if name != "ownerReferences"}
    if kept:
        metadata["ownerReferences"] = kept
    return {**obj, "metadata": metadata}


def taken_back(obj: Object, delta: Delta, *, force: bool) -> tuple[Object, list[str]]:
    """The present object with the values of a change as they were before it, and the paths of fields that
    others have changed since. With `force` these are taken back as well. `obj` is changed in place."""
    conflicts = []
    for kind, names, *values in reversed([*joined(delta)]):
        path = tuple(names)
        if hidden(path) or path[:1] == ("status",):
            continue
        if kind == "~":
            if not _put_back(value_at(obj, path), *values):
                conflicts.append(shown(path))
            continue
        old = ABSENT if kind == "+" else values[0]
        new = ABSENT if kind == "-" else values[-1]
        present = value_at(obj, path)
        if not _same(present, new) and not _same(present, old):
            conflicts.append(shown(path))
            if not force:
                continue
        if not _set(obj, path, old):
            conflicts.append(shown(path))
    return obj, list(dict.fromkeys(conflicts))


def _same(one: Any, other: Any) -> bool:
    return (one is other) if ABSENT in (one, other) else one == other


def _put_back(present: Any, first: int, olds: list[Any], news: list[Any]) -> bool:
    """Put elements of a list back in the place of those that a change has put there; False when these are not
    there any more."""
    if not isinstance(present, list):
        return False
    if present[first : first + len(news)] == news and len(present) >= first:
        present[first : first + len(news)] = olds
        return True
    gone = [one for one in news if one not in olds]
    return present[first : first + len(olds)] == olds and not any(one in present for one in gone)


def _set(obj: Any, path: Path, value: Any) -> bool:
    """Set or remove the value at a path; False where there is no such place."""
    place = value_at(obj, path[:-1])
    last = path[-1]
    if isinstance(place, list) and isinstance(last, int):
        if value is ABSENT:
            if last >= len(place):
                return True
            del place[last]
        elif last < len(place):
            place[last] = value
        else:
            place.append(value)
        return True
    if isinstance(place, dict):
        if value is ABSENT:
            place.pop(last, None)
        else:
            place[last] = value
        return True
    if value is not ABSENT and place is ABSENT and len(path) > 1 and isinstance(last, str):
        return _set(obj, path[:-1], {last: value})
    return value is ABSENT
