"""Creates the authorizers that the flags configure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pilothouse.authz import configuration
from pilothouse.authz.authorizer import UnionAuthorizer, UnionMember
from pilothouse.authz.configuration import ConfiguredAuthorizer, WebhookConfiguration
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.modes import Authorizers, Connect, entries_of
from pilothouse.caches import CacheBudget
from pilothouse.configuration.sections.authorization import AuthorizationOptions
from pilothouse.controllers import bootstrap
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.kubeconfig import files_of
from pilothouse.outbound.reviews import SECONDS, Post, post_to
from pilothouse.registry.readers import Readers
from pilothouse.reload import Followed, Reloads

if TYPE_CHECKING:
    from pilothouse.authz.abac import ABACAuthorizer


def authorizer(
    options: AuthorizationOptions,
    readers: Readers,
    *,
    outbound: Outbound,
    anonymous: bool = True,
    caches: CacheBudget | None = None,
    metrics: AuthorizationMetrics | None = None,
    reloads: Reloads | None = None,
) -> UnionAuthorizer:
    """The authorizers of --authorization-mode or --authorization-config; `reloads` follows their files.

    anonymous: whether requests without credentials are wanted.
    ValueError, OSError when a file cannot be used.
    """
    metrics = metrics or AuthorizationMetrics()
    reloads = reloads or Reloads()

    def connect(kubeconfig: str, seconds: float) -> Post:
        return post_to(outbound, Path(kubeconfig), seconds)

    authorizers = Authorizers(
        readers,
        node_rules=bootstrap.node_rules(),
        abac=_abac(options.authorization_policy_file, reloads),
        connect=connect,
        budget=caches,
        metrics=metrics,
    )
    if not options.authorization_config:
        entries = entries_of(options.modes, _webhook(options))
        union = UnionAuthorizer(authorizers.members(entries), metrics)
        _follow_webhook(union, options.authorization_webhook_config_file, connect, reloads)
        return union
    from pilothouse.authz.reload import AuthorizationReload

    entries = configuration.load(options.authorization_config)
    union = UnionAuthorizer(authorizers.members(entries), metrics)
    open_to_all = anonymous_may_ask(anonymous, union)

    def others(entries: Sequence[ConfiguredAuthorizer]) -> list[UnionMember]:
        if open_to_all and any(entry.type == "AlwaysAllow" for entry in entries):
            raise ValueError("AlwaysAllow would let anonymous requests do everything: it needs a restart")
        return authorizers.members(entries)

    reload = AuthorizationReload(options.authorization_config, entries, union, others)
    reloads.follow(
        Followed(kind="authorization", paths=reload.paths, read=reload.read, use=reload.use, metrics=metrics)
    )
    return union


def _abac(path: str, reloads: Reloads) -> "ABACAuthorizer | None":
    """The authorizer of --authorization-policy-file."""
    if not path:
        return None
    from pilothouse.authz import abac

    made = abac.ABACAuthorizer(abac.load(path))
    reloads.follow(
        Followed(
            kind="abac", paths=lambda: (path,), read=lambda files: abac.parse(files[path], path), use=made.use
        )
    )
    return made


def _follow_webhook(union: UnionAuthorizer, path: str, connect: Connect, reloads: Reloads) -> None:
    """Follow the kubeconfig of --authorization-webhook-config-file, where the mode Webhook is on."""
    if "Webhook" not in union.types:
        return
    from pilothouse.authz.webhook import WebhookAuthorizer

    for member in union.members:
        if isinstance(webhook := member.authorizer, WebhookAuthorizer):
            reloads.follow(
                Followed(
                    kind="authorization-webhook",
                    paths=lambda: files_of(path),
                    read=lambda files: connect(path, SECONDS),
                    use=webhook.use,
                )
            )


def anonymous_may_ask(wanted: bool, union: UnionAuthorizer) -> bool:
    """Whether requests without credentials come in: never where AlwaysAllow would let them do everything."""
    return wanted and "AlwaysAllow" not in union.types


def _webhook(options: AuthorizationOptions) -> WebhookConfiguration:
    """The service behind --authorization-webhook-config-file."""
    return WebhookConfiguration(
        kubeconfig=options.authorization_webhook_config_file,
        version=options.authorization_webhook_version,
        authorized_ttl=options.authorization_webhook_cache_authorized_ttl,
        unauthorized_ttl=options.authorization_webhook_cache_unauthorized_ttl,
        timeout=SECONDS,
        deny=False,
        conditions=(),
    )
