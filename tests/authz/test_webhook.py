"""Decisions of a remote service."""

import asyncio
from typing import Any

import pytest
from clocks import Clock

from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import Decision
from pilothouse.authz.webhook import WebhookAuthorizer, review_spec

JANE = User("jane", "1", ("dev",), {"k": ["v"]})
ASK = AuthorizationAttributes(
    JANE,
    "list",
    is_resource=True,
    version="v1",
    resource="pods",
    namespace="ns",
    field_selector="spec.nodeName=n,status.phase!=Failed",
    label_selector="a=b,c in (d,e),!f,g>1",
)


class Service:
    def __init__(self, **status: Any) -> None:
        self.status = status
        self.asked: list[Any] = []

    async def __call__(self, review: Any) -> dict[str, Any]:
        self.asked.append(review)
        return {"status": self.status}


def ask(authorizer: Any, attributes: Any = ASK) -> Any:
    return asyncio.run(authorizer.authorize(attributes))


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ({"allowed": True}, Decision(True)),
        ({"allowed": False, "reason": "no"}, Decision(False, reason="no")),
        ({"denied": True}, Decision(False, denied=True)),
        ({"denied": True, "allowed": True}, Decision(False, denied=True)),
    ],
)
def test_the_service_decides_and_is_asked_once(status: dict[str, Any], decision: Any) -> None:
    service = Service(**status)
    authorizer = WebhookAuthorizer(service)
    assert ask(authorizer) == decision and ask(authorizer) == decision
    assert len(service.asked) == 1


def test_it_is_told_all_there_is_to_know() -> None:
    spec = review_spec(ASK, "v1")
    assert (spec["user"], spec["uid"], spec["groups"], spec["extra"]) == ("jane", "1", ["dev"], {"k": ["v"]})
    assert spec["resourceAttributes"] == {
        "verb": "list",
        "version": "v1",
        "resource": "pods",
        "namespace": "ns",
        "fieldSelector": {
            "requirements": [
                {"key": "spec.nodeName", "operator": "In", "values": ["n"]},
                {"key": "status.phase", "operator": "NotIn", "values": ["Failed"]},
            ]
        },
        "labelSelector": {
            "requirements": [
                {"key": "a", "operator": "In", "values": ["b"]},
                {"key": "c", "operator": "In", "values": ["d", "e"]},
                {"key": "f", "operator": "DoesNotExist"},
            ]
        },
    }
    path = review_spec(AuthorizationAttributes(User("x"), "get", path="/x"), "v1beta1")
    assert path == {"user": "x", "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    assert "group" in review_spec(ASK, "v1beta1")


def test_without_an_answer_it_has_no_opinion() -> None:
    async def broken(review: Any) -> None:
        raise OSError("refused")

    assert ask(WebhookAuthorizer(broken)) == Decision(False)
    assert WebhookAuthorizer(broken).rules_for(JANE, "ns").incomplete
    with pytest.raises(ValueError, match="v3"):
        WebhookAuthorizer(broken, "v3")


@pytest.mark.parametrize(
    ("allowed", "passed", "asked"), [(True, 299.9, 1), (True, 300, 2), (False, 29.9, 1), (False, 30, 2)]
)
def test_a_decision_counts_for_so_long(allowed: bool, passed: float, asked: int) -> None:
    clock, service = Clock(), Service(allowed=allowed)
    authorizer = WebhookAuthorizer(service, clock=clock)
    ask(authorizer)
    clock.now += passed
    ask(authorizer)
    assert len(service.asked) == asked
