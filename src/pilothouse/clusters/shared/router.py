"""Hands requests to the logical clusters that this server has claimed, and forwards those for others."""

from collections.abc import Awaitable

from pilothouse import errors
from pilothouse.clusters.logical import LogicalCluster
from pilothouse.clusters.router import Router
from pilothouse.clusters.shared.directory import ClusterUnavailable, SharedDirectory
from pilothouse.clusters.shared.forwarder import AUTHENTICATED, Forwarder, refused
from pilothouse.clusters.shared.peers import PeerServers, is_accepted
from pilothouse.server.request import Request, RequestHandler, Response
from pilothouse.storage.interface import StorageError


class SharedRouter(Router):
    """The router of a server that divides its logical clusters with others.

    A request that another server has forwarded is not forwarded again.
    """

    def __init__(
        self,
        own: RequestHandler,
        directory: SharedDirectory,
        domain: str,
        peers: PeerServers,
        forwarder: Forwarder,
    ) -> None:
        super().__init__(own, directory, domain)
        self._shared = directory
        self._peers = peers
        self._forwarder = forwarder

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        self._shared.shared.holds_lease()  # what this server has no longer claimed is given up here
        self._peers.accept(request)
        answer = super().handle(request)
        if not is_accepted(request):
            return answer
        return _told(answer, request) if isinstance(answer, Response) else _told_later(answer, request)

    def admit(self, request: Request) -> Response | Awaitable[Response | None] | None:
        self._shared.shared.holds_lease()
        self._peers.accept(request)
        return super().admit(request)

    async def _woken(self, name: str, request: Request) -> Response:
        place = await self._place(name, request)
        if isinstance(place, Response):
            return place
        if isinstance(place, str):
            return await self._forwarder.forward(request, name, place)
        answer = place.handle(request)
        return answer if isinstance(answer, Response) else await answer

    async def _woken_admission(self, name: str, request: Request) -> Response | None:
        place = await self._place(name, request)
        if isinstance(place, Response):
            return place
        if isinstance(place, str):  # the other server judges it; until then its body counts as the cluster's
            request.caller = f"cluster {name}"
            return None
        return await self._admitted(place, name, request)

    async def _place(self, name: str, request: Request) -> LogicalCluster | Response | str:
        """The cluster in memory, or the address of the server that has it, or a refusal."""
        address = await self._elsewhere(name)
        if address == "":
            found = await self._wake(name)
            if isinstance(found, LogicalCluster) or found.status != ClusterUnavailable.code:
                return found
            address = await self._elsewhere(name) or found  # another server may have been faster
        if isinstance(address, str) and is_accepted(request):
            return refused(ClusterUnavailable("the cluster has moved to another server meanwhile, try again"))
        return address

    async def _elsewhere(self, name: str) -> str | Response:
        try:
            return await self._shared.elsewhere(name)
        except errors.StatusError as error:
            return refused(error)
        except StorageError as error:
            return refused(ClusterUnavailable(str(error)))


def _told(answer: Response, request: Request) -> Response:
    """Tell the server that has forwarded a request whether the client is known."""
    if request.caller:
        answer.headers = [*answer.headers, (AUTHENTICATED, "1")]
    return answer


async def _told_later(answer: Awaitable[Response], request: Request) -> Response:
    return _told(await answer, request)
