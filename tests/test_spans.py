"""Spans, and the headers by which servers take part in a trace."""

import asyncio

import pytest

from pilothouse import spans
from pilothouse.spans import CLIENT, MOST, Parent, Span, Trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_parent_is_read_and_passed_on() -> None:
    parent = Parent.of(f"00-{TRACE}-{SPAN}-01", "vendor=1")
    assert parent == Parent(int(TRACE, 16), int(SPAN, 16), True, "vendor=1")
    assert spans.passed(parent.trace_id, parent.span_id, sampled=True, state=parent.state, baggage="a=b") == (
        ("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "vendor=1"), ("baggage", "a=b"),
    )  # fmt: skip
    assert spans.passed(1, 2, sampled=False) == (("traceparent", f"00-{1:032x}-{2:016x}-00"),)


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f" 00-{TRACE}-{SPAN}-01 ", True),
        (f"cc-{TRACE}-{SPAN}-01-more", True),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01", None),
        ("", None),
        ("٣" * 55, None),
    ],
)
def test_headers_that_can_and_cannot_be_read(header: str, sampled: bool | None) -> None:
    parent = Parent.of(header)
    assert (parent and parent.sampled) is sampled


@pytest.mark.parametrize("state", ["x" * 513, "a=\n", "ä=1"])
def test_a_state_that_cannot_be_passed_on_is_left_out(state: str) -> None:
    parent = Parent.of(f"00-{TRACE}-{SPAN}-01", state)
    assert parent is not None and parent.state == ""


def test_spans_are_nested_by_the_code_that_runs() -> None:
    trace = Trace(1, "id")
    first = Span(trace, "first")
    assert spans.current.get() is None
    with first:
        assert spans.current.get() is first
        with spans.child("second", {"a": 1}, threshold=0.5) as second:
            assert second is not None and spans.current.get() is second
            assert (second.parent, second.attributes, second.threshold) == (first.id, {"a": 1}, 0.5)
            second.event("now")
            second.event("then", {"b": "c"}, 1.5)
        assert spans.current.get() is first
    assert spans.current.get() is None
    assert trace.spans == [second]
    assert first.started <= second.started <= second.events[0].at <= second.ended <= first.ended
    assert second.events[1] == ("then", 1.5, {"b": "c"})


def test_nothing_is_made_where_nothing_is_traced() -> None:
    with spans.child("one", {}) as span:
        assert span is None and spans.current.get() is None


async def test_calls_at_the_same_time_are_siblings(runner: asyncio.Runner) -> None:
    first = Span(Trace(1, "id"), "first")

    async def call(name: str) -> None:
        with spans.child(name, {}):
            await asyncio.sleep(0)
            with spans.child(f"in {name}", {}):
                await asyncio.sleep(0)

    with first:
        await asyncio.gather(call("a"), call("b"))
    by_id = {span.id: span.name for span in [first, *first.trace.spans]}
    assert {span.name: by_id[span.parent] for span in first.trace.spans} == {
        "a": "first", "b": "first", "in a": "a", "in b": "b",
    }  # fmt: skip


def test_an_error_ends_a_call() -> None:
    with pytest.raises(OSError, match="gone"), Span(Trace(1, "id"), "call", kind=CLIENT) as call:
        raise OSError("gone")
    with pytest.raises(OSError, match="gone"), Span(Trace(1, "id"), "step") as step:
        raise OSError("gone")
    assert (call.failed, call.error) == (True, "gone") and not step.failed


def test_a_trace_has_room_for_so_many_and_none_when_it_has_ended() -> None:
    trace = Trace(1, "id")
    span = Span(trace, "first")
    for _ in range(MOST + 5):
        span.child("more")
    assert (len(trace.spans), trace.left_out) == (MOST, 5)
    trace.ended = True
    trace.spans.clear()
    span.child("late")
    assert trace.spans == []
