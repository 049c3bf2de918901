"""Several workers in one process, each with a registry of its own, in one directory."""

import asyncio
import contextlib
import pathlib
import re
import time
from collections.abc import AsyncIterator

import pytest
from eventually import aeventually

from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram, MetricsRegistry
from pilothouse.workers.metrics import PATIENCE, WorkerMetrics, Workers


class Some(Group):
    def __init__(self) -> None:
        self.requests = Counter("requests_total", "Requests.", ("verb",))
        self.open = Gauge("open", "Connections.")
        self.objects = Gauge("objects", "The same in all.", (), joined=max)
        self.seconds = Histogram("seconds", "Time.", (), (1, 2))


class Place:
    """One worker, and what it counts."""

    def __init__(self, path: pathlib.Path) -> None:
        self.metrics = MetricsRegistry()
        self.some = self.metrics.add(Some())
        self.metrics.add(WorkerMetrics(path.name))
        self.workers = Workers(path, {"metrics": self.metrics})
        self.socket = path.with_name(f"{path.name}.sock")

    async def shown(self) -> dict[str, float]:
        """Sample -> value."""
        text = (await self.metrics.expose()).decode()
        return {name: float(value) for name, value in re.findall(r"^([a-z][^ #]*) (\S+)$", text, re.M)}


@contextlib.asynccontextmanager
async def place(path: pathlib.Path) -> AsyncIterator[Place]:
    out = Place(path)
    out.workers.start()
    await aeventually(out.socket.exists, "a socket")
    yield out
    await out.workers.close()


@contextlib.asynccontextmanager
async def two(directory: pathlib.Path) -> AsyncIterator[tuple[Place, Place]]:
    async with place(directory / "0") as first, place(directory / "1") as second:
        yield first, second


def test_any_worker_shows_what_all_have_counted(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as places:
            for number, one in enumerate(places):
                one.some.requests.inc("GET", by=number + 1)
                one.some.open.set(10)
                one.some.objects.set(7)
                one.some.seconds.observe(number + 0.5)
            places[1].some.requests.inc("PUT")
            first, second = [await one.shown() for one in places]
            assert first['requests_total{verb="GET"}'] == 3 and first['requests_total{verb="PUT"}'] == 1
            assert (first["open"], first["objects"]) == (20, 7)
            assert first['seconds_bucket{le="1"}'] == 1 and first['seconds_bucket{le="2"}'] == 2
            assert first["seconds_sum"] == 2 and first["seconds_count"] == 2
            assert first['pilothouse_worker_up{worker="0"}'] == first['pilothouse_worker_up{worker="1"}'] == 1
            alike = [name for name in first if "resident" not in name]
            assert {name: first[name] for name in alike} == {name: second[name] for name in alike}

    asyncio.run(main())


def test_counts_outlive_a_worker_and_its_successor_goes_on(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with place(tmp_path / "0") as stays:
            async with place(tmp_path / "1") as ends:
                ends.some.requests.inc("GET", by=5)
                ends.some.seconds.observe(1.5)
                ends.some.open.set(3)
                before = await stays.shown()
                assert (before['requests_total{verb="GET"}'], before["open"]) == (5, 3)
            dead = await stays.shown()
            assert dead['requests_total{verb="GET"}'] == 5 and dead["seconds_count"] == 1
            assert "open" not in dead, "what a dead worker has open is closed"
            assert dead['pilothouse_worker_up{worker="1"}'] == 0
            for restart in range(2):
                async with place(tmp_path / "1") as successor:
                    successor.some.requests.inc("GET")
                    for one in (stays, successor):
                        shown = await one.shown()
                        assert shown['requests_total{verb="GET"}'] == 6 + restart
                        assert shown["seconds_count"] == 1
                        assert shown['pilothouse_worker_up{worker="1"}'] == 1

    asyncio.run(main())


def test_a_slow_worker_does_not_hold_the_others(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as (first, second):
            second.some.requests.inc("GET")
            await first.shown()
            second.some.requests.inc("GET")
            silent = asyncio.Event()

            class Stuck(Group):
                async def refresh(self) -> None:
                    await silent.wait()

            second.metrics.add(Stuck())
            begun = time.monotonic()
            shown = await first.shown()
            assert time.monotonic() - begun >= PATIENCE and not silent.is_set()
            assert shown['requests_total{verb="GET"}'] == 1
            assert shown['pilothouse_worker_up{worker="1"}'] == 0
            silent.set()
            assert (await first.shown())['requests_total{verb="GET"}'] == 2

    asyncio.run(main())


def test_a_reset_is_for_all(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with two(tmp_path) as places:
            for one in places:
                one.some.requests.inc("GET")
            await places[0].shown()
            await places[0].metrics.reset_all()
            for one in places:
                assert 'requests_total{verb="GET"}' not in await one.shown()

    asyncio.run(main())


@pytest.mark.parametrize("said", [b"", b"\n", b"tell nothing\n", b"\xff\xfe\n", b"x" * 100_000])
def test_what_nobody_means_is_not_answered(tmp_path: pathlib.Path, said: bytes) -> None:
    async def main() -> None:
        async with place(tmp_path / "0") as one:
            reader, writer = await asyncio.open_unix_connection(one.socket)
            writer.write(said)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            assert (await one.shown())['pilothouse_worker_up{worker="0"}'] == 1

    asyncio.run(main())


def test_a_socket_that_cannot_be_made_is_told_and_the_worker_shows_its_own(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        long = tmp_path / ("x" * 100)
        long.mkdir()
        one = Place(long / "0")
        one.workers.start()
        one.some.requests.inc("GET")
        await aeventually(lambda: caplog.records, "a line")
        assert (await one.shown())['requests_total{verb="GET"}'] == 1
        await one.workers.close()

    asyncio.run(main())
    assert "Other workers cannot ask this one" in caplog.text
