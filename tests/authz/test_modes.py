"""The authorizers that --authorization-mode names."""

import pytest

from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import ALLOW
from pilothouse.authz.modes import from_modes

ASK = AuthorizationAttributes(
    User("jane", groups=("dev",)), "get", is_resource=True, resource="pods", namespace="ns", name="p"
)


class Says:
    def __init__(self, decision):
        self.decision = decision

    def authorize(self, attributes):
        return self.decision


def test_modes_name_authorizers(readers):
    assert from_modes(["AlwaysAllow"], readers).authorize(ASK).allowed
    assert from_modes(["AlwaysDeny"], readers).authorize(ASK).reason == "Everything is forbidden."
    assert from_modes(["Node", "RBAC", "Webhook"], readers, webhooks=[Says(ALLOW)]).authorize(ASK).allowed
    assert not from_modes(["Node", "RBAC"], readers).authorize(ASK).allowed
    with pytest.raises(ValueError, match="ABACX"):
        from_modes(["ABACX"], readers)


def test_rules_of_all_authorizers_are_put_together(readers):
    union = from_modes(["Node", "AlwaysAllow", "AlwaysDeny"], readers)
    rules = union.rules_for(User("system:node:n", groups=("system:nodes",)), "ns")
    assert rules.incomplete and rules.errors == ["node authorizer does not support user rule resolution"]
    assert rules.resource[0]["verbs"] == ["*"] and rules.non_resource
