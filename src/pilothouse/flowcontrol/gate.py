"""The gate that a request passes before it is authorized:
it takes seats, waits for them, or is refused (KEP-1040).

Requests take seats of the priority level that their flow schema names, unless
--enable-priority-and-fairness=false has reads and writes counted alone. The seats are given back when the
answer has been sent. A client that has been taking an answer for `HELD` seconds keeps it,
but its seats go to others.
"""

import asyncio
from typing import Protocol

from pilothouse import errors
from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.caches import CacheBudget
from pilothouse.flowcontrol._seats import Flow, Kinds, Level, Series, Ticket
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.flowcontrol.levels import Levels, on_loop
from pilothouse.flowcontrol.metrics import FlowControlMetrics
from pilothouse.flowcontrol.width import (
    BYTES,
    RULES_REVIEWS,
    WATCHERS,
    WRITES,
    Query,
    Widths,
    after_write,
    list_seats,
)
from pilothouse.lifecycle import Background
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource

TICK = 1.0
"""Seconds between two looks at slow clients and at what has changed."""
PERIOD = 10
"""Ticks between two divisions of the seats: upstream's 10 s."""
HELD = 10.0
"""Seconds for which an answer that its client takes slowly keeps its seats. It is less than a queued request
waits (a quarter of 60 s), so clients that do not read cannot have others refused."""
LONGEST_WAIT = 60.0
"""Seconds that a request waits at the most, whatever its deadline."""

READS = frozenset(("get", "list", "watch"))
MASTERS = "system:masters"
MESSAGE = "Too many requests, please try again later."


class Gate(Protocol):
    """The gate that the pipeline asks for seats."""

    def flow(self, user: User, info: RequestInfo) -> Flow | None:
        """The flow of a request; None: it needs no seats."""

    def enter(self, flow: Flow, user: User, info: RequestInfo, query: Query, size: int) -> Ticket:
        """Take seats for a request with a body of `size` bytes, stand in line, or be refused:
        see the ticket."""

    def resource(self, info: RequestInfo) -> Resource | None:
        """The resource of a request that was refused, for the metrics."""

    def refusal(self, ticket: Ticket) -> errors.TooManyRequests:
        """The error of a request that was refused."""


class FlowControl(Background):
    """API priority and fairness."""

    def __init__(
        self,
        readers: Readers,
        widths: Widths,
        total: int,
        metrics: FlowControlMetrics,
        budget: CacheBudget | None = None,
    ) -> None:
        """`total` is the number of seats; `metrics` show what is counted."""
        self.levels = Levels(readers, total)
        self.classifier = Classifier(readers, self.levels, budget)
        self.flow = self.classifier.flow
        self.resource = widths.resource
        self._widths = widths
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        metrics.show(self.levels)

    def start(self) -> None:
        """Look after slow clients and the division of seats, on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    async def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self.start()
        self._ticks += 1
        self.look(adjust=self._ticks % PERIOD == 0)

    def look(self, *, adjust: bool) -> None:
        """Have slow clients give up their seats; `adjust` divides the seats anew."""
        self.levels.tick()
        for state in self.levels.states.values():
            state.seats.let_go(HELD)
        if adjust:
            self.levels.adjust()

    def enter(self, flow: Flow, user: User, info: RequestInfo, query: Query, size: int) -> Ticket:
        """Take as many seats of the flow's level as the request needs."""
        verb = info.verb
        if verb == "get":  # PERF: most requests
            return flow.enter(user, info)
        if verb in ("list", "watch"):
            expected = self._widths.expected(info, query)
            if expected <= BYTES:  # PERF: most lists
                return flow.enter(user, info)
            return flow.enter(user, info, list_seats(expected, self._widest(flow)))
        if verb not in WRITES:
            return flow.enter(user, info, mutating=True, size=size)
        watchers = self._widths.watchers(info)
        if watchers is None:
            return flow.enter(user, info, mutating=True, size=size)
        flow.series.watchers.observe(watchers)
        if info.resource == RULES_REVIEWS:
            seats = list_seats(self._widths.review_bytes(user), self._widest(flow))
            return flow.enter(user, info, seats, mutating=True, size=size)
        if watchers < WATCHERS:  # PERF: most writes
            return flow.enter(user, info, mutating=True, size=size)
        seats, seconds = after_write(watchers, self._widest(flow))
        return flow.enter(user, info, final_seats=seats, extra=seconds, mutating=True, size=size)

    def _widest(self, flow: Flow) -> int:
        """The most seats that one request of a level may take."""
        state = self.levels.states.get(flow.level.name)
        return 1 if state is None else state.widest

    def refusal(self, ticket: Ticket) -> errors.TooManyRequests:
        """The error of a request that has got no seats, with the names of its flow schema and level."""
        state = self.levels.states.get(ticket.level)
        causes = [
            {"reason": "FlowSchema", "message": ticket.schema},
            {"reason": "PriorityLevel", "message": ticket.level},
            {"reason": ticket.reason, "message": why(ticket)},
        ]
        return refusal(1 if state is None else state.retry.refused(), causes)


