"""Measures whether the cost of a request grows linearly with its size,
on an in-process server without sockets.

A `Case` makes a request of any size. `Meter.judge` sends it small and ten times as large, and reports what
grows faster.
"""

import asyncio
import ctypes
import gc
import re
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.process.heap import relax_collector
from pilothouse.server.http1 import Http1
from pilothouse.server.request import Handler

LARGE = 300_000
"""Bytes of a body; it is compared with one of a tenth of that."""

MOST = 14.0
"""Times as much processor time as ten times as many bytes may take."""

MORE = 3.5
"""Times LARGE that a case is sent with as well before it is called wrong: a small body, all of it in the
processor's cache, makes a linear one of ten times the size seem slow."""

MOST_OF_MORE = 6.0
"""Times as much processor time as MORE times as many bytes may take:
3.5 where it is linear, 12 where it is quadratic."""

QUICK = 0.004
"""Seconds that any body of LARGE bytes may take: below, a clock says little."""

KEPT = 2_000_000
"""Bytes that may be left of a request, and of what it made, when it is over."""

LONGEST = 5.0
"""Seconds of processor time after which a request is cut off; it has failed then."""

SERVED = 10.0
"""Seconds that a path may take until it is served."""

PAUSE = 0.005
"""Seconds between two looks."""

TOKENS = 'admin,admin,1,"system:masters"\njane,jane,2\n'


@dataclass(frozen=True)
class Case:
    """A request that can be made of any size.

    before: what must be there first; those requests are not measured,
    and the case says nothing when one is refused.
    after: what takes it away again. Both may depend on the size.
    ready: a path that answers with 200 once what came before has been taken up (a definition is served).
    largest: bytes of the larger of the two that are compared.
    """

    name: str
    make: Callable[[int], bytes]
    before: Callable[[int], list[bytes]] = lambda _: []
    after: Callable[[int], list[bytes]] = lambda _: []
    ready: str = ""
    largest: int = LARGE


Group = Callable[[], Iterable[Case]]
"""The cases that fill one member, made when they are wanted: there are hundreds of thousands."""


def one_by_one(cases: Iterable[Case]) -> Iterator[Group]:
    """Each case as a group of its own."""
    for case in cases:
        yield partial(iter, (case,))


def http(method: str, path: str, body: bytes | None = None, /, user: str = "admin", **headers: str) -> bytes:
    """The bytes of a request; `content_type` is a header's name as a keyword."""
    named = {"host": "a", **({"authorization": f"Bearer {user}"} if user else {})}
    if body is not None:
        named["content-type"] = "application/json"
        named["content-length"] = str(len(body))
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b"")


class CutError(BaseException):
    """A request took longer than LONGEST; no handler of mistakes catches it."""


class NotMadeError(Exception):
    """A case has no body of this size in its encoding; it says nothing."""


class Wire(asyncio.Transport):
    """The transport of one connection: keeps what is written and says when an answer is whole."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.data = bytearray()
        self.closed = False
        self.whole: asyncio.Future[None] = loop.create_future()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.1.2.3", 4567) if name == "peername" else default

    def write(self, data: Any) -> None:
        self.data += data
        self._look()

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.closed = True
        self._look()

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    @property
    def status(self) -> int:
        return int(self.data[9:12]) if len(self.data) > 12 else 0

    @property
    def failed(self) -> bool:
        """Whether the server made a mistake:
        some mistakes of clients are a 500 upstream, too, and one is a panic."""
        return self.status >= 500 and b'"reason":"InternalError"' in self.data and b"panic" not in self.data

    def _look(self) -> None:
        if not self.whole.done() and (self.closed or self._complete()):
            self.whole.set_result(None)

    def _complete(self) -> bool:
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.data[:end]).lower()
        if match := re.search(rb"\r\ncontent-length: (\d+)", head):
            return len(self.data) - end - 4 >= int(match[1])
        return True  # the head of a watch is enough


@dataclass(frozen=True)
class Cost:
    """The cost of one request: the answer's status (0 where it was cut off) and processor seconds."""

    status: int
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """The result of a case; `wrong` is "" when nothing was."""

    case: str
    small: Cost
    large: Cost
    kept: int
    wrong: str = ""

    def __str__(self) -> str:
        return (
            f"{self.case}: {self.wrong or 'ok'} (30 KB: {self.small.seconds * 1000:.1f} ms, 300 KB: "
            f"{self.large.seconds * 1000:.1f} ms, {self.large.status}, kept {self.kept / 1e6:.1f} MB)"
        )


class Target:
    """A whole server on a loop in this thread, on a store in memory; without sockets of its clients."""

    def __init__(self) -> None:
        relax_collector()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory(prefix="pilothouse-growth-")
        with open(f"{self.directory.name}/tokens.csv", "w") as file:
            file.write(TOKENS)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        flags = (
            f"--data-dir={self.directory.name}",
            "--bind-address=127.0.0.1",
            f"--secure-port={sock.getsockname()[1]}",
            "--storage-backend=memory",
            f"--token-auth-file={self.directory.name}/tokens.csv",
            f"--write-kubeconfig={self.directory.name}/admin.kubeconfig",
        )
        self.server = Server(options.parse(flags), sockets=[sock])
        self.run(self.server.start())
        self.http1 = self.protocols(self.server.pipeline.handle)

    def protocols(self, handler: Handler) -> Http1:
        """Connections to a handler."""

        async def make() -> Http1:
            return Http1(handler)

        made: Http1 = self.run(make())
        return made

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.server.stop(drain=0.1))
        self.loop.close()
        self.directory.cleanup()

    def send(self, request: bytes) -> Wire:
        """Send a request on a connection of its own; the answer."""
        wire: Wire = self.run(self._send(request))
        return wire

    def wait_for(self, path: str) -> None:
        """Wait until a path is served; TimeoutError after SERVED seconds."""
        self.run(self._served(path))

    async def _served(self, path: str) -> None:
        async with asyncio.timeout(SERVED):
            while (await self._send(http("GET", path))).status != 200:
                await asyncio.sleep(PAUSE)

    async def _send(self, request: bytes) -> Wire:
        wire = Wire(self.loop)
        protocol = self.http1()
        protocol.connection_made(wire)
        with limited(wire):
            protocol.data_received(request)
            await wire.whole
        protocol.connection_lost(None)
        return wire


