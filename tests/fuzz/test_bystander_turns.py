"""Nobody waits for a connection whose frames, headers or chunks make as much work as they can:
attacks without a credential."""

import contextlib
import select
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fuzz.siege import KEPT, Damage, Siege
from server.http2.peers import PREFACE, Flag, Kind, frame
from server.http2.test_http2_turns import HEAD, integer, literal, windows

from pilothouse.testing.server import Subprocess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

P99, WAIT = 0.05, 0.25
"""Seconds that another client's read may wait, 99 in a hundred of them and all."""

PEAK = 256_000_000
"""Bytes that an attack may take at once, and leave behind."""

TRIES = 3
"""Times that an attack is tried: the machine of a test has other things to do as well."""

PATH = b"/console/console.css"


class Assault(Siege):
    """Carries out attacks of several connections that send what they like."""

    def _start(self) -> None:
        self.server = Subprocess(["--v=1", "--console"])
        self._serve()

    def endure(self, name: str, attack: Callable[["Assault"], None]) -> Damage:
        self.bystander.seen()
        time.sleep(0.2)
        resident, used = self._memory("VmRSS"), self._processor()
        self._forget_peak()
        self.bystander.seen()
        attack(self)
        time.sleep(0.5)
        seen, spent = self.bystander.seen(), self._processor() - used
        peak = self._memory("VmHWM") - resident
        kept = self._settled(resident + KEPT) - resident
        return Damage(name, 1, spent, seen.longest, seen.p99, peak, kept)

    def open(self, count: int, protocol: str) -> list[ssl.SSLSocket]:
        self.protocol = protocol
        return [self.connect() for _ in range(count)]


def send(connection: ssl.SSLSocket, data: bytes, seconds: float = 8.0) -> None:
    """Send, and read what is answered, until all was sent, the server closes, or the time is up."""
    connection.settimeout(0)
    left, until = memoryview(data), time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            select.select([connection], [connection] if left else [], [], 0.1)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if left:
                    left = left[connection.send(left) :]
                    if not left:
                        until = min(until, time.monotonic() + 0.5)  # for the last answers
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                while connection.recv(1 << 16):
                    pass
                return
    connection.settimeout(seconds)


def close(connections: list[ssl.SSLSocket]) -> None:
    for connection in connections:
        connection.close()


def head(stream: int, block: bytes, ends: bool = True) -> bytes:
    return frame(Kind.HEADERS, Flag.END_HEADERS | (Flag.END_STREAM if ends else 0), stream, block)


def block_frames(block: bytes) -> list[bytes]:
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    out = [frame(Kind.HEADERS, Flag.END_STREAM, 1, parts[0])]
    return out + [
        frame(Kind.CONTINUATION, Flag.END_HEADERS if part is parts[-1] else 0, 1, part) for part in parts[1:]
    ]


def tiny_windows(assault: Assault) -> None:
    """342 streams wait for a file of the console, then each setting gives each of them one byte more."""
    (connection,) = assault.open(1, "h2")
    get = b"\x82\x87\x01\x01a\x04" + integer(len(PATH), 7, 0) + PATH
    asked = b"".join(head(2 * i + 1, get) for i in range(342))
    grown = b"".join(windows(*range(i + 1, i + 65)) for i in range(0, 64 * 150, 64))
    send(connection, PREFACE + frame(Kind.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)) + asked)
    send(connection, grown)
    close([connection])


def settings_of_many_streams(assault: Assault) -> None:
    """A thousand open heads, then 1.5 MB of SETTINGS, each of which changes all windows."""
    (connection,) = assault.open(1, "h2")
    posts = b"".join(head(2 * i + 1, b"\x83\x87\x84\x01\x01a", ends=False) for i in range(1000))
    settings = b"".join(windows(*range(i, i + 64)) for i in range(3800))
    send(connection, PREFACE + frame(Kind.SETTINGS) + posts + settings)
    close([connection])


def named_again(assault: Assault) -> None:
    """519,000 fields of two bytes that refer to a name of 4,000 characters."""
    (connection,) = assault.open(1, "h2")
    block = HEAD + b"\x40" + integer(4000, 7, 0) + b"n" * 4000 + b"\x00" + b"\x7e\x00" * 519_000
    send(connection, PREFACE + frame(Kind.SETTINGS) + b"".join(block_frames(block)))
    close([connection])


def blocks_that_end_together(assault: Assault) -> None:
    connections = assault.open(20, "h2")
    blocks = [
        HEAD + b"".join(literal(b"n%d" % i, b"v" * 200) for i in range(4000)),
        HEAD + b"\x40" + integer(4000, 7, 0) + b"n" * 4000 + b"\x00" + b"\x7e\x00" * 519_000,
    ]
    for i, connection in enumerate(connections):
        *parts, last = block_frames(blocks[i % 2])
        connection.sendall(PREFACE + frame(Kind.SETTINGS) + b"".join(parts))
        blocks.append(last)
    for i, connection in enumerate(connections):
        with contextlib.suppress(OSError):
            connection.sendall(blocks[2 + i])
    time.sleep(1)
    close(connections)


def crumbs(assault: Assault) -> None:
    """Four thousand cookies, each named by a byte."""
    (connection,) = assault.open(1, "h2")
    block = HEAD + b"\x60" + integer(200, 7, 0) + b"c" * 200 + b"\xbe" * 4000
    send(connection, PREFACE + frame(Kind.SETTINGS) + b"".join(head(2 * i + 1, block) for i in range(40)))
    close([connection])


def tiny_chunks(assault: Assault) -> None:
    connections = assault.open(20, "http/1.1")
    data = b"POST /readyz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 60_000
    threads = [threading.Thread(target=send, args=(connection, data)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(connections)


ATTACKS = (tiny_windows, settings_of_many_streams, named_again, blocks_that_end_together, crumbs, tiny_chunks)


@pytest.fixture(scope="module")
def assault() -> Iterator[Assault]:
    with Assault("h2") as assault:
        yield assault


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nobody_waits_for_a_connection(assault: Assault, attack: Callable[[Assault], None]) -> None:
    for _ in range(TRIES):
        damage = assault.endure(attack.__name__, attack)
        print(damage)
        if damage.longest <= WAIT and damage.p99 <= P99 and damage.peak <= PEAK and damage.kept <= KEPT:
            return
    raise AssertionError(str(damage))
