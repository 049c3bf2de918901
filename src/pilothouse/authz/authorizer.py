"""Room 9: may they. The union of the authorizers in the order of --authorization-mode."""

import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pilothouse import errors
from pilothouse.api.fields import Object, quote
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.caches import Budget
from pilothouse.registry.readers import Readers

SUPERUSERS = "system:masters"


@dataclass(slots=True, frozen=True)
class Decision:
    """`allowed` and `denied` both False = no opinion. `reason` is shown in the 403 and the audit log."""

    allowed: bool
    denied: bool = False
    reason: str = ""


NO_OPINION = Decision(False)
ALLOW = Decision(True)


class Authorizer(Protocol):
    def authorize(self, attributes: AuthorizationAttributes) -> Decision | Awaitable[Decision]:
        """Judge one request."""


@dataclass(slots=True)
class Rules:
    """What a user may do in a namespace, as far as it can be listed (SubjectRulesReviewStatus)."""

    resource: list[Object] = field(default_factory=list)
    non_resource: list[Object] = field(default_factory=list)
    incomplete: bool = False
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Rules") -> None:
        self.resource += other.resource
        self.non_resource += other.non_resource
        self.incomplete |= other.incomplete
        self.errors += other.errors


class UnionAuthorizer:
    """Superusers may do everything; for others the first authorizer with an opinion decides.

    `modes` name the authorizers in the metrics, one each.
    """

    def __init__(
        self,
        authorizers: Sequence[Authorizer],
        modes: Sequence[str] = (),
        metrics: AuthorizationMetrics | None = None,
    ) -> None:
        self.authorizers = tuple(authorizers)
        self._modes = tuple(modes) or ("Custom",) * len(self.authorizers)
        self._metrics = metrics or AuthorizationMetrics()

    def authorize(self, attributes: AuthorizationAttributes) -> Decision | Awaitable[Decision]:
        if SUPERUSERS in attributes.user.groups:
            return ALLOW
        reasons: list[str] = []
        for i, authorizer in enumerate(self.authorizers):
            decision = authorizer.authorize(attributes)
            if not isinstance(decision, Decision):
                return self._wait(attributes, decision, reasons, i + 1)
            if decision.allowed or decision.denied:
                return self._decided(i, decision)
            if decision.reason:
                reasons.append(decision.reason)
        return _no_opinion(reasons)

    def _decided(self, which: int, decision: Decision) -> Decision:
        self._metrics.count_decision(self._modes[which], decision.allowed)
        return decision

    async def _wait(
        self,
        attributes: AuthorizationAttributes,
        waiting: Awaitable[Decision],
        reasons: list[str],
        following: int,
    ) -> Decision:
        decision = await waiting
        for i, authorizer in enumerate((*self.authorizers[following:], None), following - 1):
            if decision.allowed or decision.denied:
                return self._decided(i, decision)
            if decision.reason:
                reasons.append(decision.reason)
            if authorizer is not None:
                decision = await decided(authorizer.authorize(attributes))
        return _no_opinion(reasons)

    def rules_for(self, user: User, namespace: str) -> Rules:
        """The rules of all authorizers that can list them."""
        rules = Rules()
        for authorizer in self.authorizers:
            resolve = getattr(authorizer, "rules_for", None)
            if resolve is not None:
                rules.add(resolve(user, namespace))
        return rules


def _no_opinion(reasons: list[str]) -> Decision:
    return Decision(False, reason="\n".join(reasons)) if reasons else NO_OPINION


async def decided(decision: Decision | Awaitable[Decision]) -> Decision:
    """A decision, waited for where it must be."""
    if inspect.isawaitable(decision):
        return await decision
    return decision


class AlwaysAllow:
    def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        return ALLOW

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules(
            [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        )


class AlwaysDeny:
    def authorize(self, attributes: AuthorizationAttributes) -> Decision:
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
    from pilothouse.authz.node import NodeAuthorizer
    from pilothouse.authz.rbac import RBACAuthorizer

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


def forbidden(attributes: AuthorizationAttributes, reason: str = "") -> errors.StatusError:
    """The 403 for a request that nobody allowed (apiserver responsewriters.ForbiddenStatusError)."""
    user = quote(attributes.user.name)
    if not attributes.is_resource:
        message = f"User {user} cannot {attributes.verb} path {quote(attributes.path)}"
        return errors.forbidden("", "", "", _explain(message, reason))
    resource = attributes.resource
    if attributes.subresource:
        resource += "/" + attributes.subresource
    message = (
        f"User {user} cannot {attributes.verb} resource {quote(resource)} "
        f"in API group {quote(attributes.group)} "
    )
    if attributes.namespace:
        message += f"in the namespace {quote(attributes.namespace)}"
    else:
        message += "at the cluster scope"
    return errors.forbidden(attributes.group, attributes.resource, attributes.name, _explain(message, reason))


def _explain(message: str, reason: str) -> str:
    # Nothing in an error may look like markup.
    safe = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{safe}: {reason}" if reason else safe
