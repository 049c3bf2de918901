"""Runs the pods of jobs to their end."""

import asyncio
from collections.abc import Sequence

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record
from pilothouse.simulate.workloads.conditions import found, with_condition
from pilothouse.simulate.workloads.job import backoff, making, outcome
from pilothouse.simulate.workloads.job.backoff import JobBackoff
from pilothouse.simulate.workloads.job.policies import failure_rule
from pilothouse.simulate.workloads.job.tally import (
    TRACKED,
    Tally,
    is_indexed,
    per_index,
    replaces_failed_only,
)
from pilothouse.simulate.workloads.pod_control import PodWrites
from pilothouse.simulate.workloads.pod_owner import PodOwner
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts

MANAGER = "kubernetes.io/job-controller"
JOB_NAME = "batch.kubernetes.io/job-name"


@record
class _Look:
    """One look at a job: its numbers, its conditions, and the seconds after which to look again."""

    job: Object
    tally: Tally
    conditions: list[Object]
    start: str | None
    end: str | None = None
    later: float | None = None
    failed: PodWrites | None = None


class Jobs(PodOwner):
    """Makes the pods of jobs, counts those that have ended, and ends the jobs."""

    kind = "Job"

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "batch/v1", "jobs", "job-controller")
        self._backoffs: dict[str, JobBackoff] = {}

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        super()._pod_changed(new, old)
        if new is not None and not new.owner and TRACKED in new.finalizers:
            self.enqueue(new.namespace, new.labels.get(JOB_NAME, ""))

    async def removed(self, namespace: str, name: str) -> None:
        """Nobody counts the pods of a job that is gone: they may go, too."""
        self._backoffs.pop(f"{namespace}/{name}", None)
        left = [pod for pod in self.pods.among(namespace) if TRACKED in pod.finalizers]
        await self._untrack(
            [
                pod
                for pod in left
                if (pod.owner_kind == self.kind and pod.owner_name == name)
                or (not pod.owner and pod.labels.get(JOB_NAME, "") == name)
            ]
        )

    async def reconcile(self, obj: Object) -> float | None:
        if obj["spec"].get("managedBy") not in (None, MANAGER):
            return None
        pods = await self.claimed(obj)
        if outcome.is_finished(obj) or obj["metadata"].get("deletionTimestamp"):
            await self._untrack([pod for pod in pods if TRACKED in pod.finalizers])
            return None
        look = self._count(obj, pods)
        if look.tally.released:
            if not await self.write_status(obj, self._status(look, pods)):
                return None
            await self._untrack(look.tally.released)
        look.tally.settle()
        announced = _announced(look.conditions)
        if announced is not None:
            await self._end(look, announced)
        elif obj["spec"].get("suspend"):
            await self._suspend(look)
        else:
            await self._manage(look, pods)
        await self.write_status(obj, self._status(look, self._owned(obj)))
        if look.failed is not None and look.failed.error is not None:
            raise look.failed.error
        times = [t for t in (look.later, outcome.until_deadline(_started(look), self.clock)) if t is not None]
        return min(times, default=None)

    def _owned(self, obj: Object) -> list[IndexedPod]:
        return self.pods.owned(obj["metadata"]["uid"])

    # Counting

    def _count(self, obj: Object, pods: Sequence[IndexedPod]) -> _Look:
        """Count what has ended, and decide whether the job ends with that."""
        status = obj.get("status") or {}
        tally, conditions = Tally.of(obj, self.pods.object), list(status.get("conditions") or ())
        start = status.get("startTime") or (None if obj["spec"].get("suspend") else self.clock.stamp())
        look = _Look(obj, tally, conditions, start)
        over = _announced(conditions) is not None
        tally.take(pods, over=over)
        self._backoff(obj).take(tally, self.clock)
        if not over and (said := outcome.verdict(tally, pods, self.clock)) is not None:
            look.tally = tally = Tally.of(obj, self.pods.object)
            tally.take(pods, over=True)
            self._say(look, *said)
        announced = _announced(look.conditions)
        if announced is not None and announced["type"] == outcome.TARGET:
            tally.give_up(pods)
        return look

    def _backoff(self, obj: Object) -> JobBackoff:
        metadata = obj["metadata"]
        return self._backoffs.setdefault(f"{metadata['namespace']}/{metadata['name']}", JobBackoff())

    def _say(self, look: _Look, kind: str, reason: str, message: str, status: str = "True") -> None:
        made = outcome.job_condition(kind, status, reason, message, self.clock.stamp())
        look.conditions = with_condition(look.conditions, made, by_reason=False)

    async def _untrack(self, pods: Sequence[IndexedPod]) -> None:
        """Take the finalizer off pods, so that they can be deleted."""

        def edit(live: Object) -> None:
            left = [one for one in live["metadata"].pop("finalizers", None) or () if one != TRACKED]
            if left:
                live["metadata"]["finalizers"] = left

        async def one(pod: IndexedPod) -> None:
            try:
                await self.client.change_metadata(self.control.pods, pod.namespace, pod.name, edit, pod.uid)
            except (errors.NotFound, errors.Conflict):
                return

        await asyncio.gather(*map(one, pods))

    # What there is to do

    async def _end(self, look: _Look, announced: Object) -> None:
        """Delete the pods that are still at work; when all have ended the job has, too."""
        deleted = await self.control.delete_some([p for p in self._owned(look.job) if p.active], look.job)
        look.failed = deleted if deleted.error is not None else look.failed
        if any(not pod.ended for pod in self._owned(look.job)):
            return
        last, now = outcome.LAST[announced["type"]], self.clock.stamp()
        self._say(look, last, announced["reason"], announced.get("message", ""))
        if last == outcome.COMPLETE:
            look.end = now
            self.events.normal(look.job, "Completed", "Job completed")
        else:
            self.events.warning(look.job, announced["reason"], announced.get("message", ""))

    async def _suspend(self, look: _Look) -> None:
        await self._drop([pod for pod in self._owned(look.job) if pod.active], look)
        if outcome.is_true(look.conditions, outcome.SUSPENDED) is None:
            self._say(look, outcome.SUSPENDED, "JobSuspended", "Job suspended")
            look.start = None  # it begins anew when the job is resumed
            self.events.normal(look.job, "Suspended", "Job suspended")

    async def _manage(self, look: _Look, pods: Sequence[IndexedPod]) -> None:
        """Make the pods that are missing, or delete those that are too many.

        It looks at the pods that were counted: one that has ended since then is not replaced before it
        counts.
        """
        obj, spec, tally = look.job, look.job["spec"], look.tally
        if outcome.is_true(look.conditions, outcome.SUSPENDED) is not None:
            self._say(look, outcome.SUSPENDED, "JobResumed", "Job resumed", "False")
            self.events.normal(obj, "Resumed", "Job resumed")
        active = [pod for pod in pods if pod.active]
        ended = tally.completed | tally.lost
        if spec.get("completions") is None:
            wanted = len(active) if tally.succeeded else spec["parallelism"]
        else:
            wanted = min(spec["completions"] - len(tally.lost) - tally.succeeded, spec["parallelism"])
        wanted = max(wanted, 0)
        if len(active) > wanted:
            doomed = making.surplus(obj, active, len(active) - wanted, ended, self.clock)
            await self._drop(doomed, look)
            return
        leaving = (
            sum(bool(pod.deleting) and not pod.ended for pod in pods) if replaces_failed_only(obj) else 0
        )
        missing = wanted - len(active) - leaving
        if missing > 0:
            await self._create(look, pods, missing)

    async def _create(self, look: _Look, pods: Sequence[IndexedPod], missing: int) -> None:
        obj, tally = look.job, look.tally
        if not is_indexed(obj):
            if (wait := self._backoff(obj).remaining(self.clock)) > 0:
                look.later = wait
                return
            look.failed = await self.control.create_some(missing, lambda number: making.job_pod(obj), obj)
            return
        ended = tally.completed | tally.lost
        working = [pod for pod in pods if pod.active or (pod.deleting and replaces_failed_only(obj))]
        free = making.free_indexes(obj, working, missing, ended)
        failures: dict[int, backoff.IndexFailures] = {}
        if per_index(obj) is not None:
            failures = backoff.by_index(tally, pods, self._ignores(obj), self.clock)
            waits = {i: failures[i].ready_at - self.clock.time() for i in free if i in failures}
            free = [index for index in free if waits.get(index, 0) <= 0]
            look.later = min((wait for wait in waits.values() if wait > 0), default=None)
        elif (wait := self._backoff(obj).remaining(self.clock)) > 0:
            look.later = wait
            return

        def make(number: int) -> Object:
            known = failures.get(free[number])
            return making.job_pod(obj, free[number], (known.counted, known.ignored) if known else (0, 0))

        look.failed = await self.control.create_some(len(free), make, obj)

    @staticmethod
    def _ignores(obj: Object) -> "_Ignores":
        return _Ignores(obj["spec"].get("podFailurePolicy"))

    async def _drop(self, pods: Sequence[IndexedPod], look: _Look) -> None:
        """Delete pods without counting them."""
        await self._untrack([pod for pod in pods if TRACKED in pod.finalizers])
        deleted = await self.control.delete_some(pods, look.job)
        look.failed = deleted if deleted.error is not None else look.failed

    # Status

    def _status(self, look: _Look, pods: Sequence[IndexedPod]) -> Object:
        active = [pod for pod in pods if pod.active]
        status: Object = {
            **look.tally.status(),
            "active": len(active) or None,
            "ready": sum(pod.ready for pod in active),
            "terminating": sum(bool(pod.deleting) and not pod.ended for pod in pods),
            "conditions": look.conditions or None,
            "startTime": look.start,
        }
        if look.end:
            status["completionTime"] = look.end
        return status


@frozen
class _Ignores:
    """Whether the rules for failed pods say that the failure of one does not count."""

    policy: Object | None

    def __call__(self, pod: Object) -> bool:
        failed = (pod.get("status") or {}).get("phase") == "Failed"
        return failed and failure_rule(self.policy, pod)[0] == "Ignore"


def _announced(conditions: Sequence[Object]) -> Object | None:
    """The condition that announces the end."""
    kinds = (outcome.TARGET, outcome.ENOUGH)
    return next((one for kind in kinds if (one := outcome.is_true(conditions, kind)) is not None), None)


def _started(look: _Look) -> Object:
    """The job with the time of its start."""
    if found(look.conditions, outcome.COMPLETE) or found(look.conditions, outcome.FAILED):
        return {**look.job, "status": {}}
    return {**look.job, "status": {"startTime": look.start}}
