"""Sends requests on to the server that has their logical cluster, and streams the answers back."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import orjson

from pilothouse import errors
from pilothouse.api.values import _requestinfo as requestinfo
from pilothouse.clusters.shared.directory import ClusterUnavailable
from pilothouse.clusters.shared.metrics import SharedMetrics
from pilothouse.clusters.shared.peers import OWN_HEADERS, PeerServers, headers_of
from pilothouse.endpoints.streams import relay
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.outbound.dialer import DialError
from pilothouse.outbound.http import Answer, ClientError, Outbound
from pilothouse.outbound.upgrade import Upgrade, UpgradeError
from pilothouse.process.record import record
from pilothouse.server import upgrade
from pilothouse.server.request import Request, Response, Stream
from pilothouse.server.websocket import is_upgrade
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

Asked = TypeVar("Asked")

MOST = 1000
"""Forwarded requests that wait for their answers; more are refused with 429."""
PERIOD = 3.0
"""Seconds between two looks whether the servers of open requests have the clusters still."""
READS = ("GET", "HEAD")
AUTHENTICATED = "x-pilothouse-authenticated"
"""The header by which a server tells the one that has forwarded a request that it knows the client."""

_DROPPED = relay.HOP | OWN_HEADERS | {AUTHENTICATED, "expect"}
_REPLACED = relay.HOP | {AUTHENTICATED, "content-type", "date"}


@record(eq=False)
class _Forwarded:
    """A request that was sent on, until its answer has ended. `gone` is done when the other server has not
    the cluster any more."""

    cluster: str
    address: str
    gone: "asyncio.Future[None]"

    @property
    def place(self) -> tuple[str, str]:
        """The cluster, and the server that has it."""
        return self.cluster, self.address


class Forwarder(BackgroundTask):
    """Forwards requests. What their clients have sent goes along as it is: target, host, headers, body.

    A server that stands still or has vanished does not end its connections. So it is looked now and then, by
    `elsewhere`, whether the servers that requests wait for have the clusters still.
    """

    def __init__(
        self,
        outbound: Outbound,
        peers: PeerServers,
        elsewhere: Callable[[str], Awaitable[str]],
        metrics: SharedMetrics,
        *,
        period: float = PERIOD,
        most: int = MOST,
    ) -> None:
        self._outbound = outbound
        self._peers = peers
        self._elsewhere = elsewhere
        self._metrics = metrics
        self._period = period
        self._most = most
        self._waiting = 0
        self.open: set[_Forwarded] = set()
        """Requests whose answers have not ended."""
        self._watches: set[Stream] = set()

    async def forward(self, request: Request, cluster: str, address: str) -> Response:
        """The answer of the server at `address`, which has the cluster of this name."""
        if self._waiting >= self._most:
            answer = refused(errors.TooManyRequests("too many requests of logical clusters are forwarded"))
        else:
            self._waiting += 1
            request.caller = ""
            try:
                answer = await self._forward(request, cluster, address)
            except errors.StatusError as error:
                answer = refused(error)
            except OSError as error:
                answer = refused(ClusterUnavailable(f"other servers cannot be reached: {error}"))
            finally:
                self._waiting -= 1
        self._metrics.forwarded.inc(str(answer.status))
        return answer

    def end_watches(self) -> None:
        """End all watches: their clients go on elsewhere."""
        for stream in list(self._watches):
            stream.close()

    async def _forward(self, request: Request, cluster: str, address: str) -> Response:
        one = _Forwarded(cluster, address, asyncio.get_running_loop().create_future())
        self.open.add(one)
        try:
            answer = await self._answer(request, one)
        except BaseException:
            self.open.discard(one)
            raise
        if answer.start is None and answer.upgrade is None:
            self.open.discard(one)
            return answer
        before = answer.on_done

        def done(size: int, error: BaseException | None) -> None:
            self.open.discard(one)
            if before is not None:
                before(size, error)

        answer.on_done = done
        return answer

    async def _answer(self, request: Request, one: _Forwarded) -> Response:
        url, headers = f"https://{one.address}{_target(request)}", _headers(request, one.cluster)
        trust = self._peers.trust()
        if is_upgrade(request):
            headers += [("Connection", "Upgrade"), ("Upgrade", request.headers["upgrade"])]
            upgraded = await self._awaited(
                self._outbound.upgrade(request.method, url, headers, trust), request, one
            )
            return self._upgraded(request, upgraded, one)
        opened = self._outbound.open(request.method, url, headers=headers, body=request.body, trust=trust)
        answer = await self._awaited(opened, request, one)
        if answer.header(AUTHENTICATED):
            request.caller = f"cluster {one.cluster}"
        return await self._response(request, answer, one)

    async def _awaited(self, asking: Coroutine[Any, Any, Asked], request: Request, one: _Forwarded) -> Asked:
        """The head of an answer, unless the other server loses the cluster before; StatusError."""
        task = asyncio.get_running_loop().create_task(asking)
        wanted = False
        try:
            await asyncio.wait((task, one.gone), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                wanted = True
                return task.result()
        except (ClientError, UpgradeError) as error:
            if request.method in READS or isinstance(error.__cause__, DialError):
                raise ClusterUnavailable(
                    f"the server that has the cluster does not answer: {error}"
                ) from None
            raise errors.internal(f"the server that has the cluster was lost: {error}") from None
        finally:
            if not wanted:
                task.add_done_callback(_close_unwanted)
                task.cancel()
        if request.method in READS:
            raise ClusterUnavailable("the server that had the cluster does not answer")
        raise errors.Timeout("the server that had the cluster does not answer, the request may have happened")

    def _upgraded(self, request: Request, answer: Upgrade, one: _Forwarded) -> Response:
        if answer.header(AUTHENTICATED):
            request.caller = f"cluster {one.cluster}"
        duplex, given = answer.duplex, _passed_back(answer.headers)
        if duplex is None:
            return Response(answer.status, answer.body, answer.header("content-type"), given)
        given.append(("Upgrade", answer.header("upgrade")))
        out = Response(101, b"", "", given, upgrade=lambda client: upgrade.relay(client, duplex))
        out.on_done = lambda size, error: duplex.close()  # also when the client has left before
        one.gone.add_done_callback(lambda _: duplex.close())
        return out

    async def _response(self, request: Request, answer: Answer, one: _Forwarded) -> Response:
        """The client's response: whole if it is short, else streamed as it arrives."""
        kind, headers = answer.header("content-type"), _passed_back(answer.headers)
        length = answer.header("content-length")
        bodiless = request.method == "HEAD" or answer.status in (204, 304)
        if bodiless or (length.isdigit() and int(length) <= relay.WHOLE):
            try:
                return Response(answer.status, await answer.read(relay.WHOLE), kind, headers)
            except ClientError as error:
                raise errors.internal(f"the server that has the cluster was lost: {error}") from None
        watch = _is_watch(request)

        def start(stream: Stream) -> None:
            if watch:
                self._watches.add(stream)
                stream.on_close(lambda: self._watches.discard(stream))
            one.gone.add_done_callback(lambda _: stream.close() if watch else stream.abort())
            relay.pump(answer, stream)

        return Response(answer.status, b"", kind, headers, start=start)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            try:
                await self.look()
            except Exception:
                log.exception("It is not known whether other servers have their clusters still")

    async def look(self) -> None:
        """End what goes on with servers that have the clusters no more."""
        for place in {one.place for one in self.open}:
            if not await self._has(*place):
                for one in self.open:
                    if one.place == place and not one.gone.done():
                        one.gone.set_result(None)

    async def _has(self, cluster: str, address: str) -> bool:
        """Whether a server has a cluster, as far as can be known."""
        try:
            return await self._elsewhere(cluster) == address
        except errors.StatusError as error:
            return error.code != 404
        except StorageError:
            return True


