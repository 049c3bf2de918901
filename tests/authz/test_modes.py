"""The authorizers that --authorization-mode names."""

from typing import Any

import pytest
from coroutines import at_once

from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import ALLOW
from pilothouse.authz.modes import from_modes

ASK = AuthorizationAttributes(
    User("jane", groups=("dev",)), "get", is_resource=True, resource="pods", namespace="ns", name="p"
)


class Says:
    def __init__(self, decision: Any) -> None:
        self.decision = decision

    async def authorize(self, attributes: Any) -> Any:
        return self.decision


def test_modes_name_authorizers(readers: Any) -> None:
    def decide(*modes: Any, webhooks: Any = ()) -> Any:
        return at_once(from_modes(modes, readers, webhooks=webhooks).authorize(ASK))

    assert decide("AlwaysAllow").allowed
    assert decide("AlwaysDeny").reason == "Everything is forbidden."
    assert decide("Node", "RBAC", "Webhook", webhooks=[Says(ALLOW)]).allowed
    assert not decide("Node", "RBAC").allowed
    with pytest.raises(ValueError, match="ABACX"):
        from_modes(["ABACX"], readers)


def test_rules_of_all_authorizers_are_put_together(readers: Any) -> None:
    union = from_modes(["Node", "AlwaysAllow", "AlwaysDeny"], readers)
    rules = union.rules_for(User("system:node:n", groups=("system:nodes",)), "ns")
    assert rules.incomplete and rules.errors == ["node authorizer does not support user rule resolution"]
    assert rules.resource[0]["verbs"] == ["*"] and rules.non_resource
