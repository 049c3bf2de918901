"""Rules from JSON, and what is wrong with them."""

import json
from typing import Any

import pytest

from pilothouse import errors
from pilothouse.faults.reading import read
from pilothouse.faults.rule import Rule


def test_a_rule() -> None:
    body = {"verb": "get", "resource": ["pods", "nodes"], "code": 429, "retryAfter": 3, "delay": 1}
    made = Rule(verb=("get",), resource=("pods", "nodes"), code=429, retry_after=3, delay=1.0)
    assert read("a.b", json.dumps(body).encode()) == made
    assert read("a", b'{"webhook": "w.example.com"}').code == 403


@pytest.mark.parametrize(
    ("rule", "field", "text"),
    [
        ({"verbs": "get", "code": 500}, "verbs", 'unknown member, "verb" is one'),
        ({"code": "500"}, "code", "must be a whole number"),
        ({"code": True}, "code", "must be a number"),
        ({"drop": 1}, "drop", "must be true or false"),
        ({"delay": "1s"}, "delay", "must be a number"),
        ({"user": 7, "drop": True}, "user", "must be a text or a list of texts"),
        ({"user": [], "drop": True}, "user", "must be a text or a list of texts"),
        ({"message": 7, "code": 500}, "message", "must be a text"),
        ({"code": 200}, "code", "must be from 400 to 599"),
        ({"code": 500, "every": 0}, "every", "must be 1 or more"),
        ({"code": 500, "times": -1}, "times", "must be 0 or more"),
        ({"code": 500, "probability": 0}, "probability", "must be above 0, and 1 at most"),
        ({"code": 500, "seconds": -1}, "seconds", "must be 0 or more"),
        ({"delay": 601}, "delay", "must be from 0 to 600 seconds"),
        ({}, "code", "a fault has a code, drop, delay, stale or webhook"),
        ({"verb": "read", "code": 500}, "verb", '"read" is no verb: known ones are get,'),
        ({"drop": True, "code": 500}, "drop", "a connection that is dropped has no code"),
        ({"stale": True, "drop": True}, "stale", "an older list has no code, and is not dropped"),
        ({"stale": True, "verb": "get"}, "stale", "only a list with resourceVersion=0 may be older"),
        ({"code": 410, "verb": "update"}, "code", "only a list or a watch can be too old (410)"),
        ({"webhook": "w", "verb": "get"}, "webhook", "webhooks refuse create,"),
        ({"drop": True, "afterEvents": 1}, "afterEvents", 'needs the verb "watch"'),
        ({"delay": 1, "carryOut": True}, "carryOut", "needs drop, or a code other than 410"),
        ({"drop": True, "message": "m"}, "message", "without a code or a webhook"),
    ],
)
def test_what_is_wrong(rule: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        read("a", json.dumps(rule).encode())
    assert raised.value.details is not None
    told = {cause["field"]: cause["message"] for cause in raised.value.details["causes"]}
    assert told.keys() == {field} and told[field].startswith(text)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b" " * 70_000])
def test_what_is_no_rule(body: bytes) -> None:
    with pytest.raises(errors.BadRequest):
        read("a", body)


def test_a_name_that_is_none() -> None:
    with pytest.raises(errors.Invalid, match="lower case"):
        read("No_Name", b'{"code": 500}')
