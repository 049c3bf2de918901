"""Serves the debug dumps of API priority and fairness as text tables
(apiserver flowcontrol apf_controller_debug)."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from pilothouse.api.values._requestinfo import parse_query
from pilothouse.api.values.duration import show_duration
from pilothouse.endpoints.documents.health import NOSNIFF, TEXT
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.flowcontrol._seats import Queue, Ticket
from pilothouse.flowcontrol.levels import Levels, State
from pilothouse.server.request import Request, Response

PATH = "/debug/api_priority_and_fairness"
MOST_QUEUES = 1024
"""Queues of a level up to which empty ones are shown as well; a configuration may ask for ten million."""
NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time."""

Row = tuple[str, ...]

LEVEL_COLUMNS = (
    "PriorityLevelName",
    "ActiveQueues",
    "IsIdle",
    "IsQuiescing",
    "WaitingRequests",
    "ExecutingRequests",
    "DispatchedRequests",
    "RejectedRequests",
    "TimedoutRequests",
    "CancelledRequests",
)
QUEUE_COLUMNS = (
    "PriorityLevelName",
    "Index",
    "PendingRequests",
    "ExecutingRequests",
    "SeatsInUse",
    "NextDispatchR",
    "InitialSeatsSum",
    "MaxSeatsSum",
    "TotalWorkSum",
)
REQUEST_COLUMNS = (
    "PriorityLevelName",
    "FlowSchemaName",
    "QueueIndex",
    "RequestIndexInQueue",
    "FlowDistingsher",
    "ArriveTime",
    "InitialSeats",
    "FinalSeats",
    "AdditionalLatency",
    "StartTime",
)
DETAIL_COLUMNS = (
    "UserName",
    "Verb",
    "APIPath",
    "Namespace",
    "Name",
    "APIVersion",
    "Resource",
    "SubResource",
)
"""Further columns of requests, when `includeRequestDetails` asks for them."""


class FlowControlDumps:
    """Answers the three paths below PATH."""

    def __init__(
        self,
        levels: Levels,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is the one that the seats are counted by, `wall` tells the time of the day."""
        self.levels = levels
        self._clock, self._wall = clock, wall

    def install(self, nonresource: NonResource) -> None:
        """Register the paths with `nonresource`."""
        nonresource.add(f"{PATH}/dump_priority_levels", self._levels, listed=False)
        nonresource.add(f"{PATH}/dump_queues", self._queues, listed=False)
        nonresource.add(f"{PATH}/dump_requests", self._requests, listed=False)

    def _states(self) -> list[tuple[str, State]]:
        return sorted(self.levels.states.items())

    async def _levels(self, request: Request, path: str) -> Response:
        return _page([LEVEL_COLUMNS, *(_level(name, state) for name, state in self._states())])

    async def _queues(self, request: Request, path: str) -> Response:
        rows = [row for name, state in self._states() for row in _queue_rows(name, state)]
        return _page([QUEUE_COLUMNS, *rows])

    async def _requests(self, request: Request, path: str) -> Response:
        detailed = bool("".join(parse_query(request.query).get("includeRequestDetails", [])[:1]))
        columns = REQUEST_COLUMNS + DETAIL_COLUMNS if detailed else REQUEST_COLUMNS
        rows = [row for name, state in self._states() for row in self._tickets(name, state, detailed)]
        return _page([columns, *rows])

    def _tickets(self, name: str, state: State, detailed: bool) -> Iterator[Row]:
        """The requests of a level: those that wait by their queue, then those that have seats."""
        for _, queue in sorted(state.seats.queues_in_use().items()):
            for place, ticket in enumerate(queue.tickets()):
                yield self._ticket(name, ticket, place, detailed)
        for ticket in state.seats.served_tickets():
            yield self._ticket(name, ticket, -1, detailed)

    def _ticket(self, name: str, ticket: Ticket, place: int, detailed: bool) -> Row:
        row = (
            name,
            ticket.schema,
            str(ticket.queue_index),
            str(place),
            ticket.flow.distinguisher,
            self._time(ticket.arrived),
            str(ticket.seats),
            str(ticket.final_seats),
            show_duration(round(ticket.extra * 1e9)),
            NEVER if ticket.waiting else self._time(ticket.started),
        )
        return row + _details(ticket) if detailed else row

    def _time(self, at: float) -> str:
        """A reading of the clock as RFC 3339, with microseconds."""
        moment = datetime.fromtimestamp(self._wall() - (self._clock() - at), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _level(name: str, state: State) -> Row:
    seats = state.seats
    active = sum(1 for queue in seats.queues_in_use().values() if queue.waiting)
    counts = (
        seats.waiting,
        seats.executing,
        seats.dispatched,
        seats.rejected,
        seats.timed_out,
        seats.cancelled,
    )
    return (name, str(active), _bool(seats.idle), _bool(state.leaving), *map(str, counts))


def _queue_rows(name: str, state: State) -> Iterator[Row]:
    used = state.seats.queues_in_use()
    shown = state.seats.queues if state.seats.queues <= MOST_QUEUES else 0
    for index in sorted({*used, *range(shown)}):
        queue = used.get(index) or Queue(index)
        sums = (str(queue.initial_seats), str(queue.max_seats), _work(queue.work))
        counts = (index, queue.waiting, queue.executing, queue.seats_in_use)
        yield (name, *map(str, counts), _work(queue.next_dispatch), *sums)


def _details(ticket: Ticket) -> Row:
    user, info = ticket.user, ticket.info
    if user is None or info is None:
        return ("",) * len(DETAIL_COLUMNS)
    version = f"{info.group}/{info.version}" if info.group else info.version
    return (
        user.name,
        info.verb,
        info.path,
        info.namespace,
        info.name,
        version,
        info.resource,
        info.subresource,
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _work(seat_seconds: float) -> str:
    """Seat-seconds as upstream prints them."""
    return f"{max(seat_seconds, 0.0):.8f}ss"


def _page(rows: Iterable[Row]) -> Response:
    """A page of comma-separated cells, in columns of at least 8 characters;
    the last one is as wide as it is."""
    table = [[cell.replace("\n", " ") for cell in row] for row in rows]
    widths = [max(8, *(len(row[column]) + 2 for row in table)) for column in range(len(table[0]) - 1)]
    lines = (
        "".join(f"{cell},".ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1] + "\n"
        for row in table
    )
    return Response(200, "".join(lines).encode(), TEXT, [NOSNIFF])
