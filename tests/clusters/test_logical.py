"""A cluster in memory knows whether somebody uses it."""

import asyncio
from typing import Any

import pytest

from pilothouse.clusters.logical import LogicalCluster
from pilothouse.server.request import Request, Response


class Parts:
    """Stands for a cluster: answers as it is told."""

    def __init__(self) -> None:
        self.answer: Any = Response(200)
        self.pipeline = self
        self.revision = 7

    def handle(self, request: Request) -> Any:
        return self.answer

    def admit(self, request: Request) -> Any:
        return self.answer


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def logical(parts: Parts) -> LogicalCluster:
    anything: Any = parts
    return LogicalCluster("one", "uid", anything, anything, anything, anything)


def request() -> Request:
    return Request("GET", "/", {}, [])


async def test_a_request_with_an_answer_is_over(
    runner: asyncio.Runner, parts: Parts, logical: LogicalCluster
) -> None:
    logical.used = 0.0
    assert logical.handle(request()) is parts.answer
    assert (logical.open_requests, logical.requests) == (0, 1)
    assert logical.used > 0


async def test_a_request_that_waits_is_open(
    runner: asyncio.Runner, parts: Parts, logical: LogicalCluster
) -> None:
    answered = asyncio.get_running_loop().create_future()
    parts.answer = answered
    task = asyncio.ensure_future(logical.handle(request()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert logical.open_requests == 1
    answered.set_result(Response(200))
    await task
    assert logical.open_requests == 0


@pytest.mark.parametrize("way", ["cancelled", "failed"])
async def test_a_request_without_an_answer_is_over(
    runner: asyncio.Runner, parts: Parts, logical: LogicalCluster, way: str
) -> None:
    answered = asyncio.get_running_loop().create_future()
    parts.answer = answered
    task = asyncio.ensure_future(logical.handle(request()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel() if way == "cancelled" else answered.set_exception(OSError("gone"))
    await asyncio.wait([task])
    assert logical.open_requests == 0
    assert task.cancelled() or task.exception()


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("kind", ["start", "upgrade"])
async def test_an_answer_that_goes_on_is_open_until_its_end(
    runner: asyncio.Runner, parts: Parts, logical: LogicalCluster, kind: str, later: bool
) -> None:
    ended: list[Any] = []
    goes_on: dict[str, Any] = {kind: lambda stream: None}
    response = Response(200, **goes_on)
    response.on_done = lambda sent, error: ended.append((sent, error))
    parts.answer = response
    if later:
        parts.answer = asyncio.get_running_loop().create_future()
        parts.answer.set_result(response)
        await logical.handle(request())  # type: ignore[misc]
    else:
        logical.handle(request())
    assert logical.open_requests == 1
    logical.used = 0.0
    assert response.on_done is not None
    response.on_done(5, None)
    assert logical.open_requests == 0
    assert ended == [(5, None)]
    assert logical.used > 0


async def test_a_judged_head_counts_as_use(
    runner: asyncio.Runner, parts: Parts, logical: LogicalCluster
) -> None:
    logical.used = 0.0
    parts.answer = None
    assert logical.admit(request()) is None
    assert logical.used > 0
    assert logical.compactable == 7
