"""The log back end: its modes, a full disk, a file that hangs, limits."""

import asyncio
import threading
import time
from typing import Any

import pytest
from audit.kept import policy
from audit.lines import Lines, Lost, made, numbers
from eventually import aeventually

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.audit.auditor import Auditor
from pilothouse.audit.batching import Batching
from pilothouse.audit.event import HEAD, LARGE, Fields, ObjectEvent
from pilothouse.audit.log_backend import LogBackend
from pilothouse.audit.policy import parse
from pilothouse.audit.truncate import Truncation
from pilothouse.server.request import Request, Response


class Hanging(Lines):
    """A file of which no write comes back until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go = threading.Event()

    def write(self, data: bytes) -> None:
        self.entered.set()
        self.go.wait()
        super().write(data)


def backend(file: Lines, lost: Lost, mode: str, **more: Any) -> LogBackend:
    return LogBackend(file, lost, mode=mode, **more)


def test_blocking_writes_the_lines_of_reads_together() -> None:
    async def body() -> None:
        file, lost = Lines(), Lost()
        log = backend(file, lost, "blocking")
        log.start()
        for i in range(5):
            assert log.store(made(i))
        assert file.writes == 0
        await aeventually(lambda: file.writes, "the lines")
        assert (file.writes, numbers(file.data)) == (1, [0, 1, 2, 3, 4])
        log.offer((made(5),))
        log.flush()
        assert file.writes == 2, "a request begins to wait"
        log.offer((made(6),))
        await log.close()
        assert numbers(file.data) == list(range(7)) and file.closed

    asyncio.run(body())


def test_lines_are_not_gathered_without_end() -> None:
    async def body() -> None:
        file = Lines()
        log = backend(file, Lost(), "blocking")
        log.start()
        for i in range(300):
            log.offer((made(i, 1000),))
        assert file.writes == 1
        await log.close()
        assert numbers(file.data) == list(range(300))

    asyncio.run(body())


def test_blocking_goes_on_when_the_disk_is_full() -> None:
    file, lost = Lines(), Lost()
    log = backend(file, lost, "blocking")
    file.full = True
    assert log.store(made(1))
    assert lost.told == [("log", 1, "[Errno 28] No space left on device")]
    file.full = False
    assert log.store(made(2)) and numbers(file.data) == [2]


def test_strict_refuses_when_the_disk_is_full() -> None:
    async def body() -> None:
        file, lost = Lines(), Lost()
        log = backend(file, lost, "blocking-strict")
        log.start()
        assert log.store(made(1)) and numbers(file.data) == [1], "before the request goes on"
        file.full = True
        assert not log.store(made(2))
        log.offer((made(3),))
        assert lost.total("log") == 2
        file.full = False
        assert log.store(made(4)) and numbers(file.data) == [1, 4]
        await log.close()

    asyncio.run(body())


def test_the_device_that_is_always_full() -> None:
    from pilothouse.audit.rotation import Stdout

    with open("/dev/full", "wb") as full:
        lost = Lost()
        assert not LogBackend(Stdout(full.fileno()), lost, mode="blocking-strict").store(made())
    assert lost.total("log") == 1


def test_batch_never_waits_for_a_file_that_hangs() -> None:
    async def body() -> None:
        file, lost = Hanging(), Lost()
        log = backend(file, lost, "batch", budget=10_000)
        log.start()
        assert log.store(made(0))
        await asyncio.to_thread(file.entered.wait)
        for i in range(1, 1000):
            assert log.store(made(i)), "nobody is refused"
        await aeventually(lambda: lost.total("buffered"), "what has no room")
        assert log.buffered <= 10_000
        assert lost.total("buffered") == 1000 - 10_000 // 100
        file.go.set()
        await log.close()
        assert numbers(file.data) == list(range(100)) and log.buffered == 0

    asyncio.run(body())


def test_batch_counts_what_a_full_disk_has_lost() -> None:
    file, lost = Lines(), Lost()
    log = backend(file, lost, "batch")
    file.full = True
    for i in range(10):
        assert log.store(made(i))
    log.drain()
    assert lost.total("log") == 10 and log.buffered == 0
    file.full = False
    log.offer((made(10),))
    log.drain()
    assert numbers(file.data) == [10]


def test_the_number_of_events_is_limited() -> None:
    file, lost = Lines(), Lost()
    log = backend(file, lost, "batch", batching=Batching(buffer=3))
    for i in range(5):
        log.offer((made(i),))
    assert lost.told == [("buffered", 1, "audit buffer queue blocked")] * 2
    log.drain()
    assert (numbers(file.data), file.writes) == ([0, 1, 2], 1)


def test_batches_have_a_rate() -> None:
    slept: list[float] = []
    file = Lines()
    log = backend(file, Lost(), "batch", batching=Batching(most=2, rate=10.0, burst=1), sleep=slept.append)
    log.offer([made(i) for i in range(6)])
    log.drain()
    assert file.writes == 3 and numbers(file.data) == list(range(6))
    assert [round(one, 1) for one in slept] == [0.1, 0.2]


def large(number: int) -> ObjectEvent:
    around = HEAD + b'"level":"RequestResponse","auditID":"%d"' % number, b',"t":1'
    return ObjectEvent(3, around, b"}\n", b"", [b'"', b"x" * 2 * LARGE, b'"'], 2 * LARGE + 2)


@pytest.mark.parametrize("mode", ["blocking", "blocking-strict"])
def test_large_events_are_written_by_the_thread(mode: str) -> None:
    async def body() -> None:
        file = Lines()
        log = backend(file, Lost(), mode)
        log.start()
        assert log.offer((made(0), large(1)))
        await log.close()
        assert numbers(file.data) == [0, 1]

    asyncio.run(body())


def test_the_legacy_form() -> None:
    file = Lines()
    log = backend(file, Lost(), "blocking", legacy=True)
    event = made(1)
    event.fields = Fields(0, "id", "Panic", "", "get", None, None, "", "", "/", 500)
    log.store(event)
    assert file.data.startswith(b'1970-01-01T00:00:00Z AUDIT: id="id" stage="Panic"')


def test_truncation_comes_first() -> None:
    file, lost = Lines(), Lost()
    log = backend(file, lost, "blocking-strict", truncation=Truncation(150, 1000, lost))
    assert log.store(made(1, 500)), "upstream does not count this as a failure"
    assert file.data == b"" and lost.total("truncate") == 1


class Unreadable(ObjectEvent):
    """An event whose objects cannot be encoded."""

    @property
    def line(self) -> bytes:
        raise RuntimeError("a bug")


@pytest.mark.parametrize("mode", ["batch", "blocking-strict"])
def test_an_event_that_cannot_be_encoded_ends_nothing(mode: str) -> None:
    async def body() -> None:
        file, lost = Lines(), Lost()
        log = backend(file, lost, mode, batching=Batching(rate=1000.0, burst=1000))
        log.start()
        around = HEAD + b'"level":"RequestResponse"', b',"t":1'
        log.offer((Unreadable(3, around, b"}\n", b"", [b"1"], 2 * LARGE),))
        await aeventually(lambda: lost.total("log"), "the loss")
        log.offer((made(1),))
        await log.close()
        assert numbers(file.data) == [1]

    asyncio.run(body())


def test_an_auditor_writes_straight_into_the_file() -> None:
    """The lines of events without anything special go past the back end;
    those with annotations stay in their order."""

    async def body() -> None:
        file = Lines()
        log = backend(file, Lost(), "blocking")
        log.start()
        made = Auditor(parse(policy({"level": "Metadata"})), [log])
        request = Request("GET", "/version", {}, [], b"", ("1.2.3.4", 5))
        attributes = AuthorizationAttributes(User("jane"), "get", "/version")
        for i in range(3):
            record = made.begin(request, User("jane"), attributes, str(i), time.perf_counter())
            assert record.received() is True
            if i == 1:
                record.annotate("a", "b")
            if i == 2:
                record.flush()
                assert numbers(file.data) == [0, 0, 1, 1, 2], "a request that waits has its line"
            record.answered(Response(200))
            record.complete()
        await log.close()
        assert numbers(file.data) == [0, 0, 1, 1, 2, 2]
        assert made.metrics.event_counts == [6]
        assert b'"annotations":{"a":"b"}' in file.data

    asyncio.run(body())
