"""The status of a simulated pod, as its kubelet reports it (kubelet generateAPIPodStatus)."""

import hashlib
from collections.abc import Iterable, Sequence

from pilothouse.api import meta
from pilothouse.api.values.fields import Object
from pilothouse.simulate import conditions
from pilothouse.simulate.kubelet.containers import ContainerKind, End, Run
from pilothouse.simulate.kubelet.sandbox import Sandbox

OWN = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
"""The conditions that the kubelet keeps; others stay as they are."""

_NOT_READY, _GATES = "ContainersNotReady", "ReadinessGatesNotReady"


def status_of(pod: Object, sandbox: Sandbox, host: str, now: float) -> Object:
    """The status of a pod at a time; `host` is the address of its node."""
    old = pod.get("status") or {}
    generation = pod["metadata"].get("generation", 0)
    phase = old.get("phase") if old.get("phase") in ("Succeeded", "Failed") else sandbox.phase
    status: Object = {
        **old,
        "observedGeneration": generation,
        "phase": phase,
        "hostIP": host,
        "hostIPs": [{"ip": host}],
        "podIP": sandbox.ip,
        "podIPs": [{"ip": sandbox.ip}],
        "startTime": meta.now(sandbox.started),
        "containerStatuses": _statuses(pod, sandbox, sandbox.main, now),
    }
    if sandbox.init:
        status["initContainerStatuses"] = _statuses(pod, sandbox, sandbox.init, now)
    if sandbox.ephemeral:
        status["ephemeralContainerStatuses"] = _statuses(pod, sandbox, sandbox.ephemeral, now)
    if sandbox.reason:
        status |= {"reason": sandbox.reason, "message": sandbox.message}
    _set_conditions(pod, status, sandbox, phase or "", now)
    return status


def _set_conditions(pod: Object, status: Object, sandbox: Sandbox, phase: str, now: float) -> None:
    stamp, generation = meta.now(now), pod["metadata"].get("generation", 0)
    mine = _conditions(pod, sandbox, phase, now)
    known = status.get("conditions") or ()
    scratch: Object = {"conditions": [one for one in known if one.get("type") in OWN]}
    for one in mine:
        if generation:
            one["observedGeneration"] = generation
        conditions.set_condition(scratch, one, stamp)
    ordered = sorted(scratch["conditions"], key=lambda one: OWN.index(one["type"]))
    status["conditions"] = [*(one for one in known if one.get("type") not in OWN), *ordered]


def _conditions(pod: Object, sandbox: Sandbox, phase: str, now: float) -> Iterable[Object]:
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    yield _condition("PodReadyToStartContainers", holds=not ended)
    waiting = [run.name for run in sandbox.init if not _is_done(run)]
    if ended == "PodCompleted":
        yield _condition("Initialized", holds=True, reason=ended)
    elif waiting:
        text = f"containers with incomplete status: [{' '.join(waiting)}]"
        yield _condition("Initialized", holds=False, reason="ContainersNotInitialized", message=text)
    else:
        yield _condition("Initialized", holds=True)
    if ended:
        yield _condition("Ready", holds=False, reason=ended)
        yield _condition("ContainersReady", holds=False, reason=ended)
    else:
        counted = (*(run for run in sandbox.init if run.kind is ContainerKind.SIDECAR), *sandbox.main)
        unready = [run.name for run in counted if not run.ready(now)]
        text = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
        gates = "" if unready else _gates(pod)
        reason = _NOT_READY if unready else _GATES if gates else ""
        yield _condition("Ready", holds=not reason, reason=reason, message=text or gates)
        yield _condition(
            "ContainersReady", holds=not unready, reason=_NOT_READY if unready else "", message=text
        )
    yield _condition("PodScheduled", holds=True)


def _condition(kind: str, *, holds: bool, reason: str = "", message: str = "") -> Object:
    made: Object = {"type": kind, "status": "True" if holds else "False"}
    if reason:
        made["reason"] = reason
    return made | {"message": message} if message else made


def _is_done(run: Run) -> bool:
    return run.running if run.kind is ContainerKind.SIDECAR else run.ready(0.0)


def _gates(pod: Object) -> str:
    """Which readiness gates keep a pod from being ready."""
    status, missing = pod.get("status") or {}, []
    for gate in pod["spec"].get("readinessGates") or ():
        name = gate.get("conditionType", "")
        found = conditions.find(status, name)
        if found is None:
            missing.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif found.get("status") != "True":
            missing.append(
                f'the status of pod readiness gate "{name}" is not "True", but {found.get("status", "")}'
            )
    return ", ".join(missing)


# Containers


def _statuses(pod: Object, sandbox: Sandbox, runs: Sequence[Run], now: float) -> list[Object]:
    return [_status(pod, sandbox, run, now) for run in sorted(runs, key=lambda run: run.name)]


def _status(pod: Object, sandbox: Sandbox, run: Run, now: float) -> Object:
    spec = _spec(pod, run)
    image = spec.get("image", "")
    seen = run.running or run.end is not None or run.last is not None
    status: Object = {
        "name": run.name,
        "state": _state(sandbox, run),
        "lastState": {"terminated": _ended(sandbox, run, run.last)} if run.last is not None else {},
        "ready": run.ready(now),
        "restartCount": run.restarts,
        "image": image,
        "imageID": _image_id(image) if seen else "",
        "started": run.running,
    }
    if run.running or run.end is not None:
        status["containerID"] = run.identity(sandbox.uid)
    elif run.last is not None:
        status["containerID"] = run.identity(sandbox.uid, run.last.restarts)
    resources = spec.get("resources") or {}
    if resources and seen:
        status["resources"] = resources
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
    return status


def _spec(pod: Object, run: Run) -> Object:
    """The container as the pod has it now: its image and its resources may change."""
    members = ("containers", "initContainers", "ephemeralContainers")
    found = (one for member in members for one in pod["spec"].get(member) or () if one["name"] == run.name)
    return next(found, {})


def _state(sandbox: Sandbox, run: Run) -> Object:
    if run.since is not None:
        return {"running": {"startedAt": meta.now(run.since)}}
    if run.end is not None:
        return {"terminated": _ended(sandbox, run, run.end)}
    reason = run.waiting
    if reason == "ContainerCreating" and sandbox.init:
        reason = "PodInitializing"
    return {"waiting": {"reason": reason, "message": run.message} if run.message else {"reason": reason}}


def _ended(sandbox: Sandbox, run: Run, end: End) -> Object:
    made: Object = {"exitCode": end.code, "reason": end.reason}
    if end.message:
        made["message"] = end.message
    if not end.started:
        return made | {"startedAt": None, "finishedAt": None}
    times = {"startedAt": meta.now(end.started), "finishedAt": meta.now(end.finished)}
    return made | times | {"containerID": run.identity(sandbox.uid, end.restarts)}


def _image_id(image: str) -> str:
    name = image.partition("@")[0]
    base, colon, tag = name.rpartition(":")
    repository = base if colon and "/" not in tag else name
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"
