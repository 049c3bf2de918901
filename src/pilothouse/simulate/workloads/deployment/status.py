"""The status of a deployment: its numbers, and whether it is available and progresses
(deployment/progress.go)."""

from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.conditions import condition, found, with_condition, without
from pilothouse.simulate.workloads.deployment.revisions import counts, size
from pilothouse.simulate.workloads.deployment.rolling import bounds, total
from pilothouse.simulate.workloads.moments import elapsed
from pilothouse.simulate.workloads.numbers import counted

PROGRESSING, AVAILABLE, FAILURE = "Progressing", "Available", "ReplicaFailure"
COMPLETE, TIMED_OUT, PAUSED = "NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"
NO_DEADLINE = 2**31 - 1
NUMBERS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def deadline(deployment: Object) -> int | None:
    """The seconds in which a deployment must progress; None without such a limit."""
    limit: int | None = deployment["spec"].get("progressDeadlineSeconds")
    return None if limit == NO_DEADLINE else limit


def deployment_condition(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    """A condition as deployments have them: with the time of the last update."""
    return {**condition(kind, status, reason, message, now), "lastUpdateTime": now}


def progress(conditions: Sequence[Object], status: str, reason: str, message: str, now: str) -> list[Object]:
    """The conditions with another one about the progress."""
    return with_condition(conditions, deployment_condition(PROGRESSING, status, reason, message, now))


def pause_or_resume(deployment: Object, conditions: list[Object], now: str) -> list[Object]:
    """The conditions, with whether the deployment has been paused or resumed meanwhile."""
    reason = (found(conditions, PROGRESSING) or {}).get("reason", "")
    if deadline(deployment) is None or reason == TIMED_OUT:
        return conditions
    if deployment["spec"].get("paused") and reason != PAUSED:
        return progress(conditions, "Unknown", PAUSED, "Deployment is paused", now)
    if not deployment["spec"].get("paused") and reason == PAUSED:
        return progress(conditions, "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    return conditions


def status_of(
    deployment: Object, sets: Sequence[Object], new: Object | None, conditions: list[Object], now: str
) -> Object:
    """The numbers of a deployment, and whether it is available."""
    available = sum(counts(one, "availableReplicas") for one in sets)
    numbers = counted(
        replicas=sum(counts(one, "replicas") for one in sets),
        updatedReplicas=counts(new, "replicas") if new is not None else 0,
        readyReplicas=sum(counts(one, "readyReplicas") for one in sets),
        availableReplicas=available,
        unavailableReplicas=max(total(sets) - available, 0),
    )
    if available >= size(deployment) - bounds(deployment)[1]:
        said = "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
    else:
        said = "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    return {
        **{name: numbers.get(name) for name in NUMBERS},
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "terminatingReplicas": sum(counts(one, "terminatingReplicas") for one in sets),
        "conditions": with_condition(conditions, deployment_condition(AVAILABLE, *said, now)),
    }


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all pods are of the new template, and available."""
    wanted = size(deployment)
    numbers = [status.get(n) or 0 for n in ("updatedReplicas", "replicas", "availableReplicas")]
    return numbers == [wanted] * 3 and status["observedGeneration"] >= deployment["metadata"]["generation"]


def with_progress(
    deployment: Object, status: Object, sets: Sequence[Object], new: Object | None, clock: Clock
) -> Object:
    """The status with what there is to say about a rollout (syncRolloutStatus)."""
    conditions, now = status["conditions"], clock.stamp()
    current = found(conditions, PROGRESSING)
    named = f"ReplicaSet {_name(new)}" if new is not None else f"Deployment {_name(deployment)}"
    done = (status["replicas"] or 0) == (status["updatedReplicas"] or 0)
    if deadline(deployment) is None:
        conditions = without(conditions, PROGRESSING)
    elif not (done and current is not None and current.get("reason") == COMPLETE):
        if is_complete(deployment, status):
            conditions = progress(conditions, "True", COMPLETE, f"{named} has successfully progressed.", now)
        elif _moves(deployment.get("status") or {}, status):
            moved = deployment_condition(
                PROGRESSING, "True", "ReplicaSetUpdated", f"{named} is progressing.", now
            )
            if current is not None and current["status"] == "True":
                moved["lastTransitionTime"] = current.get("lastTransitionTime")
            conditions = [*without(conditions, PROGRESSING), moved]
        elif timed_out(deployment, current, clock):
            conditions = progress(conditions, "False", TIMED_OUT, f"{named} has timed out progressing.", now)
    return {**status, "conditions": _failures(conditions, sets, new, now)}


def _name(obj: Object) -> str:
    return quote(obj["metadata"]["name"])


def _moves(before: Object, after: Object) -> bool:
    """Whether there are more new, fewer old, or more ready or available pods than before."""

    def old_pods(status: Object) -> int:
        return int((status.get("replicas") or 0) - (status.get("updatedReplicas") or 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    more = any((after.get(name) or 0) > (before.get(name) or 0) for name in grown)
    return more or old_pods(after) < old_pods(before)


def timed_out(deployment: Object, current: Object | None, clock: Clock) -> bool:
    """Whether a deployment has not progressed for too long."""
    limit = deadline(deployment)
    if current is None or limit is None or current.get("reason") == COMPLETE:
        return False
    return current.get("reason") == TIMED_OUT or elapsed(clock, _told(current)) > limit


def _told(current: Object) -> str:
    return str(current.get("lastUpdateTime") or current["lastTransitionTime"])


def until_deadline(deployment: Object, status: Object, clock: Clock) -> float | None:
    """Seconds until a deployment that does not progress is late; None when it cannot be."""
    limit, current = deadline(deployment), found(status["conditions"], PROGRESSING)
    if limit is None or current is None or current.get("reason") in (COMPLETE, TIMED_OUT):
        return None
    return limit - elapsed(clock, _told(current)) + 1 if not is_complete(deployment, status) else None


def _failures(conditions: list[Object], sets: Sequence[Object], new: Object | None, now: str) -> list[Object]:
    """The conditions with the failure of the new set, or of another one, to make pods."""
    for one in ([new] if new is not None else []) + list(sets):
        failed = found((one.get("status") or {}).get("conditions"), FAILURE)
        if failed is not None:
            text = failed.get("reason", ""), failed.get("message", "")
            return with_condition(
                conditions,
                deployment_condition(
                    FAILURE, failed["status"], *text, failed.get("lastTransitionTime") or now
                ),
            )
    return without(conditions, FAILURE)
