"""Parts of a server are closed in reverse order of their start, whatever fails."""

import asyncio
import itertools

import pytest
from logged import pairs

from pilothouse.lifecycle import BackgroundTask, Opened, StartsInTurn


class Loop(BackgroundTask):
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def _run(self) -> None:
        self.seen.append("runs")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.seen.append("ended")


async def test_a_task_has_ended_when_it_is_closed(runner: asyncio.Runner) -> None:
    loop = Loop()
    await loop.close()  # was not started
    loop.start()
    await asyncio.sleep(0)
    await loop.close()
    await loop.close()
    assert loop.seen == ["runs", "ended"]
    loop.start()
    await asyncio.sleep(0)
    await loop.close()
    assert loop.seen == ["runs", "ended"] * 2


async def test_the_last_is_closed_first(runner: asyncio.Runner) -> None:
    seen: list[str] = []

    async def later() -> None:
        seen.append("later")

    loop = Loop()
    async with Opened() as opened:
        opened.on_close("a", lambda: seen.append("a"))
        opened.start(loop)
        opened.on_close("later", later)
        await asyncio.sleep(0)
        kept = opened.pop_all()
    assert seen == []
    await kept.aclose()
    assert seen == ["later", "a"] and loop.seen == ["runs", "ended"]
    await kept.aclose()
    assert len(seen) == 2


async def test_a_close_that_fails_is_told_and_skips_nothing(
    runner: asyncio.Runner, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def broken() -> None:
        raise OSError("no")

    async def broken_later() -> None:
        raise ValueError("never")

    opened = Opened()
    opened.on_close("first", lambda: seen.append("first"))
    opened.on_close("broken", broken)
    opened.on_close("second", lambda: seen.append("second"))
    opened.on_close("broken later", broken_later)
    opened.on_close("third", lambda: seen.append("third"))
    await opened.aclose()
    assert seen == ["third", "second", "first"]
    assert [pairs(record)["part"] for record in caplog.records] == ["broken later", "broken"]
    assert all(record.exc_info for record in caplog.records)


async def test_a_part_whose_start_fails_is_closed(runner: asyncio.Runner) -> None:
    class Broken(Loop):
        def start(self) -> None:
            super().start()
            raise OSError("no")

    loop = Broken()
    with pytest.raises(OSError, match="no"):
        async with Opened() as opened:
            opened.start(loop)
    assert loop._task is None


async def test_parts_are_started_in_turn_and_closed_together(runner: asyncio.Runner) -> None:
    loops = [Loop() for _ in range(3)]
    parts = StartsInTurn(loops)
    parts.start()
    started = []
    for _ in range(5):
        await asyncio.sleep(0)
        started.append(sum(bool(one.seen) for one in loops))
    assert started == sorted(started), "one after the other"
    assert max(later - now for now, later in itertools.pairwise([0, *started])) == 1
    assert started[-1] == 3
    await parts.close()
    assert [one.seen for one in loops] == [["runs", "ended"]] * 3


async def test_parts_whose_turn_has_not_come_are_not_started(runner: asyncio.Runner) -> None:
    loop = Loop()
    parts = StartsInTurn([loop])
    parts.start()
    await parts.close()
    assert loop.seen == []
