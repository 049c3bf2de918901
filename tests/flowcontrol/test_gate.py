"""Requests that need seats: they wait, go on, or are refused, in the rig."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig, config_map, pod
from virtual_time import VirtualLoop

from pilothouse.flowcontrol import gate
from pilothouse.flowcontrol.levels import State
from pilothouse.server.request import Response

pytestmark = pytest.mark.usefixtures("virtual")

API = "/apis/flowcontrol.apiserver.k8s.io/v1"
FLAGS = ("--max-requests-inflight=2", "--max-mutating-requests-inflight=0")
QUEUE = {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 2}}
REJECT = {"type": "Reject"}


class Small:
    """A rig with a level of one seat, to which the requests of jane go."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    @property
    def state(self) -> State:
        control = self.rig.handlers.flowcontrol
        assert control is not None
        return control.levels.states["small"]

    async def hold(self, target: str = CONFIG_MAPS) -> Response:
        """An answer that is not sent yet, and keeps its seats."""
        response = await self.rig.respond("GET", target, user="jane")
        assert response.status == 200
        return response

    def begin(self, target: str = CONFIG_MAPS, **more: Any) -> asyncio.Task[Any]:
        """A request that has to wait."""
        return asyncio.ensure_future(self.rig.call("GET", target, user="jane", **more))


async def configure(rig: Rig, response: Any, seats: int = 1) -> None:
    """Make the level and the flow schema of jane."""
    limited = {"nominalConcurrencyShares": 5 * seats, "lendablePercent": 0, "borrowingLimitPercent": 0}
    spec = {"type": "Limited", "limited": {**limited, "limitResponse": response}}
    await rig.ok("POST", f"{API}/prioritylevelconfigurations", {"metadata": {"name": "small"}, "spec": spec})
    rules = [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    ]
    subjects = [{"kind": "User", "user": {"name": "jane"}}]
    schema = {
        "matchingPrecedence": 100,
        "priorityLevelConfiguration": {"name": "small"},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, "resourceRules": rules}],
    }
    await rig.ok("POST", f"{API}/flowschemas", {"metadata": {"name": "of-jane"}, "spec": schema})


@contextlib.asynccontextmanager
async def small(response: Any, seats: int = 1) -> AsyncIterator[Small]:
    async with Rig(modes=("AlwaysAllow",), flags=(f"--max-requests-inflight={seats + 1}", FLAGS[1])) as rig:
        await configure(rig, response, seats)
        yield Small(rig)


async def turns(virtual: VirtualLoop) -> None:
    await virtual.advance(0.001)


