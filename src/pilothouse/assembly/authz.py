"""Creates the authorizers that the flags configure."""

from collections.abc import Sequence
from pathlib import Path

from pilothouse.authz import abac, configuration
from pilothouse.authz.authorizer import Member, UnionAuthorizer
from pilothouse.authz.configuration import Entry, Webhook
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.modes import Authorizers, entries_of
from pilothouse.authz.reload import Reload
from pilothouse.caches import Budget
from pilothouse.config import Config
from pilothouse.controllers import bootstrap
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.reviews import SECONDS, Post, post_to
from pilothouse.registry.readers import Readers


def authorizer(
    config: Config,
    readers: Readers,
    *,
    outbound: Outbound,
    anonymous: bool = True,
    caches: Budget | None = None,
    metrics: AuthorizationMetrics | None = None,
    poll: float = configuration.POLL,
) -> tuple[UnionAuthorizer, Reload | None]:
    """The authorizers of --authorization-mode or --authorization-config, and what follows changes of the latter.

    anonymous: whether requests without credentials are wanted. ValueError, OSError when a file cannot be used.
    """
    metrics = metrics or AuthorizationMetrics()

    def connect(kubeconfig: str, seconds: float) -> Post:
        return post_to(outbound, Path(kubeconfig), seconds)

    policies = config.authorization_policy_file
    authorizers = Authorizers(
        readers,
        node_rules=bootstrap.node_rules(),
        abac=(lambda: abac.ABACAuthorizer(abac.load(policies))) if policies else None,
        connect=connect,
        budget=caches,
        metrics=metrics,
    )
    if not config.authorization_config:
        entries = entries_of(config.authorization_modes, _webhook(config))
        return UnionAuthorizer(authorizers.members(entries), metrics), None
    data = Path(config.authorization_config).read_bytes()
    union = UnionAuthorizer(authorizers.members(configuration.read(data)), metrics)
    open_to_all = anonymous_may_ask(anonymous, union)

    def others(entries: Sequence[Entry]) -> list[Member]:
        if open_to_all and any(entry.type == "AlwaysAllow" for entry in entries):
            raise ValueError("AlwaysAllow would let anonymous requests do everything: it needs a restart")
        return authorizers.members(entries)

    return union, Reload(config.authorization_config, data, union, others, metrics, poll=poll)


def anonymous_may_ask(wanted: bool, union: UnionAuthorizer) -> bool:
    """Whether requests without credentials come in: never where AlwaysAllow would let them do everything."""
    return wanted and "AlwaysAllow" not in union.types


def _webhook(config: Config) -> Webhook:
    """The service behind --authorization-webhook-config-file."""
    return Webhook(
        kubeconfig=config.authorization_webhook_config_file,
        version=config.authorization_webhook_version,
        authorized_ttl=config.authorization_webhook_cache_authorized_ttl,
        unauthorized_ttl=config.authorization_webhook_cache_unauthorized_ttl,
        timeout=SECONDS,
        deny=False,
        conditions=(),
    )
