"""Exec and attach: a client's WebSocket of `v5.channel.k8s.io`,
translated to a kubelet's SPDY (StreamTranslatorHandler)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.logs import Logger
from pilothouse.outbound import spdy
from pilothouse.outbound._spdy import Reader
from pilothouse.outbound.upgrade import Upgrade, UpgradeError
from pilothouse.server.frames import Frames
from pilothouse.server.upgrade import Duplex
from pilothouse.server.websocket import GOING_AWAY, NORMAL, PROTOCOL_ERROR, WebSocket

log = Logger(__name__)

V5 = "v5.channel.k8s.io"
"""The subprotocol that is translated: it can end one channel."""

PROTOCOLS = (V5, "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
"""The protocols that are offered to the kubelet, the best first."""

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
"""The first byte of a message: its channel; CLOSE ends the channel that the second byte names."""

IDLE_SECONDS = 4 * 3600.0
"""A session in which nothing is sent for so long ends (upstream's defaultIdleConnectionTimeout)."""

PING_SECONDS = 5.0
"""How often the kubelet is pinged, as by upstream."""

ERROR_BYTES = 64 * 1024
"""How much of a kubelet's error stream is read."""

FLOOD = "too many frames without data"


class Wanted(NamedTuple):
    """The streams of a session."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def of(cls, options: Object) -> "Wanted":
        """The streams that PodExecOptions or PodAttachOptions ask for."""
        return cls(*(bool(options.get(name)) for name in cls._fields))


class Translator:
    """One session, from the client's WebSocket to its end. `dial` asks the kubelet for SPDY.

    `counted` is called once with the status code of the session:
    200 when the command ran, whatever its exit code.
    """

    def __init__(
        self,
        duplex: Duplex,
        wanted: Wanted,
        dial: Callable[[], Awaitable[Upgrade]],
        counted: Callable[[int], None],
    ) -> None:
        self._socket = WebSocket(duplex)
        self._wanted = wanted
        self._counted = counted
        self._kubelet: Duplex | None = None
        self._frames: Frames[spdy.Event, str] | None = None  # of the kubelet
        self._version = 0
        self._channels: dict[int, int] = {}  # streams of the kubelet that have not ended -> channels
        self._stdin = self._resize = 0  # streams to which the client writes, 0 = none
        self._failure = bytearray()  # what the kubelet writes to its error stream
        self._told = False  # the kubelet has ended its error stream
        self._channel = -1  # of the message that is being read, -1 before its first byte
        self._closing = bytearray()  # a message of the channel CLOSE
        self._done = False
        self._loop = asyncio.get_running_loop()
        self._active = self._loop.time()
        self._pings = 1
        self._timer = self._loop.call_later(PING_SECONDS, self._tick)
        first = STDOUT if wanted.stdout else STDERR if wanted.stderr else ERROR
        self._socket.send(bytes((first,)))  # tells the client that the connection stands
        self._task = self._loop.create_task(self._connect(dial))
        self._socket.start(self, reading=False)

    async def _connect(self, dial: Callable[[], Awaitable[Upgrade]]) -> None:
        try:
            answer = await dial()
            if answer.duplex is None or "spdy/3.1" not in answer.header("upgrade").lower():
                if answer.duplex is not None:
                    answer.duplex.abort()
                self._end(_refused(answer))
                return
            self._open(answer.duplex, answer.header("x-stream-protocol-version"))
        except UpgradeError as err:
            self._end(_internal(f"error sending request: {err}"))
        except Exception as err:
            log.exception("A session with a kubelet was not opened", err=err)
            self._end(_internal(type(err).__name__))

    def _open(self, kubelet: Duplex, protocol: str) -> None:
        """Open the streams in upstream's order: error, stdin, stdout, stderr, resize."""
        self._kubelet = kubelet
        self._version = 5 - PROTOCOLS.index(protocol) if protocol in PROTOCOLS else 1
        wanted = self._wanted
        names = {"error": ERROR}
        if wanted.stdin:
            names["stdin"] = STDIN
        if wanted.stdout:
            names["stdout"] = STDOUT
        if wanted.stderr and not wanted.tty:
            names["stderr"] = STDERR
        if wanted.tty and self._version >= 3:
            names["resize"] = RESIZE
        writer = spdy.FrameWriter()
        for number, (name, channel) in enumerate(names.items()):
            stream = 2 * number + 1
            self._channels[stream] = channel
            kubelet.write(writer.syn_stream(stream, {"streamtype": name}))
            if channel == STDIN:
                self._stdin = stream
            elif channel == RESIZE:
                self._resize = stream
        self._read(kubelet)
        self._socket.resume_reading()

    def _read(self, kubelet: Duplex) -> None:
        """Read the kubelet's frames; both sides take their turns in the line of the client's server."""
        client = self._socket.duplex
        assert client.line is not None
        self._frames = Frames(kubelet, client.line, Reader(), self._take, self._broken, FLOOD)
        self._frames.sinks = self._socket.frames.sinks = (client, kubelet)
        kubelet.start(_FromKubelet(self, self._frames))

    # --- from the client

    def message(self, data: bytes, finished: bool) -> None:
        self._active = self._loop.time()
        part: memoryview | bytes = data
        if self._channel < 0 and data:
            self._channel = data[0]
            part = memoryview(data)[1:]
        if self._channel == CLOSE:
            self._closing += part[:2]
            if finished:
                self._half_close(bytes(self._closing))
                self._closing.clear()
        elif self._channel == STDIN and self._stdin and part:
            self._write(self._stdin, part)
        elif self._channel == RESIZE and self._resize and part:
            self._write(self._resize, part)
        elif data:
            self._socket.frames.charge()  # nobody reads it
        if finished:
            self._channel = -1

    def _write(self, stream: int, data: memoryview | bytes) -> None:
        kubelet = self._kubelet
        assert kubelet is not None
        for frame in spdy.data_frames(stream, data):
            kubelet.write(frame)
        if kubelet.blocked:
            self._socket.pause_reading()

    def _half_close(self, channels: bytes) -> None:
        if len(channels) != 1 or channels[0] > RESIZE:
            self._socket.close(PROTOCOL_ERROR)
        elif channels[0] == STDIN and self._stdin and self._kubelet is not None:
            self._kubelet.write(next(spdy.data_frames(self._stdin, b"", fin=True)))
            self._stdin = 0

    def blocked(self, blocked: bool) -> None:
        if self._frames is None:
            return
        if blocked:
            self._frames.pause()
        else:
            self._frames.resume()

    def closed(self, error: BaseException | None) -> None:
        self._finish(499)

    def leave(self) -> None:
        self._finish(503)
        self._socket.close(GOING_AWAY)

    # --- from the kubelet

    def _take(self, events: list[spdy.Event]) -> None:
        self._active = self._loop.time()
        for event in events:
            if self._done:
                return
            self._frame(*event)

    def _frame(self, kind: int, stream: int, fin: bool, data: bytes, value: int) -> None:
        if kind == spdy.PING:
            if value % 2 == 0:  # ours are odd
                self._answer(spdy.ping(value))
        elif kind == spdy.SYN_STREAM:
            self._answer(spdy.rst_stream(stream, spdy.REFUSED_STREAM))
        elif kind == spdy.GOAWAY:
            self._ended()
        else:
            channel = self._channels.get(stream, -1)
            if data:
                self._data(channel, data)
            if channel >= 0 and (fin or kind == spdy.RST_STREAM):
                self._stream_ended(stream, channel)

    def _answer(self, frame: bytes) -> None:
        """Send what the kubelet has asked for, unless it reads nothing."""
        if self._kubelet is not None and not self._kubelet.blocked:
            self._kubelet.write(frame)

    def _data(self, channel: int, data: bytes) -> None:
        if channel in (STDOUT, STDERR):
            self._socket.send(b"".join((bytes((channel,)), data)))
        elif channel == ERROR and len(self._failure) < ERROR_BYTES:
            self._failure += data
        elif self._frames is not None:
            self._frames.charge()  # nobody reads it

    def _broken(self, error: str) -> None:
        self._end(_internal(f"error reading from the kubelet: {error}"))

    def _stream_ended(self, stream: int, channel: int) -> None:
        del self._channels[stream]
        if channel == STDIN:
            self._stdin = 0
        elif channel == RESIZE:
            self._resize = 0
        self._told |= channel == ERROR
        if not any(open in (STDOUT, STDERR, ERROR) for open in self._channels.values()):
            self._ended()

    def kubelet_gone(self) -> None:
        """The kubelet's connection has ended, and all that it has sent was read."""
        self._ended()

    def _ended(self) -> None:
        """Tell the client how the command has ended."""
        if not self._failure and not self._told:
            self._end(_internal("error reading from error stream: unexpected EOF"))
        elif not self._failure:
            self._end(_SUCCESS)
        elif self._version < 4:
            text = self._failure.decode("utf-8", "replace")
            self._end(_internal(f"error executing remote command: {text}"))
        else:
            self._end(_status(bytes(self._failure)))

    # --- the end

    def _end(self, status: Object) -> None:
        if self._done:
            return
        ran = status["status"] == "Success" or status.get("reason") == "NonZeroExitCode"
        self._finish(200 if ran else status.get("code", 500))
        self._socket.send(bytes((ERROR,)) + orjson.dumps(status))
        self._socket.close(NORMAL)

    def _finish(self, code: int) -> None:
        if self._done:
            return
        self._done = True
        self._timer.cancel()
        self._task.cancel()
        if self._frames is not None:
            self._frames.stop()
        if self._kubelet is not None:
            self._kubelet.write(spdy.goaway())
            self._kubelet.close()
        self._counted(code)

    def _tick(self) -> None:
        if self._loop.time() - self._active > IDLE_SECONDS:
            self._finish(504)
            self._socket.close(NORMAL)
            return
        if self._kubelet is not None and not self._kubelet.blocked:
            self._kubelet.write(spdy.ping(self._pings))
            self._pings = (self._pings + 2) & 0x7FFFFFFF
        self._timer = self._loop.call_later(PING_SECONDS, self._tick)

    def pause_client(self, blocked: bool) -> None:
        """The kubelet takes no more bytes, or does again."""
        if blocked:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()


class _FromKubelet:
    """Receives the bytes of a kubelet."""

    def __init__(self, session: Translator, frames: Frames[spdy.Event, str]) -> None:
        self._session = session
        self._frames = frames

    def received(self, data: bytes) -> None:
        self._frames.received(data)

    def blocked(self, blocked: bool) -> None:
        self._session.pause_client(blocked)

    def closed(self, error: BaseException | None) -> None:
        self._frames.closed(self._session.kubelet_gone)

    def leave(self) -> None:
        self._session.leave()


_SUCCESS: Object = {"metadata": {}, "status": "Success"}


def _status(data: bytes) -> Object:
    """The Status for what a kubelet of v4 says at the end (errorDecoderV4, then codeExitToStatusError)."""
    try:
        status: Any = orjson.loads(data)
        kind, reason, text = status.get("status"), status.get("reason"), status.get("message", "")
        causes = (status.get("details") or {}).get("causes") or []
        code = next((c.get("message") for c in causes if c.get("reason") == "ExitCode"), None)
    except (ValueError, AttributeError) as err:
        said = data.decode("utf-8", "replace")
        return _internal(f"error stream protocol error: {err} in {orjson.dumps(said).decode()}")
    if kind == "Success":
        return _SUCCESS
    if kind != "Failure":
        return _internal("error stream protocol error: unknown error")
    if reason != "NonZeroExitCode":
        return _internal(str(text))
    if status.get("details") is None:
        return _internal("error stream protocol error: details must be set")
    if code is None:
        return _internal("error stream protocol error: no ExitCode cause given")
    if not (
        isinstance(code, str) and len(code) <= 20 and code.isascii() and code.isdigit() and int(code) < 256
    ):
        return _internal(f'error stream protocol error: invalid exit code value "{code}"')
    return {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: command terminated with "
        f"exit code {int(code)}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(int(code))}]},
    }


def _internal(text: str) -> Object:
    """errors.NewInternalError as a Status of an error channel."""
    status = errors.internal(text).status()
    return {key: value for key, value in status.items() if key not in ("kind", "apiVersion")}


def _refused(answer: Upgrade) -> Object:
    """The Status for an answer of the kubelet that is no SPDY (spdy.NewConnection): its own, if it is one."""
    try:
        status: Any = orjson.loads(answer.body)
        if status.get("kind") == "Status" and isinstance(status.get("message"), str):
            status.setdefault("status", "Failure")
            return dict(status)
    except (ValueError, AttributeError):
        pass
    return _internal(f"unable to upgrade connection: {answer.body.decode('utf-8', 'replace').strip()}")
