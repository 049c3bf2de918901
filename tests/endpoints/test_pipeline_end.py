"""How requests wait and end, in the rig and with sockets; see pilothouse.waiting and Context.on_end."""

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from harness import ADMIN, CONFIG_MAPS, Rig, config_map
from virtual_time import VirtualLoop

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.identity import AuthorizationAttributes, RequestInfo, User
from pilothouse.authz.authorizer import ALLOW, Decision
from pilothouse.endpoints.request.context import Context, RequestOutcome
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource
from pilothouse.server.http1 import Http1
from pilothouse.server.request import Request, Response
from pilothouse.waiting import in_task


class Timed(AdmissionPlugin):
    """Bounds its own wait; one for an object that is called `slow` never ends."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def mutate(self, a: AdmissionAttributes) -> None:
        async with asyncio.timeout(30):
            if a.name != "slow":
                return await asyncio.sleep(0)
            self.entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise


class TimedStage:
    """An authenticator and an authorizer that do the same; no admission chain makes them a task."""

    async def authenticate(self, request: Request) -> User:
        await in_task()
        async with asyncio.timeout(30):
            return await asyncio.sleep(0, ADMIN)

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        await in_task()
        async with asyncio.timeout(30):
            return await asyncio.sleep(0, ALLOW)


class Ends:
    """Stands where the metrics are counted, and in front of the verbs: keeps how requests have ended."""

    def __init__(self, rig: Rig) -> None:
        self.counted: list[int] = []
        self.waiting = self.aborted = 0
        self.outcomes: list[RequestOutcome] = []
        self._dispatcher = rig.pipeline.stages.dispatcher
        ours: Any = self
        rig.pipeline.stages = replace(
            rig.pipeline.stages, observer=replace(rig.pipeline.stages.observer, metrics=ours), dispatcher=ours
        )

    def observe(
        self,
        info: RequestInfo,
        resource: Resource | None,
        status: int,
        seconds: float,
        received: int,
        sent: int,
        headers: dict[str, str],
        query: dict[str, list[str]],
        waited: float,
    ) -> None:
        assert 0 <= waited <= seconds < 60 and received >= 0 and sent >= 0
        self.counted.append(status)

    def abort(self, info: RequestInfo, resource: Resource | None) -> None:
        self.aborted += 1

    def enter(self, info: RequestInfo) -> None:
        self.waiting += 1

    def leave(self, info: RequestInfo) -> None:
        self.waiting -= 1

    def terminate(self, info: RequestInfo, resource: Resource | None, status: int) -> None:
        assert status == 504

    def follow(self, info: RequestInfo, resource: Resource | None) -> Callable[[], None]:
        self.waiting += 1
        return lambda: self.leave(info)

    async def dispatch(self, ctx: Context) -> Response:
        ctx.on_end(self.keep)
        return await self._dispatcher.dispatch(ctx)

    def keep(self, outcome: RequestOutcome) -> None:
        self.outcomes.append(outcome)

    def take(self) -> tuple[list[int], list[RequestOutcome]]:
        """The requests that have ended since the last call."""
        counted, outcomes = self.counted, self.outcomes
        self.counted, self.outcomes = [], []
        return counted, outcomes


@contextlib.asynccontextmanager
async def served(rig: Rig) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the rig's pipeline behind the HTTP/1 server."""
    http1: Any = Http1(rig.pipeline.handle)
    server = await asyncio.get_running_loop().create_server(http1, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        http1.close()
        server.close()
        await server.wait_closed()


def post(name: str, user: str = "admin") -> bytes:
    body = json.dumps(config_map(name)).encode()
    head = (
        f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {user}\r\nContent-Length:"
        f" {len(body)}\r\n"
    )
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


@pytest.mark.parametrize("stage", ["plugin", "authenticator", "authorizer"])
@pytest.mark.parametrize("socket", [False, True])
def test_a_stage_may_bound_its_first_wait(stage: str, socket: bool) -> None:
    async def main() -> None:
        async with Rig([Timed()] if stage == "plugin" else []) as rig:
            if stage != "plugin":
                rig.pipeline.stages = replace(rig.pipeline.stages, **dict[str, Any]({stage: TimedStage()}))
            if not socket:
                assert (await rig.call("POST", CONFIG_MAPS, config_map("a"))).status == 201
                return
            async with served(rig) as (reader, writer):
                writer.write(post("a"))
                assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")

    asyncio.run(main())


@pytest.mark.parametrize("socket", [False, True])
def test_a_client_that_leaves_cancels_its_request_and_ends_it(socket: bool) -> None:
    async def main() -> None:
        plugin = Timed()
        async with Rig([plugin]) as rig:
            ends = Ends(rig)
            if socket:
                async with served(rig) as (_, writer):
                    writer.write(post("slow"))
                    await plugin.entered.wait()
                await plugin.cancelled.wait()
            else:
                call = asyncio.ensure_future(rig.call("POST", CONFIG_MAPS, config_map("slow")))
                await plugin.entered.wait()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            counted, (outcome,) = ends.take()
            assert counted == [504] and (outcome.status, outcome.sent) == (504, 0)
            assert isinstance(outcome.error, asyncio.CancelledError)
            assert (await rig.call("GET", CONFIG_MAPS + "/slow")).status == 404

    asyncio.run(main())


def test_a_client_that_leaves_before_the_task_begins() -> None:
    async def main() -> None:
        plugin = Timed()
        async with Rig([plugin]) as rig:
            ends = Ends(rig)
            task = rig.handle("POST", CONFIG_MAPS, config_map("slow"))
            assert isinstance(task, asyncio.Task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            counted, (outcome,) = ends.take()
            assert counted == [504] and isinstance(outcome.error, asyncio.CancelledError)

    asyncio.run(main())


def test_the_deadline_ends_a_request_when_its_answer_is_sent() -> None:
    async def main() -> None:
        plugin = Timed()
        async with Rig([plugin]) as rig:
            ends = Ends(rig)
            response = await rig.respond("POST", CONFIG_MAPS + "?timeout=5s", config_map("slow"))
            assert response.status == 504 and plugin.cancelled.is_set()
            assert ends.take() == ([], [])
            rig.answer(response)
            assert isinstance(response.body, bytes)

            assert ends.take() == ([504], [RequestOutcome(504, len(response.body), None)])

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


async def test_an_answer_ends_its_request_once(rig: Rig) -> None:
    ends = Ends(rig)
    response = await rig.respond("GET", CONFIG_MAPS)
    assert ends.take() == ([], [])
    assert response.on_done is not None
    for _ in range(2):
        response.on_done(17, None)
    assert ends.take() == ([200], [RequestOutcome(200, 17, None)])
    response = await rig.respond("GET", CONFIG_MAPS + "/none")
    gone = ConnectionResetError()
    assert response.on_done is not None
    response.on_done(3, gone)
    assert ends.take() == ([404], [RequestOutcome(404, 3, gone)])


async def test_answers_that_no_verb_has_made_end_as_well(rig: Rig) -> None:
    ends = Ends(rig)
    for target, user, status in (
        ("/%zz", "admin", 400),
        (CONFIG_MAPS, "nobody", 401),
        (CONFIG_MAPS, "jane", 403),
    ):
        assert (await rig.call("GET", target, user=user)).status == status
        assert ends.take() == ([status], [])


@pytest.mark.parametrize("cut", [False, True])
async def test_a_watch_ends_with_its_stream(rig: Rig, cut: bool) -> None:
    ends = Ends(rig)
    stream = await rig.watch(CONFIG_MAPS + "?watch=1")
    await rig.config_map("a")
    assert ends.take()[0] == [201]
    (stream.abort if cut else stream.close)()
    counted, (outcome,) = ends.take()
    assert counted == [200] and outcome.status == 200
    assert outcome.sent == len(stream.data) > 0
    assert isinstance(outcome.error, ConnectionAbortedError if cut else type(None))
    assert ends.aborted == cut


async def test_a_request_leaves_no_cycle(rig: Rig) -> None:
    """The objects of a request are free when it has ended:
    a full garbage collection comes every ten minutes only."""
    gc.collect()
    gc.disable()
    others = {id(one): one for one in gc.get_objects() if type(one) is Context}  # of servers of other tests
    try:
        await rig.config_map("a")
        await rig.call("POST", CONFIG_MAPS, {"metadata": {"name": "Bad_"}})
        await rig.call("PATCH", CONFIG_MAPS + "/a", {"data": {"a": "b"}})
        await rig.call("GET", CONFIG_MAPS)
        await rig.call("DELETE", CONFIG_MAPS + "/a")
        await rig.call("GET", CONFIG_MAPS + "/a")  # the last answer of the rig is held by its loop
        contexts = [one for one in gc.get_objects() if type(one) is Context and id(one) not in others]
        held = [one for one in contexts if one.info.verb != "get"]
    finally:
        gc.enable()
    assert held == []


async def test_a_judged_head_ends_only_when_it_is_refused(rig: Rig) -> None:
    ends = Ends(rig)
    assert rig.pipeline.admit(rig.request("POST", CONFIG_MAPS)) is None
    assert ends.take() == ([], [])
    refused = rig.pipeline.admit(rig.request("POST", CONFIG_MAPS, user="jane"))
    assert isinstance(refused, Response)
    rig.answer(refused)
    assert ends.take() == ([403], [])


def test_a_judged_head_ends_when_its_client_leaves() -> None:
    class Far(TimedStage):
        async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
            await asyncio.Event().wait()
            return ALLOW

    async def main() -> None:
        async with Rig() as rig:
            rig.pipeline.stages = replace(rig.pipeline.stages, authorizer=Far())
            ends = Ends(rig)
            task = rig.pipeline.admit(rig.request("POST", CONFIG_MAPS))
            assert isinstance(task, asyncio.Task)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ends.take() == ([504], [])

    asyncio.run(main())


def test_finishers_run_from_the_last_to_the_first_and_none_stops_another(caplog: Any) -> None:
    ctx = Context(Request("GET", "/", {}, []), RequestInfo("/", "get"), {}, "audit-1")
    seen: list[object] = []

    def fails(outcome: RequestOutcome) -> None:
        raise ValueError("a bug")

    for finisher in (seen.append, fails, lambda outcome: seen.append("last")):
        ctx.on_end(finisher)
    for _ in range(2):
        ctx.end(200, 5, None)
    assert seen == ["last", RequestOutcome(200, 5, None)]
    (record,) = caplog.records
    assert record.exc_info[1].args == ("a bug",) and record.kv == {"auditID": "audit-1"}
