"""Creates the authorizers that the flags configure."""

from collections.abc import Sequence
from pathlib import Path

from pilothouse.authz.authorizer import Authorizer, UnionAuthorizer
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.modes import from_modes
from pilothouse.caches import Budget
from pilothouse.config import Config
from pilothouse.controllers import bootstrap
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.reviews import post_to
from pilothouse.registry.readers import Readers


def authorizer(
    config: Config,
    readers: Readers,
    *,
    outbound: Outbound,
    caches: Budget | None = None,
    metrics: AuthorizationMetrics | None = None,
) -> UnionAuthorizer:
    """The authorizers of --authorization-mode, in their order."""
    webhooks = _webhooks(config, outbound, caches)
    return from_modes(config.authorization_modes, readers, bootstrap.node_rules(), webhooks, caches, metrics)


def _webhooks(config: Config, outbound: Outbound, caches: Budget | None) -> Sequence[Authorizer]:
    """The service behind --authorization-webhook-config-file."""
    if not config.authorization_webhook_config_file:
        return ()
    from pilothouse.authz.webhook import WebhookAuthorizer

    webhook = WebhookAuthorizer(
        post_to(outbound, Path(config.authorization_webhook_config_file)),
        config.authorization_webhook_version,
        allowed_ttl=config.authorization_webhook_cache_authorized_ttl,
        other_ttl=config.authorization_webhook_cache_unauthorized_ttl,
        budget=caches,
    )
    return (webhook,)
