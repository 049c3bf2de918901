"""Serves the debug dumps of API priority and fairness as text tables.

Requests are classified but not queued, so no level has queues. Upstream prints `<none>` for such a level.
"""

from collections.abc import Iterable

from pilothouse.endpoints.health import NOSNIFF, TEXT
from pilothouse.endpoints.nonresource import NonResource
from pilothouse.registry.readers import Readers
from pilothouse.server.request import Request, Response

PATH = "/debug/api_priority_and_fairness"
LEVELS = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
NONE = "<none>"

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


class FlowControlDumps:
    """Answers the three paths below PATH."""

    def __init__(self, readers: Readers) -> None:
        self.readers = readers

    def install(self, nonresource: NonResource) -> None:
        """Register the paths with `nonresource`."""
        nonresource.add(f"{PATH}/dump_priority_levels", self._levels, listed=False)
        nonresource.add(f"{PATH}/dump_queues", self._queues, listed=False)
        nonresource.add(f"{PATH}/dump_requests", self._requests, listed=False)

    async def _levels(self, request: Request, path: str) -> Response:
        names = sorted(level["metadata"]["name"] for level in self.readers.list(LEVELS))
        return _page([LEVEL_COLUMNS, *((name, *[NONE] * (len(LEVEL_COLUMNS) - 1)) for name in names)])

    async def _queues(self, request: Request, path: str) -> Response:
        return _page([QUEUE_COLUMNS])

    async def _requests(self, request: Request, path: str) -> Response:
        return _page([REQUEST_COLUMNS])


def _page(rows: Iterable[Iterable[str]]) -> Response:
    """A page of comma-separated cells, in columns of at least 8 characters."""
    table = [[f"{cell}," for cell in row] for row in rows]
    widths = [max(8, *(len(row[column]) + 1 for row in table)) for column in range(len(table[0]))]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    text = "".join(line.rstrip().rstrip(",") + "\n" for line in lines)
    return Response(200, text.encode(), TEXT, [NOSNIFF])
