"""Table cells of the kinds in apps, batch, autoscaling and policy."""

from pilothouse.api.values.fields import Object
from pilothouse.registry.printers.common import (
    NONE,
    UNKNOWN,
    UNSET,
    Cells,
    Printer,
    age,
    condition_true,
    containers_text,
    deleting,
    human_duration,
    labels_text,
    name,
    seconds,
    selector_string,
    selector_text,
    since,
    spec,
    status,
)


def _deployment(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        f"{status(obj).get('readyReplicas', 0)}/{spec(obj).get('replicas', 0)}",
        status(obj).get("updatedReplicas", 0),
        status(obj).get("availableReplicas", 0),
        age(obj, now),
        *containers_text(spec(obj).get("template")),
        selector_string(spec(obj).get("selector")),
    ]


def _replica_set(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        spec(obj).get("replicas", 0),
        status(obj).get("replicas", 0),
        status(obj).get("readyReplicas", 0),
        age(obj, now),
        *containers_text(spec(obj).get("template")),
        selector_text(spec(obj).get("selector")),
    ]


def _stateful_set(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        f"{status(obj).get('readyReplicas', 0)}/{spec(obj).get('replicas', 0)}",
        age(obj, now),
        *containers_text(spec(obj).get("template")),
    ]


def _daemon_set(obj: Object, now: float) -> Cells:
    template = spec(obj).get("template") or {}
    state = status(obj)
    return [
        name(obj),
        state.get("desiredNumberScheduled", 0),
        state.get("currentNumberScheduled", 0),
        state.get("numberReady", 0),
        state.get("updatedNumberScheduled", 0),
        state.get("numberAvailable", 0),
        labels_text(spec(template).get("nodeSelector")),
        age(obj, now),
        *containers_text(template),
        selector_text(spec(obj).get("selector")),
    ]


def _controller_revision(obj: Object, now: float) -> Cells:
    owner = NONE
    for reference in (obj.get("metadata") or {}).get("ownerReferences") or ():
        if reference.get("controller"):
            group = reference.get("apiVersion", "").rpartition("/")[0]
            kind = reference.get("kind", "")
            owner = f"{kind}.{group}".lower() if group else kind.lower()
            owner = f"{owner}/{reference.get('name', '')}"
            break
    return [name(obj), owner, obj.get("revision", 0), age(obj, now)]


def _completions(obj: Object) -> str:
    done = status(obj).get("succeeded", 0)
    wanted = spec(obj).get("completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = spec(obj).get("parallelism", 0)
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(obj: Object, now: float) -> str:
    start, end = status(obj).get("startTime"), status(obj).get("completionTime")
    if not start:
        return ""
    return human_duration((seconds(end) if end else now) - seconds(start))


def _job_status(obj: Object) -> str:
    if condition_true(obj, "Complete"):
        return "Complete"
    if condition_true(obj, "Failed"):
        return "Failed"
    if deleting(obj):
        return "Terminating"
    if condition_true(obj, "Suspended"):
        return "Suspended"
    return "FailureTarget" if condition_true(obj, "FailureTarget") else "Running"


def _job(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        _job_status(obj),
        _completions(obj),
        _job_duration(obj, now),
        age(obj, now),
        *containers_text(spec(obj).get("template")),
        selector_text(spec(obj).get("selector")),
    ]


def _cron_job(obj: Object, now: float) -> Cells:
    job = spec(spec(obj).get("jobTemplate") or {})
    last = status(obj).get("lastScheduleTime")
    suspend = spec(obj).get("suspend")
    return [
        name(obj),
        spec(obj).get("schedule", ""),
        spec(obj).get("timeZone", NONE),
        UNSET if suspend is None else str(suspend),
        len(status(obj).get("active") or ()),
        since(last, now) if last else NONE,
        age(obj, now),
        *containers_text(job.get("template")),
        selector_text(job.get("selector")),
    ]


def _pod_disruption_budget(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        str(spec(obj).get("minAvailable", "N/A")),
        str(spec(obj).get("maxUnavailable", "N/A")),
        status(obj).get("disruptionsAllowed", 0),
        age(obj, now),
    ]


_METRIC_MEMBERS = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}

_NIL = "<nil>"
"""Go's text for a quantity that is missing from a status."""


def _metric_text(metric: Object, now_status: Object | None) -> str:
    """One metric of an autoscaler as `current/target`; `now_status` is its current value, if known."""
    kind = metric.get("type", "")
    member = _METRIC_MEMBERS.get(kind)
    if member is None:
        return "<unknown type>"
    source = metric.get(member) or {}
    target = source.get("target") or {}
    current = None if now_status is None else (now_status.get(member) or {}).get("current")
    average = target.get("averageValue")
    if kind in ("Resource", "ContainerResource"):
        return f"{source.get('name', '')}: {_resource_metric(target, average, current)}"
    if kind == "Pods":
        reading = UNKNOWN if current is None else current.get("averageValue", _NIL)
        return f"{reading}/{_NIL if average is None else average}"
    if average is not None:
        reading = (current or {}).get("averageValue", UNKNOWN)
        return f"{reading}/{average} (avg)"
    reading = UNKNOWN if current is None else current.get("value", _NIL)
    return f"{reading}/{target.get('value', _NIL)}"


def _resource_metric(target: Object, average: str | None, current: Object | None) -> str:
    if average is not None:
        return f"{UNKNOWN if current is None else current.get('averageValue', _NIL)}/{average}"
    used = (current or {}).get("averageUtilization")
    wanted = target.get("averageUtilization")
    return f"{UNKNOWN if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _targets(obj: Object) -> str:
    metrics = spec(obj).get("metrics")
    if not metrics:
        return NONE
    readings = status(obj).get("currentMetrics") or []
    texts = [
        _metric_text(metric, readings[index] if index < len(readings) else None)
        for index, metric in enumerate(metrics)
    ]
    text = ", ".join(texts[:2])
    return f"{text} + {len(texts) - 2} more..." if len(texts) > 2 else text


def _horizontal_pod_autoscaler(obj: Object, now: float) -> Cells:
    """Cells of an autoscaler in its v2 form."""
    target = spec(obj).get("scaleTargetRef") or {}
    least = spec(obj).get("minReplicas")
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(obj),
        UNSET if least is None else str(least),
        spec(obj).get("maxReplicas", 0),
        status(obj).get("currentReplicas", 0),
        age(obj, now),
    ]


def scale(obj: Object, now: float) -> Cells:
    """Cells of the Scale of any workload."""
    return [name(obj), spec(obj).get("replicas", 0), status(obj).get("replicas", 0), age(obj, now)]


PRINTERS: dict[tuple[str, str], Printer] = {
    ("apps", "controllerrevisions"): _controller_revision,
    ("apps", "daemonsets"): _daemon_set,
    ("apps", "deployments"): _deployment,
    ("apps", "replicasets"): _replica_set,
    ("apps", "statefulsets"): _stateful_set,
    ("autoscaling", "custom scale"): scale,
    ("autoscaling", "horizontalpodautoscalers"): _horizontal_pod_autoscaler,
    ("autoscaling", "scale"): scale,
    ("batch", "cronjobs"): _cron_job,
    ("batch", "jobs"): _job,
    ("policy", "poddisruptionbudgets"): _pod_disruption_budget,
}
