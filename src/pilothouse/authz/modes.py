"""Creates the authorizers for the names in --authorization-mode."""

from collections.abc import Sequence

from pilothouse.api.fields import Object
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import ALLOW, Authorizer, Decision, Rules, UnionAuthorizer
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.node import NodeAuthorizer
from pilothouse.authz.rbac import RBACAuthorizer
from pilothouse.caches import Budget
from pilothouse.registry.readers import Readers


class AlwaysAllow:
    """Lets everybody do everything."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return ALLOW

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules(
            [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        )


class AlwaysDeny:
    """Lets nobody do anything."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return Decision(False, reason="Everything is forbidden.")


def from_modes(
    modes: Sequence[str],
    readers: Readers,
    node_rules: Sequence[Object] = (),
    webhooks: Sequence[Authorizer] = (),
    budget: Budget | None = None,
    metrics: AuthorizationMetrics | None = None,
) -> UnionAuthorizer:
    """The authorizers that --authorization-mode names. ValueError for a mode that there is not.

    `node_rules` are what every node may do: the rules of the bootstrap role system:node. `budget` is that of the
    server's caches.
    """
    authorizers: list[Authorizer] = []
    names: list[str] = []
    for mode in modes:
        if mode == "RBAC":
            authorizers.append(RBACAuthorizer(readers, budget))
        elif mode == "Node":
            authorizers.append(NodeAuthorizer(readers, node_rules))
        elif mode == "AlwaysAllow":
            authorizers.append(AlwaysAllow())
        elif mode == "AlwaysDeny":
            authorizers.append(AlwaysDeny())
        elif mode == "Webhook":
            authorizers.extend(webhooks)
        else:
            raise ValueError(f'unknown authorization mode "{mode}"')
        names += [mode] * (len(authorizers) - len(names))
    return UnionAuthorizer(authorizers, names, metrics)
