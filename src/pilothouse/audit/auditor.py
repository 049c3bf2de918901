"""The auditor of a server: decides by the policy whether a request is recorded,
and hands its events to the back ends."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakSet

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.audit import event
from pilothouse.audit._audit import Desk, Event, Lines
from pilothouse.audit.metrics import AuditMetrics
from pilothouse.audit.policy import AuditPolicy, AuditVerdict
from pilothouse.audit.record import HEADS, Record
from pilothouse.caches import Cache, CacheBudget
from pilothouse.server.request import Request

Caller = tuple[User | None, bytes, bytes]
"""A user, its members in an event, and those of where its requests come from."""

LONGEST_CALLER = 1024
"""Characters of name, address and headers up to which they are remembered."""


class AuditBackend(Protocol):
    """A back end, which keeps events."""

    name: str
    strict: bool
    """A request is refused when the event of its beginning cannot be stored."""
    waits: bool
    """store() may have to be awaited."""
    legacy: bool
    """Whether it writes the legacy form."""

    @property
    def lines(self) -> Lines | None:
        """The file that takes whole lines at once: the back end does nothing but write them."""

    @property
    def buffered(self) -> int:
        """Bytes of the events that wait."""

    def store(self, event: Event) -> bool | Awaitable[bool]:
        """Take the event of a request's beginning; False when the request must not go on."""

    def offer(self, events: Sequence[Event]) -> bool:
        """Take events without waiting; False when they are lost."""

    def flush(self) -> None:
        """Write what is held back only for a moment."""


class Auditor(Desk):
    """The auditor, which makes a record for each request of the pipeline (`begin`)."""

    def __init__(
        self,
        policy: AuditPolicy,
        backends: Iterable[AuditBackend],
        metrics: AuditMetrics | None = None,
        budget: CacheBudget | None = None,
    ) -> None:
        budget = budget or CacheBudget()
        self.metrics = metrics or AuditMetrics()
        self._verdicts: Cache[tuple[object, ...], AuditVerdict] = Cache(
            "audit_verdicts", budget, share=1 / 32
        )
        self._callers: Cache[tuple[str | None, ...], Caller] = Cache("audit_callers", budget, share=1 / 32)
        self._decisions: Cache[tuple[bool, str], bytes] = Cache("audit_decisions", budget, share=1 / 64)
        super().__init__(
            Record,
            HEADS,
            verdicts=self._verdicts,
            callers=self._callers,
            decisions=self._decisions,
            level_counts=self.metrics.level_counts,
            event_counts=self.metrics.event_counts,
        )
        self.backends = tuple(backends)
        self.metrics.buffers = {one.name: _buffered(one) for one in self.backends}
        self.legacy = any(one.legacy for one in self.backends)
        self.lines = self.backends[0].lines if len(self.backends) == 1 else None
        self._holds = not any(one.strict or one.waits for one in self.backends)
        self.policy = policy
        self._clusters: WeakSet[ClusterAuditor] = WeakSet()

    def of_cluster(self, annotations: Mapping[str, str], budget: CacheBudget) -> "ClusterAuditor":
        """The auditor of a logical cluster: it has the same policy and back ends."""
        made = ClusterAuditor(self.policy, self.backends, self.metrics, budget)
        made.annotations = annotations
        self._clusters.add(made)
        return made

    @property
    def policy(self) -> AuditPolicy:
        """The policy in force. Requests that are under way keep the verdict of the former one."""
        return self._policy

    @policy.setter
    def policy(self, policy: AuditPolicy) -> None:
        self._policy = policy
        self.by_user, self.by_name = policy.by_user, policy.by_name
        self._verdicts.clear()

    def use(self, policy: AuditPolicy) -> None:
        """Judge requests by another policy from now on."""
        self.policy = policy
        for one in self._clusters:
            one.policy = policy

    def judge(
        self, question: tuple[object, ...], user: User | None, attributes: AuthorizationAttributes
    ) -> AuditVerdict:
        """The verdict about all requests with this question."""
        verdict = self._verdicts[question]
        if verdict is None:
            verdict = self._policy.decide(user, attributes)
            self._verdicts.put(question, verdict)
        return verdict

    def describe(self, key: tuple[str | None, ...], request: Request, user: User | None) -> Caller:
        """The members that tell a caller and where its requests come from;
        `key` is what requests have in common."""
        found = self._callers[key]
        if found is not None and found[0] == user:
            return found
        made = user, event.member("user", event.user_info(user)), event.source(request)
        if sum(len(part) for part in key if part) <= LONGEST_CALLER:
            self._callers.put(key, made)
        return made

    def decided(self, decision: tuple[bool, str]) -> bytes:
        """The end of an event that has no other annotations than those of authorization."""
        found = self._decisions[decision]
        if found is None:
            found = event.annotated(event.decision(*decision))
            self._decisions.put(decision, found)
        return found

    def store(self, record: Record, made: Event) -> bool | Awaitable[bool]:
        """Take the event of a request's beginning: whether the request may go on.

        Where no back end can refuse a request, the event is held until the request waits or ends: most reads
        then take one write of two lines.
        """
        if self._holds:
            record.held = made
            return True
        self.metrics.event_counts[0] += 1
        results = [backend.store(made) for backend in self.backends]
        if all(isinstance(one, bool) for one in results):
            return all(results)
        return _all_stored(results)

    def send(self, events: tuple[Event, ...]) -> None:
        """Take later events of a request, and the one that was held."""
        self.metrics.event_counts[0] += len(events)
        for backend in self.backends:
            backend.offer(events)

    def flush(self, made: Event | None) -> None:
        """Take the event that was held, if any, of a request that begins to wait."""
        if made is not None:
            self.send((made,))
        for backend in self.backends:
            backend.flush()


class ClusterAuditor(Auditor):
    """The auditor of a logical cluster: annotations of all events tell which one it is."""

    annotations: Mapping[str, str]

    def begin(self, *request: Any, **more: Any) -> Any:
        """The record of a request, None when nothing of it is recorded."""
        record = super().begin(*request, **more)
        if record is not None:
            for key, value in self.annotations.items():
                record.annotate(key, value)
        return record


def _buffered(backend: AuditBackend) -> Callable[[], int]:
    return lambda: backend.buffered


async def _all_stored(results: Iterable[bool | Awaitable[bool]]) -> bool:
    good = True
    for one in results:
        good &= one if isinstance(one, bool) else await one
    return good