class MaxInFlight:
    """The limits of requests under way by --max-requests-inflight and --max-mutating-requests-inflight alone.

    A limit of 0 is none. Watches do not count; administrators pass even when there is no room (server/filters
    maxinflight).
    """

    def __init__(self, reads: int, writes: int, catalog: Catalog) -> None:
        kinds = Kinds()
        self._catalog = catalog
        self._reads, self._writes = _counted("reads", reads, kinds), _counted("writes", writes, kinds)

    def flow(self, user: User, info: RequestInfo) -> Flow | None:
        """The flow in which a request counts; None: in none."""
        if info.verb == "watch":
            return None
        flow = self._reads if info.verb in READS else self._writes
        if flow is None or (flow.level.seats_in_use >= flow.level.limit and MASTERS in user.groups):
            return None
        return flow

    def enter(self, flow: Flow, user: User, info: RequestInfo, query: Query, size: int) -> Ticket:
        """Count a request."""
        return flow.enter(user, info)

    def resource(self, info: RequestInfo) -> Resource | None:
        """The resource of a request."""
        return self._catalog.get(info.group, info.version, info.resource) if info.is_resource else None

    def refusal(self, ticket: Ticket) -> errors.TooManyRequests:
        """The error of a request that is one too many."""
        flag = "max-requests-inflight" if ticket.schema == "reads" else "max-mutating-requests-inflight"
        text = f"{ticket.flow.level.limit} {ticket.schema} are under way, as many as --{flag} allows"
        return refusal(1, [{"reason": flag, "message": text}])


def _counted(what: str, limit: int, kinds: Kinds) -> Flow | None:
    if not limit:
        return None
    level = Level(what, kinds, on_loop)
    level.configure(0)
    level.resize(limit, limit)
    return Flow(level, Series(), what)


async def seated(ticket: Ticket, seconds: float) -> None:
    """Wait until a request has its seats, or is refused after `seconds`."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    ticket.waiter = future
    timer = loop.call_later(seconds, ticket.time_out)
    try:
        await future
    finally:
        timer.cancel()


def why(ticket: Ticket) -> str:
    """The reason why a request was refused."""
    level = ticket.flow.level
    taken = f"{level.seats_in_use} of the {level.limit} seats of the priority level are taken"
    if ticket.heavy:
        return f"{taken}, and the bodies of those that wait leave no room for one of {ticket.size} bytes"
    if ticket.reason == "queue-full":
        return f"{taken}, and {level.length_limit} requests wait in each queue that this one may stand in"
    if ticket.reason == "concurrency-limit":
        return f"{taken}, this request needs {ticket.seats}, and the priority level has no queues"
    return f"it has waited {ticket.waited:.3f} s for {ticket.seats} seats; {taken}"


def refusal(seconds: int, causes: list[dict[str, str]]) -> errors.TooManyRequests:
    """The 429 in upstream's words, with what upstream does not tell as causes."""
    return errors.TooManyRequests(
        MESSAGE,
        details={"causes": causes, "retryAfterSeconds": seconds},
        headers=[("Retry-After", str(seconds))],
    )
