"""The path by which tests move the clock of a server."""

import json
from typing import Any

import pytest
from coroutines import at_once

from pilothouse import errors
from pilothouse.endpoints.documents.clock_page import PATH, ClockPage
from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.health import Health
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.registry.catalog import Catalog
from pilothouse.server.request import Request


class Told:
    """A clock that notes what it is told."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0
        self.frozen = False
        self.settled = 0

    def time(self) -> float:
        return self.now

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False

    async def pass_time(self, seconds: float, settled: Any) -> None:
        self.now += seconds
        await settled()

    async def settle(self) -> None:
        self.settled += 1


@pytest.fixture
def clock() -> Told:
    return Told()


def ask(clock: Any, method: str, body: Any = None) -> Any:
    nonresource = NonResource(Discovery(Catalog()), Health())
    ClockPage(clock, clock.settle).install(nonresource)
    assert PATH in nonresource.paths()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = at_once(nonresource.handle(Request(method, PATH, {}, [], data), PATH))
    assert response is not None and isinstance(response.body, bytes)
    return json.loads(response.body)


def test_it_tells_and_moves(clock: Told) -> None:
    assert ask(clock, "GET") == {"time": "2026-05-28T20:26:40.000000Z", "frozen": False}
    assert ask(clock, "POST", {"advance": "2h30m"})["time"] == "2026-05-28T22:56:40.000000Z"
    assert ask(clock, "POST", {"advance": 1.5, "freeze": True}) == {
        "time": "2026-05-28T22:56:41.500000Z",
        "frozen": True,
    }
    assert clock.settled == 2
    assert ask(clock, "POST", {"freeze": False})["frozen"] is False


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the body is no JSON"),
        ([], 'the body must be an object with "advance", "freeze" or both'),
        ({}, 'the body must be an object with "advance", "freeze" or both'),
        ({"advance": "1h", "by": 1}, 'the body must be an object with "advance", "freeze" or both'),
        ({"freeze": "yes"}, '"freeze" must be true or false'),
        ({"advance": "2 hours"}, '"advance": time: unknown unit " hours"'),
        ({"advance": True}, '"advance" must be a duration such as "2h30m", or a number of seconds'),
        ({"advance": "-1s"}, '"advance" must be between 0 and 100 years'),
        ({"advance": 1e12}, '"advance" must be between 0 and 100 years'),
    ],
)
def test_what_it_cannot_read(clock: Told, body: Any, why: str) -> None:
    before = clock.now
    with pytest.raises(errors.BadRequest) as refused:
        ask(clock, "POST", body)
    assert refused.value.message.startswith(why), refused.value.message
    assert clock.now == before and not clock.frozen


def test_other_methods(clock: Told) -> None:
    with pytest.raises(errors.MethodNotAllowed):
        ask(clock, "DELETE")
