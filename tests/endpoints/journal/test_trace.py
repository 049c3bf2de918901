"""The log of requests that took long. The form is that of kube-apiserver v1.36.2 with --v=2."""

import io
import json
import re

import pytest

from pilothouse import logs
from pilothouse.endpoints.journal import trace
from pilothouse.spans import Span, Trace


def span(of: Span | None, name: str, started: float, seconds: float, threshold: float | None = 0.5) -> Span:
    """A span with a fixed time. `of`: the one that it is a part of."""
    made = Span(of.trace if of else Trace(1, "id"), name, of.id if of else 0, threshold=threshold)
    made.started, made.ended = started, started + seconds
    if of is not None:
        made.trace.add(made)
    return made


def told(stream: io.StringIO, first: Span, level: int = 2, form: str = "text") -> str:
    """The log, with T for the number and the times that differ."""
    listener = logs.setup(form, level, (), stream)
    trace.tell(first, first.trace.spans)
    logs.flush(listener)
    text = re.sub(r"Trace\[\d+\]", "Trace[N]", stream.getvalue())
    text = re.sub(r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\.\d{3}", "DATE", text)
    return re.sub(r"\(\d\d:\d\d:\d\d\.\d{3}\)", "(TIME)", text)


def slow_patch() -> Span:
    patch = span(None, "Patch", 100.0, 0.75)
    patch.attributes = {"accept": "*/*", "api-group": "", "name": "a\nE1127 forged", "watch": True}
    patch.event("limitedReadBody succeeded", {"len": 18}, 100.0)
    patch.event("About to apply patch", at=100.25)
    stored = span(patch, "GuaranteedUpdate etcd3", 100.25, 0.03125)
    stored.event("Txn call succeeded", at=100.28125)
    answer = span(patch, "SerializeObject", 100.3125, 0.4375, 5.0)
    answer.event("About to start writing response", {"size": 7}, 100.3125)
    span(patch, "HTTP POST", 100.0, 0.625, None)
    return patch


def test_a_request_that_took_long(stream: io.StringIO) -> None:
    text = told(stream, slow_patch())
    assert re.sub(r"^I\d{4} \S+ +\d+ trace\.py:\d+\] ", "", text).splitlines() == [
        (
            'Trace[N]: "Patch" accept:*/*,api-group:,name:a\\nE1127 forged,watch:true (DATE) (total time:'
            " 750ms):"
        ),
        'Trace[N]: ---"About to apply patch" 250ms (TIME)',
        'Trace[N]: ["GuaranteedUpdate etcd3" 31ms (TIME)]',
        'Trace[N]: ["SerializeObject" 437ms (TIME)]',
        "Trace[N]: [750ms] [750ms] END",
    ]


def test_all_steps_are_told_at_level_4(stream: io.StringIO) -> None:
    assert told(stream, slow_patch(), level=4).splitlines()[1:-1] == [
        'Trace[N]: ---"limitedReadBody succeeded" len:18 0ms (TIME)',
        'Trace[N]: ---"About to apply patch" 250ms (TIME)',
        'Trace[N]: ["GuaranteedUpdate etcd3" 31ms (TIME)',
        'Trace[N]:  ---"Txn call succeeded" 31ms (TIME)]',
        'Trace[N]: ["SerializeObject" 437ms (TIME)',
        'Trace[N]:  ---"About to start writing response" size:7 0ms (TIME)]',
    ]


def test_as_json(stream: io.StringIO) -> None:
    line = json.loads(told(stream, slow_patch(), form="json"))
    assert line["msg"].startswith('Trace[N]: "Patch" ') and line["v"] == 2


def test_what_is_quick_is_not_told(stream: io.StringIO) -> None:
    assert told(stream, span(None, "Get", 1.0, 0.25)) == ""


def test_a_step_that_took_long_in_a_request_that_did_not(stream: io.StringIO) -> None:
    get = span(None, "Get", 1.0, 0.375)
    span(get, "Call conversion webhook", 1.0, 0.25, 0.125)
    assert '"Call conversion webhook" (DATE) (total time: 250ms):' in told(stream, get)


@pytest.mark.parametrize(
    ("level", "modules", "wanted"), [(1, (), False), (2, (), True), (0, (("trace", 2),), True)]
)
def test_when_it_is_wanted(
    stream: io.StringIO, level: int, modules: tuple[tuple[str, int], ...], wanted: bool
) -> None:
    listener = logs.setup("text", level, modules, stream)
    assert trace.wanted() is wanted
    logs.flush(listener)
