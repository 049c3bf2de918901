"""The union of authorizers and the text of a 403."""

import asyncio
from typing import Any

import pytest
from coroutines import at_once

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import (
    ALLOW,
    NO_OPINION,
    Decision,
    UnionAuthorizer,
    UnionMember,
    forbidden,
    undecided,
)
from pilothouse.authz.metrics import AuthorizationMetrics

JANE = User("jane", groups=("dev",))
ASK = AuthorizationAttributes(JANE, "get", is_resource=True, resource="pods", namespace="ns", name="p")


class Says:
    def __init__(self, decision: Any) -> None:
        self.decision = decision

    async def authorize(self, attributes: Any) -> Any:
        return self.decision


class Waits(Says):
    async def authorize(self, attributes: Any) -> Any:
        await asyncio.sleep(0)
        return self.decision


@pytest.mark.parametrize("kind", [Says, Waits])
def test_the_first_opinion_decides(kind: Any) -> None:
    denied = Decision(False, denied=True, reason="never")
    assert resolve(union(kind(NO_OPINION), Says(denied), kind(ALLOW))) is denied
    assert resolve(union(Says(NO_OPINION), kind(ALLOW))) == ALLOW
    assert resolve(union(kind(NO_OPINION))) is NO_OPINION


@pytest.mark.parametrize("kind", [Says, Waits])
def test_reasons_of_those_without_opinion_are_collected(kind: Any) -> None:
    both = union(Says(Decision(False, reason="a")), kind(Decision(False, reason="b")))
    assert resolve(both) == Decision(False, reason="a\nb")


def test_failures_of_those_without_opinion_are_collected() -> None:
    failed = Says(Decision(False, error="away"))
    assert resolve(union(failed, Says(ALLOW))) == ALLOW
    assert resolve(union(failed, Says(Decision(False, reason="no")))) == Decision(
        False, reason="no", error="away"
    )
    assert resolve(union(failed, failed)).error == "[away, away]"
    err = undecided("/api/v1/pods?x", Decision(False, error="away"))
    assert (err.code, err.message) == (500, 'Internal Server Error: "/api/v1/pods?x": away')


def test_others_take_the_place_of_authorizers() -> None:
    metrics = AuthorizationMetrics()
    both = UnionAuthorizer([UnionMember(Says(ALLOW), "RBAC", "rbac")], metrics)
    assert resolve(both) == ALLOW and both.types == ("RBAC",)
    both.replace([UnionMember(Says(Decision(False, denied=True)), "Webhook", "mine")])
    assert resolve(both).denied and both.types == ("Webhook",)
    assert metrics.decisions.source is not None
    assert metrics.decisions.source() == {
        ("allowed", "rbac", "RBAC"): 1,
        ("denied", "mine", "Webhook"): 1,
    }


def union(*authorizers: Any) -> UnionAuthorizer:
    return UnionAuthorizer([UnionMember(authorizer) for authorizer in authorizers])


def resolve(union: Any) -> Any:
    return asyncio.run(union.authorize(ASK))


def test_superusers_may_do_anything() -> None:
    attributes = AuthorizationAttributes(User("x", groups=("system:masters",)), "get", path="/")
    assert at_once(union(Says(Decision(False, denied=True))).authorize(attributes)).allowed


@pytest.mark.parametrize(
    ("attributes", "reason", "message", "details"),
    [
        (
            ASK,
            "",
            'pods "p" is forbidden: User "jane" cannot get resource "pods" in API group "" '
            'in the namespace "ns"',
            {"name": "p", "kind": "pods"},
        ),
        (
            AuthorizationAttributes(
                JANE, "list", is_resource=True, group="apps", resource="deployments", subresource="scale"
            ),
            "why",
            'deployments.apps is forbidden: User "jane" cannot list resource "deployments/scale" '
            'in API group "apps" at the cluster scope: why',
            {"group": "apps", "kind": "deployments"},
        ),
        (
            AuthorizationAttributes(User("<j>"), "post", path="/a&b"),
            "<kept>",
            'forbidden: User "&lt;j&gt;" cannot post path "/a&amp;b": <kept>',
            {},
        ),
    ],
)
def test_a_403_says_who_may_not_do_what(
    attributes: Any, reason: str, message: str, details: dict[str, Any]
) -> None:
    error = forbidden(attributes, reason)
    assert (error.code, error.message, dict(error.details)) == (403, message, details)


class Knows(Says):
    """Knows namespaces, and tells of changes."""

    def __init__(self, *namespaces: str) -> None:
        super().__init__(NO_OPINION)
        self.namespaces = set(namespaces)
        self.listeners: list[Any] = []

    def namespaces_for(self, user: User) -> set[str]:
        return self.namespaces


def test_namespaces_are_those_that_any_authorizer_knows() -> None:
    assert union(Knows("a", "b"), Says(ALLOW), Knows("b", "c")).namespaces_for(JANE) == {"a", "b", "c"}
    assert union(Says(ALLOW)).namespaces_for(JANE) == set()


def test_changes_of_rights_are_told() -> None:
    told: list[int] = []
    first, second = Knows(), Knows()
    both = union(first)
    both.listeners.append(lambda: told.append(both.epoch))
    start = both.epoch
    (changed,) = first.listeners
    changed()
    both.replace([UnionMember(first), UnionMember(second)])
    assert len(first.listeners) == len(second.listeners) == 1, "each is asked once to tell"
    second.listeners[0]()
    assert told == [start + 1, start + 2, start + 3]