async def test_a_request_waits_for_the_seat_of_another(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        held = await s.hold()
        waits = s.begin()
        await virtual.advance(3)
        assert not waits.done() and s.state.seats.waiting == 1
        s.rig.answer(held)
        answer = await waits
        assert answer.status == 200 and s.state.seats.idle
        uids = {name: value for name, value in answer.headers.items() if name.startswith("x-kubernetes-pf")}
        assert uids["x-kubernetes-pf-prioritylevel-uid"] == s.state.uid and len(uids) == 2


async def test_a_level_without_queues_refuses(virtual: VirtualLoop) -> None:
    async with small(REJECT) as s:
        held = await s.hold()
        answer = await s.rig.call("GET", CONFIG_MAPS, user="jane")
        assert answer.status == 429 and answer.headers["retry-after"] == "1"
        assert answer.headers["x-kubernetes-pf-prioritylevel-uid"] == s.state.uid
        assert answer.body["message"] == "Too many requests, please try again later."
        assert answer.body["reason"] == "TooManyRequests"
        assert answer.body["details"] == {
            "retryAfterSeconds": 1,
            "causes": [
                {"reason": "FlowSchema", "message": "of-jane"},
                {"reason": "PriorityLevel", "message": "small"},
                {
                    "reason": "concurrency-limit",
                    "message": (
                        "1 of the 1 seats of the priority level are taken, this request needs 1, and the"
                        " priority level has no queues"
                    ),
                },
            ],
        }
        assert (await s.rig.call("GET", CONFIG_MAPS)).status == 200  # an administrator is exempt
        s.rig.answer(held)
        assert (await s.rig.call("GET", CONFIG_MAPS, user="jane")).status == 200


async def test_full_queues_refuse(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        held = await s.hold()
        waiting = [s.begin() for _ in range(2)]
        await turns(virtual)
        answer = await s.rig.call("GET", CONFIG_MAPS, user="jane")
        assert answer.status == 429
        assert answer.body["details"]["causes"][2] == {
            "reason": "queue-full",
            "message": (
                "1 of the 1 seats of the priority level are taken, and 2 requests wait in each queue that"
                " this one may stand in"
            ),
        }
        s.rig.answer(held)
        assert [(await one).status for one in waiting] == [200, 200]


@pytest.mark.parametrize(("query", "seconds"), [("", 15.0), ("?timeout=4s", 1.0), ("?timeout=1h", 15.0)])
async def test_a_wait_ends_after_a_quarter_of_the_deadline(
    query: str, seconds: float, virtual: VirtualLoop
) -> None:
    async with small(QUEUE) as s:
        await s.hold()
        waits = s.begin(CONFIG_MAPS + query)
        await virtual.advance(seconds - 0.1)
        assert not waits.done()
        await virtual.advance(0.2)
        answer = await waits
        assert answer.status == 429 and answer.body["details"]["causes"][2]["reason"] == "time-out"
        assert s.state.seats.waiting == 0 and s.state.seats.timed_out == 1


async def test_a_client_that_leaves_leaves_its_queue(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        held = await s.hold()
        waits, last = s.begin(), s.begin()
        await turns(virtual)
        waits.cancel()
        await turns(virtual)
        assert (s.state.seats.waiting, s.state.seats.cancelled) == (1, 1)
        s.rig.answer(held)
        assert (await last).status == 200


async def test_a_client_that_leaves_with_its_seat_given_gives_it_back(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        held, waits = await s.hold(), s.begin()
        await turns(virtual)
        s.rig.answer(held)
        assert s.state.seats.executing == 1  # the task has its seat and has not run since
        waits.cancel()
        await turns(virtual)
        assert s.state.seats.idle


async def test_a_refused_right_gives_the_seat_back(virtual: VirtualLoop) -> None:
    async with Rig(flags=FLAGS) as rig:
        await configure(rig, REJECT)
        for _ in range(3):
            assert (await rig.call("GET", CONFIG_MAPS, user="jane")).status == 403


async def test_the_head_of_a_long_body_takes_no_seat(virtual: VirtualLoop) -> None:
    async with small(REJECT) as s:
        head = s.rig.request("POST", CONFIG_MAPS, config_map("x"), user="jane")
        assert s.rig.pipeline.admit(head) is None
        assert s.state.seats.idle and not s.state.seats.used


async def test_streams_need_no_seats(virtual: VirtualLoop) -> None:
    async with small(REJECT) as s:
        await s.rig.ok("POST", PODS, pod("p"))
        await s.hold()
        answer = await s.rig.call("GET", f"{PODS}/p/log", user="jane")
        assert answer.status != 429 and "x-kubernetes-pf-flowschema-uid" not in answer.headers


@pytest.mark.parametrize("query", ["watch=1", "watch=1&resourceVersion=0", "watch=1&resourceVersion=1"])
async def test_a_watch_needs_seats_until_it_has_been_sent_what_is_there(
    query: str, virtual: VirtualLoop
) -> None:
    async with small(REJECT) as s:
        stream = await s.rig.watch(f"{CONFIG_MAPS}?{query}", user="jane")
        assert s.state.seats.idle and s.state.seats.dispatched == 1
        assert s.state.series["of-jane"].watches.count == 1
        stream.close()
        assert s.state.seats.idle


async def test_a_watch_that_is_sent_much_keeps_its_seat_meanwhile(virtual: VirtualLoop) -> None:
    async with small(REJECT) as s:
        for i in range(3):
            await s.rig.config_map(f"big-{i}", data={"a": "x" * 700_000})
        response = await s.rig.respond("GET", f"{CONFIG_MAPS}?watch=1", user="jane")
        stream = Slow()
        assert response.start is not None
        response.start(stream)
        assert s.state.seats.executing == 1 and stream.written < 2_000_000
        assert (await s.rig.call("GET", CONFIG_MAPS, user="jane")).status == 429
        for _ in range(3):
            assert s.state.seats.executing == 1
            stream.drain()
        assert s.state.seats.idle and stream.written > 2_000_000


class Slow:
    """A stream whose peer takes what was written when it is told to."""

    def __init__(self) -> None:
        self.written = self.waiting = 0
        self.drained: list[Any] = []

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.waiting += len(data)

    def buffered(self) -> int:
        return self.waiting

    def close(self) -> None:
        pass

    def abort(self, error: BaseException | None = None) -> None:
        pass

    def on_close(self, callback: Any) -> None:
        pass

    def on_drain(self, callback: Any) -> None:
        self.drained.append(callback)

    def drain(self) -> None:
        self.waiting = 0
        for callback in self.drained:
            callback()


async def test_a_slow_reader_loses_its_seat_before_others_are_refused(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        control = s.rig.handlers.flowcontrol
        assert control is not None
        control.start()
        try:
            await s.hold()
            waits = s.begin()
            # The seats count by the monotonic clock, which this loop does not move.
            s.state.seats.let_go(0.0)
            s.state.seats.let_go(0.0)
            assert (await waits).status == 200
            assert s.state.series["of-jane"].let_go == 1
        finally:
            await control.close()
    assert gate.HELD + 2 * gate.TICK < 60 / 4


async def test_a_write_keeps_seats_for_its_watchers(virtual: VirtualLoop) -> None:
    async with small(REJECT, seats=40) as s:
        streams = [await s.rig.watch(f"{CONFIG_MAPS}?watch=1") for _ in range(25)]
        made = await s.rig.call("POST", CONFIG_MAPS, config_map("x"), user="jane")
        assert made.status == 201
        assert (s.state.seats.executing, s.state.seats.seats_in_use) == (0, 3)
        await virtual.advance(0.004)
        assert s.state.seats.seats_in_use == 3
        await virtual.advance(0.002)
        assert s.state.seats.seats_in_use == 0
        assert s.state.series["of-jane"].watchers.sum == 25
        for stream in streams:
            stream.close()


async def test_a_level_that_is_deleted_serves_those_who_wait(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        held, waits, state = await s.hold(), s.begin(), s.state
        await turns(virtual)
        await s.rig.ok("DELETE", f"{API}/prioritylevelconfigurations/small")
        other = await s.rig.call("GET", CONFIG_MAPS, user="jane")
        assert other.status == 200 and state.leaving  # by the level catch-all
        s.rig.answer(held)
        assert (await waits).status == 200
        control = s.rig.handlers.flowcontrol
        assert control is not None
        control.levels.tick()
        assert "small" not in control.levels.states


async def test_more_seats_let_those_in_who_wait(virtual: VirtualLoop) -> None:
    async with small(QUEUE) as s:
        await s.hold()
        waits = s.begin()
        await turns(virtual)
        level = await s.rig.ok("GET", f"{API}/prioritylevelconfigurations/small")
        level["spec"]["limited"]["nominalConcurrencyShares"] = 50
        await s.rig.ok("PUT", f"{API}/prioritylevelconfigurations/small", level)
        control = s.rig.handlers.flowcontrol
        assert control is not None
        assert not waits.done()
        control.levels.tick()
        assert (await waits).status == 200 and s.state.nominal == 2


async def test_two_limits_by_flags(virtual: VirtualLoop) -> None:
    flags = ("--enable-priority-and-fairness=false", *FLAGS[:1], "--max-mutating-requests-inflight=1")
    async with Rig(modes=("AlwaysAllow",), flags=flags) as rig:
        assert rig.handlers.flowcontrol is None
        held = [await rig.respond("GET", CONFIG_MAPS, user="jane") for _ in range(2)]
        refused = await rig.call("GET", CONFIG_MAPS, user="jane")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert "x-kubernetes-pf-flowschema-uid" not in refused.headers
        assert refused.body["details"]["causes"] == [
            {
                "reason": "max-requests-inflight",
                "message": "2 reads are under way, as many as --max-requests-inflight allows",
            }
        ]
        assert (await rig.call("GET", CONFIG_MAPS)).status == 200  # administrators pass
        assert (await rig.call("POST", CONFIG_MAPS, config_map("a"), user="jane")).status == 201
        stream = await rig.watch(f"{CONFIG_MAPS}?watch=1", user="jane")
        for one in held:
            rig.answer(one)
        assert (await rig.call("GET", CONFIG_MAPS, user="jane")).status == 200
        stream.close()
        assert (await rig.call("GET", "/debug/api_priority_and_fairness/dump_queues")).status == 404


async def test_a_limit_of_zero_is_none(virtual: VirtualLoop) -> None:
    flags = ("--enable-priority-and-fairness=false", "--max-requests-inflight=0")
    async with Rig(modes=("AlwaysAllow",), flags=flags) as rig:
        for _ in range(1000):
            assert (await rig.respond("GET", CONFIG_MAPS, user="jane")).status == 200