def refused(error: errors.StatusError) -> Response:
    """The answer to a request that is not forwarded."""
    return Response(error.code, orjson.dumps(error.status()), headers=list(error.headers))


def _close_unwanted(task: "asyncio.Task[Any]") -> None:
    """Close an answer that has come although nobody waits for it any more."""
    if task.cancelled() or task.exception() is not None:
        return
    answer = task.result()
    if isinstance(answer, Answer):
        answer.close()
    elif answer.duplex is not None:
        answer.duplex.close()


def _target(request: Request) -> str:
    """The request's target as the client has sent it. It begins with a slash: what comes after it cannot
    change the host of a URL."""
    target = f"{request.prefix}{request.target}"
    return target if target.startswith("/") else f"/{target}"


def _headers(request: Request, cluster: str) -> list[tuple[str, str]]:
    """The headers of a request on its way to another server."""
    given = request.all_headers
    dropped = (_DROPPED | relay.named_in_connection(given)) - {"host"}
    out = [(name, value) for name, value in given if name not in dropped]
    if "host" in request.headers and not any(name == "host" for name, _ in out):  # of HTTP/2
        out.append(("host", request.headers["host"]))
    return [*out, *headers_of(request, cluster)]


def _passed_back(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    dropped = _REPLACED | relay.named_in_connection(headers)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _is_watch(request: Request) -> bool:
    try:
        path = requestinfo.unescape_path(request.path)
        info = requestinfo.parse(request.method, path, requestinfo.parse_query(request.query))
    except ValueError:
        return False
    return info.verb == "watch"
