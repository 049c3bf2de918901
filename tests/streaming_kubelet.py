"""The streaming server of a kubelet, for tests with real clients:
exec, attach, port-forward and logs over TLS.

Commands run on this host. It speaks SPDY with the Reader and Writer of `outbound/spdy.py`, which kubectl's
own SPDY holds to the specification, and WebSockets with `websockets`,
as a kubelet does to whom they are passed on.
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import ssl
import struct
import termios
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from spdy_model import Frame, Model
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side, State
from websockets.utils import accept_key

from pilothouse.outbound import spdy
from pilothouse.pki import CertificateAuthority

CHUNK = 32 * 1024
"""Bytes of one read, as of Go's io.Copy."""

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}

Send = Callable[[int, bytes], Awaitable[None]]
Inputs = dict[int, "asyncio.Queue[bytes | None]"]


class StreamingKubelet:
    """Serves from a thread of its own while it is entered."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.port = 0
        self.requests: list[tuple[str, str, list[tuple[str, str]]]] = []
        """The requests that came: method, target and headers, their names in lower case."""
        self.log: list[bytes] = [b"first\n"]
        self.following = 0
        self.hanging: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        authority = CertificateAuthority.create("kubelet")
        cert, key = authority.issue("kubelet", hosts=("127.0.0.1",), server=True)
        pem = self.folder / "kubelet.pem"
        pem.write_bytes(cert + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, limit=1 << 18)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=0.2)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    def say(self, line: bytes) -> None:
        """Add a line to the log of every container."""
        self._loop.call_soon_threadsafe(self.log.append, line)

    @property
    def open(self) -> int:
        """Connections that are being served."""
        return len(self._tasks)

    async def left(self) -> None:
        """Wait until nobody is connected."""
        while self._tasks:
            await asyncio.sleep(0.001)

    # --- HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")[:-2]
            method, target, _ = first.split(" ")
            headers = [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]
            self.requests.append((method, target, headers))
            await self._answer(target, headers, reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._tasks.discard(task)
            self.writers.discard(writer)
            writer.close()

    async def _answer(
        self,
        target: str,
        headers: list[tuple[str, str]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        url = urlsplit(target)
        query = parse_qs(url.query)
        what, _, pod, *_ = url.path.strip("/").split("/")
        asked = dict(headers)
        if what == "containerLogs":
            await self._send_log(query, writer)
        elif pod == "never":
            self.hanging.append(writer)
            await reader.read()
        elif pod == "missing":
            await _refuse(writer, 404, b'container not found ("c")')
        elif asked.get("upgrade", "").lower() == "websocket":
            await self._websocket(what, query, asked, reader, writer)
        elif asked.get("upgrade", "").lower() == "spdy/3.1":
            offered = [
                v.strip() for n, v in headers if n == "x-stream-protocol-version" for v in v.split(",")
            ]
            await self._spdy(what, query, offered, reader, writer)
        else:
            await _refuse(writer, 400, b"Upgrade request required")

    async def _send_log(self, query: dict[str, list[str]], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        at = 0
        self.following += 1
        try:
            while True:
                for line in self.log[at:]:
                    writer.write(b"%x\r\n%b\r\n" % (len(line), line))
                at = len(self.log)
                await writer.drain()
                if "follow" not in query:
                    break
                await asyncio.sleep(0.005)
                if writer.transport.is_closing():
                    return
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            self.following -= 1

    # --- SPDY

    async def _spdy(
        self,
        what: str,
        query: dict[str, list[str]],
        offered: list[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        known = (
            ["portforward.k8s.io"]
            if what == "portForward"
            else ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"]
        )
        chosen = next((name for name in offered if name in known), "")
        if not chosen:
            accepted = "".join(f"X-Accepted-Stream-Protocol-Versions: {name}\r\n" for name in known)
            await _refuse(writer, 403, b"unable to upgrade: unable to negotiate protocol", accepted)
            return
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            b"X-Stream-Protocol-Version: %b\r\n\r\n" % chosen.encode()
        )
        connection = _Spdy(reader, writer)
        if what == "portForward":
            await connection.forward()
        else:
            await connection.command(what, query)

    # --- WebSockets

    async def _websocket(
        self,
        what: str,
        query: dict[str, list[str]],
        asked: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        offered = [
            name.strip() for name in asked.get("sec-websocket-protocol", "").split(",") if name.strip()
        ]
        known = ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io"]
        known += ["base64.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"]
        chosen = next((name for name in offered if name in known), "")
        line = f"Sec-WebSocket-Protocol: {chosen}\r\n" if chosen else ""
        writer.write(
            (
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Accept: {accept_key(asked['sec-websocket-key'])}\r\n{line}\r\n"
            ).encode()
        )
        socket = _Socket(reader, writer)
        if chosen.startswith("SPDY/3.1+"):
            await _Spdy(socket, socket).forward()  # type: ignore[arg-type]
        elif what == "portForward":
            await socket.forward([int(port) for port in query["port"][0].split(",")])
        else:
            await socket.command(what, query, chosen)


async def _refuse(writer: asyncio.StreamWriter, status: int, text: bytes, more: str = "") -> None:
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain; charset=utf-8\r\n{more}"
    writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
    await writer.drain()


class _Spdy:
    """One SPDY connection of the kubelet's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = Model()
        self._out = spdy.FrameWriter()

    async def _read(self) -> AsyncIterator[Frame]:
        while data := await self._reader.read(CHUNK):
            for frame in self._frames.feed(data):
                if frame.type == spdy.PING:
                    self._writer.write(spdy.ping(frame.value))
                elif frame.type == spdy.GOAWAY:
                    return
                else:
                    if frame.type == spdy.SYN_STREAM:
                        self._writer.write(self._out.syn_reply(frame.stream))
                    yield frame

    async def send(self, stream: int, data: bytes, fin: bool = False) -> None:
        for frame in spdy.data_frames(stream, data, fin=fin):
            self._writer.write(frame)
        await self._writer.drain()

    async def command(self, what: str, query: dict[str, list[str]]) -> None:
        wanted = {ERROR}
        wanted |= {STDIN} if "input" in query else set()
        wanted |= {STDOUT} if "output" in query else set()
        wanted |= {STDERR} if "error" in query and "tty" not in query else set()
        wanted |= {RESIZE} if "tty" in query else set()
        streams: dict[int, int] = {}
        inputs: Inputs = {STDIN: asyncio.Queue(64), RESIZE: asyncio.Queue(64)}
        task: asyncio.Task[None] | None = None

        async def send(channel: int, data: bytes) -> None:
            if channel in by_channel:
                await self.send(by_channel[channel], data)

        async def run() -> None:
            status = await run_command(what, query, inputs, send)
            await send(ERROR, status)
            for stream in streams:
                self._writer.write(spdy.rst_stream(stream))
            self._writer.write(spdy.goaway())
            await self._writer.drain()
            self._writer.close()

        by_channel: dict[int, int] = {}
        try:
            async for frame in self._read():
                if frame.type == spdy.SYN_STREAM:
                    assert frame.headers is not None
                    channel = NAMES[frame.headers["streamtype"]]
                    streams[frame.stream] = channel
                    by_channel[channel] = frame.stream
                    if by_channel.keys() >= wanted:
                        task = asyncio.get_running_loop().create_task(run())
                elif frame.stream in streams and streams[frame.stream] in inputs:
                    queue = inputs[streams[frame.stream]]
                    if frame.data:
                        await queue.put(bytes(frame.data))
                    if frame.fin or frame.type == spdy.RST_STREAM:
                        await queue.put(None)
        finally:
            if task is not None:
                if not task.done():
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def forward(self) -> None:
        """Connects every pair of an error and a data stream with its port on this host."""
        ports: dict[str, int] = {}
        targets: dict[int, asyncio.StreamWriter] = {}
        tasks: set[asyncio.Task[None]] = set()
        errors: dict[str, int] = {}

        async def back(stream: int, request: str, source: asyncio.StreamReader) -> None:
            while data := await source.read(CHUNK):
                await self.send(stream, data)
            await self.send(stream, b"", True)
            await self.send(errors[request], b"", True)

        try:
            async for frame in self._read():
                if frame.type == spdy.SYN_STREAM:
                    assert frame.headers is not None
                    request = frame.headers["requestid"]
                    ports[request] = int(frame.headers["port"])
                    if frame.headers["streamtype"] == "error":
                        errors[request] = frame.stream
                        continue
                    try:
                        source, target = await asyncio.open_connection("127.0.0.1", ports[request])
                    except OSError as error:
                        text = f"an error occurred forwarding {ports[request]}: {error}"
                        await self.send(errors[request], text.encode(), True)
                        await self.send(frame.stream, b"", True)
                        continue
                    targets[frame.stream] = target
                    task = asyncio.get_running_loop().create_task(back(frame.stream, request, source))
                    tasks.add(task)
                elif frame.stream in targets:
                    if frame.data:
                        targets[frame.stream].write(bytes(frame.data))
                        await targets[frame.stream].drain()
                    if frame.fin and targets[frame.stream].can_write_eof():
                        targets[frame.stream].write_eof()
        finally:
            for task in tasks:
                task.cancel()
            for target in targets.values():
                target.close()


