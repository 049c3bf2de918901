"""Finds the logical cluster that a request is for: by its path, `/clusters/NAME/...`, or by its host name.

A client sees a whole API server: the path that the cluster's handlers see is the one without the prefix.
"""

from collections.abc import Awaitable

import orjson

from pilothouse import errors
from pilothouse.clusters.directory import Directory
from pilothouse.clusters.guests import PATH
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.logs import Logger
from pilothouse.server.request import Request, RequestHandler, Response
from pilothouse.storage.interface import StorageError

log = Logger(__name__)


class Router:
    """Hands requests to the cluster that they are for: `own` answers those of the server's own cluster.

    domain: names below it are those of clusters, "" for none.
    """

    def __init__(self, own: RequestHandler, directory: Directory, domain: str = "") -> None:
        self._own = own
        self._directory = directory
        self._domain = f".{domain}" if domain else ""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request; a cluster that is not in memory is woken first."""
        name = self._name(request)
        if not name:
            return self._own.handle(request)
        known = self._directory.open.get(name)
        if known is not None:
            return known.handle(request)
        return self._woken(name, request)

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Judge a request by its head, before its body is read."""
        name = self._name(request)
        if not name:
            return self._own.admit(request)
        known = self._directory.open.get(name)
        if known is not None:
            return _charged(known.admit(request), request, name)
        return self._woken_admission(name, request)

    def _name(self, request: Request) -> str:
        """The name of a request's cluster, "" for the server's own.
        The prefix of the path is taken off once."""
        name: str | None = request.cluster
        if name is None:
            name = request.cluster = self._found(request)
        return name

    def _found(self, request: Request) -> str:
        path = request.path
        if path.startswith(PATH):
            name, slash, rest = path[len(PATH) :].partition("/")
            if not name:
                return ""
            request.prefix = f"{PATH}{name}"
            request.path = f"/{rest}"
            request.target = f"/{request.target[len(PATH) + len(name) + len(slash) :]}"
            return name
        if self._domain:
            host = request.headers.get("host", "").partition(":")[0].removesuffix(".").lower()
            if host.endswith(self._domain):
                return host.removesuffix(self._domain)
        return ""

    async def _woken(self, name: str, request: Request) -> Response:
        cluster = await self._wake(name)
        if isinstance(cluster, Response):
            return cluster
        answer = cluster.handle(request)
        return answer if isinstance(answer, Response) else await answer

    async def _woken_admission(self, name: str, request: Request) -> Response | None:
        cluster = await self._wake(name)
        if isinstance(cluster, Response):
            return cluster
        return await self._admitted(cluster, name, request)

    async def _admitted(self, cluster: LogicalCluster, name: str, request: Request) -> Response | None:
        answer = _charged(cluster.admit(request), request, name)
        return answer if answer is None or isinstance(answer, Response) else await answer

    async def _wake(self, name: str) -> LogicalCluster | Response:
        try:
            return await self._directory.wake(name)
        except errors.StatusError as error:
            return _refused(error)
        except StorageError as error:
            log.warning("A cluster cannot be woken", cluster=name, err=error)
            return _refused(errors.internal(str(error)))
        except Exception as error:
            log.exception("A cluster cannot be opened", cluster=name)
            return _refused(errors.internal(type(error).__name__))


def _charged(
    answer: Response | Awaitable[Response | None] | None, request: Request, name: str
) -> Response | Awaitable[Response | None] | None:
    """Have a cluster pay for the memory of long bodies, whichever of its users sends them: those of other
    clusters may have the same names, and one cluster may have many."""

    async def later(waiting: Awaitable[Response | None]) -> Response | None:
        refusal = await waiting
        _charged(refusal, request, name)
        return refusal

    if answer is not None and not isinstance(answer, Response):
        return later(answer)
    if answer is None and request.caller:
        request.caller = f"cluster {name}"
    return answer


def _refused(error: errors.StatusError) -> Response:
    return Response(error.code, orjson.dumps(error.status()), headers=list(error.headers))
