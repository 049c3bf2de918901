"""Serves GET /history/authors to the other servers of a store: who has made the changes that went through
this one.

A user needs the right to `get` the path; no role of a fresh cluster grants it but cluster-admin, which the
servers have (history/peers.py asks).
"""

import orjson

from pilothouse import errors
from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.endpoints.documents.health import NOSNIFF
from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.params import Query, first
from pilothouse.gotext import quote
from pilothouse.history.history import History
from pilothouse.history.written import PATH
from pilothouse.server.request import Request, Response
from pilothouse.storage.interface import StorageError


class HistoryAuthors:
    """Answers PATH. `after` and `upto` are the revisions between which changes are asked for."""

    def __init__(self, history: History) -> None:
        self._history = history

    def install(self, nonresource: NonResource) -> None:
        """Register the path, which `/` does not list."""
        nonresource.add(PATH, self._handle, listed=False)

    async def _handle(self, request: Request, path: str) -> Response:
        if request.method != "GET":
            raise refusals.method_not_allowed()
        query = requestinfo.parse_query(request.query)
        after, upto = _revision(query, "after"), _revision(query, "upto")
        try:
            found = await self._history.written(after, upto)
        except StorageError as err:
            raise errors.internal(str(err)) from err
        return Response(200, orjson.dumps(found), headers=[NOSNIFF])


def _revision(query: Query, name: str) -> int:
    text = first(query, name)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise errors.BadRequest(f"{name}: {quote(text)} is no resourceVersion")
    return int(text)
