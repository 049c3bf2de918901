"""Errors as Status objects, in upstream's words."""

from typing import Any

import pytest

from pilothouse import errors


def all_classes(base: type[errors.StatusError] = errors.StatusError) -> set[type[errors.StatusError]]:
    return {base}.union(*(all_classes(sub) for sub in base.__subclasses__()))


def test_a_status_leaves_out_what_is_empty() -> None:
    assert errors.Unknown("bare").status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "bare",
        "code": 500,
    }
    status = errors.NotFound("gone", details={}).status()
    assert list(status) == [
        "kind",
        "apiVersion",
        "metadata",
        "status",
        "message",
        "reason",
        "details",
        "code",
    ]
    assert status["details"] == {}


def test_details_are_a_copy() -> None:
    details = {"name": "a"}
    err = errors.Conflict("c", details=details)
    err.status()["details"]["name"] = "b"
    assert details == {"name": "a"} and str(err) == "c"


@pytest.mark.parametrize("kind", sorted(all_classes(), key=str), ids=lambda c: c.__name__)
def test_every_class_has_a_code_of_http(kind: Any) -> None:
    assert 400 <= kind.code < 600
    assert kind("x").status()["code"] == kind.code
    assert isinstance(kind.reason, str)


@pytest.mark.parametrize(
    ("err", "code", "message", "details"),
    [
        (errors.not_found("", "pods", "a"), 404, 'pods "a" not found', {"name": "a", "kind": "pods"}),
        (
            errors.not_found("", "pods", "\x00"),
            404,
            'pods "\\x00" not found',
            {"name": "\x00", "kind": "pods"},
        ),
        (
            errors.not_found("apps", "deployments", "a"),
            404,
            'deployments.apps "a" not found',
            {"name": "a", "group": "apps", "kind": "deployments"},
        ),
        (
            errors.already_exists("", "pods", "a"),
            409,
            'pods "a" already exists',
            {"name": "a", "kind": "pods"},
        ),
        (
            errors.conflict("apps", "deployments", "a", "why"),
            409,
            'Operation cannot be fulfilled on deployments.apps "a": why',
            {"name": "a", "group": "apps", "kind": "deployments"},
        ),
        (
            errors.forbidden("", "pods", "a", "why"),
            403,
            'pods "a" is forbidden: why',
            {"name": "a", "kind": "pods"},
        ),
        (errors.forbidden("", "pods", "", "why"), 403, "pods is forbidden: why", {"kind": "pods"}),
        (errors.forbidden("", "", "", "why"), 403, "forbidden: why", {}),
        (errors.internal("why"), 500, "Internal error occurred: why", {"causes": [{"message": "why"}]}),
    ],
)
def test_the_usual_ones(err: Any, code: int, message: str, details: dict[str, Any]) -> None:
    status = err.status()
    assert (status["code"], status["message"], status["details"]) == (code, message, details)


def cause(field: Any, message: str = "Required value") -> dict[str, Any]:
    return {"reason": "FieldValueRequired", "message": message, "field": field}


@pytest.mark.parametrize(
    ("causes", "tail"),
    [
        ([], ""),
        ([cause("a")], ": a: Required value"),
        ([cause("a"), cause("b")], ": [a: Required value, b: Required value]"),
        ([cause("a"), cause("a")], ": a: Required value"),
    ],
)
def test_causes(causes: list[Any], tail: str) -> None:
    err = errors.invalid("", "Pod", "p", causes)
    assert err.message == f'Pod "p" is invalid{tail}'
    assert err.status()["details"] == {"name": "p", "kind": "Pod", "causes": causes}


def test_an_expired_list_may_go_on() -> None:
    err = errors.Expired("too old")
    assert err.status()["metadata"] == {}
    err.continue_token = "t"
    assert err.status()["metadata"] == {"continue": "t"}


def test_a_long_message_is_cut() -> None:
    text = "x" * 4096
    assert errors.BadRequest(text).message == text
    cut = f"{'x' * 1024}... (3073 characters left out)"
    err = errors.BadRequest(text + "x")
    assert (err.message, str(err), err.status()["message"]) == (cut, cut, cut)
    assert errors.Forbidden(text * 2).message == text * 2


def test_details_tell_no_long_text() -> None:
    status = errors.not_found("", "pods", "x" * 1_000_000).status()
    assert len(status["message"]) < 300 and len(status["details"]["name"]) < 200
    causes = [{"message": "x" * 270_000}, {"message": "y"}]
    told = errors.InternalError("no", details={"causes": causes, "uid": "u" * 2000}).status()["details"]
    assert len(told["causes"][0]["message"]) < 200 and told["causes"][1] == {"message": "y"}
    assert len(told["uid"]) < 200
