"""Concurrent long bodies share a budget, and those that arrive too slowly are refused."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from server.fake_transport import Peer
from virtual_time import VirtualLoop

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response

LIMITS = Limits(body_bytes=200_000, body_budget=450_000)
SHORT = 64 * 1024


def start(size: int | None, first: int = 1000) -> bytes:
    """The head of a request, and the first bytes of its body; with size None it comes in chunks."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    if size is None:
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(first)
    return head + b"Content-Length: %d\r\n\r\n" % size + b"x" * first


def chunk(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, b"x" * size)


@pytest.fixture
def loop() -> Callable[..., Any]:
    async def main(test: Any) -> Any:
        return test()

    return lambda test: asyncio.run(main(test))


def test_who_finds_no_room_waits_for_the_others_in_order(loop: Callable[..., Any]) -> None:
    def test() -> None:
        first = Peer(limits=LIMITS).send(start(200_000))
        second, third, fourth = (first.another().send(start(200_000)) for _ in range(3))
        service = first.http1.service
        assert service.bodies.reserved == 400_000
        assert [p.transport.reading_paused for p in (first, second, third, fourth)] == [
            False,
            False,
            True,
            True,
        ]
        second.send(b"x" * 199_000)
        assert second.answers()[0][0] == 200 and len(second.seen[0].body) == 200_000
        assert [p.transport.reading_paused for p in (third, fourth)] == [False, True]
        first.lose()
        assert not fourth.transport.reading_paused and service.bodies.reserved == 400_000
        for peer in (fourth, third):
            peer.send(b"x" * 199_000)
            assert peer.answers()[0][0] == 200
        assert service.bodies.reserved == 0 and not second.transport.closed

    loop(test)


def test_short_bodies_never_wait(loop: Callable[..., Any]) -> None:
    def test() -> None:
        peer = Peer(limits=LIMITS)
        for _ in range(10):
            peer.another().send(start(200_000))
        for size in (SHORT, 1000, None):
            short = peer.another().send(start(size, 500))
            assert not short.transport.reading_paused
            short.send(chunk(SHORT - 500) + b"0\r\n\r\n" if size is None else b"x" * (size - 500))
            assert short.answers()[0][0] == 200
        whole = peer.another().send(start(200_000, 200_000))
        assert whole.answers()[0][0] == 200, "who comes in one piece need not wait either"
        assert peer.http1.service.bodies.reserved == 400_000

    loop(test)


def test_a_body_of_unknown_length_counts_with_what_it_may_have_once_it_is_long(
    loop: Callable[..., Any],
) -> None:
    def test() -> None:
        peer = Peer(limits=LIMITS).send(start(None, SHORT))
        bodies = peer.http1.service.bodies
        assert bodies.reserved == 0
        peer.send(chunk(1))
        assert bodies.reserved == 200_000
        peer.send(b"0\r\n\r\n")
        assert bodies.reserved == 0 and len(peer.seen[0].body) == SHORT + 1

    loop(test)


def test_one_body_is_let_in_whatever_the_budget(loop: Callable[..., Any]) -> None:
    def test() -> None:
        limits = Limits(body_bytes=200_000, body_budget=0)
        first = Peer(limits=limits).send(start(200_000))
        second = first.another().send(start(100_000))
        assert not first.transport.reading_paused and second.transport.reading_paused
        first.send(b"x" * 199_000)
        second.send(b"x" * 99_000)
        assert [len(r.body) for r in first.seen] == [200_000, 100_000]

    loop(test)


def test_who_keeps_others_waiting_has_to_come_along(loop: Callable[..., Any]) -> None:
    def test() -> None:
        quick = Peer(limits=LIMITS)
        slow, stalled, spared = quick.another(), quick.another(), quick.another()
        bodies = quick.http1.service.bodies
        begun = time.monotonic()
        everybody = (quick, slow, stalled, spared)
        for peer in everybody:
            peer.send(start(110_000))
        bodies.hurry(begun + 100)
        waiting = [quick.another().send(start(90_000)) for _ in range(2)]
        assert all(peer.transport.reading_paused for peer in waiting)
        assert not any(peer.transport.sent for peer in everybody), "before that nobody was kept waiting"
        bodies.hurry(time.monotonic() + 0.5)
        assert not any(peer.transport.sent for peer in everybody), "everybody has a second"
        slow.send(b"x" * 20_000)
        quick.send(b"x" * 90_000)
        bodies.hurry(begun + 2)
        for peer in (slow, stalled):
            ((status, headers, text),) = peer.answers()
            assert (status, headers["connection"], text) == (408, "close", b"408 Request Timeout")
            peer.send(b"x" * 10_000)
            peer.http1.service.sweep(time.monotonic() + 10)
            assert peer.transport.closed
        assert not spared.transport.sent, "there is room enough without it"
        for peer, rest in ((quick, 19_000), (waiting[1], 89_000), (waiting[0], 89_000), (spared, 109_000)):
            peer.send(b"x" * rest)
            assert peer.answers()[0][0] == 200
        assert bodies.reserved == 0

    loop(test)


