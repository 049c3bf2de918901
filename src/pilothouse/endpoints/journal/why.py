"""Serves GET /debug/requests: the latest requests of this server, and why each was answered as it was.

A user needs the right to `get` the path, like for any other that names no resource; no role of a fresh
cluster grants it but cluster-admin.
"""

import asyncio
import heapq
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from pilothouse import errors
from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.api.values.duration import go_duration
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.documents.health import NOSNIFF
from pilothouse.endpoints.documents.nonresource import NonResource, raw_json
from pilothouse.endpoints.journal.explain import explanation, group_resource, summary
from pilothouse.endpoints.journal.journal import Journal, JournalEntry
from pilothouse.endpoints.request import negotiation, refusals
from pilothouse.endpoints.request.params import Query, first
from pilothouse.gotext import quote
from pilothouse.server.request import Request, Response
from pilothouse.waiting import in_task

PATH = "/debug/requests"
LIMIT, MOST = 100, 1000
"""Requests that a list shows, when nothing is said, and at most."""
AT_ONCE = 2000
"""Entries that are looked at before others get a turn."""
PARAMETERS = ("code", "limit", "namespace", "refused", "resource", "slow", "slowest", "user", "verb")

Test = Callable[[JournalEntry], bool]


class Why:
    """Answers PATH and the paths below it, each the audit ID of a request.

    `types`: the modes of authorization. shared: other processes may listen on the same port, each with a
    journal of its own.
    """

    def __init__(self, journal: Journal, types: Callable[[], Sequence[str]], *, shared: bool = False) -> None:
        self._journal = journal
        self._types = types
        self._shared = shared

    def install(self, nonresource: NonResource) -> None:
        """Register the paths with `nonresource`."""
        nonresource.add_prefix(PATH, self._handle)

    async def _handle(self, request: Request, path: str) -> Response:
        if request.method != "GET":
            raise refusals.method_not_allowed()
        negotiation.acceptable(request.headers.get("accept"), ("application/json",))
        audit_id = path[len(PATH) :].strip("/")
        found = await (
            self._one(audit_id) if audit_id else self._list(requestinfo.parse_query(request.query))
        )
        return Response(200, raw_json(found), headers=[NOSNIFF])

    async def _one(self, audit_id: str) -> Object:
        """Every request with an audit ID: a client may send the same one several times. NotFound."""
        wanted = unquote(audit_id)
        entries, _ = await self._found([lambda entry: entry.audit_id in (audit_id, wanted)], MOST)
        server = self._server()
        if not entries:
            err = errors.NotFound(
                f"request {quote(audit_id)} is not among the last {len(self._journal)} requests that have"
                f" ended in process {os.getpid()} of {self._journal.server or 'this server'}",
                details={"name": audit_id, "kind": "requests", "causes": [_cause(server)]},
            )
            raise err
        wall = time.time() - time.perf_counter()
        by_rules = "RBAC" in self._types()
        told = [explanation(entry, wall, by_rules=by_rules) for entry in entries]
        return {"server": server, "requests": told}

    async def _list(self, query: Query) -> Object:
        """The latest requests that pass the tests of a query; BadRequest."""
        for name in query:
            if name not in PARAMETERS:
                raise errors.BadRequest(
                    f"unknown parameter {quote(name)}: known ones are {', '.join(PARAMETERS)}"
                )
        limit = min(_number(query, "limit", LIMIT), MOST)
        if _flag(query, "slowest"):
            ended, _ = await self._found([*_tests(query), _ends], len(self._journal))
            entries, more = heapq.nlargest(limit, ended, key=lambda entry: entry.seconds), len(ended) > limit
        else:
            entries, more = await self._found(_tests(query), limit)
        wall = time.time() - time.perf_counter()
        told = [summary(entry, wall) for entry in entries]
        return {"server": self._server(), "kept": len(self._journal), "more": more, "requests": told}

    async def _found(self, tests: Sequence[Test], limit: int) -> tuple[list[JournalEntry], bool]:
        """The newest entries that pass all tests, and whether there are more."""
        out: list[JournalEntry] = []
        for number, entry in enumerate(self._journal.entries(), 1):
            if all(test(entry) for test in tests):
                if len(out) >= limit:
                    return out, True
                out.append(entry)
            if not number % AT_ONCE:
                await in_task()
                await asyncio.sleep(0)
        return out, False

    def _server(self) -> Object:
        """The process that has been asked: another worker, or another server, keeps other requests."""
        return {"name": self._journal.server, "process": os.getpid(), "sharesPort": self._shared}


def _cause(server: Object) -> Object:
    return {"reason": "Server", "field": str(server["process"]), "message": str(server["name"])}


def _tests(query: Query) -> list[Test]:
    """The tests that the parameters of a list apply to a request."""
    tests: list[Test] = []
    texts: dict[str, Callable[[JournalEntry], Any]] = {
        "user": _username,
        "verb": lambda entry: entry.info.verb,
        "namespace": lambda entry: entry.info.namespace,
        "resource": lambda entry: group_resource(entry.info),
    }
    for name, value_of in texts.items():
        wanted = first(query, name)
        if wanted:
            tests.append(lambda entry, value_of=value_of, wanted=wanted: value_of(entry) == wanted)  # type: ignore[misc]
    if first(query, "code"):
        code = _number(query, "code", 0)
        tests.append(lambda entry: entry.kept.code == code)
    if first(query, "slow"):
        try:
            seconds = go_duration(first(query, "slow")) / 1e9
        except ValueError as err:
            raise errors.BadRequest(f"slow: {err}") from None
        tests += (_ends, lambda entry: entry.seconds >= seconds)
    if _flag(query, "refused"):
        tests.append(lambda entry: entry.kept.code >= 400)
    return tests


def _ends(entry: JournalEntry) -> bool:
    """Whether the server ends a request: how long the others take is up to their clients."""
    return entry.info.verb not in ("connect", "proxy", "watch") and entry.info.subresource != "log"


def _username(entry: JournalEntry) -> str:
    return str(json.loads(entry.kept.user)["username"])


def _flag(query: Query, name: str) -> bool:
    text = first(query, name)
    if text not in ("", "false", "true"):
        raise errors.BadRequest(f"{name}: {quote(text)} is neither true nor false")
    return text == "true"


def _number(query: Query, name: str, default: int) -> int:
    text = first(query, name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.BadRequest(f"{name}: {quote(text)} is no number")
    return int(text)
