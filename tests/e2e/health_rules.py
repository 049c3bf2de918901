"""When tools call an object healthy, by their documentation:
Argo CD, kstatus (Flux, Helm 4), alerts on kube-state-metrics."""

from collections.abc import Callable, Iterable
from typing import Any

Object = dict[str, Any]


def condition(obj: Object, kind: str) -> Object:
    """A condition of an object; {} if it has none of the type."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})


def holds(obj: Object, kind: str) -> bool:
    return bool(condition(obj, kind).get("status") == "True")


def observed(obj: Object) -> bool:
    """Whether a controller has seen the object as it is now, if its kind tells of that."""
    seen = (obj.get("status") or {}).get("observedGeneration")
    return bool(seen is None or seen >= obj["metadata"].get("generation", 0))


def wanted(obj: Object) -> int:
    replicas: int = obj["spec"].get("replicas", 1)
    return replicas


def balanced(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("loadBalancer", {}).get("ingress"))


def counts(obj: Object, number: int, *names: str) -> bool:
    """Whether members of the status are this number."""
    return all(obj["status"].get(name, 0) == number for name in names)


# Argo CD: docs/operator-manual/health


def argo(obj: Object) -> str:
    """Healthy, Progressing, Degraded or Suspended."""
    if "deletionTimestamp" in obj["metadata"]:
        return "Progressing"
    check = ARGO.get(obj["kind"])
    return check(obj) if check else "Healthy"


def _argo_deployment(obj: Object) -> str:
    if obj["spec"].get("paused"):
        return "Suspended"
    if condition(obj, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return "Degraded"
    updated = counts(obj, wanted(obj), "updatedReplicas", "replicas", "availableReplicas")
    return "Healthy" if observed(obj) and "observedGeneration" in obj["status"] and updated else "Progressing"


def _argo_stateful_set(obj: Object) -> str:
    status = obj["status"]
    rolled = status.get("updateRevision") == status.get("currentRevision")
    ready = counts(obj, wanted(obj), "readyReplicas", "updatedReplicas")
    return (
        "Healthy" if observed(obj) and "observedGeneration" in status and rolled and ready else "Progressing"
    )


def _argo_daemon_set(obj: Object) -> str:
    desired = obj["status"].get("desiredNumberScheduled", 0)
    ready = counts(obj, desired, "updatedNumberScheduled", "numberAvailable")
    return "Healthy" if observed(obj) and "observedGeneration" in obj["status"] and ready else "Progressing"


def _argo_replica_set(obj: Object) -> str:
    if holds(obj, "ReplicaFailure"):
        return "Degraded"
    return "Healthy" if observed(obj) and counts(obj, wanted(obj), "availableReplicas") else "Progressing"


def _argo_job(obj: Object) -> str:
    if holds(obj, "Failed"):
        return "Degraded"
    if holds(obj, "Suspended"):
        return "Suspended"
    return "Healthy" if holds(obj, "Complete") else "Progressing"


def _argo_pod(obj: Object) -> str:
    status = obj["status"]
    waiting = [
        one["state"].get("waiting", {}).get("reason", "") for one in status.get("containerStatuses") or ()
    ]
    bad = any(reason.endswith(("BackOff", "Error")) or reason.startswith("Err") for reason in waiting)
    if status["phase"] == "Failed" or (bad and obj["spec"]["restartPolicy"] == "Always"):
        return "Degraded"
    return "Healthy" if status["phase"] == "Succeeded" or holds(obj, "Ready") else "Progressing"


def _argo_autoscaler(obj: Object) -> str:
    for one in obj["status"].get("conditions") or ():
        if one["status"] == "False" and one["reason"] in (
            "FailedGetScale",
            "FailedUpdateScale",
            "InvalidSelector",
        ):
            return "Degraded"
    return "Healthy" if holds(obj, "AbleToScale") or holds(obj, "ScalingLimited") else "Progressing"


def _argo_definition(obj: Object) -> str:
    if condition(obj, "NamesAccepted").get("status") == "False":
        return "Degraded"
    return "Healthy" if holds(obj, "Established") else "Progressing"


def _argo_balancer(obj: Object) -> str:
    plain = obj["kind"] == "Service" and obj["spec"]["type"] != "LoadBalancer"
    return "Healthy" if plain or balanced(obj) else "Progressing"


def _argo_claim(obj: Object) -> str:
    return {"Lost": "Degraded", "Bound": "Healthy"}.get(obj["status"]["phase"], "Progressing")


def _argo_api_service(obj: Object) -> str:
    return "Healthy" if holds(obj, "Available") else "Progressing"


ARGO: dict[str, Callable[[Object], str]] = {
    "APIService": _argo_api_service,
    "CustomResourceDefinition": _argo_definition,
    "DaemonSet": _argo_daemon_set,
    "Deployment": _argo_deployment,
    "HorizontalPodAutoscaler": _argo_autoscaler,
    "Ingress": _argo_balancer,
    "Job": _argo_job,
    "PersistentVolumeClaim": _argo_claim,
    "Pod": _argo_pod,
    "ReplicaSet": _argo_replica_set,
    "Service": _argo_balancer,
    "StatefulSet": _argo_stateful_set,
}


# kstatus: its README


def kstatus(obj: Object) -> str:
    """Current, InProgress, Failed or Terminating."""
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    if not observed(obj) or holds(obj, "Reconciling"):
        return "InProgress"
    if holds(obj, "Stalled"):
        return "Failed"
    return KSTATUS.get(obj["kind"], _kstatus_ready)(obj)


def _current(is_so: bool) -> str:
    return "Current" if is_so else "InProgress"


def _kstatus_ready(obj: Object) -> str:
    """Other kinds count as current unless a condition Ready says otherwise."""
    return _current(condition(obj, "Ready").get("status", "True") == "True")


def _kstatus_deployment(obj: Object) -> str:
    progressing = condition(obj, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return "Failed"
    numbers = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
    rolled = progressing.get("status") == "True" and progressing["reason"] == "NewReplicaSetAvailable"
    return _current(rolled and holds(obj, "Available") and counts(obj, wanted(obj), *numbers))


def _kstatus_stateful_set(obj: Object) -> str:
    rolled = obj["status"].get("currentRevision") == obj["status"].get("updateRevision")
    return _current(rolled and counts(obj, wanted(obj), "replicas", "readyReplicas", "currentReplicas"))


def _kstatus_daemon_set(obj: Object) -> str:
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    return _current(
        "observedGeneration" in obj["status"]
        and counts(obj, obj["status"].get("desiredNumberScheduled", -1), *names)
    )


def _kstatus_replica_set(obj: Object) -> str:
    if holds(obj, "ReplicaFailure"):
        return "InProgress"
    return _current(
        counts(obj, wanted(obj), "fullyLabeledReplicas", "availableReplicas", "readyReplicas", "replicas")
    )


def _kstatus_job(obj: Object) -> str:
    if holds(obj, "Failed"):
        return "Failed"
    return _current(holds(obj, "Complete") or holds(obj, "Suspended") or "startTime" in obj["status"])


def _kstatus_pod(obj: Object) -> str:
    status = obj["status"]
    looping = any(
        one["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        for one in status.get("containerStatuses") or ()
    )
    if status["phase"] == "Failed" or looping:
        return "Failed"
    return _current(status["phase"] == "Succeeded" or (status["phase"] == "Running" and holds(obj, "Ready")))


def _kstatus_service(obj: Object) -> str:
    return _current(
        obj["spec"]["type"] != "LoadBalancer" or (bool(obj["spec"]["clusterIP"]) and balanced(obj))
    )


def _kstatus_definition(obj: Object) -> str:
    if condition(obj, "NamesAccepted").get("status") == "False":
        return "Failed"
    return _current(holds(obj, "NamesAccepted") and holds(obj, "Established"))


KSTATUS: dict[str, Callable[[Object], str]] = {
    "CustomResourceDefinition": _kstatus_definition,
    "DaemonSet": _kstatus_daemon_set,
    "Deployment": _kstatus_deployment,
    "Job": _kstatus_job,
    "PersistentVolumeClaim": lambda obj: _current(obj["status"]["phase"] == "Bound"),
    "Pod": _kstatus_pod,
    "PodDisruptionBudget": lambda obj: _current("observedGeneration" in obj["status"]),
    "ReplicaSet": _kstatus_replica_set,
    "Service": _kstatus_service,
    "StatefulSet": _kstatus_stateful_set,
}


# The alerts that the monitoring mixin of Kubernetes makes of kube-state-metrics, without their times


def alerts(objects: Iterable[Object]) -> set[tuple[str, str]]:
    """The alerts and the objects that they name."""
    return {(name, obj["metadata"]["name"]) for obj in objects for name in _alerts(obj)}


def _alerts(obj: Object) -> list[str]:
    return [name for name, kind, check in ALERTS if kind == obj["kind"] and check(obj)]


def _waiting(obj: Object) -> list[str]:
    """The reasons for which containers wait (kube_pod_container_status_waiting_reason)."""
    containers = obj["status"].get("containerStatuses") or ()
    return [one["state"]["waiting"]["reason"] for one in containers if "waiting" in one["state"]]


def _unlike(obj: Object) -> bool:
    """Compare kube_*_status_observed_generation with kube_*_metadata_generation."""
    return bool(obj["status"].get("observedGeneration") != obj["metadata"]["generation"])


def _stuck(obj: Object) -> bool:
    desired = obj["status"]["desiredNumberScheduled"]
    names = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return bool(obj["status"].get("numberMisscheduled")) or not counts(obj, desired, *names)


def _scales_in_vain(obj: Object) -> bool:
    current, spec = obj["status"].get("currentReplicas", 0), obj["spec"]
    within = spec.get("minReplicas", 1) < current < spec["maxReplicas"]
    return bool(within and obj["status"]["desiredReplicas"] != current)


def _short(name: str) -> Callable[[Object], bool]:
    """Whether a member of the status is not the number of replicas that is wanted."""
    return lambda obj: not counts(obj, wanted(obj), name)


def _halted(obj: Object) -> bool:
    return bool(condition(obj, "Progressing").get("status") == "False")


def _failed(obj: Object) -> bool:
    return bool(obj["status"].get("failed")) and holds(obj, "Failed")


def _disrupted(obj: Object) -> bool:
    return bool(obj["status"]["desiredHealthy"] > obj["status"]["currentHealthy"])


def _unreachable(obj: Object) -> bool:
    return "node.kubernetes.io/unreachable" in {one["key"] for one in obj["spec"].get("taints") or ()}


ALERTS: list[tuple[str, str, Callable[[Object], bool]]] = [
    ("KubePodCrashLooping", "Pod", lambda obj: "CrashLoopBackOff" in _waiting(obj)),
    ("KubePodNotReady", "Pod", lambda obj: obj["status"]["phase"] in ("Pending", "Unknown", "Failed")),
    ("KubeContainerWaiting", "Pod", lambda obj: bool(_waiting(obj))),
    ("KubeDeploymentGenerationMismatch", "Deployment", _unlike),
    ("KubeDeploymentReplicasMismatch", "Deployment", _short("availableReplicas")),
    ("KubeDeploymentRolloutStuck", "Deployment", _halted),
    ("KubeStatefulSetGenerationMismatch", "StatefulSet", _unlike),
    ("KubeStatefulSetReplicasMismatch", "StatefulSet", _short("readyReplicas")),
    ("KubeStatefulSetUpdateNotRolledOut", "StatefulSet", _short("updatedReplicas")),
    ("KubeDaemonSetRolloutStuck", "DaemonSet", _stuck),
    ("KubeJobFailed", "Job", _failed),
    ("KubeHpaReplicasMismatch", "HorizontalPodAutoscaler", _scales_in_vain),
    ("KubePdbNotEnoughHealthyPods", "PodDisruptionBudget", _disrupted),
    (
        "KubePersistentVolumeErrors",
        "PersistentVolume",
        lambda obj: obj["status"]["phase"] in ("Failed", "Pending"),
    ),
    ("KubeNodeNotReady", "Node", lambda obj: not holds(obj, "Ready")),
    ("KubeNodeUnreachable", "Node", _unreachable),
]
