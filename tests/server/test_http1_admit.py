"""Long bodies are read only after their heads were judged, and each payer has a share of the budget."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from server.fake_transport import Peer

from pilothouse.server.http1 import Limits
from pilothouse.server.request import Request, Response

LONG = 200_000
FORBIDDEN = Response(403, b'{"no":1}')


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return wrapper


def head(size: int | None = LONG, user: str = "jane", more: bytes = b"", method: bytes = b"POST") -> bytes:
    framing = b"Transfer-Encoding: chunked" if size is None else b"Content-Length: %d" % size
    return method + b" / HTTP/1.1\r\nHost: a\r\nUser: %b\r\n%b%b\r\n\r\n" % (user.encode(), more, framing)


class Judge:
    """Lets in everybody but eve; `later` has it wait."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.later: asyncio.Future[None] | None = None

    def __call__(self, request: Request) -> Any:
        self.seen.append(request)
        return self.wait(request) if self.later is not None else self.verdict(request)

    async def wait(self, request: Request) -> Response | None:
        assert self.later is not None
        await asyncio.shield(self.later)
        return self.verdict(request)

    def verdict(self, request: Request) -> Response | None:
        request.caller = request.headers["user"]
        return FORBIDDEN if request.caller == "eve" else None


@run
async def test_only_long_bodies_are_judged_and_the_refused_are_not_read() -> None:
    judge = Judge()
    peer = Peer(admit=judge)
    peer.send(head(5), b"12345").send(head(LONG) + b"x" * LONG)
    assert len(peer.answers()) == 2 and not judge.seen, "short, or whole with its head"
    peer.send(head(), b"x" * 1000)
    (request,) = judge.seen
    assert (request.method, request.target, request.body) == ("POST", "/", b"")
    assert not peer.transport.reading_paused
    peer.send(b"x" * (LONG - 1000))
    assert len(judge.seen) == 1 and len(peer.seen[2].body) == LONG
    for method in (b"POST", b"HEAD", b"BREW"):
        eve = peer.another().send(head(user="eve", method=method) + b"x")
        ((status, headers, body),) = eve.answers(method.decode())
        assert (status, headers["connection"]) == (403, "close")
        assert body == (b"" if method == b"HEAD" else b'{"no":1}')
        eve.send(b"x" * 10_000)
        assert not eve.transport.closed, "it may finish, and read why"
        eve.http1.service.sweep(time.monotonic() + 3)
        assert eve.transport.closed and len(peer.seen) == 3


