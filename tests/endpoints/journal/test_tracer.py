"""The requests that are traced, and what the others pass on."""

import asyncio
import logging

import pytest
from harness import CONFIG_MAPS, Rig, config_map

from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.endpoints.journal.tracer import Tracer
from pilothouse.endpoints.request.context import Context
from pilothouse.spans import MILLION, Parent, Trace

TRACE, SPAN = int("4bf92f3577b34da6a3ce929d0e0e4736", 16), int("00f067aa0ba902b7", 16)
SAMPLED = {"traceparent": f"00-{TRACE:032x}-{SPAN:016x}-01", "tracestate": "vendor=1", "baggage": "a=b"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE:032x}-{SPAN:016x}-00"}
MASTER, DEV = ("system:masters",), ("dev",)


def traced(rig: Rig, per_million: int) -> list[Trace]:
    """The traces of the requests that follow."""
    found: list[Trace] = []
    rig.tracer.use(per_million, found.append)
    return found


async def test_the_rate_decides_where_the_client_does_not(rig: Rig) -> None:
    found = traced(rig, 0)
    await rig.call("GET", CONFIG_MAPS)
    assert found == []
    found = traced(rig, MILLION)
    await rig.call("GET", CONFIG_MAPS)
    (one,) = found
    assert one.trace_id >> 64 and one.remote is None and one.link is None
    found = traced(rig, MILLION // 2)
    for _ in range(200):
        await rig.call("GET", f"{CONFIG_MAPS}/a")
    assert 0 < len(found) < 200
    assert all((trace.trace_id & (1 << 64) - 1) >> 1 < 1 << 62 for trace in found), "other samplers agree"


async def test_the_client_decides_where_it_is_trusted(rig: Rig) -> None:
    found = traced(rig, 0)
    await rig.call("GET", CONFIG_MAPS, headers=SAMPLED)
    (one,) = found
    assert one.trace_id == TRACE and one.remote == Parent(TRACE, SPAN, True, "vendor=1")
    assert (one.state, one.baggage) == ("vendor=1", "a=b")
    found = traced(rig, MILLION)
    await rig.call("GET", CONFIG_MAPS, headers=NOT_SAMPLED)
    assert found == []


async def test_the_trace_of_another_client_is_linked_to(rig: Rig) -> None:
    found = traced(rig, 0)
    await rig.call("GET", CONFIG_MAPS, headers=SAMPLED, user="jane")
    assert found == []
    found = traced(rig, MILLION)
    await rig.call("GET", CONFIG_MAPS, headers=SAMPLED, user="jane")
    (one,) = found
    assert one.trace_id != TRACE and one.remote is None and one.link.trace_id == TRACE
    assert one.state == ""


async def test_impersonation_does_not_make_anybody_trusted(rig: Rig) -> None:
    """The user who was authenticated counts, as upstream's filter stands before impersonation."""
    found = traced(rig, 0)
    await rig.call("GET", CONFIG_MAPS, headers={**SAMPLED, "impersonate-user": "jane"})
    assert [one.trace_id for one in found] == [TRACE]


async def test_a_header_that_cannot_be_read_and_a_user_who_is_not_known(rig: Rig) -> None:
    found = traced(rig, MILLION)
    await rig.call("GET", CONFIG_MAPS, headers={"traceparent": "00-xyz"})
    await rig.call("GET", CONFIG_MAPS, headers=SAMPLED, user="nobody")
    (one,) = found
    assert one.trace_id != TRACE and one.link is None


class Late(Tracer):
    """Tracing that sees each request as a second longer."""

    def end(self, ctx: Context, now: float, sent: int, error: BaseException | None) -> None:
        ctx.started, ctx.recognised, ctx.decided = ctx.started - 1, ctx.recognised - 1, ctx.decided - 1
        super().end(ctx, now, sent, error)


@pytest.mark.parametrize("sampled", [False, True])
def test_slow_requests_are_logged(
    runner: asyncio.Runner, caplog: pytest.LogCaptureFixture, sampled: bool
) -> None:
    async def main() -> None:
        rig = Rig(namespaces=())
        rig.tracer = Late(slow=True, store="memory")
        if sampled:
            rig.tracer.use(MILLION, lambda trace: None)
        async with rig:
            rig.verbs.explained = True
            await rig.namespace("default")
            await rig.call("POST", CONFIG_MAPS, config_map("a"), headers={"audit-id": "some-id"})
            await rig.call("GET", CONFIG_MAPS)
            await rig.call("GET", "/version")
            stream = await rig.watch(f"{CONFIG_MAPS}?watch=1")
            stream.close()

    with caplog.at_level(logging.INFO, "pilothouse.endpoints.journal.trace"):
        runner.run(main())
    told = [
        record.getMessage()
        for record in caplog.records
        if record.name == "pilothouse.endpoints.journal.trace"
    ]
    assert [text.split('"')[1] for text in told] == ["Create", "Create", "List"]
    head, *steps = told[1].splitlines()
    assert ",audit-id:some-id," in head and "verb:POST" in head and "(total time: 1" in head
    assert any("Conversion done" in step for step in steps)
    assert '["cacher.GetList" audit-id:' in told[2]


def context(headers: dict[str, str], groups: tuple[str, ...] = MASTER) -> Context:
    ctx = Context(Rig().request("POST", CONFIG_MAPS, headers=headers), RequestInfo("/", "create"), {}, "id")
    ctx.user = User("u", groups=groups)
    return ctx


def carried(tracing: Tracer, headers: dict[str, str], groups: tuple[str, ...] = MASTER) -> dict[str, str]:
    return dict(tracing.carried(context(headers, groups)))


def test_without_a_configuration_everything_is_passed_on_as_it_came() -> None:
    assert carried(Tracer(), SAMPLED) == carried(Tracer(), SAMPLED, DEV) == SAMPLED
    assert carried(Tracer(), {}) == {}
    assert carried(Tracer(), {"baggage": "a=b", "traceparent": "?"}) == {"baggage": "a=b"}


@pytest.mark.parametrize(
    ("headers", "groups", "same"), [(NOT_SAMPLED, MASTER, True), (SAMPLED, DEV, False), ({}, MASTER, False)]
)
def test_other_servers_are_told_that_a_request_is_not_sampled(
    headers: dict[str, str], groups: tuple[str, ...], same: bool
) -> None:
    tracing = Tracer()
    tracing.use(0, lambda trace: None)
    parent = Parent.of(carried(tracing, headers, groups)["traceparent"])
    assert not parent.sampled and parent.span_id != SPAN
    assert (parent.trace_id == TRACE) is same
