"""Serves the path by which tests move the time of a server: GET tells it, POST moves it.

It is there where a server has a clock that moves (--test-api, --simulate).
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values.clock import ServerClock
from pilothouse.api.values.duration import go_duration
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.request import refusals
from pilothouse.server.request import Request, Response

PATH = "/debug/pilothouse/clock"

LONGEST = 100 * 365 * 24 * 3600.0
"""Seconds by which a clock may be moved at once."""

Settled = Callable[[], Awaitable[None]]
"""Waits until the controllers of the server have nothing to do."""


class MovableClock(ServerClock, Protocol):
    """A clock that moves when it is told to."""

    @property
    def frozen(self) -> bool:
        """Whether it stands still unless it is moved."""

    def freeze(self) -> None:
        """Let it stand still."""

    async def pass_time(self, seconds: float, settled: Settled) -> None:
        """Move it forward, and let everybody do what becomes due."""


class ClockPage:
    """Tells and moves a clock."""

    def __init__(self, clock: MovableClock, settled: Settled) -> None:
        self._clock = clock
        self._settled = settled

    def install(self, nonresource: NonResource) -> None:
        """Register the path with `nonresource`."""
        nonresource.add(PATH, self._answer)

    async def _answer(self, request: Request, path: str) -> Response:
        if request.method == "POST":
            freeze, seconds = _asked(request.body)
            if freeze is not None:
                (self._clock.freeze if freeze else self._clock.thaw)()
            if seconds is not None:
                await self._clock.pass_time(seconds, self._settled)
        elif request.method != "GET":
            raise refusals.method_not_allowed()
        told = {"time": meta.now_micro(self._clock.time()), "frozen": self._clock.frozen}
        return Response(200, orjson.dumps(told))


def _asked(body: bytes) -> tuple[bool | None, float | None]:
    """Whether the clock is to stand still, and by how many seconds to move; None for what stays."""
    try:
        asked: Object = orjson.loads(body)
    except ValueError as error:
        raise errors.BadRequest(f"the body is no JSON: {error}") from None
    if not isinstance(asked, dict) or not asked or not asked.keys() <= {"advance", "freeze"}:
        raise errors.BadRequest('the body must be an object with "advance", "freeze" or both')
    freeze = asked.get("freeze")
    if freeze is not None and not isinstance(freeze, bool):
        raise errors.BadRequest('"freeze" must be true or false')
    return freeze, _seconds(asked["advance"]) if "advance" in asked else None


def _seconds(given: object) -> float:
    if isinstance(given, str):
        try:
            seconds = go_duration(given) / 1e9
        except ValueError as error:
            raise errors.BadRequest(f'"advance": {error}') from None
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    else:
        raise errors.BadRequest('"advance" must be a duration such as "2h30m", or a number of seconds')
    if not 0 <= seconds <= LONGEST:
        raise errors.BadRequest('"advance" must be between 0 and 100 years')
    return seconds
