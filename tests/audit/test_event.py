"""Events as bytes: escapes, times, objects, the legacy form."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values.identity import User
from pilothouse.audit import _audit, event
from pilothouse.audit._audit import Event
from pilothouse.audit.event import Fields, ObjectEvent


@given(st.text())
def test_texts_are_escaped_as_by_go(text: str) -> None:
    data = _audit.text(text)
    assert json.loads(data) == text.encode("utf-8", "replace").decode()
    assert not set(data) & set(b"<>&\n\r\t") and "\u2028".encode() not in data
    assert data == event.text(text)


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999_999))
def test_times_have_six_decimals(second: int, rest: int) -> None:
    text = _audit.micros(second * 1_000_000_000 + rest)
    wanted = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert text == f"{wanted}.{rest // 1000:06}Z"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b'{ "a" : [ 1 , 2.50,\n"x \\" y" ] }\n', b'{"a":[1,2.50,"x \\" y"]}'),
        (b'"a b"', b'"a b"'),
        (b'{"n":12345678901234567890123,"a":1,"a":2}', b'{"n":12345678901234567890123,"a":1,"a":2}'),
    ],
)
def test_white_space_goes_and_all_else_stays(data: bytes, wanted: bytes) -> None:
    assert event.compact(data) == wanted


def objects(response: list[bytes], *, request: bytes = b"", omit: bool = False) -> ObjectEvent:
    size = len(request) + sum(map(len, response))
    around = (event.HEAD + b'"level":"RequestResponse"', b',"stageTimestamp":"t"')
    return ObjectEvent(3, around, b"}\n", request, response, size, omit_managed_fields=omit)


def test_objects_stand_between_the_other_members() -> None:
    made = objects([b'{"a":', b'"<b>"}\n'], request=b'{"c":1}')
    assert made.size >= len(made.line) - 60
    assert made.line == (
        event.HEAD
        + b'"level":"RequestResponse","requestObject":{"c":1},"responseObject":{"a":"\\u003cb\\u003e"}'
        b',"stageTimestamp":"t"}\n'
    )
    assert made.size == len(made.line)
    assert event.item(made).startswith(b'{"level":"RequestResponse","requestObject"')
    assert event.item(made).endswith(b'"t"}')


def test_indented_objects_are_one_line() -> None:
    assert b'"responseObject":{"a":"b c"},' in objects([b'{\n  "a": "b c"\n}']).line


def test_managed_fields_are_left_out_everywhere() -> None:
    item = {"metadata": {"name": "a", "managedFields": [{}]}}
    for value in (item, {"items": [item, item]}, {"rows": [{"cells": [], "object": item}, {"object": None}]}):
        line = objects([json.dumps(value).encode()], omit=True).line
        assert b"managedFields" not in line and b'"name":"a"' in line
        assert b"managedFields" in objects([json.dumps(value).encode()]).line


def test_without_objects_there_is_an_annotation() -> None:
    line = event.without_objects(objects([b'{"a":1}'])).line
    assert b"responseObject" not in line
    assert line.endswith(b',"stageTimestamp":"t","annotations":{"audit.k8s.io/truncated":"true"}}\n')
    plain = Event(2, b'{"a":1,"annotations":{"b":"c"}}\n', b',"annotations":{"b":"c"}}\n')
    assert json.loads(event.without_objects(plain).line) == {
        "a": 1,
        "annotations": {"b": "c", "audit.k8s.io/truncated": "true"},
    }


def test_a_user_without_members_is_empty() -> None:
    assert event.user_info(None) == event.user_info(User("")) == {}
    assert event.user_info(User("a", "1", ("g",), {"b": ["x"], "a": ["y"]})) == {
        "username": "a",
        "uid": "1",
        "groups": ["g"],
        "extra": {"a": ["y"], "b": ["x"]},
    }


def test_the_legacy_form() -> None:
    at = int(time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, 0)) - time.timezone) * 1_000_000_000 + 120_000_000
    user = User("admin", groups=("a", "b"))
    whole = Fields(
        at, "id", "ResponseComplete", "1.2.3.4", "get", user, User("bob"), 'u"a', "default", "/x?a=b", 200
    )
    assert (
        whole.text().decode()
        == '2026-01-02T03:04:05.12Z AUDIT: id="id" stage="ResponseComplete" ip="1.2.3.4" method="get"'
        ' user="admin" groups="\\"a\\",\\"b\\"" as="bob" asgroups="<lookup>" user-agent="u\\"a"'
        ' namespace="default" uri="/x?a=b" response="200"\n'
    )
    bare = Fields(0, "id", "RequestReceived", "", "get", None, None, "", "", "/", None)
    assert (
        bare.text().decode()
        == '1970-01-01T00:00:00Z AUDIT: id="id" stage="RequestReceived" ip="<unknown>" method="get"'
        ' user="<none>" groups="<none>" as="<self>" asgroups="<lookup>" user-agent="" namespace="<none>"'
        ' uri="/" response="<deferred>"\n'
    )
