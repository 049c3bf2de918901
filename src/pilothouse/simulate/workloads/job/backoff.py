"""How long a job waits before it replaces failed pods (pkg/controller/job/backoff_utils.go)."""

from collections.abc import Callable, Iterable

from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.job.indexes import index_of
from pilothouse.simulate.workloads.job.tally import Tally, failures_of
from pilothouse.simulate.workloads.moments import seconds
from pilothouse.simulate.workloads.pods import IndexedPod

FIRST, LONGEST = 10.0, 600.0


def ended_at(pod: Object, now: float) -> float:
    """When the last container of a pod has ended, else now."""
    status = pod.get("status") or {}
    states = [
        (one.get("state") or {}).get("terminated") or {} for one in status.get("containerStatuses") or ()
    ]
    times = [seconds(state["finishedAt"]) for state in states if state.get("finishedAt")]
    return max(times, default=now)


def delay(failures: int) -> float:
    """The seconds that follow a number of failures in a row."""
    return min(FIRST * (1 << min(failures - 1, 10)), LONGEST) if failures else 0.0


@record
class JobBackoff:
    """The failures of a job since its last success."""

    failures: int = 0
    last: float = 0.0

    def take(self, tally: Tally, clock: Clock) -> None:
        """Note the pods that have ended since the last look, in their order."""
        ended = [(self._time(tally, pod, clock), pod.phase == "Succeeded") for pod in tally.successes]
        ended += [(self._time(tally, pod, clock), False) for pod in tally.failures]
        for at, succeeded in sorted(ended):
            self.failures, self.last = (0, 0.0) if succeeded else (self.failures + 1, at)

    @staticmethod
    def _time(tally: Tally, pod: IndexedPod, clock: Clock) -> float:
        whole = tally.read(pod)
        return clock.time() if whole is None else ended_at(whole, clock.time())

    def remaining(self, clock: Clock) -> float:
        """Seconds until new pods may be made."""
        return self.last + delay(self.failures) - clock.time() if self.failures else 0.0


@frozen
class IndexFailures:
    """The failures of one index, those that are ignored, and when its next pod may be made."""

    counted: int
    ignored: int
    ready_at: float


def by_index(
    tally: Tally, pods: Iterable[IndexedPod], ignores: Callable[[Object], bool], clock: Clock
) -> dict[int, IndexFailures]:
    """The failures of each index, which its failed pods carry on."""
    out: dict[int, IndexFailures] = {}
    for pod in pods:
        index = index_of(pod, tally.completions)
        whole = tally.read(pod) if index is not None and not pod.active and pod.phase != "Succeeded" else None
        if index is None or whole is None:
            continue
        counted, ignored = failures_of(whole)
        if ignores(whole):
            ignored += 1
        else:
            counted += 1
        ready = ended_at(whole, clock.time()) + delay(counted + ignored)
        known = out.get(index)
        if known is None or counted + ignored > known.counted + known.ignored:
            out[index] = IndexFailures(counted, ignored, ready)
    return out
