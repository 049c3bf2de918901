"""Which replica set belongs to which template, and the revisions that annotations tell (deployment/util)."""

from collections.abc import Iterable

from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.hashes import template_hash
from pilothouse.simulate.workloads.moments import seconds
from pilothouse.simulate.workloads.ownership import reference

HASH = "pod-template-hash"
PREFIX = "deployment.kubernetes.io/"
REVISION, HISTORY = PREFIX + "revision", PREFIX + "revision-history"
DESIRED, MAXIMUM = PREFIX + "desired-replicas", PREFIX + "max-replicas"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
    "deprecated.daemonset.template.generation",
}
LONGEST_NAME = 253
LONGEST_HISTORY = 2000
"""Characters of the annotation that lists former revisions."""


def size(obj: Object) -> int:
    """The replicas that a deployment or a replica set asks for."""
    asked = obj["spec"].get("replicas")
    return 1 if asked is None else int(asked)


def counts(obj: Object, member: str) -> int:
    """A number of a replica set's status."""
    return int((obj.get("status") or {}).get(member) or 0)


def by_age(sets: Iterable[Object]) -> list[Object]:
    """The sets, the oldest first."""
    return sorted(sets, key=lambda one: (_created(one), one["metadata"]["name"]))


def _created(obj: Object) -> float:
    text = obj["metadata"].get("creationTimestamp")
    return seconds(text) if text else 0.0


def find_new(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The oldest set whose template is the deployment's."""
    template = _without_hash(deployment["spec"]["template"])
    return next((one for one in by_age(sets) if _without_hash(one["spec"]["template"]) == template), None)


def _without_hash(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def same_template(deployment: Object, replica_set: Object) -> bool:
    """Whether a set has the deployment's template."""
    return find_new(deployment, [replica_set]) is not None


def new_set(deployment: Object, collisions: int, annotations: Object, replicas: int) -> Object:
    """The replica set of a deployment's template."""
    spec, metadata = deployment["spec"], deployment["metadata"]
    name = template_hash(spec["template"], collisions)
    template = copy(spec["template"])
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = name
    selector = copy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH] = name
    made: Object = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name'][: LONGEST_NAME - len(name) - 1]}-{name}",
            "namespace": metadata["namespace"],
            "ownerReferences": [reference(deployment)],
            "labels": dict(template["metadata"]["labels"]),
            "annotations": annotations,
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return made


def revision(obj: Object) -> int:
    """The revision that an object's annotation tells, 0 for none."""
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Iterable[Object]) -> int:
    """The revision of the new set: one more than all others have."""
    return max((revision(one) for one in old), default=0) + 1


def annotations_of(deployment: Object, replica_set: Object | None, number: int) -> Object:
    """The annotations of the new set: the deployment's, the revision, and in its history the former one."""
    have: Object = dict((replica_set or {"metadata": {}})["metadata"].get("annotations") or {})
    given = deployment["metadata"].get("annotations") or {}
    have |= {name: value for name, value in given.items() if name not in _NOT_COPIED}
    before = have.get(REVISION, "")
    if not before or (before.isdecimal() and int(before) < number):
        have[REVISION] = str(number)
        if before and replica_set is not None:
            have[HISTORY] = _history(have.get(HISTORY, ""), before)
    return have


def _history(text: str, added: str) -> str:
    listed = [*text.split(","), added] if text else [added]
    while len(listed) > 1 and len(",".join(listed)) > LONGEST_HISTORY:
        del listed[0]
    return ",".join(listed)


def sizes(replicas: int, surge: int) -> Object:
    """The annotations by which a set remembers the deployment's size."""
    return {DESIRED: str(replicas), MAXIMUM: str(replicas + surge)}


def surplus_history(old: Iterable[Object], limit: int) -> list[Object]:
    """The old sets beyond the limit of the history that may be deleted."""
    listed = sorted((s for s in old if not s["metadata"].get("deletionTimestamp")), key=revision)
    return [one for one in listed[: max(len(listed) - limit, 0)] if _idle(one)]


def _idle(one: Object) -> bool:
    """Whether a set has no pods, and its controller knows that it is to have none."""
    observed = (one.get("status") or {}).get("observedGeneration", 0)
    return size(one) == counts(one, "replicas") == 0 and one["metadata"].get("generation", 0) <= observed
