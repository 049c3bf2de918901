"""Decides whether a job has ended, and says why in its conditions."""

from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.conditions import condition, found
from pilothouse.simulate.workloads.job.policies import success_rule
from pilothouse.simulate.workloads.job.tally import Tally, is_indexed, per_index
from pilothouse.simulate.workloads.moments import elapsed
from pilothouse.simulate.workloads.pods import IndexedPod

ENOUGH, TARGET = "SuccessCriteriaMet", "FailureTarget"
COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
REACHED = "CompletionsReached", "Reached expected number of succeeded pods"
LAST = {ENOUGH: COMPLETE, TARGET: FAILED}
"""The condition that announces the end -> the one that a job has when its pods have ended, too."""


def job_condition(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    """A condition as jobs have them: with the time of the last probe."""
    return {**condition(kind, status, reason, message, now), "lastProbeTime": now}


def is_true(conditions: Sequence[Object] | None, kind: str) -> Object | None:
    """The condition of a type, when it is true."""
    one = found(conditions, kind)
    return one if one is not None and one["status"] == "True" else None


def is_finished(job: Object) -> bool:
    """Whether a job is complete or has failed."""
    conditions = (job.get("status") or {}).get("conditions")
    return any(is_true(conditions, kind) is not None for kind in (COMPLETE, FAILED))


def verdict(tally: Tally, pods: Sequence[IndexedPod], clock: Clock) -> tuple[str, str, str] | None:
    """The condition that announces the end of a job, with reason and message; None while it goes on."""
    job, spec = tally.job, tally.job["spec"]
    if tally.failing:
        return TARGET, "PodFailurePolicy", tally.failing
    if tally.all_failed > spec.get("backoffLimit", 6) or _restarted_too_often(job, pods):
        return TARGET, "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    reached = _is_reached(tally, pods)
    if reached and not spec.get(
        "successPolicy"
    ):  # what has been done in time counts, however late it is seen
        return (ENOUGH, *REACHED)
    left = until_deadline(job, clock)
    if left is not None and left <= 0:
        return TARGET, "DeadlineExceeded", "Job was active longer than specified deadline"
    if is_indexed(job) and per_index(job) is not None:
        most = spec.get("maxFailedIndexes")
        if most is not None and len(tally.lost) > most:
            text = "Job has exceeded the specified maximal number of failed indexes"
            return TARGET, "MaxFailedIndexesExceeded", text
        if tally.lost and len(tally.lost | tally.completed) >= tally.completions:
            return TARGET, "FailedIndexes", "Job has failed indexes"
    if met := success_rule(spec.get("successPolicy"), tally.completed):
        return ENOUGH, "SuccessPolicy", met
    return (ENOUGH, *REACHED) if reached else None


def _is_reached(tally: Tally, pods: Sequence[IndexedPod]) -> bool:
    """Whether enough pods have succeeded, and none is at work."""
    completions = tally.job["spec"].get("completions")
    needed = 1 if completions is None else completions
    return tally.all_succeeded >= needed and not any(pod.active for pod in pods)


def until_deadline(job: Object, clock: Clock) -> float | None:
    """Seconds until a job has been active for too long; None without such a limit,
    and while it is suspended."""
    limit, since = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if limit is None or not since or job["spec"].get("suspend"):
        return None
    return float(limit - elapsed(clock, since))


def _restarted_too_often(job: Object, pods: Sequence[IndexedPod]) -> bool:
    """Whether the containers of pods that are restarted in place have failed too often together."""
    if (job["spec"]["template"].get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    limit = job["spec"].get("backoffLimit", 6)
    restarts = sum(pod.all_restarts for pod in pods if pod.phase in ("Running", "Pending"))
    return restarts > 0 if limit == 0 else restarts >= limit
