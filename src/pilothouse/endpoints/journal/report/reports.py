"""Serves GET /debug/report: what happened since a time, as JSON or as text.

A user needs the right to `get` the path, like for any other that names no resource. The report names objects
of all kinds, so no role of a fresh cluster grants it but cluster-admin. Its parts are imported when somebody
asks for it.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from pilothouse import errors
from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.api.values.duration import go_duration
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.documents.health import NOSNIFF, TEXT
from pilothouse.endpoints.documents.nonresource import NonResource, raw_json
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.request import negotiation
from pilothouse.endpoints.request import refusals as refused
from pilothouse.endpoints.request.params import first
from pilothouse.gotext import quote
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.store import Store, key_of
from pilothouse.server.request import Request, Response
from pilothouse.waiting import in_task

if TYPE_CHECKING:
    from pilothouse.endpoints.journal.report.seen import Seen

PATH = "/debug/report"
TYPES = ("application/json", "text/plain")

Faults = Callable[[float], Iterable[Object]]
"""The faults that were there since a time."""


class Reports:
    """Answers PATH. faults: None where there can be none."""

    def __init__(self, journal: Journal, catalog: Catalog, store: Store, faults: Faults | None) -> None:
        self._journal = journal
        self._catalog, self._store = catalog, store
        self._faults = faults

    def install(self, nonresource: NonResource) -> None:
        """Register the path with `nonresource`."""
        nonresource.add(PATH, self._handle, listed=False)

    async def _handle(self, request: Request, path: str) -> Response:
        if request.method != "GET":
            raise refused.method_not_allowed()
        accept = request.headers.get("accept")
        negotiation.acceptable(accept, TYPES)
        begun = _since(first(requestinfo.parse_query(request.query), "since"), time.time())
        report = await self.report(begun)
        if accept is not None and accept.startswith("text/plain"):
            from pilothouse.endpoints.journal.report.text import text

            return Response(200, f"{text(report)}\n".encode(), TEXT, [NOSNIFF])
        return Response(200, raw_json(report), headers=[NOSNIFF])

    async def report(self, begun: float) -> Object:
        """The report as JSON, of what happened since `begun` (Unix seconds)."""
        from pilothouse.endpoints.journal.report.clients import by_client, refusals
        from pilothouse.endpoints.journal.report.gaps import gaps
        from pilothouse.endpoints.journal.report.leftovers import left_over
        from pilothouse.endpoints.journal.report.seen import requests
        from pilothouse.endpoints.journal.report.writes import conflicts, loops

        await in_task()
        now = time.time()
        seen, complete = await requests(self._journal, begun, now - time.perf_counter())
        return {
            "since": _shown(begun),
            "until": _shown(now),
            "server": self._journal.server,
            "complete": complete,
            "faults": list(self._faults(begun)) if self._faults is not None else [],
            "loops": loops(seen, self._generation),
            "conflicts": conflicts(seen),
            "refused": refusals(seen),
            "watchGaps": gaps(seen),
            "leftOver": await left_over(self._catalog, self._store, begun),
            "clients": by_client(seen),
        }

    def _generation(self, one: "Seen") -> int:
        """The metadata.generation of the object that a request is about."""
        resource = self._catalog.by_group_resource(one.what)
        if resource is None or resource.virtual:
            return 0
        key = key_of(resource, one.namespace if resource.namespaced else "", one.name)
        entry = self._store.get(resource, key)
        return 0 if entry is None else int(orjson.loads(entry.value)["metadata"].get("generation", 0))


def _since(given: str, now: float) -> float:
    """A time, or how long ago that was; all that is kept where it is "". BadRequest."""
    if not given:
        return 0.0
    try:
        return now - go_duration(given) / 1e9
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise errors.BadRequest(f"since: {quote(given)} is no time, and no duration such as 5m") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
