"""Sessions of exec and attach between a client's WebSocket and a kubelet's SPDY, without sockets."""

import asyncio
import json
from typing import Any

import pytest
from server.duplexes import Peer, frame, frames
from server.fake_transport import run
from spdy_model import Frame, Model
from virtual_time import VirtualLoop

from pilothouse.endpoints.streams.stream_translator import (
    ERROR_BYTES,
    IDLE_SECONDS,
    PING_SECONDS,
    Translator,
    Wanted,
)
from pilothouse.outbound import spdy
from pilothouse.outbound.upgrade import Upgrade, UpgradeError

ALL = Wanted(True, True, True, False)
TERMINAL = Wanted(True, True, True, True)
BINARY, CLOSE = 2, 8
SUCCESS = {"metadata": {}, "status": "Success"}


class Session:
    """A client, a kubelet and what is between them."""

    def __init__(
        self, wanted: Wanted = ALL, protocol: str = "v4.channel.k8s.io", room: int = 1 << 40
    ) -> None:
        self.client, self.kubelet = Peer(room), Peer(room)
        self.protocol = protocol
        self.codes: list[int] = []
        self.dialled = asyncio.Event()
        self.error: Exception | None = None
        self.answer: Upgrade | None = None
        self.reader, self.writer = Model(), spdy.FrameWriter()
        self.translator = Translator(self.client.duplex, wanted, self._dial, self.codes.append)

    async def _dial(self) -> Upgrade:
        await self.dialled.wait()
        if self.error is not None:
            raise self.error
        headers = [("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", self.protocol)]
        return self.answer or Upgrade(101, headers, self.kubelet.duplex)

    def turns(self) -> int:
        """Let all turns pass that are waited for; their number."""
        number = 0
        while len(self.client.line):
            self.client.line.run()
            number += 1
        return number

    async def connect(self) -> "Session":
        self.dialled.set()
        for _ in range(3):
            await asyncio.sleep(0)
        return self

    def to_kubelet(self) -> list[Frame]:
        """The frames that the kubelet has got since the last look."""
        return list(self.reader.feed(self.kubelet.take()))

    def to_client(self) -> list[tuple[int, bytes]]:
        return frames(self.client.take())

    def message(self, data: bytes) -> None:
        self.client.send(frame(BINARY, data))

    def data(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        for raw in spdy.data_frames(stream, data, fin=fin):
            self.kubelet.send(raw)

    def end(self, error: bytes = b'{"status":"Success"}') -> None:
        """The kubelet's end of a command: output ends, the status comes, all streams are reset."""
        self.data(5, b"", fin=True)
        self.data(1, error)
        for stream in (1, 3, 5, 7):
            self.kubelet.send(spdy.rst_stream(stream))

    def status(self) -> Any:
        """The status that the client is sent at the end; there must be nothing else."""
        messages = self.to_client()
        *_, (opcode, told), (last, code) = messages
        assert (opcode, told[0], last, code) == (BINARY, 3, CLOSE, b"\x03\xe8")
        return json.loads(told[1:])


@run
async def test_the_streams_of_a_command() -> None:
    session = Session()
    assert session.to_client() == [(BINARY, b"\x01")], "tells that the connection stands"
    session.message(b"\x00early")
    assert session.client.paused and session.to_kubelet() == []
    await session.connect()
    opened = session.to_kubelet()
    assert [(f.stream, f.headers) for f in opened if f.type == spdy.SYN_STREAM] == [
        (1, {"streamtype": "error"}),
        (3, {"streamtype": "stdin"}),
        (5, {"streamtype": "stdout"}),
        (7, {"streamtype": "stderr"}),
    ]
    assert opened[4:] == [Frame(0, 3, data=b"early")]
    session.message(b"\x00more")
    session.message(b"\x00")
    assert session.to_kubelet() == [Frame(0, 3, data=b"more")]
    for stream in (1, 3, 5, 7):
        session.kubelet.send(session.writer.syn_reply(stream))
    session.data(5, b"out")
    session.data(7, b"err")
    assert session.to_client() == [(BINARY, b"\x01out"), (BINARY, b"\x02err")]
    session.message(b"\xff\x00")
    assert session.to_kubelet() == [Frame(0, 3, fin=True)]
    session.message(b"\x00after the end")
    session.message(b"\xff\x00")
    assert session.to_kubelet() == []
    session.end()
    assert session.status() == SUCCESS
    assert session.client.closed and session.kubelet.closed
    assert session.to_kubelet() == [Frame(spdy.GOAWAY, 0)]
    assert session.codes == [200]


@run
async def test_a_terminal() -> None:
    session = await Session(TERMINAL).connect()
    names = [f.headers["streamtype"] for f in session.to_kubelet()]
    assert names == ["error", "stdin", "stdout", "resize"]
    session.message(b'\x04{"Width":80,"Height":24}')
    assert session.to_kubelet() == [Frame(0, 7, data=b'{"Width":80,"Height":24}')]
    session.kubelet.send(spdy.rst_stream(7))
    session.message(b'\x04{"Width":1,"Height":1}')
    assert session.to_kubelet() == []


@run
async def test_a_kubelet_of_version_2_has_no_resize() -> None:
    session = await Session(TERMINAL, "v2.channel.k8s.io").connect()
    assert [f.headers["streamtype"] for f in session.to_kubelet()] == ["error", "stdin", "stdout"]
    session.message(b'\x04{"Width":80,"Height":24}')
    assert session.to_kubelet() == []
    session.end(b"it failed")
    assert session.status()["message"] == "Internal error occurred: error executing remote command: it failed"


@run
async def test_only_what_is_wanted_is_opened() -> None:
    session = Session(Wanted(False, False, True, False))
    assert session.to_client() == [(BINARY, b"\x02")]
    await session.connect()
    assert [f.headers["streamtype"] for f in session.to_kubelet()] == ["error", "stderr"]
    session.message(b"\x00nobody reads it")
    session.message(b"\x09nor that")
    session.message(b"")
    assert session.to_kubelet() == []
    assert Session(Wanted(False, False, False, False)).to_client() == [(BINARY, b"\x03")]


@pytest.mark.parametrize(
    ("told", "reason", "message"),
    [
        (b'{"status":"Success"}', None, None),
        (b"", None, None),
        (
            b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"X","message":"1"},'
            b'{"reason":"ExitCode","message":"7"}]},"message":"exit status 7"}',
            "NonZeroExitCode",
            "command terminated with non-zero exit code: command terminated with exit code 7",
        ),
        (b'{"status":"Failure","message":"oops"}', "InternalError", "oops"),
        (b'{"status":"Odd"}', "InternalError", "error stream protocol error: unknown error"),
        (b"[]", "InternalError", "error stream protocol error: "),
        (b"junk", "InternalError", "error stream protocol error: "),
        (
            b'{"status":"Failure","reason":"NonZeroExitCode"}',
            "InternalError",
            "error stream protocol error: details must be set",
        ),
        (
            b'{"status":"Failure","reason":"NonZeroExitCode","details":{}}',
            "InternalError",
            "error stream protocol error: no ExitCode cause given",
        ),
        (
            b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"256"}]}}',
            "InternalError",
            'error stream protocol error: invalid exit code value "256"',
        ),
        (
            b'{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"'
            + b"1" * 5000
            + b'"}]}}',
            "InternalError",
            "error stream protocol error: invalid exit code value ",
        ),
    ],
)
@run
async def test_the_end_of_a_command(told: bytes, reason: str | None, message: str | None) -> None:
    session = await Session().connect()
    session.end(told)
    status = session.status()
    if reason is None:
        assert status == SUCCESS
    else:
        assert (status["status"], status["reason"]) == ("Failure", reason)
        assert status["message"].removeprefix("Internal error occurred: ").startswith(message)
        if reason == "NonZeroExitCode":
            assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "7"}]}
    assert session.codes == [200 if reason in (None, "NonZeroExitCode") else 500]


