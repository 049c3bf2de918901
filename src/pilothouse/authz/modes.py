"""Makes the authorizers that --authorization-mode names, or those of --authorization-config."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import ALLOW, Authorizer, Decision, SubjectRules, UnionMember
from pilothouse.authz.configuration import ConfiguredAuthorizer, WebhookConfiguration
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.node import NodeAuthorizer
from pilothouse.authz.rbac import RBACAuthorizer
from pilothouse.caches import CacheBudget
from pilothouse.outbound.reviews import Post
from pilothouse.registry.readers import Readers


class AlwaysAllow:
    """Lets everybody do everything."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return ALLOW

    def for_every_name(self, attributes: AuthorizationAttributes) -> Decision:
        return ALLOW

    def rules_for(self, user: User, namespace: str) -> SubjectRules:
        return SubjectRules(
            [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        )


class AlwaysDeny:
    """Lets nobody do anything."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return Decision(allowed=False, reason="Everything is forbidden.")


class Connect(Protocol):
    """Makes what sends reviews to a webhook."""

    def __call__(self, kubeconfig: str, seconds: float) -> Post:
        """`kubeconfig` says where it is, `seconds` how long it may take.
        ValueError, OSError when the file is bad."""


def entries_of(
    modes: Sequence[str], webhook: WebhookConfiguration | None = None
) -> list[ConfiguredAuthorizer]:
    """The modes of --authorization-mode as a configuration file would name them
    (GetNameForAuthorizerMode)."""
    return [
        ConfiguredAuthorizer(mode, "default", webhook)
        if mode == "Webhook"
        else ConfiguredAuthorizer(mode, mode.lower())
        for mode in modes
    ]


class Authorizers:
    """Makes authorizers. What indexes the cluster's objects is made once,
    and kept when others take its place.

    node_rules: what every node may do: the rules of the bootstrap role system:node. abac: the authorizer of
    --authorization-policy-file. connect: reaches webhooks. budget: that of the server's caches.
    """

    def __init__(
        self,
        readers: Readers,
        *,
        node_rules: Sequence[Object] = (),
        abac: Authorizer | None = None,
        connect: Connect | None = None,
        budget: CacheBudget | None = None,
        metrics: AuthorizationMetrics | None = None,
    ) -> None:
        self._connect = connect
        self._budget = budget
        self._metrics = metrics or AuthorizationMetrics()
        self._kept: dict[str, Authorizer] = {}
        self._makers: dict[str, Callable[[], Authorizer]] = {
            "RBAC": lambda: RBACAuthorizer(readers, budget),
            "Node": lambda: NodeAuthorizer(readers, node_rules, self._metrics.graph),
            "AlwaysAllow": AlwaysAllow,
            "AlwaysDeny": AlwaysDeny,
        }
        if abac is not None:
            self._kept["ABAC"] = abac

    def members(self, entries: Sequence[ConfiguredAuthorizer]) -> list[UnionMember]:
        """The authorizers of a configuration, in its order.
        ValueError, OSError when one of them cannot be made."""
        return [UnionMember(self._authorizer(entry), entry.type, entry.name) for entry in entries]

    def _authorizer(self, entry: ConfiguredAuthorizer) -> Authorizer:
        if entry.webhook is not None:
            return self._webhook(entry.name, entry.webhook)
        kept = self._kept.get(entry.type)
        if kept is None:
            if entry.type == "ABAC":
                raise ValueError("authorizer type ABAC is not allowed without --authorization-policy-file")
            if entry.type not in self._makers:
                raise ValueError(f'unknown authorization mode "{entry.type}"')
            kept = self._kept[entry.type] = self._makers[entry.type]()
        return kept

    def _webhook(self, name: str, webhook: WebhookConfiguration) -> Authorizer:
        from pilothouse.authz.conditions import Conditions
        from pilothouse.authz.webhook import WebhookAuthorizer

        assert self._connect is not None
        return WebhookAuthorizer(
            self._connect(webhook.kubeconfig, webhook.timeout),
            webhook.version,
            name=name,
            deny=webhook.deny,
            conditions=Conditions(webhook.conditions, name, self._metrics),
            allowed_ttl=webhook.authorized_ttl,
            other_ttl=webhook.unauthorized_ttl,
            budget=self._budget,
            metrics=self._metrics,
        )
