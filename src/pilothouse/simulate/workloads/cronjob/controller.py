"""Makes the jobs of cron jobs when their times come, and deletes old ones."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pilothouse.api import meta
from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.simulate.workloads.cronjob.schedule import CronSchedule, Missed
from pilothouse.simulate.workloads.index import Indexed, ObjectIndex, plain_facts
from pilothouse.simulate.workloads.job.outcome import COMPLETE, FAILED, is_finished, is_true
from pilothouse.simulate.workloads.moments import seconds
from pilothouse.simulate.workloads.ownership import reference
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.simulate.workloads.refusals import FAILED as REFUSED
from pilothouse.simulate.workloads.refusals import namespace_ends
from pilothouse.storage._entry import Entry

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
NEVER = "time difference between two schedules is less than 1 second"
LATE = 100
"""Missed times of which a warning tells."""


class CronJobs(Reconciler):
    """Makes jobs by schedules."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "batch/v1", "cronjobs", "cronjob-controller")
        self.jobs = self.client.resource("batch", "v1", "jobs")
        self.index = ObjectIndex(self.client, self.jobs, plain_facts)
        self._created: dict[str, float] | None = None
        """When objects were created by the clock of the simulation: their stamps are of the server's."""

    def follows(self) -> list[Callable[[], None]]:
        return [self.index.listen(self._job_changed)]

    def start(self) -> None:
        super().start()
        self._created = {}

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None and old is None and self._created is not None:
            self._created[new.key.removeprefix(self.resource.key_prefix)] = self.clock.time()
        super()._changed(new, old)

    async def removed(self, namespace: str, name: str) -> None:
        assert self._created is not None
        self._created.pop(f"{namespace}/{name}", None)

    def _job_changed(self, new: Indexed | None, old: Indexed | None) -> None:
        for one in (new, old):
            if one is not None and one.owner_kind == "CronJob":
                self.enqueue(one.namespace, one.owner_name)

    async def reconcile(self, obj: Object) -> float | None:
        jobs = self._jobs(obj)
        status = self._follow(obj, jobs)
        await self._clean(obj, jobs)
        later: float | None = None
        spec = obj["spec"]
        if not obj["metadata"].get("deletionTimestamp") and not spec.get("suspend"):
            try:
                schedule = CronSchedule(spec["schedule"], spec.get("timeZone"))
            except ValueError as err:
                text = quote(spec["schedule"])
                note = f"unparseable schedule: {text} : {err}"  # codespell:ignore unparseable
                self.events.warning(obj, "UnparseableSchedule", note)
            else:
                later = await self._run(obj, schedule, status)
        await self.write_status(obj, {**status, "active": status.get("active") or None})
        return later

    def _jobs(self, obj: Object) -> list[Object]:
        """The jobs of a cron job, the oldest first."""
        found = [self.index.object(facts) for facts in self.index.owned(obj["metadata"]["uid"])]
        return sorted((one for one in found if one is not None), key=_began)

    # What there is

    def _follow(self, obj: Object, jobs: Sequence[Object]) -> Object:
        """The status by what has become of the jobs."""
        status = copy(obj.get("status") or {})
        active: list[Object] = status.get("active") or []
        by_uid = {job["metadata"]["uid"]: job for job in jobs}
        named = {one["uid"] for one in active}
        kept = []
        for one in active:
            job = by_uid.get(one["uid"])
            if job is None:
                self.events.normal(obj, "MissingJob", f"Active job went missing: {one['name']}")
            elif is_finished(job):
                end = COMPLETE if is_true(job["status"]["conditions"], COMPLETE) else FAILED
                note = f"Saw completed job: {one['name']}, condition: {end}"
                self.events.normal(obj, "SawCompletedJob", note)
            else:
                kept.append(one)
        for uid, job in by_uid.items():
            if uid not in named and not is_finished(job) and _is_unexpected(obj, job):
                note = f"Saw a job that the controller did not create or forgot: {job['metadata']['name']}"
                self.events.warning(obj, "UnexpectedJob", note)
        ends = [job["status"].get("completionTime", "") for job in jobs if is_finished(job)]
        if max(ends, default="") > status.get("lastSuccessfulTime", ""):
            status["lastSuccessfulTime"] = max(ends)
        return {**status, "active": kept}

    async def _clean(self, obj: Object, jobs: Sequence[Object]) -> None:
        """Delete finished jobs beyond the limits of the history."""
        for end, member in ((COMPLETE, "successfulJobsHistoryLimit"), (FAILED, "failedJobsHistoryLimit")):
            limit = obj["spec"].get(member)
            ended = [job for job in jobs if is_true((job.get("status") or {}).get("conditions"), end)]
            for job in ended[: max(len(ended) - limit, 0)] if limit is not None else ():
                await self._delete(obj, job)

    async def _delete(self, obj: Object, job: Object) -> None:
        metadata = job["metadata"]
        options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
        if await self.client.delete(self.jobs, metadata["namespace"], metadata["name"], options):
            self.events.normal(obj, "SuccessfulDelete", f"Deleted job {metadata['name']}")

    # What is due

    async def _run(self, obj: Object, schedule: CronSchedule, status: Object) -> float | None:
        """Make the job of the last time that has passed; the seconds until the next one."""
        now, spec = self.clock.time(), obj["spec"]
        missed = schedule.missed(self._earliest(obj, status, now), now)
        wait = missed.next - now if missed.next is not None else None
        if missed.last is None:
            if wait is None:  # it never comes, such as on 31 February
                self.events.warning(obj, "InvalidSchedule", f"invalid schedule: {spec['schedule']} : {NEVER}")
            return wait
        self._warn(obj, missed)
        name = f"{obj['metadata']['name']}-{int(missed.last) // 60}"
        if any(one["name"] == name for one in status["active"]):
            return wait
        if spec.get("concurrencyPolicy") == "Forbid" and status["active"]:
            why = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.events.normal(obj, "JobAlreadyActive", why)
            return wait
        if spec.get("concurrencyPolicy") == "Replace":
            await self._replace(obj, status)
        await self._create(obj, name, missed.last, schedule, status)
        return wait

    def _earliest(self, obj: Object, status: Object, now: float) -> float:
        """The time after which a job may be due."""
        metadata, last = obj["metadata"], status.get("lastScheduleTime")
        key = f"{metadata['namespace']}/{metadata['name']}"
        if last:
            earliest = seconds(last)
        elif self._created is not None and key in self._created:
            earliest = self._created[key]
        else:
            earliest = seconds(metadata["creationTimestamp"])
        limit = obj["spec"].get("startingDeadlineSeconds")
        return max(earliest, now - limit) if limit is not None else earliest

    def _warn(self, obj: Object, missed: Missed) -> None:
        if missed.number > LATE:
            why = f"too many missed start times: {missed.number}. Set or decrease"
            note = f"{why} .spec.startingDeadlineSeconds or check clock skew"
            self.events.warning(obj, "TooManyMissedTimes", note)

    async def _replace(self, obj: Object, status: Object) -> None:
        """Delete the jobs that still run."""
        running = {one["uid"] for one in status["active"]}
        for job in self._jobs(obj):
            if job["metadata"]["uid"] in running:
                await self._delete(obj, job)
        status["active"] = []

    async def _create(
        self, obj: Object, name: str, at: float, schedule: CronSchedule, status: Object
    ) -> None:
        made = _job_of(obj, name, _shown(at, schedule))
        try:
            created = await self.client.create(self.jobs, self.jobs.decode_value(made)[0])
        except REFUSED as err:
            if namespace_ends(err):
                return
            self.events.warning(obj, "FailedCreate", f"Error creating job: {err}")
            raise
        job = self.client.readers.get("jobs.batch", obj["metadata"]["namespace"], name)
        owners = job["metadata"].get("ownerReferences") or () if job is not None else ()
        if job is None or not any(one["uid"] == obj["metadata"]["uid"] for one in owners):
            return  # somebody else has taken the name
        if created:
            self.events.normal(obj, "SuccessfulCreate", f"Created job {name}")
        if not is_finished(job):
            metadata = job["metadata"]
            named = {m: metadata[m] for m in ("namespace", "name", "uid", "resourceVersion")}
            status["active"] = [*status["active"], {"kind": "Job", "apiVersion": "batch/v1", **named}]
        status["lastScheduleTime"] = meta.now(at)


def _began(job: Object) -> tuple[str, str]:
    started = (job.get("status") or {}).get("startTime") or job["metadata"].get("creationTimestamp") or ""
    return started, job["metadata"]["name"]


def _is_unexpected(obj: Object, job: Object) -> bool:
    """Whether a job that runs was not made for one of the times:
    those are noted right after they are made."""
    since = (obj.get("status") or {}).get("lastScheduleTime", "")
    return SCHEDULED not in (job["metadata"].get("annotations") or {}) and bool(since)


def _shown(at: float, schedule: CronSchedule) -> str:
    """A time in the zone of the schedule."""
    return datetime.fromtimestamp(at, schedule.zone).isoformat().replace("+00:00", "Z")


def _job_of(obj: Object, name: str, when: str) -> Object:
    template = copy(obj["spec"]["jobTemplate"])
    given = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": obj["metadata"]["namespace"],
            "labels": given.get("labels") or {},
            "annotations": {**(given.get("annotations") or {}), SCHEDULED: when},
            "ownerReferences": [reference(obj)],
        },
        "spec": template["spec"],
    }
