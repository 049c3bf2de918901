"""Makes the pods of a job, and chooses those that are too many."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from pilothouse.api.values.fields import Object
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.job.indexes import INDEX, index_of
from pilothouse.simulate.workloads.job.tally import FAILURES, IGNORED, TRACKED, is_indexed, per_index
from pilothouse.simulate.workloads.pod_control import pod_of
from pilothouse.simulate.workloads.pods import IndexedPod, to_delete

VARIABLE = "JOB_COMPLETION_INDEX"
LONGEST_BASE = 58
"""Characters of the beginning of a pod's name, before the five that are chosen by chance."""


def job_pod(job: Object, index: int | None = None, failures: tuple[int, int] = (0, 0)) -> Object:
    """A pod of a job; `failures` are those that its index has had, and those that were ignored."""
    name = job["metadata"]["name"]
    base = f"{name}-" if index is None else _base(name, index)
    pod = pod_of(job["spec"]["template"], job, base)
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), TRACKED]
    if index is None:
        return pod
    metadata.setdefault("labels", {})[INDEX] = str(index)
    notes = metadata.setdefault("annotations", {})
    notes[INDEX] = str(index)
    if per_index(job) is not None:
        notes[FAILURES] = str(failures[0])
        if failures[1]:
            notes[IGNORED] = str(failures[1])
    if not spec.get("hostname"):
        spec["hostname"] = f"{name}-{index}"
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        _tell_index(container)
    return pod


def _base(name: str, index: int) -> str:
    suffix = f"-{index}-"
    return name[: LONGEST_BASE - len(suffix)] + suffix


def _tell_index(container: Object) -> None:
    """Give a container the variable that holds its index, unless it has one of that name."""
    listed = container.setdefault("env", [])
    if not any(one["name"] == VARIABLE for one in listed):
        field = {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}
        listed.append({"name": VARIABLE, "valueFrom": {"fieldRef": field}})


def free_indexes(job: Object, pods: Sequence[IndexedPod], count: int, ended: Collection[int]) -> list[int]:
    """The lowest indexes that have neither ended nor a pod at work."""
    completions = job["spec"].get("completions") or 0
    taken = {index_of(pod, completions) for pod in pods}
    out: list[int] = []
    for index in range(completions):
        if len(out) >= count:
            break
        if index not in taken and index not in ended:
            out.append(index)
    return out


def surplus(
    job: Object, active: Sequence[IndexedPod], count: int, ended: Collection[int], clock: Clock
) -> list[IndexedPod]:
    """The pods to delete when there are too many: those of an index that has another one come first."""
    if not is_indexed(job):
        return to_delete(active, count, active, clock)
    groups: dict[int | None, list[IndexedPod]] = defaultdict(list)
    for pod in active:
        groups[index_of(pod, job["spec"].get("completions") or 0)].append(pod)
    first: list[IndexedPod] = []
    for index, pods in groups.items():
        doomed = len(pods) if index is None or index in ended else len(pods) - 1
        first += to_delete(pods, doomed, pods, clock)
    rest = [pod for pod in active if pod not in first]
    return [*first, *to_delete(rest, max(count - len(first), 0), rest, clock)]
