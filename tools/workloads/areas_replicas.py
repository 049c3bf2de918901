"""Cases about deployments, replica sets and replication controllers."""

from collections.abc import Callable
from typing import Any

from workloads.case import SIMULATE, Case, Object, container, template

LABELS = {"app": "web"}
UNREADY = ({"waiting": "ImagePullBackOff"}, {"ready-after": "1h"}, {"exit-code": "1", "exit-after": "0"})
"""Behaviours of containers that never become ready."""


def deployment(case: Case) -> None:
    """A deployment that is changed up to four times."""
    draw = case.draw
    spec: Object = {
        "replicas": draw.choice([0, 1, 2, 3, 5, 8]),
        "selector": {"matchLabels": LABELS},
        "template": template(LABELS, _behaviour(case)),
        "strategy": _strategy(case),
    }
    if draw.random() < 0.3:
        spec["minReadySeconds"] = draw.choice([1, 2])
    if draw.random() < 0.3:
        spec["revisionHistoryLimit"] = draw.choice([0, 1, 2])
    if draw.random() < 0.3:
        spec["progressDeadlineSeconds"] = draw.choice([4, 6])
    if draw.random() < 0.1:
        spec["paused"] = True
    quiet = 3 + spec.get("progressDeadlineSeconds", 0)
    case.create("Deployment", "web", spec, labels=LABELS, annotations={"team": "a"})
    case.rest(quiet)
    for number in range(draw.randrange(5)):
        draw.choice(CHANGES)(case, number)
        case.rest(quiet)


def _behaviour(case: Case) -> dict[str, str]:
    draw = case.draw
    if draw.random() < 0.2:
        return draw.choice(UNREADY)
    return {"ready-after": draw.choice(["0", "0", "200ms", "1s"])}


def _strategy(case: Case) -> Object:
    draw = case.draw
    if draw.random() < 0.25:
        return {"type": "Recreate"}
    if draw.random() < 0.4:
        return {"type": "RollingUpdate"}
    surge, missing = draw.choice([(1, 0), (0, 1), ("50%", 0), ("0%", "34%"), (2, 2), ("100%", "100%")])
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}}


def _scale(case: Case, number: int) -> None:
    case.patch("Deployment", "web", {"spec": {"replicas": case.draw.choice([0, 1, 2, 4, 6, 10])}})


def _image(case: Case, number: int) -> None:
    case.patch(
        "Deployment", "web", _template({"spec": {"containers": [container(image=f"nginx:{number + 2}")]}})
    )


def _first_image(case: Case, number: int) -> None:
    case.patch("Deployment", "web", _template({"spec": {"containers": [container(image="nginx:1")]}}))


def _behave(case: Case, number: int) -> None:
    notes = {SIMULATE + name: text for name, text in _behaviour(case).items()}
    case.patch("Deployment", "web", _template({"metadata": {"annotations": notes}}))


def _restart(case: Case, number: int) -> None:
    notes = {"kubectl.kubernetes.io/restartedAt": f"2026-01-0{number + 1}T00:00:00Z"}
    case.patch("Deployment", "web", _template({"metadata": {"annotations": notes}}))


def _pause(case: Case, number: int) -> None:
    case.patch("Deployment", "web", {"spec": {"paused": True}})
    if case.draw.random() < 0.5:
        case.rest()
        case.draw.choice([_image, _scale])(case, number)
    if case.draw.random() < 0.7:
        case.rest()
        case.patch("Deployment", "web", {"spec": {"paused": None}})


def _annotate(case: Case, number: int) -> None:
    note = {"kubernetes.io/change-cause": f"change {number}", "team": "b"}
    case.patch("Deployment", "web", {"metadata": {"annotations": note}})


def _ready_seconds(case: Case, number: int) -> None:
    case.patch("Deployment", "web", {"spec": {"minReadySeconds": case.draw.choice([0, 1, 2])}})


def _both(case: Case, number: int) -> None:
    """One request: of two the first may have been followed, or not, when the second comes."""
    pods = {"spec": {"containers": [container(image=f"nginx:{number + 2}")]}}
    spec = {"replicas": case.draw.choice([0, 1, 2, 4, 6, 10]), "template": pods}
    case.patch("Deployment", "web", {"spec": spec})


def _interrupted(case: Case, number: int) -> None:
    """Another image before the last one has been rolled out."""
    _image(case, number)
    case.rest(0.3)
    _image(case, number + 5)


def _other_strategy(case: Case, number: int) -> None:
    strategy = _strategy(case)
    strategy.setdefault("rollingUpdate", None)
    case.patch("Deployment", "web", {"spec": {"strategy": {"$retainKeys": list(strategy), **strategy}}})
    _image(case, number)


def _template(changes: Object) -> Object:
    return {"spec": {"template": changes}}


CHANGES: list[Callable[[Case, int], Any]] = [
    *(_scale, _scale, _image, _image, _first_image, _behave, _restart),
    *(_pause, _annotate, _ready_seconds, _both, _interrupted, _other_strategy),
]


def replica_set(case: Case) -> None:
    """A replica set or a replication controller that adopts, releases and is scaled."""
    draw = case.draw
    kind = draw.choice(["ReplicaSet", "ReplicaSet", "ReplicationController"])
    selector: Object = LABELS if kind == "ReplicationController" else {"matchLabels": LABELS}
    strays = draw.choice([0, 0, 1, 2])
    spec: Object = {"replicas": draw.choice([3, 5] if strays else [0, 1, 3, 5]), "selector": selector}
    spec["template"] = template({**LABELS, "tier": "x"} if draw.random() < 0.3 else LABELS, _behaviour(case))
    if draw.random() < 0.3:
        spec["minReadySeconds"] = 1
    for number in range(strays):
        case.create("Pod", f"stray-{number}", template(LABELS)["spec"], labels=LABELS)
    if strays:
        case.rest()
    case.create(kind, "set", spec, labels=LABELS)
    case.rest()
    if strays and draw.random() < 0.5:
        case.patch("Pod", "stray-0", {"metadata": {"labels": {"app": "other"}}})
        case.rest()
    for _ in range(draw.randrange(3)):  # of strays and others chance decides which one goes
        case.patch(kind, "set", {"spec": {"replicas": draw.choice([0, 6] if strays else [0, 1, 2, 6])}})
        case.rest()
    if draw.random() < 0.25:
        case.delete(kind, "set", draw.choice(["Background", "Foreground", "Orphan"]))
        case.rest()
