"""Defaults of the workload kinds: apps, batch, autoscaling and the ReplicationController."""

from pilothouse.api.defaults.core import each, fill, fill_empty, persistent_volume_claim, pod_spec
from pilothouse.api.values.fields import Object

MAX_INT32 = 2**31 - 1

DEFAULT_CPU_UTILIZATION = 80
_SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_SCALE_DOWN = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


def replication_controller(obj: Object) -> None:
    spec = obj["spec"]
    fill(spec, replicas=1)
    template = spec.get("template")
    if template is None:
        return
    labels = template["metadata"].get("labels")
    if labels:
        fill_empty(spec, selector=dict(labels))
        fill_empty(obj["metadata"], labels=dict(labels))
    pod_spec(template["spec"])


def deployment(obj: Object) -> None:
    spec = obj["spec"]
    fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec["strategy"]
    fill_empty(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(strategy, rollingUpdate={})
        fill(strategy["rollingUpdate"], maxUnavailable="25%", maxSurge="25%")
    pod_spec(spec["template"]["spec"])


def replica_set(obj: Object) -> None:
    fill(obj["spec"], replicas=1)
    pod_spec(obj["spec"]["template"]["spec"])


def daemon_set(obj: Object) -> None:
    spec = obj["spec"]
    strategy = spec["updateStrategy"]
    fill_empty(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(strategy, rollingUpdate={})
        fill(strategy["rollingUpdate"], maxUnavailable=1, maxSurge=0)
    fill(spec, revisionHistoryLimit=10)
    pod_spec(spec["template"]["spec"])


def stateful_set(obj: Object) -> None:
    spec = obj["spec"]
    fill_empty(spec, podManagementPolicy="OrderedReady")
    strategy = spec["updateStrategy"]
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        fill(strategy, rollingUpdate={})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        fill(strategy["rollingUpdate"], partition=0)
    fill(spec, persistentVolumeClaimRetentionPolicy={})
    fill_empty(spec["persistentVolumeClaimRetentionPolicy"], whenDeleted="Retain", whenScaled="Retain")
    fill(spec, replicas=1, revisionHistoryLimit=10)
    for claim in each(spec, "volumeClaimTemplates"):
        persistent_volume_claim(claim)
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"  # whatever was sent
    pod_spec(spec["template"]["spec"])


def job(obj: Object) -> None:
    spec = obj["spec"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    per_index = spec.get("backoffLimitPerIndex") is not None
    failure_policy = spec.get("podFailurePolicy") is not None
    fill(
        spec,
        parallelism=1,
        backoffLimit=MAX_INT32 if per_index else 6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="Failed" if failure_policy else "TerminatingOrFailed",
    )
    labels = spec["template"]["metadata"].get("labels")
    if labels:
        fill_empty(obj["metadata"], labels=dict(labels))
    _job_spec(spec)


def _job_spec(spec: Object) -> None:
    """Set the defaults of a job's spec, in a Job or in a CronJob's template."""
    for rule in each(spec.get("podFailurePolicy") or {}, "rules"):
        for pattern in each(rule, "onPodConditions"):
            fill_empty(pattern, status="True")
    pod_spec(spec["template"]["spec"])


def cron_job(obj: Object) -> None:
    spec = obj["spec"]
    fill_empty(spec, concurrencyPolicy="Allow")
    fill(spec, suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    _job_spec(spec["jobTemplate"]["spec"])


def cpu_utilization_metric(percentage: int = DEFAULT_CPU_UTILIZATION) -> Object:
    """The metric of an autoscaler that specifies none."""
    target = {"type": "Utilization", "averageUtilization": percentage}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def horizontal_pod_autoscaler(obj: Object) -> None:
    """Set the defaults of both versions; v1 has neither metrics nor behavior."""
    spec = obj["spec"]
    fill(spec, minReplicas=1)
    if obj.get("apiVersion") == "autoscaling/v1":
        return
    fill_empty(spec, metrics=[cpu_utilization_metric()])
    behavior = spec.get("behavior")
    if behavior is not None:
        behavior["scaleUp"] = _scaling_rules(behavior.get("scaleUp"), _SCALE_UP)
        behavior["scaleDown"] = _scaling_rules(behavior.get("scaleDown"), _SCALE_DOWN)


def _scaling_rules(given: Object | None, default: Object) -> Object:
    rules = {**default, **{name: value for name, value in (given or {}).items() if value is not None}}
    rules["policies"] = [dict(policy) for policy in rules["policies"]]
    return rules
