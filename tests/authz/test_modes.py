"""The authorizers that --authorization-mode or --authorization-config names."""

from typing import Any

import pytest
from coroutines import at_once

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.abac import ABACAuthorizer, ABACPolicy
from pilothouse.authz.authorizer import UnionAuthorizer
from pilothouse.authz.configuration import ConfiguredAuthorizer, WebhookConfiguration
from pilothouse.authz.modes import Authorizers, entries_of
from pilothouse.offload import INLINE_WORK

ASK = AuthorizationAttributes(
    User("jane", groups=("dev",)), "get", is_resource=True, resource="pods", namespace="ns", name="p"
)
WEBHOOK = WebhookConfiguration(
    kubeconfig="/there",
    version="v1",
    authorized_ttl=0,
    unauthorized_ttl=0,
    timeout=3,
    deny=True,
    conditions=("request.user != 'root'",),
)


def union(
    readers: Any, *modes: str, webhook: WebhookConfiguration | None = None, **more: Any
) -> UnionAuthorizer:
    return UnionAuthorizer(Authorizers(readers, **more).members(entries_of(modes, webhook)))


def test_modes_name_authorizers(readers: Any) -> None:
    def decide(*modes: str, **more: Any) -> Any:
        return at_once(union(readers, *modes, **more).authorize(ASK))

    assert decide("AlwaysAllow").allowed
    assert decide("AlwaysDeny").reason == "Everything is forbidden."
    assert not decide("Node", "RBAC").allowed
    everybody = ABACAuthorizer([ABACPolicy(user="*", resource="*", namespace="*", api_group="*")])
    assert decide("Node", "RBAC", "ABAC", abac=everybody).allowed
    with pytest.raises(ValueError, match='unknown authorization mode "ABACX"'):
        union(readers, "ABACX")
    with pytest.raises(ValueError, match="ABAC is not allowed without --authorization-policy-file"):
        union(readers, "ABAC")


def test_webhooks_are_reached_as_their_entry_says(readers: Any) -> None:
    reached: list[tuple[str, float]] = []

    async def post(review: Any) -> Any:
        return {"status": {"allowed": True}}

    def connect(kubeconfig: str, seconds: float) -> Any:
        reached.append((kubeconfig, seconds))
        return post

    both = union(readers, "Webhook", "AlwaysDeny", webhook=WEBHOOK, connect=connect)
    assert reached == [("/there", 3)]
    assert [(member.type, member.name) for member in both.members] == [
        ("Webhook", "default"),
        ("AlwaysDeny", "alwaysdeny"),
    ]
    assert at_once(both.authorize(ASK)).allowed
    root = AuthorizationAttributes(User("root"), "get", path="/x")
    assert at_once(both.authorize(root)).reason == "Everything is forbidden."


def test_indexes_are_kept_when_the_configuration_changes(readers: Any) -> None:
    authorizers = Authorizers(readers)
    first = authorizers.members([ConfiguredAuthorizer("RBAC", "a"), ConfiguredAuthorizer("Node", "b")])
    second = authorizers.members([ConfiguredAuthorizer("Node", "n"), ConfiguredAuthorizer("RBAC", "r")])
    assert first[0].authorizer is second[1].authorizer and first[1].authorizer is second[0].authorizer
    assert second[1].name == "r"


def test_rules_of_all_authorizers_are_put_together(readers: Any) -> None:
    user = User("system:node:n", groups=("system:nodes",))
    listing = union(readers, "Node", "AlwaysAllow", "AlwaysDeny").list_rules(user, "ns", INLINE_WORK)
    rules = at_once(listing)
    assert rules.incomplete and rules.errors == ["node authorizer does not support user rule resolution"]
    assert rules.resource[0]["verbs"] == ["*"] and rules.non_resource