def test_the_time_of_a_body_goes_on_while_it_waits(loop: Callable[..., Any]) -> None:
    def test() -> None:
        first = Peer(limits=LIMITS)
        peers = [first.another().send(start(200_000)) for _ in range(4)]
        first.http1.service.sweep(time.monotonic() + 61)
        assert all(peer.transport.closed for peer in peers)
        assert first.http1.service.bodies.reserved == 0

    loop(test)


def test_too_long_or_malformed_bodies_leave_their_room(loop: Callable[..., Any]) -> None:
    def test() -> None:
        for rest in (chunk(140_000), b"no chunk\r\n"):
            peer = Peer(limits=LIMITS).send(start(None, 70_000))
            assert peer.http1.service.bodies.reserved == 200_000
            peer.send(rest)
            assert peer.answers()[0][0] in (400, 413)
            assert peer.http1.service.bodies.reserved == 0

    loop(test)


async def test_a_timer_sees_to_it(virtual: VirtualLoop) -> None:
    peer = Peer(limits=LIMITS, clock=virtual.time)
    stalled = [peer.another().send(start(200_000)) for _ in range(2)]
    waiting = peer.another().send(start(200_000))
    await virtual.advance(0.9)
    assert waiting.transport.reading_paused
    await virtual.advance(0.5)
    assert [p.transport.sent[:12] for p in stalled] == [b"HTTP/1.1 408", b""]
    waiting.send(b"x" * 199_000)
    assert waiting.answers()[0][0] == 200


async def _pipelined() -> None:
    done = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        await done
        return Response(200)

    peer = Peer(slow, limits=LIMITS)
    holders = [peer.another().send(start(200_000)) for _ in range(2)]
    behind = peer.another().send(start(10, 10), start(10, 10) + start(200_000))
    assert behind.transport.reading_paused, "for two reasons"
    done.set_result(None)
    await asyncio.sleep(0.01)
    assert len(behind.answers()) == 2 and behind.transport.reading_paused, "for one"
    holders[0].lose()
    assert not behind.transport.reading_paused
    behind.send(b"x" * 199_000)
    await asyncio.sleep(0.01)
    assert len(behind.answers()) == 3


def test_pipelined_bodies_wait_too() -> None:
    asyncio.run(_pipelined())


STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["send", "send", "end", "lose", "hurry", "sweep"])),
    max_size=40,
)


@settings(max_examples=75 * SCALE)
@given(STEPS, st.integers(0, 2**32), st.sampled_from([0, 100_000, 450_000]))
def test_whatever_happens_the_budget_holds_and_the_honest_come_through(
    steps: Any, seed: Any, budget: Any
) -> None:
    pick = random.Random(seed)
    limits = Limits(body_bytes=200_000, body_budget=budget)

    def test() -> None:
        peer = Peer(limits=limits)
        bodies = peer.http1.service.bodies
        clients: dict[int, tuple[Peer, int]] = {}
        at = time.monotonic()

        def over(one: Any) -> Any:
            return one.transport.closed or one.transport.sent

        def send(i: Any, most: Any) -> None:
            if i not in clients or over(clients[i][0]):
                size = pick.choice([500, SHORT, SHORT + 1, 150_000, 200_000])
                clients[i] = (peer.another().send(start(size, 0)), size)
            one, left = clients[i]
            part = min(left, most)
            if not one.transport.reading_paused and part:
                one.send(b"x" * part)
                clients[i] = (one, left - part)

        for i, what in steps:
            if what in ("send", "end"):
                send(i, 200_000 if what == "end" else 40_000)
            elif what == "lose" and i in clients:
                clients.pop(i)[0].lose()
            elif what == "hurry":
                at += 0.7
                bodies.hurry(at)
            elif what == "sweep":
                peer.http1.service.sweep(at)
            assert bodies.reserved <= max(budget, 200_000)
        for _ in range(len(clients) + 1):
            for i, (one, left) in clients.items():
                if left and not over(one):
                    send(i, 200_000)
        for one, _ in clients.values():
            assert over(one), "nobody waits for ever"
        assert bodies.reserved == 0

    async def main() -> None:
        test()

    asyncio.run(main())
