"""One container of a simulated pod: it waits, runs and ends by the clock."""

import hashlib
from collections.abc import Sequence
from enum import Enum, auto

from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.configuration.simulation.stages import NEVER, Behaviour
from pilothouse.process.frozen import frozen
from pilothouse.simulate.kubelet.backoff import Backoff, shown

KILLED = 137
"""The exit code of a container that does not end in time."""


class ContainerKind(Enum):
    """How a container takes part in its pod."""

    INIT = auto()
    SIDECAR = auto()
    MAIN = auto()
    EPHEMERAL = auto()


@frozen
class End:
    """How a run has ended; times are Unix seconds."""

    code: int
    started: float
    finished: float
    message: str = ""
    restarts: int = 0
    """The number of the run."""
    why: str = ""

    @property
    def reason(self) -> str:
        """The reason in the status."""
        return self.why or ("Completed" if self.code == 0 else "Error")


LOST = End(
    KILLED,
    0.0,
    0.0,
    "The container could not be located when the pod was terminated",
    why="ContainerStatusUnknown",
)
"""The end of a container that has never run."""


class Run:
    """A container. One of these holds: it is `waiting` for a reason, `since` when it runs, its `end`."""

    __slots__ = (
        "_backoff",
        "behaviour",
        "due",
        "end",
        "kind",
        "last",
        "message",
        "name",
        "policy",
        "restarts",
        "rules",
        "since",
        "turn",
        "waiting",
    )

    def __init__(
        self,
        name: str,
        kind: ContainerKind,
        behaviour: Behaviour,
        policy: str,
        rules: Sequence[Object] = (),
    ) -> None:
        self.name = name
        self.policy = policy
        """Its restart policy: its own, or the pod's."""
        self.rules = rules
        """Which exit codes restart it, whatever the policy says (KEP-5307)."""
        self.kind = kind
        self.behaviour = behaviour
        self.waiting = "ContainerCreating"
        self.message = ""
        self.since: float | None = None
        self.end: End | None = None
        self.last: End | None = None
        self.restarts = 0
        self.turn: float | None = None
        """When it may start, as soon as that is known."""
        self.due = NEVER
        """When it starts or ends next."""
        self._backoff = Backoff()

    # --- what it is

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.since is not None

    def ready(self, now: float) -> bool:
        """Whether it is ready; one that prepares the pod is when it has done so."""
        if self.kind is ContainerKind.INIT:
            return self.end is not None and self.end.code == 0
        return self.since is not None and now >= self.since + self.behaviour.ready_after

    def identity(self, uid: str, run: int | None = None) -> str:
        """The ID of a run, by default the latest one."""
        text = f"{uid}/{self.name}/{self.restarts if run is None else run}"
        return f"simulated://{hashlib.sha256(text.encode()).hexdigest()}"

    # --- what happens to it

    def may_start(self, at: float) -> None:
        """Its turn has come."""
        if self.turn is None:
            self.turn = at
            self.due = NEVER if self.behaviour.waiting else at + self.behaviour.start_after
            if self.behaviour.waiting:
                self.waiting, self.message = self.behaviour.waiting, self.behaviour.waiting_message

    def advance(self, now: float, pod: str) -> None:
        """Do all that is due; `pod` names the pod in messages."""
        while self.due <= now:
            if self.since is None:
                self.start(self.due)
            else:
                self.stop(self.behaviour.exit_code(self.restarts), self.due)
                if self._is_restarted():
                    self._wait(pod)

    def start(self, at: float) -> None:
        """It runs from now on."""
        if self.last is not None or self.end is not None:
            self.last, self.end = self.end or self.last, None
            self.restarts += 1
        self.waiting = self.message = ""
        self.since = at
        self.due = at + (self.behaviour.exit_after if self.behaviour.exit_after is not None else NEVER)

    def stop(self, code: int, at: float) -> None:
        """It has ended."""
        assert self.since is not None
        text = self.behaviour.termination_message
        self.end = End(code, self.since, at, text, self.restarts)
        self.since = None
        self.due = NEVER

    def _is_restarted(self) -> bool:
        assert self.end is not None
        if self.kind is ContainerKind.SIDECAR:
            return True
        if any(_is_named(rule, self.end.code) for rule in self.rules):
            return True
        if self.kind is ContainerKind.EPHEMERAL or self.policy == "Never":
            return False
        return self.end.code != 0 or (self.policy == "Always" and self.kind is ContainerKind.MAIN)

    def _wait(self, pod: str) -> None:
        """Wait for the next start, after a while from the second time on."""
        end = self.end
        assert end is not None
        delay = self._backoff.delay(end.finished - end.started)
        self.due = end.finished + delay
        if delay:
            self.last, self.end = end, None
            self.waiting = "CrashLoopBackOff"
            self.message = f"back-off {shown(delay)} restarting failed container={self.name} pod={pod}"

    def hold(self) -> None:
        """Nothing more happens to it by itself."""
        self.due = NEVER

    def give_up(self) -> None:
        """It waits, and will not start any more."""
        if self.end is None and self.since is None:
            self.end = self.last or LOST
            self.waiting = self.message = ""

    # --- from and to its status

    def restore(self, status: Object) -> None:
        """Take over what the status of an earlier server says."""
        state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
        self.restarts = status.get("restartCount", 0)
        self._backoff = Backoff(self.restarts)
        self.last = _end(last, self.restarts - 1) if last else None
        self.turn = 0.0
        if running := state.get("running"):
            self.waiting, self.since = "", times.to_seconds(running["startedAt"])
            after = self.behaviour.exit_after
            self.due = self.since + (after if after is not None else NEVER)
        elif ended := state.get("terminated"):
            self.waiting, self.end = "", _end(ended, self.restarts)
        else:
            self.turn = None

    def resume(self, now: float, pod: str) -> None:
        """Go on after restore(): what has ended or waits for a restart is restarted."""
        if self.end is not None and self.due == NEVER and self._is_restarted():
            self._wait(pod)
        elif self.waiting and self.last is not None:
            self.turn = self.due = now


def _is_named(rule: Object, code: int) -> bool:
    """Whether a rule restarts a container that has ended with an exit code."""
    codes = rule.get("exitCodes") or {}
    listed = code in (codes.get("values") or ())
    return rule.get("action") == "Restart" and listed == (codes.get("operator") == "In")


def _end(given: Object, restarts: int) -> End:
    return End(
        given.get("exitCode", 0),
        times.to_seconds(given["startedAt"]) if given.get("startedAt") else 0.0,
        times.to_seconds(given["finishedAt"]) if given.get("finishedAt") else 0.0,
        given.get("message", ""),
        max(restarts, 0),
    )
