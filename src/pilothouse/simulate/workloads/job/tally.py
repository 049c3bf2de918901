"""Counts the pods of a job that have ended, each once: the finalizer of a pod stays until its end is counted.

The status lists the pods that are being counted, so that a stop in between neither loses nor repeats one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.simulate.workloads.job.indexes import index_of, parse, show
from pilothouse.simulate.workloads.job.policies import failure_rule
from pilothouse.simulate.workloads.numbers import number_in
from pilothouse.simulate.workloads.pods import IndexedPod, oldest_first

TRACKED = "batch.kubernetes.io/job-tracking"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def per_index(job: Object) -> int | None:
    """The failures that each index may have, None when they are counted for the job alone."""
    limit: int | None = job["spec"].get("backoffLimitPerIndex")
    return limit


def replaces_failed_only(job: Object) -> bool:
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def has_failed(job: Object, pod: IndexedPod) -> bool:
    """Whether a pod counts as failed: a deleted one does, unless replacements wait for its end."""
    if pod.phase == "Failed":
        return True
    return not replaces_failed_only(job) and bool(pod.deleting) and pod.phase != "Succeeded"


@record
class Tally:
    """The numbers of a job: those of its status, and the pods that are being counted."""

    job: Object
    read: Callable[[IndexedPod], Object | None]
    succeeded: int = 0
    failed: int = 0
    counting: dict[str, list[str]] = field(default_factory=lambda: {"succeeded": [], "failed": []})
    completed: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    failing: str = ""
    """The message of the rule by which a pod has failed the job."""
    failures: list[IndexedPod] = field(default_factory=list)
    successes: list[IndexedPod] = field(default_factory=list)
    """The pods that have ended since the last look."""
    released: list[IndexedPod] = field(default_factory=list)
    """The pods whose finalizers can go when the status lists what is being counted."""

    @classmethod
    def of(cls, job: Object, read: Callable[[IndexedPod], Object | None]) -> "Tally":
        """The numbers as the status tells them."""
        status = job.get("status") or {}
        made = cls(job, read, status.get("succeeded") or 0, status.get("failed") or 0)
        uncounted = status.get("uncountedTerminatedPods") or {}
        for kind in made.counting:
            made.counting[kind] = list(uncounted.get(kind) or ())
        completions = job["spec"].get("completions") or 0
        made.completed = {i for i in parse(status.get("completedIndexes") or "") if i < completions}
        made.lost = {i for i in parse(status.get("failedIndexes") or "") if i < completions}
        return made

    @property
    def completions(self) -> int:
        return self.job["spec"].get("completions") or 0

    def take(self, pods: Sequence[IndexedPod], *, over: bool) -> None:
        """Note the pods that have ended and are not counted yet; when the job is `over`,
        no failure is replaced."""
        known = {*self.counting["succeeded"], *self.counting["failed"]}
        kept = set() if over or per_index(self.job) is None else _unreplaced(self, pods)
        for pod in pods:
            if TRACKED not in pod.finalizers:
                continue
            if pod.uid in known:
                self.released.append(pod)
            elif pod.phase == "Succeeded":
                self.released.append(pod)
                self._succeeded(pod)
            elif has_failed(self.job, pod):
                self._failed(pod, kept=pod.uid in kept)

    def _succeeded(self, pod: IndexedPod) -> None:
        if is_indexed(self.job):  # the index alone tells that it is counted
            index = index_of(pod, self.completions)
            if index is None or index in self.completed:
                return
            self.completed.add(index)
        else:
            self.counting["succeeded"].append(pod.uid)
        self.successes.append(pod)

    def _failed(self, pod: IndexedPod, *, kept: bool) -> None:
        """Count a failure, unless the pod is to carry the failures of its index on to its replacement."""
        index = index_of(pod, self.completions) if is_indexed(self.job) else None
        limit, policy = per_index(self.job), self.job["spec"].get("podFailurePolicy")
        action, spent = "Count", 0
        whole = self.read(pod) if policy is not None or limit is not None else None
        if whole is not None:
            spent = failures_of(whole)[0]
            if pod.phase == "Failed":
                action, message = failure_rule(policy, whole)
                self.failing = self.failing or (message if action == "FailJob" else "")
        if limit is not None and index is not None:
            if action == "FailIndex" or spent + (action != "Ignore") > limit:
                self.lost.add(index)
            elif kept:
                return
        self.released.append(pod)
        if index is not None or not is_indexed(self.job):
            self.failures.append(pod)  # the job waits after failures that do not count, too
            if action != "Ignore":
                self.counting["failed"].append(pod.uid)

    def give_up(self, pods: Iterable[IndexedPod]) -> None:
        """Count as failed every pod that has not ended: the job has failed."""
        known = {*self.counting["succeeded"], *self.counting["failed"]}
        for pod in pods:
            if TRACKED in pod.finalizers and not pod.ended and pod.uid not in known:
                self.counting["failed"].append(pod.uid)
                self.released.append(pod)

    def settle(self) -> None:
        """Move what is being counted to the numbers: its finalizers are gone."""
        self.succeeded += len(self.counting["succeeded"])
        self.failed += len(self.counting["failed"])
        self.counting = {"succeeded": [], "failed": []}
        if is_indexed(self.job):
            self.succeeded = len(self.completed)

    def status(self) -> dict[str, Any]:
        """The members of the status."""
        listed = {kind: uids for kind, uids in self.counting.items() if uids}
        out: dict[str, Any] = {
            "succeeded": self.succeeded or None,
            "failed": self.failed or None,
            "uncountedTerminatedPods": listed,
            "completedIndexes": show(self.completed) or None,
        }
        if per_index(self.job) is not None:
            out["failedIndexes"] = show(self.lost)
        return out

    @property
    def all_succeeded(self) -> int:
        """The successes, those included that are being counted."""
        return (
            len(self.completed) if is_indexed(self.job) else self.succeeded + len(self.counting["succeeded"])
        )

    @property
    def all_failed(self) -> int:
        return self.failed + len(self.counting["failed"])


def failures_of(pod: Object) -> tuple[int, int]:
    """The failures that an index had before this pod, and those that were ignored."""
    notes = pod["metadata"].get("annotations") or {}
    return number_in(notes.get(FAILURES, "0")), number_in(notes.get(IGNORED, "0"))


def _unreplaced(tally: Tally, pods: Sequence[IndexedPod]) -> set[str]:
    """The last failed pod of each index that has no newer pod yet."""
    newest: dict[int, IndexedPod] = {}
    for pod in sorted(pods, key=oldest_first):
        index = index_of(pod, tally.completions)
        if index is not None:
            newest[index] = pod if pod.active or not _is_active(newest.get(index)) else newest[index]
    return {pod.uid for pod in newest.values() if not pod.active}


def _is_active(pod: IndexedPod | None) -> bool:
    return pod is not None and pod.active