@contextmanager
def limited(wire: Wire) -> Iterator[None]:
    """Cut off what takes more than LONGEST seconds of the processor."""
    started = time.process_time()

    def cut(_: int, frame: FrameType | None) -> None:
        if time.process_time() - started < LONGEST:
            return
        if not wire.whole.done():
            wire.whole.set_exception(CutError(where(frame)))
        raise CutError(where(frame))

    old = signal.signal(signal.SIGALRM, cut)
    signal.setitimer(
        signal.ITIMER_REAL, 1, 1
    )  # one of the processor's time would make the clock of it coarse
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def where(frame: FrameType | None) -> str:
    """The innermost places of our own code, outermost last."""
    places: list[str] = []
    while frame is not None and len(places) < 4:
        if "pilothouse/" in frame.f_code.co_filename:
            file = frame.f_code.co_filename.rpartition("pilothouse/")[2]
            places.append(f"{file}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(places)


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]  # fmt: skip


SMALL_BLOCK = 100
"""Bytes of a small object, about: Python counts those of up to 512 bytes,
and does not say how large they are."""


def allocated() -> int:
    """Bytes that live objects of this process have, about, whatever the allocators hold beside them."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo
    info = libc.mallinfo2()
    return int(info.uordblks + info.hblkhd) + SMALL_BLOCK * sys.getallocatedblocks()


class Meter:
    """Sends cases to a server and judges them. A server in which a request was cut off is replaced."""

    def __init__(self) -> None:
        self.target: Target | None = None

    def close(self) -> None:
        if self.target is not None:
            self.target.close()
            self.target = None

    def ready(self) -> Target:
        """The server; a new one where there is none."""
        if self.target is None:
            self.target = Target()
        return self.target

    def send(self, request: bytes) -> Wire:
        return self.ready().send(request)

    def cost(self, case: Case, size: int, runs: int) -> Cost | str:
        """The least of a few runs; a text says why there is none."""
        best: Cost | None = None
        for _ in range(runs):
            for request in case.before(size):
                if (status := self.send(request).status) not in (200, 201, 409):
                    self._clean(case, size)
                    return f"not there first: {status}"
            if case.ready:
                self.ready().wait_for(case.ready)
            request = case.make(size)
            started = time.process_time()
            try:
                wire = self.send(request)
            except CutError as cut:
                self.abandon()
                return Cost(0, LONGEST) if not str(cut) else f"cut off at {cut}"
            found = Cost(500 if wire.failed else min(wire.status, 499), time.process_time() - started)
            del wire, request
            self._clean(case, size)
            if best is None or found.seconds < best.seconds:
                best = found
        assert best is not None
        return best

    def _clean(self, case: Case, size: int) -> None:
        for request in case.after(size):
            self.send(request)

    def abandon(self) -> None:
        """A request that was cut off leaves a server in no state to go on."""
        self.target = None
        gc.collect()

    def judge(self, case: Case) -> Verdict | None:
        """None where the case says nothing; what was measured, and what is wrong with it."""
        none = Cost(0, 0.0)
        small, large = case.largest // 10, case.largest
        try:
            first = self.cost(case, small, 2)
            if isinstance(first, str):
                return None if first.startswith("not") else Verdict(case.name, none, none, 0, first)
            before = allocated()
            second = self.cost(case, large, 1)
            if not isinstance(second, str) and slow(first, second):
                first = self.cost(case, small, 3)
                second = self.cost(case, large, 2)
        except NotMadeError:
            return None
        except CutError as cut:
            self.abandon()
            return Verdict(case.name, none, none, 0, f"setting up was cut off at {cut}")
        if isinstance(first, str):
            return Verdict(case.name, none, none, 0, first)
        if isinstance(second, str):
            return None if second.startswith("not") else Verdict(case.name, first, none, 0, second)
        text = ""
        if slow(first, second):
            third = self.cost(case, int(MORE * large), 2)
            if isinstance(third, str):
                text = third
            elif third.seconds > MOST_OF_MORE * second.seconds:
                text = (
                    f"{second.seconds / first.seconds:.0f} times the time, then"
                    f" {third.seconds / second.seconds:.1f}"
                )
        kept = (
            0 if case.before(small) else allocated() - before
        )  # what is stored first stays in the history of watches
        if kept > KEPT:
            gc.collect()
            kept = allocated() - before
        return Verdict(case.name, first, second, kept, text or wrong(first, second, kept))


def slow(small: Cost, large: Cost) -> bool:
    return large.seconds > max(QUICK, MOST * small.seconds)


def wrong(small: Cost, large: Cost, kept: int) -> str:
    """The fault of two costs, "" when there is none."""
    if large.status >= 500 or small.status >= 500:
        return f"answered {small.status}, {large.status}"
    if kept > KEPT:
        return f"keeps {kept / 1e6:.1f} MB"
    return ""


def peak() -> int:
    """The most bytes that this process had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
