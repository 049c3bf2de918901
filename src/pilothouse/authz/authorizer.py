"""Decides whether a request is allowed: asks the authorizers in the order of --authorization-mode."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pilothouse import errors
from pilothouse.api.fields import Object, quote
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.metrics import AuthorizationMetrics

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
    """One mode of authorization. It may begin in no task: see pilothouse.waiting."""

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        """Decide on one request."""


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
        metrics = metrics or AuthorizationMetrics()
        self._tallies = [metrics.tally(mode) for mode in tuple(modes) or ("Custom",) * len(self.authorizers)]

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        if SUPERUSERS in attributes.user.groups:
            return ALLOW
        reasons: list[str] = []
        for i, authorizer in enumerate(self.authorizers):
            decision = await authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                self._tallies[i][not decision.allowed][0] += 1
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, reason="\n".join(reasons)) if reasons else NO_OPINION

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
