"""The webhook back end in virtual time:
batches, rates, repetitions, a webhook that is dead or hangs, limits."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from audit.lines import Lost, made
from virtual_time import VirtualLoop

from pilothouse.audit.batching import Batching
from pilothouse.audit.truncate import Truncation
from pilothouse.audit.webhook_backend import ATTEMPTS, IN_FLIGHT, WebhookBackend

MINUTES = 60.0


class Hook:
    """The service: takes lists, or fails, or does not answer."""

    def __init__(self) -> None:
        self.dead = self.hangs = False
        self.calls: list[float] = []
        self.bodies: list[bytes] = []
        self.most = self._now = 0

    async def __call__(self, body: bytes) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            if self.hangs:
                await passes(30)
            if self.dead or self.hangs:
                raise OSError("connection refused")
            self.bodies.append(body)
        finally:
            self._now -= 1

    def taken(self) -> list[list[str]]:
        """The ids of the events of each list."""
        return [[item["auditID"] for item in json.loads(body)["items"]] for body in self.bodies]


async def passes(seconds: float) -> None:
    """Let time pass, and everything happen that is due."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    await loop.advance(seconds)


def run(body: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body)


def backend(hook: Hook, lost: Lost, **more: Any) -> WebhookBackend:
    found = WebhookBackend(hook, lost, **more)
    found.start()
    return found


def test_a_full_batch_goes_at_once_and_another_after_a_while() -> None:
    async def body() -> None:
        hook = Hook()
        webhook = backend(hook, Lost(), batching=Batching(most=3, wait=30.0))
        started = asyncio.get_running_loop().time()
        webhook.offer([made(i) for i in range(7)])
        await passes(1)
        assert hook.taken() == [["0", "1", "2"], ["3", "4", "5"]]
        await passes(40)
        assert hook.taken()[2:] == [["6"]] and hook.calls[2] - started == pytest.approx(30)
        assert webhook.buffered == 0
        body = json.loads(hook.bodies[2])
        assert {**body, "items": []} == {
            "kind": "EventList",
            "apiVersion": "audit.k8s.io/v1",
            "metadata": {},
            "items": [],
        }
        assert next(iter(body["items"][0])) == "level"
        await webhook.close()

    run(body())


def test_a_list_is_sent_again_and_lost_in_the_end() -> None:
    async def body() -> None:
        hook, lost = Hook(), Lost()
        hook.dead = True
        webhook = backend(hook, lost, batching=Batching(most=1), backoff=10.0)
        webhook.offer((made(),))
        await passes(200)
        pauses = [round(b - a, 6) for a, b in zip(hook.calls, hook.calls[1:], strict=False)]
        assert len(hook.calls) == ATTEMPTS
        for pause, least in zip(pauses, (10, 15, 22.5, 33.75), strict=True):
            assert least <= pause <= least * 1.2
        assert lost.told == [("webhook", 1, "connection refused")]
        assert webhook.buffered == 0
        await webhook.close()

    run(body())


def test_one_failure_loses_nothing() -> None:
    async def body() -> None:
        hook, lost = Hook(), Lost()
        hook.dead = True
        webhook = backend(hook, lost, batching=Batching(most=1))
        webhook.offer((made(5),))
        await passes(1)
        hook.dead = False
        await passes(20)
        assert hook.taken() == [["5"]] and lost.told == []
        await webhook.close()

    run(body())


@pytest.mark.parametrize("how", ["dead", "hangs"])
def test_a_webhook_that_is_dead_for_ten_minutes(how: str) -> None:
    """Memory within the budget, nobody waits, all that was dropped is counted; then it goes on by itself."""

    async def body() -> None:
        hook, lost = Hook(), Lost()
        setattr(hook, how, True)
        budget = 200_000
        webhook = backend(hook, lost, budget=budget)
        loop = asyncio.get_running_loop()
        sent = 0
        for _ in range(600):
            before = loop.time()
            for _ in range(50):
                assert webhook.store(made(sent, 200)) is True
                sent += 1
            assert loop.time() == before, "nobody waits"
            assert webhook.buffered <= budget
            await passes(1)
        assert hook.most <= IN_FLIGHT
        assert lost.total("buffered") > 0
        hook.dead = hook.hangs = False
        await passes(5 * MINUTES)
        taken = sum(map(len, hook.taken()))
        assert taken + lost.total("buffered") + lost.total("webhook") == sent
        assert webhook.buffered == 0
        webhook.offer((made(1),))
        await passes(31)
        assert hook.taken()[-1] == ["1"]
        await webhook.close()

    run(body())


def test_lists_have_a_rate() -> None:
    async def body() -> None:
        hook = Hook()
        webhook = backend(hook, Lost(), batching=Batching(most=1, rate=10.0, burst=2))
        started = asyncio.get_running_loop().time()
        webhook.offer([made(i) for i in range(6)])
        await passes(10)
        assert [round(at - started, 3) for at in hook.calls] == [0, 0, 0.1, 0.2, 0.3, 0.4]
        await webhook.close()

    run(body())


def test_lists_have_a_size() -> None:
    async def body() -> None:
        hook, lost = Hook(), Lost()
        truncation = Truncation(1000, 2000, lost)
        webhook = backend(hook, lost, batching=Batching(most=10), truncation=truncation)
        webhook.offer([made(i, 900) for i in range(5)] + [made(5, 1500)])
        await passes(1)
        assert hook.taken() == [["0", "1"], ["2", "3"], ["4"]]
        assert lost.told == [("truncate", 1, "event is too large even after truncating")]
        await webhook.close()

    run(body())


async def stored(answer: bool | Awaitable[bool]) -> bool:
    return answer if isinstance(answer, bool) else await answer


@pytest.mark.parametrize("mode", ["blocking", "blocking-strict"])
def test_blocking_waits_and_strict_refuses(mode: str) -> None:
    async def body() -> None:
        hook, lost = Hook(), Lost()
        webhook = backend(hook, lost, mode=mode, batching=Batching(buffer=10))
        assert await stored(webhook.store(made(1))) and hook.taken() == [["1"]]
        webhook.offer((made(2),))
        await passes(0.1)
        assert hook.taken() == [["1"], ["2"]]
        hook.dead = True
        started = asyncio.get_running_loop().time()
        assert await stored(webhook.store(made(3))) == (mode == "blocking")
        assert asyncio.get_running_loop().time() - started > 80
        assert lost.total("webhook") == 1
        for i in range(30):
            webhook.offer((made(i),))
        assert lost.total("buffered") == 20
        await webhook.close()

    run(body())


def test_a_request_that_is_given_up_counts_as_lost() -> None:
    async def body() -> None:
        hook, lost = Hook(), Lost()
        hook.dead = True
        webhook = backend(hook, lost, mode="blocking-strict")
        task = asyncio.ensure_future(stored(webhook.store(made(3))))
        await passes(5)
        task.cancel()
        await asyncio.wait((task,))
        assert lost.total("webhook") == 1
        await webhook.close()

    run(body())


def test_what_waits_is_sent_at_the_end_or_counted() -> None:
    async def body() -> None:
        hook, lost = Hook(), Lost()
        webhook = backend(hook, lost)
        webhook.offer([made(i) for i in range(3)])
        await webhook.close()
        assert hook.taken() == [["0", "1", "2"]] and lost.told == []
        hook.hangs = True
        webhook = backend(hook, lost, batching=Batching(most=1))
        webhook.offer([made(i) for i in range(100)])
        started = asyncio.get_running_loop().time()
        await webhook.close()
        assert asyncio.get_running_loop().time() - started <= 21
        assert lost.total("webhook") == 100

    run(body())