class _Socket:
    """One WebSocket of the kubelet's side; as a reader and writer it carries bytes in binary messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=1 << 26)
        self._queue: list[tuple[Opcode, bytes]] = []
        self._message = b""

    async def read(self, size: int = -1) -> bytes:
        """The next message, b"" at the end."""
        while True:
            for frame in self._protocol.events_received():
                self._queue.append((frame.opcode, bytes(frame.data)))  # type: ignore[union-attr]
                if not frame.fin:  # type: ignore[union-attr]
                    continue
            while self._queue:
                opcode, data = self._queue.pop(0)
                if opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT) and data:
                    return data
                if opcode is Opcode.CLOSE:
                    return b""
            raw = await self._reader.read(1 << 16)
            if not raw:
                return b""
            self._protocol.receive_data(raw)
            self._flush()

    def write(self, data: bytes) -> None:
        self._protocol.send_binary(data)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def close(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()
        self._writer.close()

    async def forward(self, ports: list[int]) -> None:
        """Port-forward by channels: two for each port,
        for data and errors, each of which begins with the port."""
        targets: dict[int, asyncio.StreamWriter] = {}
        tasks: list[asyncio.Task[None]] = []

        async def back(channel: int, source: asyncio.StreamReader) -> None:
            while data := await source.read(CHUNK):
                self.write(bytes((channel,)) + data)
                await self.drain()

        for number, port in enumerate(ports):
            for channel in (2 * number, 2 * number + 1):
                self.write(struct.pack("<BH", channel, port))
            source, targets[2 * number] = await asyncio.open_connection("127.0.0.1", port)
            tasks.append(asyncio.get_running_loop().create_task(back(2 * number, source)))
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: self.close())
        try:
            while data := await self.read():
                if data[0] in targets and len(data) > 1:
                    targets[data[0]].write(data[1:])
                    await targets[data[0]].drain()
        finally:
            for task in tasks:
                task.cancel()
            for target in targets.values():
                target.close()

    async def command(self, what: str, query: dict[str, list[str]], chosen: str) -> None:
        inputs: Inputs = {STDIN: asyncio.Queue(64), RESIZE: asyncio.Queue(64)}
        coded = "base64" in chosen

        async def send(channel: int, data: bytes) -> None:
            if coded:
                self._protocol.send_text(b"%d" % channel + base64.b64encode(data))
                self._flush()
            else:
                self.write(bytes((channel,)) + data)
            await self.drain()

        async def run() -> None:
            await send(STDOUT, b"")
            await send(ERROR, await run_command(what, query, inputs, send))
            self.close()

        task = asyncio.get_running_loop().create_task(run())
        try:
            while data := await self.read():
                if not coded and data[0] == 255:
                    await inputs[data[1]].put(None)
                    continue
                channel = data[0] - 48 if coded else data[0]
                if channel in inputs:
                    await inputs[channel].put(base64.b64decode(data[1:]) if coded else data[1:])
        finally:
            if not task.done():
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def run_command(what: str, query: dict[str, list[str]], inputs: Inputs, send: Send) -> bytes:
    """Run the command of an exec, or `cat` for an attach; the Status of its end as the kubelet tells it."""
    command = query.get("command") or ["sh", "-c", "echo attached; exec cat"]
    code = await (_in_terminal if "tty" in query else _in_pipes)(command, "input" in query, inputs, send)
    if not code:
        return b'{"metadata":{},"status":"Success"}'
    causes = [{"reason": "ExitCode", "message": str(code)}]
    message = f"command terminated with non-zero exit code: exit status {code}"
    status: dict[str, Any] = {"metadata": {}, "status": "Failure", "message": message}
    return json.dumps({**status, "reason": "NonZeroExitCode", "details": {"causes": causes}}).encode()


async def _started(*command: str, **more: Any) -> asyncio.subprocess.Process:
    """A process; one that is cancelled while it starts is ended."""
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, start_new_session=True, **more))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _ended(await starting)
        raise


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a command and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process._transport.close()  # type: ignore[attr-defined]  # else it waits for output that nobody reads
    await process.wait()


async def _in_pipes(command: list[str], has_input: bool, inputs: Inputs, send: Send) -> int:
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await _started(*command, stdin=pipe if has_input else none, stdout=pipe, stderr=pipe)

    async def feed() -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            while (data := await inputs[STDIN].get()) is not None:
                process.stdin.write(data)
                await process.stdin.drain()
        process.stdin.close()

    async def copy(channel: int, source: asyncio.StreamReader | None) -> None:
        assert source is not None
        while data := await source.read(CHUNK):
            await send(channel, data)

    feeder = asyncio.get_running_loop().create_task(feed()) if has_input else None
    try:
        await asyncio.gather(copy(STDOUT, process.stdout), copy(STDERR, process.stderr))
        return await process.wait()
    finally:
        if feeder is not None:
            feeder.cancel()
        if process.returncode is None:
            await _ended(process)


async def _turns(
    follow: Callable[[int, Callable[[], None]], None], forget: Callable[[int], object], file: int
) -> None:
    """Wait until a file can be read or written. A thread that reads it would stay when nobody waits."""
    ready = asyncio.Event()
    follow(file, ready.set)
    try:
        await ready.wait()
    finally:
        forget(file)


async def _in_terminal(command: list[str], has_input: bool, inputs: Inputs, send: Send) -> int:
    loop = asyncio.get_running_loop()
    master, slave = os.openpty()
    os.set_blocking(master, False)
    process = await _started(*command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)

    async def feed() -> None:
        while (data := await inputs[STDIN].get()) is not None:
            while data:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(master, data) :]
                await _turns(loop.add_writer, loop.remove_writer, master)

    async def resize() -> None:
        text = b""
        while (data := await inputs[RESIZE].get()) is not None:
            text += data
            with contextlib.suppress(ValueError):
                size = json.loads(text)
                text = b""
                fcntl.ioctl(
                    master, termios.TIOCSWINSZ, struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
                )

    tasks = [loop.create_task(feed()), loop.create_task(resize())]
    try:
        while True:
            await _turns(loop.add_reader, loop.remove_reader, master)
            try:
                data = os.read(master, CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                break
            if not data:
                break
            await send(STDOUT, data)
        return await process.wait()
    finally:
        for task in tasks:
            task.cancel()
        if process.returncode is None:
            await _ended(process)
        os.close(master)
