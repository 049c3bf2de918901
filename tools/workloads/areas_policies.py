"""Cases about disruption budgets, autoscalers, quotas, and volumes."""

from typing import Any

from workloads.case import SIMULATE, Case, Object, container, template

LABELS = {"app": "kept"}
RESYNC = 17.0
"""Seconds in which the stock controller of volumes looks at all claims again."""


def budget(case: Case) -> None:
    """A disruption budget, evictions, and what its pods belong to."""
    draw = case.draw
    value: Any = draw.choice([0, 1, 2, "50%", "100%"])
    spec: Object = {
        "selector": {"matchLabels": LABELS},
        draw.choice(["minAvailable", "maxUnavailable"]): value,
    }
    if draw.random() < 0.4:
        spec["unhealthyPodEvictionPolicy"] = draw.choice(["IfHealthyBudget", "AlwaysAllow"])
    case.create("PodDisruptionBudget", "kept", spec)
    notes = draw.choice([{"ready-after": "0"}, {"ready-after": "0"}, {"ready-after": "1h"}])
    owner = draw.choice(["Deployment", "StatefulSet", "ReplicationController", "Pod"])
    if owner == "Pod":
        for number in range(draw.choice([1, 3])):
            case.create("Pod", f"kept-{number}", template(LABELS)["spec"], labels=LABELS)
    else:
        selector: Object = LABELS if owner == "ReplicationController" else {"matchLabels": LABELS}
        more = {"serviceName": "kept"} if owner == "StatefulSet" else {}
        case.create(
            owner,
            "kept",
            {
                "replicas": draw.choice([1, 2, 4]),
                "selector": selector,
                "template": template(LABELS, notes),
                **more,
            },
        )
    case.rest()
    if owner in ("StatefulSet", "Pod"):
        case.evict("kept-0")
        case.rest()
    elif draw.random() < 0.5:
        case.patch(owner, "kept", {"spec": {"replicas": draw.choice([0, 3])}})
        case.rest()


def autoscaler(case: Case) -> None:
    """An autoscaler without metrics."""
    draw = case.draw
    kind = draw.choice(["Deployment", "StatefulSet", "ReplicaSet"])
    more = {"serviceName": "kept"} if kind == "StatefulSet" else {}
    spec = {"replicas": draw.choice([0, 1, 3, 7]), "selector": {"matchLabels": LABELS}, **more}
    requests = draw.choice([{}, {"cpu": "100m"}])
    pods = template(LABELS, containers=[container(resources={"requests": requests})])
    case.create(kind, "kept", {**spec, "template": pods})
    cpu = {"type": "Utilization", "averageUtilization": 50}
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "target": cpu}},
        {
            "type": "Resource",
            "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
        },
        {
            "type": "Pods",
            "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}},
        },
        {
            "type": "External",
            "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "10"}},
        },
    ]
    bounds: Object = {"minReplicas": draw.choice([1, 2]), "maxReplicas": draw.choice([2, 5])}
    target = {"apiVersion": "apps/v1", "kind": kind, "name": draw.choice(["kept", "kept", "kept", "gone"])}
    bounds |= {"scaleTargetRef": target, "metrics": [draw.choice(metrics)]}
    if draw.random() < 0.2:
        bounds["metrics"].append(metrics[1])
    case.create("HorizontalPodAutoscaler", "kept", bounds)
    case.rest(5.0)


def quota(case: Case) -> None:
    """A quota that keeps a workload from having all of its pods."""
    draw = case.draw
    hard = draw.choice(
        [
            {"pods": "2"},
            {"requests.cpu": "300m", "pods": "10"},
            {"count/replicasets.apps": "1"},
            {"services": "1"},
        ]
    )
    case.create("ResourceQuota", "limits", {"hard": hard})
    case.rest(2.0)
    kind = draw.choice(["Deployment", "ReplicaSet", "StatefulSet", "Job"])
    pods = template(LABELS, containers=[container(resources={"requests": {"cpu": "100m"}})])
    spec: Object = {"replicas": 4, "selector": {"matchLabels": LABELS}, "template": pods}
    if kind == "StatefulSet":
        spec["serviceName"] = "kept"
    if kind == "Job":
        pods["spec"]["restartPolicy"] = "Never"
        pods["metadata"]["annotations"] = {SIMULATE + "exit-after": "never"}
        spec = {"parallelism": 4, "completions": 4, "template": pods}
    case.create(kind, "kept", spec)
    case.create("Service", "kept", {"ports": [{"port": 80}], "selector": LABELS})
    case.rest(6.0)


def volume(case: Case) -> None:
    """Claims and volumes that exist or not, bound at once or when a pod comes."""
    draw = case.draw
    name, waits = case.namespace, draw.random() < 0.5
    top = {"provisioner": "kubernetes.io/no-provisioner"}
    top |= {"volumeBindingMode": "WaitForFirstConsumer" if waits else "Immediate"}
    case.create("StorageClass", name, top=top)
    for number in range(draw.choice([0, 1, 2])):
        spec: Object = {
            "capacity": {"storage": draw.choice(["1Gi", "5Gi"])},
            "accessModes": draw.choice([["ReadWriteOnce"], ["ReadWriteMany", "ReadWriteOnce"]]),
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": name,
            "hostPath": {"path": f"/{number}"},
        }
        if draw.random() < 0.2:
            spec["claimRef"] = {"namespace": name, "name": "data"}
        case.create("PersistentVolume", f"{name}-{number}", spec)
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": draw.choice(["1Gi", "2Gi"])}},
        "storageClassName": name,
    }
    if draw.random() < 0.2:
        claim["volumeName"] = f"{name}-0"
    case.create("PersistentVolumeClaim", "data", claim)
    case.rest(RESYNC)
    if draw.random() < 0.7:
        mounted = [
            {"name": "v", "persistentVolumeClaim": {"claimName": draw.choice(["data", "data", "gone"])}}
        ]
        case.create("Pod", "user", template(LABELS, volumes=mounted)["spec"], labels=LABELS)
        case.rest()
    for _ in range(draw.randrange(3)):
        _less(case)
        case.rest()


def _less(case: Case) -> None:
    """Take something away."""
    choice = case.draw.choice(["claim", "pod", "volume"])
    if choice == "claim":
        case.delete("PersistentVolumeClaim", "data")
    elif choice == "pod":
        case.delete("Pod", "user")
    else:
        case.delete("PersistentVolume", f"{case.namespace}-0")
