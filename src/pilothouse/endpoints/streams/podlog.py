"""Serves pods/log: a container's log, streamed from its node's kubelet (registry core/pod rest.LogREST)."""

import base64
from collections.abc import Callable
from urllib.parse import urlencode

from pilothouse import errors
from pilothouse.api.values import times
from pilothouse.api.values.fields import Errors, Object
from pilothouse.endpoints.request import refusals
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.negotiation import PRODUCES, acceptable, negotiate
from pilothouse.endpoints.request.params import Query, boolean, first, integer
from pilothouse.endpoints.streams import relay
from pilothouse.endpoints.streams.kubelet import refused
from pilothouse.endpoints.streams.local import LocalKubelet, LogRequest
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.outbound.dialer import UNVERIFIED
from pilothouse.outbound.http import Answer, ClientError, Trust
from pilothouse.process.record import record
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import decode
from pilothouse.server import websocket
from pilothouse.server.pump import start_pump
from pilothouse.server.request import Response, Stream
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import MessageStream, WebSocket, is_websocket

_BASE64 = "base64.binary.k8s.io"

_READERS = ("", "binary.k8s.io", _BASE64)
"""The subprotocols of a log."""


@record
class PodLogOptions:
    """PodLogOptions as the client sent them; `params` are the query parameters for the kubelet."""

    container: str = ""
    insecure: bool = False
    params: tuple[tuple[str, str], ...] = ()


def log_options(query: Query, name: str) -> PodLogOptions:
    """Decode and check PodLogOptions; raises BadRequest and Invalid as upstream does."""
    numbers = {key: integer(query, key) for key in ("sinceSeconds", "tailLines", "limitBytes")}
    since = first(query, "sinceTime")
    if since:
        try:
            since = times.time(since) or ""
        except ValueError as err:
            raise errors.BadRequest(str(err)) from None
    _check_log(numbers, since, bool(query.get("stream")), name)
    params = [(key, "true") for key in ("follow", "previous", "timestamps") if boolean(query, key)]
    params += [(key, str(value)) for key, value in numbers.items() if value is not None]
    if since:
        params.append(("sinceTime", since))
    insecure = bool(boolean(query, "insecureSkipTLSVerifyBackend"))
    return PodLogOptions(first(query, "container"), insecure, tuple(sorted(params)))


def _check_log(numbers: dict[str, int | None], since: str, stream: bool, name: str) -> None:
    errs = Errors()
    tail, limit, seconds = numbers["tailLines"], numbers["limitBytes"], numbers["sinceSeconds"]
    if tail is not None and tail < 0:
        errs.invalid("tailLines", tail, "must be greater than or equal to 0")
    if limit is not None and limit < 1:
        errs.invalid("limitBytes", limit, "must be greater than 0")
    if seconds is not None and since:
        errs.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")
    elif seconds is not None and seconds < 1:
        errs.invalid("sinceSeconds", seconds, "must be greater than 0")
    if stream:
        errs.forbidden("stream", "may not be specified")
    errs.raise_if_any("", "PodLogOptions", name)


def container_of(pod: Object, asked: str) -> str:
    """The requested container, or the only one;
    BadRequest if it does not exist or is ambiguous (validateContainer)."""
    spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
    lists = ("initContainers", "containers", "ephemeralContainers")
    known = [c.get("name", "") for key in lists for c in spec.get(key) or ()]
    if asked:
        if asked not in known:
            raise errors.BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    own = spec.get("containers") or []
    if len(own) == 1:
        only: str = own[0]["name"]
        return only
    text = f"a container name must be specified for pod {name}"
    raise errors.BadRequest(f"{text}, choose one of: [{' '.join(known)}]" if own else text)


async def handle(streams: Streams, ctx: Context, resource: Resource) -> Response:
    """Stream the log from the kubelet; 204 for a pod that is not assigned to a node yet."""
    info = ctx.info
    if ctx.request.method != "GET":
        raise refusals.method_not_allowed()
    accept = ctx.request.headers.get("accept")
    acceptable(accept, ("text/plain", *PRODUCES))
    negotiate(accept, tables=False)
    options = log_options(ctx.query, info.name)
    pod = decode(streams.verbs.store.find(resource, info.namespace, info.name))
    container = container_of(pod, options.container)
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        return Response(204, b"", "")
    if streams.local is not None and streams.local.has(node):
        return await _local(streams.local, ctx, pod, container, LogRequest.of(options.params))
    kubelet = streams.kubelets.of(node, "pods")
    url = f"{kubelet.base}/containerLogs/{info.namespace}/{info.name}/{container}"
    if options.params:
        url = f"{url}?{urlencode(options.params)}"
    trust = kubelet.trust
    if options.insecure:
        trust = Trust(insecure=True, cert_file=trust.cert_file, key_file=trust.key_file)
    streams.metrics.logs(insecure=options.insecure)
    try:
        answer = await streams.relay.outbound.open("GET", url, trust=trust)
    except ClientError as err:
        if UNVERIFIED in str(err):
            streams.metrics.unverified()
        raise errors.Unknown(f'Get "{url}": {err}') from None
    if not 200 <= answer.status <= 206:
        raise await refused(answer, "pods/log", info.name)
    if is_websocket(ctx.request):
        return copy(ctx, answer)
    return await relay.response_of(ctx, answer, "text/plain")


async def _local(
    kubelet: LocalKubelet, ctx: Context, pod: Object, container: str, wanted: LogRequest
) -> Response:
    """The log of a container whose kubelet is in this process."""
    parts = kubelet.log(pod, container, wanted)

    def start(stream: Stream) -> None:
        start_pump(stream, parts, relay.AHEAD)

    if is_websocket(ctx.request):
        return _messages(ctx, start)
    if wanted.follow:
        return Response(200, b"", "text/plain", start=start)
    return Response(200, b"".join([part async for part in parts]), "text/plain")


def copy(ctx: Context, log: Answer) -> Response:
    """A log in messages, the first of which is empty."""
    ctx.on_end(lambda _: log.close())
    return _messages(ctx, lambda stream: relay.pump(log, stream))


def _messages(ctx: Context, pump: Callable[[Stream], None]) -> Response:
    protocol = websocket.choose(ctx.request, _READERS)
    send = _base64 if protocol == _BASE64 else WebSocket.send

    def start(duplex: Duplex) -> None:
        stream = MessageStream(duplex, send)
        stream.write(b"")
        stream.start()
        pump(stream)

    return websocket.answer(ctx.request, protocol, start)


def _base64(socket: WebSocket, data: bytes) -> None:
    socket.send_text(base64.b64encode(data))
