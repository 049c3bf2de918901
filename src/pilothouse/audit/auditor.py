"""The auditor of a server: decides by the policy whether a request is recorded, and hands its events to the back ends."""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol

from pilothouse._audit import Event
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.audit.event import Parts
from pilothouse.audit.metrics import AuditMetrics
from pilothouse.audit.policy import NONE, Policy, Verdicts
from pilothouse.audit.record import HEADS, Record
from pilothouse.caches import Budget
from pilothouse.server.request import Request

NOBODY = b',"user":{}'


class Backend(Protocol):
    """Where events are kept."""

    name: str
    strict: bool
    """A request is refused when the event of its beginning cannot be stored."""
    waits: bool
    """store() may have to be awaited."""
    legacy: bool
    """It writes the legacy form."""

    @property
    def buffered(self) -> int:
        """Bytes of the events that wait."""

    def store(self, event: Event) -> bool | Awaitable[bool]:
        """Take the event of a request's beginning; False when the request must not go on."""

    def offer(self, events: Sequence[Event]) -> bool:
        """Take events without waiting; False when they are lost."""


class Auditor:
    """What the pipeline asks, once for each request, for its record."""

    def __init__(
        self,
        policy: Policy,
        backends: Iterable[Backend],
        metrics: AuditMetrics | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.backends = tuple(backends)
        self.metrics = metrics or AuditMetrics()
        self.metrics.buffers = {one.name: lambda one=one: one.buffered for one in self.backends}  # type: ignore[misc]
        self.verdicts = Verdicts(policy, budget)
        self.parts = Parts(budget)
        self.legacy = any(one.legacy for one in self.backends)
        self._holds = not any(one.strict or one.waits for one in self.backends)

    def begin(
        self,
        request: Request,
        user: User | None,
        attributes: AuthorizationAttributes,
        audit_id: str,
        started: float,
        *,
        whole: bool = True,
    ) -> Record | None:
        """The record of a request of the authenticated `user`, None when nothing of it is recorded.

        `user` is None where authentication has failed. `started` is when it came, by time.perf_counter(). Of a request
        that is not `whole` the body has not come yet: it is begun again unless it is refused (Record.refused).
        """
        verdict = self.verdicts.of(user, attributes)
        if whole:
            self.count(verdict.level)
        if verdict.level == NONE:
            return None
        parts = self.parts
        who, source = parts.caller(request, user) if user is not None else (NOBODY, parts.source(request))
        head = HEADS[verdict.level]
        record = Record(self, verdict, head, request, user, who, source, attributes, audit_id, started)
        record.special = self.legacy
        return record

    def count(self, level: int) -> None:
        """Count a request in the metric of levels."""
        self.metrics.level_counts[level] += 1

    def store(self, record: Record, event: Event) -> bool | Awaitable[bool]:
        """Take the event of a request's beginning: whether the request may go on.

        Where no back end can refuse a request, the event is held until the request waits or ends: most reads then
        take one write of two lines.
        """
        if self._holds:
            record.held = event
            return True
        self.metrics.event_count += 1
        results = [backend.store(event) for backend in self.backends]
        if all(isinstance(one, bool) for one in results):
            return all(results)
        return _all_stored(results)

    def send(self, events: tuple[Event, ...]) -> None:
        """Take later events of a request, and the one that was held."""
        self.metrics.event_count += len(events)
        for backend in self.backends:
            backend.offer(events)


async def _all_stored(results: Iterable[bool | Awaitable[bool]]) -> bool:
    good = True
    for one in results:
        good &= one if isinstance(one, bool) else await one
    return good