@run
async def test_a_chunked_body_is_judged_once_it_is_long() -> None:
    judge = Judge()
    peer = Peer(admit=judge).send(head(None, "eve"), b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
    assert not judge.seen and not peer.transport.sent
    peer.send(b"2\r\nxx\r\n")
    assert peer.answers()[0][0] == 403 and not peer.seen


@run
async def test_nothing_is_read_while_the_judge_waits() -> None:
    judge = Judge()
    judge.later = asyncio.get_running_loop().create_future()
    good, bad, gone, raises = (Peer(admit=judge) for _ in range(4))
    good.send(head(), b"x")
    bad.send(head(user="eve"), b"x")
    gone.send(head(), b"x")
    raises.send(head().replace(b"User", b"Loser"), b"x")
    await asyncio.sleep(0)
    assert all(p.transport.reading_paused for p in (good, bad, gone, raises))
    gone.lose()
    judge.later.set_result(None)
    await asyncio.sleep(0.01)
    assert not good.transport.reading_paused and not good.transport.sent
    assert [p.answers()[0][0] for p in (bad, raises)] == [403, 500]
    assert not gone.transport.sent and not bad.transport.reading_paused
    good.send(b"x" * (LONG - 1))
    assert good.answers()[0][0] == 200


@run
async def test_time_goes_on_while_the_judge_waits() -> None:
    judge = Judge()
    judge.later = asyncio.get_running_loop().create_future()
    peer = Peer(admit=judge).send(head(), b"x")
    peer.http1.service.sweep(time.monotonic() + 61)
    assert peer.transport.closed
    judge.later.set_result(None)
    await asyncio.sleep(0.01)
    assert not peer.transport.sent


@run
async def test_continue_is_sent_to_the_admitted_only() -> None:
    judge = Judge()
    expect = b"Expect: 100-continue\r\n"
    peer = Peer(admit=judge)
    assert peer.send(head(more=expect)).transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    short = peer.another().send(head(3, more=expect))
    assert short.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    short.send(b"abc")
    assert short.answers()[-1][0] == 200
    eve = peer.another().send(head(3, "eve", expect))
    assert eve.answers()[0][0] == 403
    judge.later = asyncio.get_running_loop().create_future()
    late = peer.another().send(head(more=expect))
    await asyncio.sleep(0)
    assert len(late.transport.sent) == 0
    judge.later.set_result(None)
    await asyncio.sleep(0.01)
    assert late.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"


@run
async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    done = asyncio.get_running_loop().create_future()

    async def slow(_: Request) -> Response:
        await done
        return Response(200)

    peer = Peer(slow, admit=Judge()).send(head(1) + b"x" + head(user="eve") + b"x")
    assert not peer.transport.sent
    done.set_result(None)
    await asyncio.sleep(0.01)
    assert [a[0] for a in peer.answers()] == [200, 403]


@pytest.mark.parametrize("users", [1, 80])
def test_slow_senders_keep_nobody_waiting(users: int) -> None:
    """80 senders of 3 MB at 40 KB/s; whenever an administrator comes with 900 KB,
    they are taken within two seconds."""

    @run
    async def scene() -> None:
        first = Peer(admit=Judge(), limits=Limits())
        bodies = first.http1.service.bodies
        slow = [first.another() for _ in range(80)]
        at = time.monotonic()
        for i, peer in enumerate(slow):
            peer.send(head(3_000_000, f"u{i % users}"), b"x")
        for second in range(60):
            for i, peer in enumerate(slow):
                if peer.transport.closed or peer.transport.sent:
                    slow[i] = first.another().send(head(3_000_000, f"u{i % users}"), b"x")
                elif not peer.transport.reading_paused:
                    peer.send(b"x" * 40_000)
            at += 1
            bodies.hurry(at)
            if second % 5:
                continue
            admin, left, waited = first.another().send(head(900_000, "admin"), b"x"), 899_999, 0.0
            while left:
                if admin.transport.reading_paused:
                    waited += 0.25
                    bodies.hurry(at + waited)
                    assert waited <= 2
                    continue
                part = min(left, 100_000)
                admin.send(b"x" * part)
                left -= part
            assert admin.answers()[0][0] == 200
            admin.lose()
        assert bodies.reserved <= Limits().body_budget
        for peer in slow:
            peer.lose()
        assert bodies.reserved == 0

    scene()


@run
async def test_one_payer_has_a_part_of_the_room() -> None:
    limits = Limits(body_bytes=LONG, body_budget=8 * LONG)
    first = Peer(admit=Judge(), limits=limits)
    jane = [first.another().send(head(user="jane"), b"x") for _ in range(10)]
    assert [p.transport.reading_paused for p in jane] == [False] * 2 + [True] * 8
    others = [first.another().send(head(user=f"u{i}"), b"x") for i in range(6)]
    assert not any(p.transport.reading_paused for p in others)
    assert first.another().send(head(user="late"), b"x").transport.reading_paused
    first.http1.service.bodies.hurry(time.monotonic() + 2)
    assert any(p.transport.sent for p in jane[:2]), "who comes too slowly makes room"


@run
async def test_bodies_that_come_along_all_end() -> None:
    first = Peer(admit=Judge(), limits=Limits(body_budget=16_000_000))
    peers = {first.another().send(head(3_000_000, f"u{i % 7}"), b"x"): 2_999_999 for i in range(40)}
    for _ in range(3000):
        for peer, left in list(peers.items()):
            if not peer.transport.reading_paused:
                part = min(left, 100_000)
                peer.send(b"x" * part)
                peers[peer] = left - part
                if left == part:
                    assert peer.answers()[0][0] == 200
                    del peers[peer]
            assert first.http1.service.bodies.reserved <= 16_000_000
        if not peers:
            break
    assert not peers and first.http1.service.bodies.reserved == 0