@run
async def test_errors_before_the_streams() -> None:
    session = Session()
    session.error = UpgradeError(
        'Post "https://n/exec": dial tcp 10.0.0.1:10250: connect: connection refused'
    )
    await session.connect()
    assert session.status() == {
        "metadata": {},
        "status": "Failure",
        "message": "Internal error occurred: error sending request: "
        'Post "https://n/exec": dial tcp 10.0.0.1:10250: connect: connection refused',
        "reason": "InternalError",
        "details": {
            "causes": [
                {
                    "message": "error sending request: "
                    'Post "https://n/exec": dial tcp 10.0.0.1:10250: connect: connection refused'
                }
            ]
        },
        "code": 500,
    }
    assert session.codes == [500]


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            Upgrade(404, [], None, b'container not found ("c")\n'),
            500,
            'Internal error occurred: unable to upgrade connection: container not found ("c")',
        ),
        (
            Upgrade(403, [], None, b'{"kind":"Status","status":"Failure","message":"no","code":403}'),
            403,
            "no",
        ),
        (
            Upgrade(500, [], None, b'{"kind":"Pod"}'),
            500,
            "Internal error occurred: unable to upgrade connection: {",
        ),
    ],
)
@run
async def test_refusals_of_the_kubelet(answer: Upgrade, code: int, message: str) -> None:
    session = Session()
    session.answer = answer
    await session.connect()
    status = session.status()
    assert status["message"].startswith(message) and session.codes == [code]


