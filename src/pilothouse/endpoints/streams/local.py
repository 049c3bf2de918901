"""Exec and attach of pods whose kubelet is in this process: what is known of them is sent by a WebSocket."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

import orjson

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.request.context import Context
from pilothouse.server import websocket
from pilothouse.server.request import Response
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import GOING_AWAY, NORMAL, WebSocket, is_websocket

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""The subprotocols of exec and attach that end with a Status."""

STDOUT, ERROR = 1, 3
"""The first byte of a message: its channel."""


class LogRequest(NamedTuple):
    """The part of a log that is wanted, and its form."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since_seconds: int | None = None
    since_time: str = ""

    @classmethod
    def of(cls, params: Sequence[tuple[str, str]]) -> "LogRequest":
        """The request that the query for a kubelet makes."""
        said = dict(params)
        numbers = {name: int(said[key]) for name, key in _NUMBERS.items() if key in said}
        flags = {name: said.get(name) == "true" for name in ("follow", "previous", "timestamps")}
        return cls(**flags, since_time=said.get("sinceTime", ""), **numbers)  # type: ignore[arg-type]


_NUMBERS = {"tail": "tailLines", "limit": "limitBytes", "since_seconds": "sinceSeconds"}


class LocalKubelet(Protocol):
    """A kubelet in this process."""

    def has(self, node: str) -> bool:
        """Whether it is that of a node."""

    def log(self, pod: Object, container: str, wanted: LogRequest) -> AsyncGenerator[bytes, None]:
        """The log of a container, whose errors are raised before its first bytes."""

    def run(self, pod: Object, container: str, command: Sequence[str]) -> tuple[bytes, int]:
        """The output of a command, and its exit code. Raises the errors of a kubelet."""

    def connect(self, pod: Object, port: int) -> bytes:
        """The bytes that a connection to a port of the pod gets. Raises an error if nobody listens."""


def execute(
    kubelet: LocalKubelet, ctx: Context, pod: Object, container: str, command: Sequence[str]
) -> Response:
    """Run a command: its output, then how it has ended."""
    output, code = kubelet.run(pod, container, command)

    async def once() -> AsyncGenerator[bytes, None]:
        if output:
            yield output

    return _session(ctx, once(), _ended(code))


def attach(kubelet: LocalKubelet, ctx: Context, pod: Object, container: str) -> Response:
    """Follow what a container writes from now on."""
    parts = kubelet.log(pod, container, LogRequest(follow=True, tail=0))
    return _session(ctx, parts, _ended(0))


def _session(ctx: Context, output: AsyncGenerator[bytes, None], status: Object) -> Response:
    """A session whose output is known; its input is not read by anybody."""
    if not is_websocket(ctx.request):
        raise errors.BadRequest("simulated containers are reached by WebSockets only, not by SPDY")
    return websocket.answer(
        ctx.request,
        websocket.choose(ctx.request, PROTOCOLS),
        lambda duplex: LocalSession(duplex, output, status).start(),
    )


def _ended(code: int) -> Object:
    """The Status with which a session ends."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    text = f"command terminated with non-zero exit code: command terminated with exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": text,
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


class LocalSession:
    """Sends output and a Status; throws away what the client sends, within its budget."""

    def __init__(self, duplex: Duplex, output: AsyncGenerator[bytes, None], status: Object) -> None:
        self._socket = WebSocket(duplex)
        self._output = output
        self._status = status
        self._drained = asyncio.Event()
        self._drained.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._socket.start(self)
        self._socket.send(bytes((STDOUT,)))  # tells the client that the connection stands
        self._task = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        async for part in self._output:
            await self._drained.wait()
            self._socket.send(bytes((STDOUT,)) + part)
        self._socket.send(bytes((ERROR,)) + orjson.dumps(self._status))
        self._socket.close(NORMAL)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # --- the socket's messages

    def message(self, data: bytes, finished: bool) -> None:
        self._socket.frames.charge()

    def blocked(self, blocked: bool) -> None:
        if blocked:
            self._drained.clear()
        else:
            self._drained.set()

    def closed(self, error: BaseException | None) -> None:
        self._end()

    def leave(self) -> None:
        self._end()
        self._socket.close(GOING_AWAY)
