"""The faults of a server: rules at work, what each has struck, and those that were removed."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic, time
from typing import Protocol

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.faults.metrics import FaultMetrics
from pilothouse.faults.rule import Rule
from pilothouse.faults.subject import Subject

MOST = 100
"""Faults at once."""
REMOVED = 100
"""Faults that are remembered once they were removed."""
STRUCK = 100
"""Requests of a fault that are remembered, the latest."""


class Fault:
    """A rule at work. `matched` and `hits` are numbers of requests, `revision` is that of the store when it
    was added."""

    def __init__(self, name: str, rule: Rule, *, now: float, wall: float, revision: int) -> None:
        self.name = name
        self.rule = rule
        self.revision = revision
        self.added = wall
        self.matched = self.hits = 0
        self._until = now + rule.seconds if rule.seconds else float("inf")
        self._random = random.Random(rule.seed)
        self._requests: deque[Object] = deque(maxlen=STRUCK)

    def strikes(self, one: Subject, now: float, wall: float) -> bool:
        """Whether it strikes a request; that is counted then."""
        rule = self.rule
        if now >= self._until or (rule.times and self.hits >= rule.times) or not rule.matches(one):
            return False
        self.matched += 1
        turn = self.matched - rule.skip
        if turn <= 0 or turn % rule.every or self._random.random() >= rule.probability:
            return False
        self.hits += 1
        told = {"verb": one.verb, "path": one.path, "user": one.user, "userAgent": one.user_agent}
        self._requests.append({"time": _shown(wall), "auditID": one.audit_id, **told})
        return True

    def shown(self) -> Object:
        """The fault as JSON."""
        return {
            "name": self.name,
            "rule": self.rule.shown(),
            "added": _shown(self.added),
            "matched": self.matched,
            "hits": self.hits,
            "requests": list(self._requests),
        }


class OpenWatch(Protocol):
    """A watch that runs."""

    subject: Subject

    def suffer(self, fault: Fault) -> None:
        """Have a fault from now on."""

    def recover(self, fault: Fault) -> None:
        """Have a fault no longer."""


class Faults:
    """The faults of one server. `revision` tells that of its store. changed: called with whether there are
    any, when that changes."""

    def __init__(
        self,
        metrics: FaultMetrics,
        revision: Callable[[], int],
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self.active: dict[str, Fault] = {}
        self.removed: deque[Fault] = deque(maxlen=REMOVED)
        self.watches: dict[OpenWatch, None] = {}
        self.changed: list[Callable[[bool], None]] = []
        self._metrics = metrics
        self._revision = revision
        self._clock, self._wall = clock, wall

    def add(self, name: str, rule: Rule) -> Fault:
        """Add a fault, or one in place of another of its name; watches that run are struck at once.
        TooManyRequests when there are too many."""
        self.remove(name)
        if len(self.active) >= MOST:
            raise errors.TooManyRequests(f"there are {MOST} faults, and no more can be added")
        made = Fault(name, rule, now=self._clock(), wall=self._wall(), revision=self._revision())
        self.active[name] = made
        if len(self.active) == 1:
            self._tell()
        if not rule.code or rule.ends_watches:
            for watch in list(self.watches):
                if self._strikes(made, watch.subject):
                    watch.suffer(made)
        return made

    def remove(self, name: str) -> Fault | None:
        """Remove a fault; None when there is none of this name."""
        found = self.active.pop(name, None)
        if found is None:
            return None
        self.removed.append(found)
        for watch in list(self.watches):
            watch.recover(found)
        if not self.active:
            self._tell()
        return found

    def clear(self) -> None:
        """Remove all faults."""
        for name in list(self.active):
            self.remove(name)

    def strike(self, one: Subject) -> Fault | None:
        """The first fault that strikes a request."""
        for fault in self.active.values():
            if self._strikes(fault, one):
                return fault
        return None

    def since(self, begun: float) -> Iterator[Object]:
        """Yield the faults that were there at some time since `begun`, in Unix seconds, the oldest first."""
        for fault in (*self.removed, *self.active.values()):
            if fault.added >= begun or fault.name in self.active:
                yield fault.shown()

    def _strikes(self, fault: Fault, one: Subject) -> bool:
        if not fault.strikes(one, self._clock(), self._wall()):
            return False
        self._metrics.struck.inc(fault.rule.effect)
        return True

    def _tell(self) -> None:
        for listener in self.changed:
            listener(bool(self.active))


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