@run
async def test_another_protocol_than_spdy() -> None:
    session = Session()
    session.answer = Upgrade(101, [("Upgrade", "websocket")], session.kubelet.duplex)
    await session.connect()
    assert session.status()["message"] == "Internal error occurred: unable to upgrade connection: "
    assert session.kubelet.transport.aborted


@pytest.mark.parametrize("ended", [False, True])
@run
async def test_a_kubelet_that_is_lost(ended: bool) -> None:
    """A command that has not told its end has not succeeded, whatever upstream says."""
    session = await Session().connect()
    session.data(5, b"half of it")
    if ended:
        session.data(1, b"", fin=True)
    session.kubelet.lose(None)
    status = session.status()
    if ended:
        assert status == SUCCESS
    else:
        assert status["message"] == "Internal error occurred: error reading from error stream: unexpected EOF"


@run
async def test_a_kubelet_that_goes_away() -> None:
    session = await Session().connect()
    session.data(1, b'{"status":"Success"}')
    session.kubelet.send(spdy.goaway())
    assert session.status() == SUCCESS


@run
async def test_hostile_kubelets() -> None:
    session = await Session().connect()
    session.kubelet.send(session.writer.syn_stream(2, {"streamtype": "stdin"}))
    assert session.to_kubelet()[-1] == Frame(spdy.RST_STREAM, 2, value=spdy.REFUSED_STREAM)
    session.data(99, b"no such stream")
    session.data(3, b"nobody reads standard input")
    session.kubelet.send(spdy.rst_stream(98), spdy.ping(2), spdy.ping(1))
    assert session.to_kubelet() == [Frame(spdy.PING, 0, value=2)], "ours needs no answer"
    for _ in range(100):
        session.data(1, b"x" * 10_000)
    assert len(session.translator._failure) < ERROR_BYTES + 65_537
    session.kubelet.send(b"\x80\x02\x00\x01\x00\x00\x00\x00")
    message = session.status()["message"]
    assert message == "Internal error occurred: error reading from the kubelet: unsupported version"
    assert session.kubelet.closed and session.codes == [500]
    session.kubelet.send(b"more")
    assert session.to_client() == []


@pytest.mark.parametrize("bad", [b"\xff", b"\xff\x00\x00", b"\xff\x09"])
@run
async def test_hostile_clients(bad: bytes) -> None:
    session = await Session().connect()
    session.to_client()
    session.message(bad)
    assert session.to_client() == [(CLOSE, b"\x03\xea")]
    session.client.lose()
    assert session.kubelet.closed


@run
async def test_messages_in_parts() -> None:
    session = await Session().connect()
    session.to_kubelet()
    session.client.send(frame(BINARY, b"", fin=False), frame(0, b"\x00a", fin=False), frame(0, b"b"))
    assert [f.data for f in session.to_kubelet()] == [b"a", b"b"]
    session.client.send(frame(BINARY, b"\xff", fin=False), frame(0, b"\x00"))
    assert session.to_kubelet() == [Frame(0, 3, fin=True)]


@run
async def test_back_pressure_in_both_directions() -> None:
    session = await Session(room=1000).connect()
    session.message(b"\x00" + b"x" * 2000)
    assert session.client.paused and not session.kubelet.paused
    session.kubelet.transport.drain()
    assert not session.client.paused
    session.data(5, b"y" * 2000)
    assert session.kubelet.paused and not session.client.paused
    session.client.transport.drain()
    assert not session.kubelet.paused


@run
async def test_a_process_that_writes_byte_by_byte_makes_few_messages() -> None:
    session = await Session().connect()
    session.to_client()
    frames_of_one = next(spdy.data_frames(5, b"x")) * 29_000
    session.kubelet.send(frames_of_one)
    session.turns()
    messages = session.to_client()
    assert len(messages) < 100 and b"".join(data[1:] for _, data in messages) == b"x" * 29_000
    for _ in range(20):
        session.kubelet.send(frames_of_one)
        session.turns()
    assert sum(len(data) - 1 for _, data in session.to_client()) == 580_000 and not session.client.closed


