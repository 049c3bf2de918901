"""The ends of watches: about when they are due, and nothing is left of those that end before."""

from typing import Any

import pytest
from virtual_time import VirtualLoop

from pilothouse.endpoints.request.deadlines import STEP, Deadline, Deadlines


class Ending:
    """A stream that keeps when it was closed."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop, self.begun = loop, loop.time()
        self.after: float | None = None

    def close(self) -> None:
        self.after = self.loop.time() - self.begun


@pytest.mark.parametrize("seconds", [0.0, 1.5, 59.0, 60.0, 300.0, 3599.5])
async def test_a_stream_ends_in_time(virtual: VirtualLoop, seconds: float) -> None:
    deadlines, stream = Deadlines(), Ending(virtual)
    one: Any = stream
    deadlines.add(Deadline(one), seconds)
    await virtual.advance(seconds + 2 * STEP)
    late = 0.0 if seconds < 60 else 2 * STEP
    assert stream.after is not None and seconds <= stream.after <= seconds + late


async def test_what_is_cancelled_is_left_alone(virtual: VirtualLoop) -> None:
    deadlines = Deadlines()
    streams = [Ending(virtual) for _ in range(6)]
    entries = []
    for i, stream in enumerate(streams):
        one: Any = stream
        entries.append(Deadline(one))
        deadlines.add(entries[-1], 10.0 if i < 3 else 100.0)
    for entry in entries[::3]:
        entry.cancel()
        entry.cancel()
    await virtual.advance(200)
    assert [stream.after is None for stream in streams] == [True, False, False] * 2
    assert not deadlines._buckets and deadlines._timer is None, "no timer runs for nothing"
