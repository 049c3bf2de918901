"""Serves /faults: adds, shows and removes faults.

A user needs the right to `get`, `put` or `delete` the path, like for any other that names no resource; no
role of a fresh cluster grants it but cluster-admin.
"""

from pilothouse import errors
from pilothouse.endpoints.documents.health import NOSNIFF
from pilothouse.endpoints.documents.nonresource import NonResource, raw_json
from pilothouse.endpoints.request import negotiation, refusals
from pilothouse.faults.faults import Fault, Faults
from pilothouse.faults.reading import read
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.server.request import Request, Response

log = Logger(__name__)

PATH = "/faults"


class FaultsAPI:
    """Answers PATH and the paths below it, each the name of a fault."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def install(self, nonresource: NonResource) -> None:
        """Register the paths with `nonresource`."""
        nonresource.add_prefix(PATH, self._handle)

    async def _handle(self, request: Request, path: str) -> Response:
        negotiation.acceptable(request.headers.get("accept"), ("application/json",))
        name = path[len(PATH) :].strip("/")
        if request.method == "PUT" and name:
            return self._put(name, request.body)
        if request.method == "GET":
            return _shown(self._found(name)) if name else self._list()
        if request.method == "DELETE":
            return self._delete(name)
        raise refusals.method_not_allowed()

    def _put(self, name: str, body: bytes) -> Response:
        rule, known = read(name, body), name in self._faults.active
        log.warning("A fault is added: requests fail on request", name=name, rule=rule.shown())
        return _shown(self._faults.add(name, rule), 200 if known else 201)

    def _list(self) -> Response:
        return _json({"faults": [fault.shown() for fault in self._faults.active.values()]})

    def _delete(self, name: str) -> Response:
        if name:
            found = self._found(name)
            self._faults.remove(name)
            return _shown(found)
        gone = list(self._faults.active.values())
        self._faults.clear()
        return _json({"faults": [fault.shown() for fault in gone]})

    def _found(self, name: str) -> Fault:
        found = self._faults.active.get(name)
        if found is None:
            raise errors.NotFound(f"fault {quote(name)} not found", details={"name": name, "kind": "faults"})
        return found


def _shown(fault: Fault, status: int = 200) -> Response:
    return _json(fault.shown(), status)


def _json(document: dict[str, object], status: int = 200) -> Response:
    return Response(status, raw_json(document), headers=[NOSNIFF])