@run
async def test_a_flood_of_small_frames_takes_many_turns_and_few_writes() -> None:
    """14,500 bytes on each of two streams, one after the other, in one read of 256 KB."""
    session = await Session().connect()
    session.to_client()
    pair = next(spdy.data_frames(5, b"o")) + next(spdy.data_frames(7, b"e"))
    session.kubelet.send(pair * 14_500)
    assert len(frames(session.client.transport.sent)) < 500
    turns = session.turns()
    assert turns > 50 and len(session.client.transport.writes) < 3 * turns
    data = [data for _, data in session.to_client()]
    assert data.count(b"\x01o") == data.count(b"\x02e") == 14_500


@run
async def test_a_client_that_types_byte_by_byte_is_slowed_and_not_cut() -> None:
    session = await Session().connect()
    session.to_kubelet()
    session.client.send(frame(BINARY, b"\x00k") * 32_000)
    assert session.kubelet.transport.held < 500 * 9
    turns = session.turns()
    assert turns > 50 and len(session.kubelet.transport.writes) < 3 * turns
    assert b"".join(f.data for f in session.to_kubelet()) == b"k" * 32_000
    assert not session.client.closed


@pytest.mark.parametrize(
    "idle",
    [
        pytest.param(spdy.ping(2), id="pings"),
        pytest.param(b"\0\0\0\5" + bytes(4), id="empty data"),
        pytest.param(next(spdy.data_frames(99, b"x")) + spdy.rst_stream(98), id="streams that are not there"),
    ],
)
@run
async def test_a_kubelet_that_sends_frames_for_nothing(idle: bytes) -> None:
    session = await Session().connect()
    session.to_client()
    session.kubelet.send(idle * 10_100)
    session.turns()
    message = session.status()["message"]
    assert message == "Internal error occurred: error reading from the kubelet: too many frames without data"
    assert session.to_kubelet()[-1].type == spdy.GOAWAY and session.kubelet.closed


@pytest.mark.parametrize("idle", [frame(BINARY, b"\x00"), frame(BINARY, b"\x07x"), frame(9), frame(BINARY)])
@run
async def test_a_client_that_sends_messages_for_nothing(idle: bytes) -> None:
    session = await Session().connect()
    session.to_client()
    session.client.send(idle * 10_100)
    session.turns()
    assert session.to_client()[-1] == (CLOSE, b"\x03\xf0") and session.client.closed
    session.client.lose()
    assert session.kubelet.closed


@run
async def test_pings_of_a_kubelet_that_reads_nothing_are_not_answered() -> None:
    session = await Session(room=1000).connect()
    session.message(b"\x00" + b"x" * 2000)
    held = session.kubelet.transport.held
    session.kubelet.send(spdy.ping(2) * 5000)
    session.turns()
    assert session.kubelet.transport.held == held and not session.client.closed


@run
async def test_output_before_the_end_of_the_kubelet_reaches_a_slow_client() -> None:
    session = await Session(room=1000).connect()
    session.to_client()
    pair = next(spdy.data_frames(5, b"o")) + next(spdy.data_frames(7, b"e"))
    session.kubelet.send(pair * 1000 + next(spdy.data_frames(1, b'{"status":"Success"}')))
    session.kubelet.lose()
    data = b""
    while not session.client.closed:
        data += session.client.take()
        session.client.transport.drain()
        session.turns()
    sent = [message for _, message in frames(data + session.client.take())]
    assert sent.count(b"\x01o") == sent.count(b"\x02e") == 1000 and json.loads(sent[-2][1:]) == SUCCESS


@run
async def test_the_client_leaves() -> None:
    session = await Session().connect()
    session.client.lose()
    assert session.kubelet.closed and session.codes == [499]
    waiting = Session()
    waiting.client.lose()
    await waiting.connect()
    assert waiting.to_kubelet() == [] and waiting.codes == [499]


@run
async def test_the_server_stops() -> None:
    session = await Session().connect()
    session.to_client()
    session.client.duplex.on_leave()
    assert session.to_client() == [(CLOSE, b"\x03\xe9")]
    assert session.client.closed and session.kubelet.closed


async def test_the_kubelet_is_pinged_and_silence_ends_the_session(virtual: VirtualLoop) -> None:
    session = await Session().connect()
    session.to_kubelet()
    await virtual.advance(PING_SECONDS * 2.5)
    assert [f.value for f in session.to_kubelet()] == [1, 3]
    await virtual.advance(IDLE_SECONDS - 60)
    session.message(b"\x00")
    await virtual.advance(IDLE_SECONDS - 60)
    assert not session.client.closed
    await virtual.advance(120)
    assert session.client.closed and session.kubelet.closed and session.codes == [504]
