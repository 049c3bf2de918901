"""Exec, attach and port-forward of pods: finds the kubelet and brings the client's streams to it
(registry core/pod/rest, apiserver util/proxy).

SPDY and the older WebSockets pass to the kubelet as they are. The client's WebSocket of `v5.channel.k8s.io`
becomes SPDY (`stream_translator`), and SPDY within a WebSocket is taken out of it, unless the node declares
that its kubelet takes them itself (KEP-4006).
"""

from functools import partial
from urllib.parse import urlencode

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.request.attributes import attributes_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.streams import local, local_forward, podlog, relay
from pilothouse.endpoints.streams.kubelet import Kubelet
from pilothouse.endpoints.streams.local import LocalKubelet
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.endpoints.streams.stream_translator import PROTOCOLS, V5, Translator, Wanted
from pilothouse.outbound.upgrade import Upgrade, UpgradeError
from pilothouse.registry.resource import Action, Resource
from pilothouse.registry.store import decode
from pilothouse.server import websocket
from pilothouse.server.request import Response
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import (
    Tunnel,
    WebSocket,
    is_upgrade,
    is_websocket,
    protocols,
)

TUNNEL, OURS = "SPDY/3.1+", ".k8s.io"
"""How the subprotocols begin and end that carry SPDY within a WebSocket."""

_PARAMETERS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
"""The options of exec and attach, and what a kubelet calls them."""


async def handle(
    streams: Streams, ctx: Context, resource: Resource, action: Action, options: Object
) -> Response:
    """Connect the client with the kubelet; `options` is the options object of the CONNECT."""
    await _may_create(streams, ctx)
    if streams.local is not None:
        pod = decode(streams.verbs.store.find(resource, ctx.info.namespace, ctx.info.name))
        if streams.local.has((pod.get("spec") or {}).get("nodeName", "")):
            return _local(streams.local, ctx, pod, action, options)
    kubelet, url = _location(streams, ctx, resource, action, options)
    request, forwards = ctx.request, action is Action.PORT_FORWARD
    streams.metrics.routed(ctx.info.subresource, to_kubelet=kubelet.websockets)
    if not is_upgrade(request):
        raise errors.BadRequest("Upgrade request required")
    if is_websocket(request) and not kubelet.websockets:
        tunnelled = [p for p in protocols(request) if p.startswith(TUNNEL) and p.endswith(OURS)]
        if forwards and tunnelled:
            return await _tunnel(streams, ctx, kubelet, url, tunnelled)
        if not forwards and V5 in protocols(request):
            return _translate(streams, ctx, kubelet, url, Wanted.of(options))
    try:
        return relay.upgraded(ctx, await streams.relay.upgrade(ctx, url, kubelet.trust))
    except UpgradeError as err:
        raise errors.Unknown(str(err)) from None


def _local(kubelet: LocalKubelet, ctx: Context, pod: Object, action: Action, options: Object) -> Response:
    """Answer for a kubelet in this process."""
    if not is_upgrade(ctx.request):
        raise errors.BadRequest("Upgrade request required")
    if action is Action.PORT_FORWARD:
        return local_forward.forward(ctx, partial(kubelet.connect, pod))
    container = podlog.container_of(pod, options.get("container", ""))
    if action is Action.EXEC:
        return local.execute(kubelet, ctx, pod, container, options.get("command") or ())
    return local.attach(kubelet, ctx, pod, container)


async def _may_create(streams: Streams, ctx: Context) -> None:
    """Require that a user who connects by GET, as WebSockets do,
    may create as well (ensureAuthorizedForVerb)."""
    info = ctx.info
    if info.verb == "create":
        return
    attributes = attributes_of(ctx)
    attributes.verb = "create"
    decision = await streams.verbs.authorizer.authorize(attributes)
    if not decision.allowed:
        raise errors.Forbidden(
            f'{info.resource} "{info.name}" is forbidden: {decision.reason}',
            details={"name": info.name, "kind": info.resource},
        )


def _location(
    streams: Streams, ctx: Context, resource: Resource, action: Action, options: Object
) -> tuple[Kubelet, str]:
    """The kubelet and the URL there, after upstream's checks (pod.ExecLocation, PortForwardLocation)."""
    info = ctx.info
    pod = decode(streams.verbs.store.find(resource, info.namespace, info.name))
    path, query = f"portForward/{info.namespace}/{info.name}", []
    if action is Action.PORT_FORWARD:
        if options.get("ports"):
            query = [("port", ",".join(str(port) for port in options["ports"]))]
    else:
        container = podlog.container_of(pod, options.get("container", ""))
        path = f"{info.subresource}/{info.namespace}/{info.name}/{container}"
        query = [("command", word) for word in options.get("command") or ()]
        query += sorted((name, "1") for key, name in _PARAMETERS.items() if options.get(key))
    node = (pod.get("spec") or {}).get("nodeName", "")
    if not node:
        raise errors.BadRequest(f"pod {info.name} does not have a host assigned")
    kubelet = streams.kubelets.of(node, "pods")
    url = f"{kubelet.base}/{path}"
    return kubelet, f"{url}?{urlencode(query)}" if query else url


def _translate(streams: Streams, ctx: Context, kubelet: Kubelet, url: str, wanted: Wanted) -> Response:
    """Accept the client's WebSocket; the kubelet is asked afterwards, and errors go by the error channel."""
    count = streams.metrics.translated

    async def dial() -> Upgrade:
        offered = [("X-Stream-Protocol-Version", name) for name in PROTOCOLS]
        sent = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), *offered, ("Content-Length", "0")]
        try:
            return await streams.relay.outbound.upgrade("POST", url, sent, kubelet.trust)
        except UpgradeError as err:
            raise UpgradeError(f'Post "{url}": {str(err).removeprefix("error dialing backend: ")}') from None

    def begin(duplex: Duplex) -> None:
        Translator(duplex, wanted, dial, count)

    response = websocket.answer(ctx.request, V5, begin)
    if response.upgrade is None:
        count(400)
    return response


async def _tunnel(streams: Streams, ctx: Context, kubelet: Kubelet, url: str, offered: list[str]) -> Response:
    """Ask the kubelet for SPDY, and carry its bytes in the messages of the client's WebSocket
    (TunnelingHandler)."""
    count = streams.metrics.tunnelled
    inner = [("X-Stream-Protocol-Version", name.removeprefix(TUNNEL)) for name in offered]
    try:
        answer = await streams.relay.upgrade(
            ctx, url, kubelet.trust, method="POST", protocol="SPDY/3.1", more=inner
        )
    except UpgradeError as err:
        count(500)
        raise errors.Unknown(str(err)) from None
    duplex = answer.duplex
    if duplex is None:
        count(answer.status)
        return relay.upgraded(ctx, answer)
    ctx.on_end(lambda _: duplex.close())
    if "spdy/3.1" not in answer.header("upgrade").lower():
        count(500)
        text = b"unable to upgrade: missing upgrade headers in response\n"
        return Response(500, text, "text/plain; charset=utf-8")
    version = answer.header("x-stream-protocol-version").strip()
    response = websocket.answer(
        ctx.request,
        f"{TUNNEL}{version}" if version else "",
        lambda client: Tunnel(WebSocket(client), duplex).start(),
    )
    count(500 if response.upgrade is None else 101)
    return response
