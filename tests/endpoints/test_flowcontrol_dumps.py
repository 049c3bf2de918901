"""The dumps of priority and fairness."""

from types import SimpleNamespace

import pytest
from coroutines import at_once

from pilothouse.endpoints.discovery import Discovery
from pilothouse.endpoints.flowcontrol_dumps import PATH, FlowControlDumps
from pilothouse.endpoints.health import Health
from pilothouse.endpoints.nonresource import NonResource
from pilothouse.registry.catalog import Catalog
from pilothouse.server.request import Request


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("dump_priority_levels", ["PriorityLevelName,", "a,", "b,"]),
        ("dump_queues", ["PriorityLevelName,"]),
        ("dump_requests?includeRequestDetails=1", ["PriorityLevelName,"]),
    ],
)
def test_pages(name: str, lines: list[str]) -> None:
    levels = [{"metadata": {"name": name}} for name in ("b", "a")]
    nonresource = NonResource(Discovery(Catalog()), Health())
    FlowControlDumps(SimpleNamespace(list=lambda resource: levels)).install(nonresource)
    request = Request("GET", f"{PATH}/{name}", {}, [])
    response = at_once(nonresource.handle(request, request.path))
    assert response is not None and isinstance(response.body, bytes)
    text = response.body.decode()
    assert [line.split(" ")[0] for line in text.splitlines()] == lines
    assert response.content_type == "text/plain; charset=utf-8"
    assert at_once(nonresource.handle(request, f"{PATH}/nope")) is None
