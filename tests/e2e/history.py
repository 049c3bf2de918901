"""Checks a history of client operations for linearizability per key.

Each write has its position, its revision. A read must fit between two writes, so that it agrees with the
value it saw and with real time: an operation that began after another had ended must come after it.
"""

import heapq
from bisect import bisect_right
from dataclasses import dataclass, field


@dataclass(slots=True)
class Operation:
    """A finished operation on `key` between two moments. A read has seen `revision`, 0 = no such key; a write
    made it. Those whose outcome is not known are not recorded, as the log has what they did."""

    key: str
    kind: str
    start: float
    end: float
    revision: int


@dataclass(slots=True)
class Log:
    """The changes of one key as the store has them: revisions in order, and which of them deleted it."""

    revisions: list[int] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)

    def add(self, revision: int, deleted: bool) -> None:
        self.revisions.append(revision)
        if deleted:
            self.deleted.add(revision)

    def earliest(self, seen: int, floor: int) -> int | None:
        """The first moment, not before `floor`, at which a read sees the revision (0 = nothing there)."""
        at = bisect_right(self.revisions, floor) - 1
        if self._state(at) == seen:
            return floor
        for later in range(at + 1, len(self.revisions)):
            if self._state(later) == seen:
                return self.revisions[later]
        return None

    def _state(self, at: int) -> int:
        """The revision that a read sees after the change at an index, -1 = before all of them."""
        return 0 if at < 0 or self.revisions[at] in self.deleted else self.revisions[at]


def check(operations: list[Operation], logs: dict[str, Log]) -> list[str]:
    """The events that cannot have happened, in words; empty when all is well."""
    problems: list[str] = []
    by_key: dict[str, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    for key, found in sorted(by_key.items()):
        problems += _check_key(key, found, logs.get(key, Log()))
    return problems


def _check_key(key: str, operations: list[Operation], log: Log) -> list[str]:
    """Give each operation, in the order of their starts, the earliest moment that fits: there is no better
    choice, as an operation binds only those that start after its end."""
    problems = []
    running: list[tuple[float, int]] = []
    floor = 0
    known = set(log.revisions)
    made: set[int] = set()
    for operation in sorted(operations, key=lambda o: o.start):
        while running and running[0][0] < operation.start:
            floor = max(floor, heapq.heappop(running)[1])
        if operation.kind == "read":
            moment = log.earliest(operation.revision, floor)
            if moment is None:
                problems.append(f"{key}: a read at {floor} or later saw {operation.revision}")
                continue
        else:
            moment = operation.revision
            if moment not in known:
                problems.append(f"{key}: the acknowledged {operation.kind} {moment} is lost")
            if moment in made:
                problems.append(f"{key}: the revision {moment} was given twice")
            if moment < floor:
                problems.append(f"{key}: {operation.kind} {moment} began after {floor} was over")
            made.add(moment)
        heapq.heappush(running, (operation.end, moment))
    return problems
