"""The dumps of priority and fairness."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from coroutines import at_once
from flowcontrol.live import Live

from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.flowcontrol_dumps import MOST_QUEUES, PATH, FlowControlDumps
from pilothouse.endpoints.documents.health import Health
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.flowcontrol._seats import Flow
from pilothouse.flowcontrol.levels import Levels
from pilothouse.registry.catalog import Catalog
from pilothouse.server.request import Request

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()


class Dumps:
    """The dumps of a level with three queues and one seat, at the time 100 of its clock: noon."""

    def __init__(self, queues: int = 3) -> None:
        self.now = 100.0
        live = Live()
        self.levels = Levels(live, 1, later=lambda seconds, call: None, clock=lambda: self.now)
        queuing = {"queues": queues, "handSize": 1, "queueLengthLimit": 5}
        limited = {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Queue", "queuing": queuing}}
        spec = {"type": "Limited", "limited": limited}
        live.put("prioritylevelconfigurations", {"metadata": {"name": "a", "uid": "u"}, "spec": spec})
        self.nonresource = NonResource(Discovery(Catalog()), Health())
        dumps = FlowControlDumps(self.levels, lambda: self.now, lambda: NOON + self.now - 100)
        dumps.install(self.nonresource)

    def enter(self, queue: int, *args: Any, user: str = "jane") -> Any:
        state = self.levels.states["a"]
        info = RequestInfo(
            "/apis/apps/v1/deployments", "list", True, "apis", "apps", "v1", "n", "deployments"
        )
        flow = Flow(state.seats, state.series_of("s"), "s", user, (queue,), ("f", "u"))
        return flow.enter(User(user), info, *args)

    def page(self, name: str) -> list[list[str]]:
        request = Request("GET", f"{PATH}/{name}", {}, [])
        response = at_once(self.nonresource.handle(request, request.path))
        assert response is not None and isinstance(response.body, bytes)
        assert response.content_type == "text/plain; charset=utf-8"
        return [re.split(r", *", line) for line in response.body.decode().splitlines()]


def test_levels() -> None:
    dumps = Dumps()
    tickets = [dumps.enter(0), dumps.enter(1), dumps.enter(1), dumps.enter(2)]
    tickets[3].time_out()
    tickets[2].release()
    rows = dumps.page("dump_priority_levels")
    assert rows[0][:4] == ["PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing"]
    assert rows[1] == ["a", "1", "false", "false", "1", "1", "1", "2", "1", "1"]
    assert [row[:3] for row in rows[2:]] == [["catch-all", "0", "true"], ["exempt", "0", "true"]]


def test_queues() -> None:
    dumps = Dumps()
    dumps.enter(0)
    dumps.enter(2, 4)
    rows = dumps.page("dump_queues")
    assert rows[1:] == [
        ["a", "0", "0", "1", "1", "0.00300000ss", "0", "0", "0.00000000ss"],
        ["a", "1", "0", "0", "0", "0.00000000ss", "0", "0", "0.00000000ss"],
        ["a", "2", "1", "0", "0", "0.00000000ss", "4", "4", "0.01200000ss"],
    ]


def test_of_very_many_queues_those_in_use_are_shown() -> None:
    dumps = Dumps(queues=10_000_000)
    dumps.enter(MOST_QUEUES * 2)
    assert [row[:2] for row in dumps.page("dump_queues")[1:]] == [["a", str(MOST_QUEUES * 2)]]


def test_requests() -> None:
    dumps = Dumps()
    dumps.enter(0, 1, 2, 0.01)
    dumps.now += 0.5
    dumps.enter(2, user="a\nb")
    rows = dumps.page("dump_requests")
    started = "2026-01-01T12:00:00.000000Z"
    assert rows[1:] == [
        ["a", "s", "2", "0", "a b", "2026-01-01T12:00:00.500000Z", "1", "0", "0s", "0001-01-01T00:00:00Z"],
        ["a", "s", "0", "-1", "jane", started, "1", "1", "20ms", started],
    ]
    detailed = dumps.page("dump_requests?includeRequestDetails=1")
    assert detailed[0][10:] == [
        "UserName",
        "Verb",
        "APIPath",
        "Namespace",
        "Name",
        "APIVersion",
        "Resource",
        "SubResource",
    ]
    path = "/apis/apps/v1/deployments"
    assert detailed[2][10:] == ["jane", "list", path, "n", "", "apps/v1", "deployments", ""]


@pytest.mark.parametrize("name", ["nope", ""])
def test_other_paths_are_not_there(name: str) -> None:
    request = Request("GET", f"{PATH}/{name}", {}, [])
    assert at_once(Dumps().nonresource.handle(request, request.path)) is None
