"""The status of a stateful set."""

from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.pods import IndexedPod, available
from pilothouse.simulate.workloads.revisions import LABEL, Revision


def status_of(
    obj: Object, pods: Sequence[IndexedPod], current: str, update: Revision, clock: Clock
) -> tuple[Object, float | None]:
    """The numbers and revisions of a set, and the seconds until another pod will be available."""
    ready = [pod for pod in pods if pod.phase == "Running" and pod.ready]
    number, later = available(ready, clock, obj["spec"].get("minReadySeconds") or 0)
    stay = [pod for pod in pods if not pod.deleting]
    updated = sum(pod.labels.get(LABEL) == update.name for pod in stay)
    kept = sum(pod.labels.get(LABEL) == current for pod in stay)
    rolls = (obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
    asked = obj["spec"].get("replicas")
    if rolls and updated == len(pods) == len(ready) == (1 if asked is None else asked):
        current, kept = update.name, updated
    return {
        "observedGeneration": obj["metadata"].get("generation", 0),
        "replicas": len(pods),
        "readyReplicas": len(ready) or None,
        "availableReplicas": number,
        "currentReplicas": kept or None,
        "updatedReplicas": updated or None,
        "currentRevision": current,
        "updateRevision": update.name,
        "collisionCount": update.collisions,
    }, later
