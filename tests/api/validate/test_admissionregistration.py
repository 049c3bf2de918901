"""Validation of webhook configurations."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import admissionregistration as rules


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


def hooks(**hook: object) -> Object:
    given = {"name": "h.example.com", "clientConfig": {"url": "https://h/x"}, "sideEffects": "None", "admissionReviewVersions": ["v1"], **hook}
    return {"webhooks": [given]}


@pytest.mark.parametrize(("hook", "members"), [
    ({}, []),
    ({"name": "h"}, ["name"]),
    ({"sideEffects": None}, ["sideEffects"]),
    ({"timeoutSeconds": 31}, ["timeoutSeconds"]),
    ({"clientConfig": {}}, ["clientConfig"]),
    ({"clientConfig": {"url": "http://u@h/x?a=b"}}, ["clientConfig.url"] * 3),
    ({"clientConfig": {"service": {"name": "s", "port": 443}}}, ["clientConfig.service.name"]),
    ({"admissionReviewVersions": ["v2"]}, ["admissionReviewVersions"]),
])  # fmt: skip
def test_webhooks(hook: Object, members: list[str]) -> None:
    found = causes(rules.validate_validating_webhooks, hooks(**hook))
    assert [f for f, _ in found] == [f"webhooks[0].{m}" for m in members]


def test_names_are_unique() -> None:
    obj: Object = {"webhooks": hooks()["webhooks"] * 2}
    found = causes(rules.validate_mutating_webhooks, obj)
    assert found == [("webhooks[1].name", 'Duplicate value: "h.example.com"')]
