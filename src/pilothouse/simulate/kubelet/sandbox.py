"""One pod on a simulated node: its containers in their order, from its start to its end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import is_sidecar
from pilothouse.configuration.simulation.stages import NEVER, Behaviour, Stage, changed, rules_for, said_by
from pilothouse.simulate.kubelet.containers import KILLED, ContainerKind, Run

DEADLINE = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")

PLAIN = Behaviour()
LASTS, ENDS = replace(PLAIN, exit_after=NEVER), replace(PLAIN, exit_after=0.0)


class Sandbox:
    """The containers of a pod. `step` does what is due, and says when to look again."""

    def __init__(self, pod: Object, stages: Sequence[Stage], ip: str, now: float) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        self.uid: str = metadata["uid"]
        self.name = f"{metadata['name']}_{metadata['namespace']}({self.uid})"
        self.ip = ip
        self.started = now
        self.policy: str = spec.get("restartPolicy", "Always")
        self.faults: list[str] = []
        """The faults of annotations that cannot be read."""
        self._stages = stages
        self.init = [self._run(pod, one, _kind(one)) for one in spec.get("initContainers") or ()]
        self.main = [self._run(pod, one, ContainerKind.MAIN) for one in spec.get("containers") or ()]
        self.ephemeral: list[Run] = []
        self.reason, self.message = "", ""
        """Why the pod has failed as a whole."""
        seconds = spec.get("activeDeadlineSeconds")
        self._deadline = now + seconds if seconds else NEVER
        self._ending: float | None = None
        self._grace = 0.0
        if (pod.get("status") or {}).get("startTime"):
            self._restore(pod, now, seconds)

    def _run(self, pod: Object, container: Object, kind: ContainerKind) -> Run:
        behaviour = PLAIN
        try:
            for said in rules_for(tuple(self._stages), pod, container):
                behaviour = changed(behaviour, said)
            annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
            behaviour = changed(behaviour, _known(said_by(annotations, container["name"])))
        except ValueError as error:
            self.faults.append(str(error))
        policy: str = container.get("restartPolicy") or self.policy
        if behaviour.exit_after is None:
            lasting = kind in (ContainerKind.SIDECAR, ContainerKind.EPHEMERAL)
            lasting = lasting or (kind is ContainerKind.MAIN and policy == "Always")
            if behaviour == PLAIN:
                behaviour = LASTS if lasting else ENDS  # shared by all that nothing is said of
            else:
                behaviour = replace(behaviour, exit_after=NEVER if lasting else 0.0)
        rules = container.get("restartPolicyRules") or ()
        return Run(
            container["name"], kind, behaviour, "Never" if kind is ContainerKind.EPHEMERAL else policy, rules
        )

    def _restore(self, pod: Object, now: float, seconds: int | None) -> None:
        status = pod["status"]
        self.started = times.to_seconds(status["startTime"])
        if seconds:
            self._deadline = self.started + seconds
        known = {
            one["name"]: one
            for member in ("initContainerStatuses", "containerStatuses")
            for one in status.get(member) or ()
        }
        for run in (*self.init, *self.main):
            if run.name in known:
                run.restore(known[run.name])
                run.resume(now, self.name)

    # --- what it is

    def all(self) -> Iterator[Run]:
        """The containers, in their order."""
        yield from self.init
        yield from self.main
        yield from self.ephemeral

    def find(self, container: str) -> Run | None:
        """A container by its name."""
        return next((run for run in self.all() if run.name == container), None)

    @property
    def initialized(self) -> bool:
        """Whether the containers that prepare the pod have done so, and the sidecars run."""
        return all(_is_passed(run) for run in self.init)

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing will."""
        if self.reason:
            return True
        if any(run.kind is ContainerKind.INIT and self._has_failed(run) for run in self.init):
            return True
        return all(run.end is not None and run.due == NEVER for run in self.main)

    @property
    def phase(self) -> str:
        """The phase of the pod (kubelet getPhase)."""
        if self.reason or any(run.kind is ContainerKind.INIT and self._has_failed(run) for run in self.init):
            return "Failed"
        if not self.initialized and not any(run.running or run.end or run.last for run in self.main):
            return "Pending"
        if any(not run.running and run.end is None and run.last is None for run in self.main):
            return "Pending"
        if not self.finished:
            return "Running"
        return "Succeeded" if all(run.end and run.end.code == 0 for run in self.main) else "Failed"

    def _has_failed(self, run: Run) -> bool:
        """Whether a container has failed for good."""
        return run.end is not None and run.end.code != 0 and run.due == NEVER

    # --- what happens to it

    def follow(self, pod: Object) -> None:
        """Take up containers that were added for debugging."""
        known = {run.name for run in self.ephemeral}
        for container in pod["spec"].get("ephemeralContainers") or ():
            if container["name"] not in known:
                self.ephemeral.append(self._run(pod, container, ContainerKind.EPHEMERAL))

    def end(self, now: float, grace: float) -> None:
        """The pod is being deleted: its containers get this long to end; a later call may shorten it."""
        if self._ending is None:
            self._ending, self._grace = now, grace
        elif now + grace < self._ending + self._grace:
            self._grace = max(now + grace - self._ending, 0.0)

    @property
    def ended(self) -> bool:
        """Whether the pod was to end, and nothing runs any more."""
        return self._ending is not None and not any(run.running for run in self.all())

    def step(self, now: float) -> float:
        """Do all that is due; when to look again, NEVER if only something from outside changes anything."""
        if self._ending is not None:
            return self._stop(now)
        if now >= self._deadline and not self.finished:
            self._fail(*DEADLINE, self._deadline)
            return NEVER
        if self.finished:
            return self._wind_down(now)
        due = self._prepare(now)
        for run in self.ephemeral:
            run.may_start(now)
            run.advance(now, self.name)
        if self.finished:
            due = self._wind_down(now)
        runs = [run.due for run in self.all()]
        ready = [at for run in self.all() if (at := _ready_at(run)) > now]
        return min((due, self._deadline if not self.finished else NEVER, *runs, *ready))

    def _prepare(self, now: float) -> float:
        """Advance the containers whose turn it is, one after the other, then all others together."""
        turn = self.started
        for run in self.init:
            run.may_start(turn)
            run.advance(now, self.name)
            if not _is_passed(run) and not any(other.turn is not None for other in self.main):
                return NEVER
            turn = max(turn, _passed_at(run))
        for run in self.main:
            run.may_start(turn)
            run.advance(now, self.name)
        return NEVER

    def _wind_down(self, now: float) -> float:
        """The pod has finished: what runs beside is stopped."""
        at = max((run.end.finished for run in self.main if run.end is not None), default=now)
        for run in (*self.init, *self.ephemeral):
            if run.running:
                run.stop(0, max(at, run.since or 0.0))
            run.hold()
        return NEVER

    def _fail(self, reason: str, message: str, at: float) -> None:
        self.reason, self.message = reason, message
        for run in self.all():
            if run.running:
                run.stop(KILLED, at)
            run.hold()

    def _stop(self, now: float) -> float:
        """Have the containers end, the sidecars after the others; when to look again."""
        assert self._ending is not None
        for run in self.all():
            run.hold()
        late = self._ending + self._grace
        stages = (self.main + self.ephemeral, self.init)
        begun = self._ending
        for group in stages:
            running = [run for run in group if run.running]
            due = {run.name: min(begun + run.behaviour.terminate_after, late) for run in running}
            for run in running:
                if due[run.name] <= now:
                    in_time = begun + run.behaviour.terminate_after <= late
                    run.stop(0 if in_time else KILLED, due[run.name])
            if any(run.running for run in group):
                return min(due[run.name] for run in group if run.running)
            begun = max([begun, *due.values()])
        for run in self.all():
            run.give_up()
        return NEVER


def _kind(container: Object) -> ContainerKind:
    return ContainerKind.SIDECAR if is_sidecar(container) else ContainerKind.INIT


def _known(said: Mapping[str, str]) -> dict[str, str]:
    """The texts that describe a container, without the annotations of nodes."""
    return {name: text for name, text in said.items() if name not in ("node", "state")}


def _is_passed(run: Run) -> bool:
    """Whether the next container may begin after this one."""
    if run.kind is ContainerKind.SIDECAR:
        return run.running or run.last is not None or run.end is not None
    return run.end is not None and run.end.code == 0


def _passed_at(run: Run) -> float:
    """When the next container could begin."""
    if run.kind is ContainerKind.SIDECAR:
        return run.since or 0.0
    return run.end.finished if run.end is not None else 0.0


def _ready_at(run: Run) -> float:
    """When a container that runs becomes ready."""
    return run.since + run.behaviour.ready_after if run.since is not None else 0.0
