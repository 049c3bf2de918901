"""Cases about stateful sets and daemon sets."""

from typing import Any

from workloads.areas_replicas import UNREADY
from workloads.case import SIMULATE, Case, Object, container, template

LABELS = {"app": "db"}


def stateful_set(case: Case) -> None:
    """A stateful set that is scaled, updated and rolled back."""
    draw = case.draw
    spec: Object = {
        "replicas": draw.choice([0, 1, 2, 3, 4]),
        "serviceName": "db",
        "selector": {"matchLabels": LABELS},
        "podManagementPolicy": draw.choice(["OrderedReady", "Parallel"]),
        "updateStrategy": _update(case),
        "template": template(LABELS, {"ready-after": draw.choice(["0", "0", "300ms"])}),
    }
    if draw.random() < 0.2:
        spec["template"] = template(LABELS, draw.choice(UNREADY))
    if draw.random() < 0.3:
        spec["minReadySeconds"] = 1
    if draw.random() < 0.2:
        spec["ordinals"] = {"start": draw.choice([1, 5])}
    if draw.random() < 0.2:
        spec["revisionHistoryLimit"] = draw.choice([0, 1])
    if draw.random() < 0.4:
        _claims(case, spec)
    case.create("Service", "db", {"clusterIP": "None", "selector": LABELS, "ports": [{"port": 80}]})
    case.create("StatefulSet", "db", spec, labels=LABELS)
    case.rest()
    for number in range(draw.randrange(4)):
        _change(case, "StatefulSet", number)
        case.rest()
    if draw.random() < 0.2:
        case.delete("StatefulSet", "db", draw.choice(["Background", "Foreground", "Orphan"]))
        case.rest()


def _update(case: Case) -> Object:
    draw = case.draw
    if draw.random() < 0.2:
        return {"type": "OnDelete"}
    if draw.random() < 0.4:
        return {"type": "RollingUpdate", "rollingUpdate": {"partition": draw.choice([0, 1, 2, 9])}}
    return {"type": "RollingUpdate"}


def _claims(case: Case, spec: Object) -> None:
    """Claims that have no volume; what keeps them waiting are the pods that use them."""
    claim: Object = {"accessModes": ["ReadWriteOnce"], "storageClassName": f"{case.namespace}-none"}
    claim |= {"resources": {"requests": {"storage": "1Gi"}}}
    spec["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim}]
    keep = {"whenDeleted": case.draw.choice(["Retain", "Delete"])}
    if case.draw.random() < 0.7:
        kept = {**keep, "whenScaled": case.draw.choice(["Retain", "Delete"])}
        spec["persistentVolumeClaimRetentionPolicy"] = kept
    volume: Object = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/x"},
    }
    volume |= {"storageClassName": f"{case.namespace}-none", "persistentVolumeReclaimPolicy": "Retain"}
    for number in range(case.draw.choice([0, 8, 8])):
        case.create("PersistentVolume", f"{case.namespace}-{number}", volume)


def _change(case: Case, kind: str, number: int) -> None:
    draw = case.draw
    choice = draw.choice(["scale", "image", "first", "restart", "behave", "update", "pod"])
    if choice == "scale" and kind == "StatefulSet":
        case.patch(kind, "db", {"spec": {"replicas": draw.choice([0, 1, 2, 5])}})
    elif choice == "restart":
        _template(case, kind, {"metadata": {"annotations": {"restarted": str(number)}}})
    elif choice == "behave":
        notes: dict[str, Any] = draw.choice([*UNREADY, {name: None for one in UNREADY for name in one}])
        _template(case, kind, {"metadata": {"annotations": {SIMULATE + k: v for k, v in notes.items()}}})
    elif choice == "update":
        update = {"rollingUpdate": None, **_update(case)} if kind == "StatefulSet" else _daemon_update(case)
        case.patch(kind, "db", {"spec": {"updateStrategy": {"$retainKeys": list(update), **update}}})
        _image(case, kind, number)
    elif choice == "pod" and kind == "StatefulSet":
        case.delete("Pod", "db-0")
    else:
        _image(case, kind, -1 if choice == "first" else number)


def _image(case: Case, kind: str, number: int) -> None:
    _template(case, kind, {"spec": {"containers": [container(image=f"nginx:{number + 2}")]}})


def _template(case: Case, kind: str, changes: Object) -> None:
    case.patch(kind, "db", {"spec": {"template": changes}})


def daemon_set(case: Case) -> None:
    """A daemon set on some of the nodes."""
    draw = case.draw
    case.places = True
    more: Object = {}
    if draw.random() < 0.5:
        more["nodeSelector"] = draw.choice([{"pool": "main"}, {"pool": "small"}, {"pool": "none"}])
    if draw.random() < 0.4:
        more["tolerations"] = [draw.choice([{"operator": "Exists"}, {"key": "pool", "operator": "Exists"}])]
    if draw.random() < 0.3:
        zone = {
            "key": "topology.kubernetes.io/zone",
            "operator": draw.choice(["In", "NotIn"]),
            "values": ["a"],
        }
        term = {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}
        more["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
    if draw.random() < 0.15:
        more["containers"] = [container(resources={"requests": {"cpu": "3"}})]
    spec: Object = {
        "selector": {"matchLabels": LABELS},
        "updateStrategy": _daemon_update(case),
        "template": template(LABELS, draw.choice([{"ready-after": "0"}, {"ready-after": "300ms"}]), **more),
    }
    if draw.random() < 0.2:
        spec["template"]["metadata"]["annotations"] = {
            SIMULATE + k: v for k, v in draw.choice(UNREADY).items()
        }
    quiet = 3.0
    if draw.random() < 0.2:
        spec["minReadySeconds"], quiet = 1, 6.0
    if draw.random() < 0.2:
        spec["revisionHistoryLimit"] = draw.choice([0, 1])
    case.create("DaemonSet", "db", spec, labels=LABELS)
    case.rest()
    for number in range(draw.randrange(4)):
        _change(case, "DaemonSet", number)
        case.rest(quiet)
    if draw.random() < 0.15:
        case.delete("DaemonSet", "db", draw.choice(["Background", "Foreground", "Orphan"]))
        case.rest()


def _daemon_update(case: Case) -> Object:
    draw = case.draw
    if draw.random() < 0.2:
        return {"type": "OnDelete"}
    surge, missing = draw.choice([(0, 1), (0, "50%"), (1, 0), ("100%", 0), (0, 10)])
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}}
