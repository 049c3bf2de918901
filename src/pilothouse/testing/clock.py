"""The clock of a server in tests: it is moved, and waited for."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pilothouse.api.values.fields import Object
from pilothouse.endpoints.documents.clock_page import PATH

if TYPE_CHECKING:
    from pilothouse.testing.client import KubeClient


AT_ONCE = 6 * 3600.0
"""Seconds that one request lets pass."""


class KubeClock:
    """The clock of a server that runs with --test-api or --simulate. It goes on by itself, and never back."""

    def __init__(self, connect: Callable[[], "KubeClient"]) -> None:
        self._connect = connect

    def now(self) -> datetime:
        """The time of the server."""
        return self._told("GET", None)

    def advance(
        self,
        by: timedelta | None = None,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> datetime:
        """Let time pass, as `advance(hours=2)` or by a timedelta; the time afterwards.

        The server does in their order all that becomes due meanwhile, and has done it when this returns.
        """
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds) + (by or timedelta())
        seconds = span.total_seconds()
        with self._connect() as client:
            while True:
                now = _time(client.call("POST", PATH, {"advance": min(seconds, AT_ONCE)}))
                seconds -= AT_ONCE
                if seconds <= 0:
                    return now

    def freeze(self) -> datetime:
        """Let the time stand still: it moves by `advance` alone."""
        return self._told("POST", {"freeze": True})

    def thaw(self) -> datetime:
        """Let the time go on by itself again."""
        return self._told("POST", {"freeze": False})

    def _told(self, method: str, body: Object | None) -> datetime:
        with self._connect() as client:
            return _time(client.call(method, PATH, body))


def _time(told: Object) -> datetime:
    return datetime.fromisoformat(told["time"])
