"""Decides whether a request is allowed: asks the authorizers in the order of --authorization-mode."""

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import NamedTuple, Protocol

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.gotext import quote, sanitized
from pilothouse.offload import Inline, Work
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record

SUPERUSERS = "system:masters"


@frozen
class Decision:
    """`allowed` and `denied` both False = no opinion. `reason` is shown in the 403 and the audit log.

    error: what kept an authorizer from deciding.
    A request that is not allowed is then a 500: it may be lawful.
    by: the name of the authorizer that allows or denies.
    rule: the rule that allows it, as JSON; "" where there is none.
    """

    allowed: bool
    denied: bool = False
    reason: str = ""
    error: str = ""
    by: str = field(default="", compare=False)
    rule: str = field(default="", compare=False)


NO_OPINION = Decision(allowed=False)
ALLOW = Decision(allowed=True)
_SUPERUSER = Decision(allowed=True, by=SUPERUSERS)


class Authorizer(Protocol):
    """One mode of authorization. It may begin in no task: see pilothouse.waiting.

    One that has `for_every_name(attributes)` gives the decision that holds whatever the object's name is,
    until the union's epoch grows; None where there is no such decision.
    """

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        """Decide on one request."""


@record
class SubjectRules:
    """The rules that say what a user may do in a namespace,
    as far as they can be listed (SubjectRulesReviewStatus)."""

    resource: list[Object] = field(default_factory=list)
    non_resource: list[Object] = field(default_factory=list)
    incomplete: bool = False
    errors: list[str] = field(default_factory=list)
    size: int = field(default=0, compare=False)
    """Their bytes as JSON, about."""

    def add(self, other: "SubjectRules") -> None:
        self.resource += other.resource
        self.non_resource += other.non_resource
        self.incomplete |= other.incomplete
        self.errors += other.errors
        self.size += other.size


class UnionMember(NamedTuple):
    """An authorizer of a union; its type (a mode of --authorization-mode)
    and its name are those in the metrics."""

    authorizer: Authorizer
    type: str = "Custom"
    name: str = "custom"

    @property
    def title(self) -> str:
        """How people know it: by its type, and by its name where that is not the usual one."""
        return self.type if self.name == self.type.lower() else f"{self.type} {self.name}"


class UnionAuthorizer:
    """Superusers may do everything; for others the first authorizer with an opinion decides."""

    def __init__(self, members: Sequence[UnionMember], metrics: AuthorizationMetrics | None = None) -> None:
        self._metrics = metrics or AuthorizationMetrics()
        self.epoch = 0
        """Counts the changes of what decides: of roles and bindings, and of the authorizers themselves."""
        self.listeners: list[Callable[[], None]] = []
        """Called at each of these changes, as soon as it is in force."""
        self.replace(members)

    def replace(self, members: Sequence[UnionMember]) -> None:
        """Have requests from now on decided by other authorizers."""
        self.members = tuple(members)
        tallies = [self._metrics.tally(member.type, member.name) for member in members]
        # One assignment, so a request that is being decided keeps to the authorizers that it began with.
        allows = [Decision(allowed=True, by=member.title) for member in members]
        self._chain = tuple(zip((member.authorizer for member in members), tallies, allows, strict=True))
        for member in members:
            told = getattr(member.authorizer, "listeners", None)
            if told is not None and self._changed not in told:
                told.append(self._changed)
        self._changed()

    def _changed(self) -> None:
        self.epoch += 1
        for listener in self.listeners:
            listener()

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the authorizers, in their order."""
        return tuple(member.type for member in self.members)

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        if SUPERUSERS in attributes.user.groups:
            return _SUPERUSER
        reasons: list[str] = []
        failures: list[str] = []
        for authorizer, tally, allow in self._chain:
            decision = await authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                tally[not decision.allowed][0] += 1
                return allow if decision is ALLOW else decision
            if decision.reason:
                reasons.append(decision.reason)
            if decision.error:
                failures.append(decision.error)
        if not reasons and not failures:
            return NO_OPINION
        error = failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]" if failures else ""
        return Decision(allowed=False, reason="\n".join(reasons), error=error)

    def for_every_name(self, attributes: AuthorizationAttributes) -> tuple[Decision, list[int] | None] | None:
        """The decision that allows a request whatever the object's name is, until `epoch` grows, and the
        count to which each such request is added, None for none. None where there is no such decision."""
        if SUPERUSERS in attributes.user.groups:
            return _SUPERUSER, None
        for authorizer, tally, allow in self._chain:
            decide = getattr(authorizer, "for_every_name", None)
            decision: Decision | None = decide(attributes) if decide is not None else None
            if decision is None:
                return None
            if decision.allowed:
                return (allow if decision is ALLOW else decision), tally[0]
            if decision is not NO_OPINION:
                return None
        return None

    def namespaces_for(self, user: User) -> set[str]:
        """The namespaces in which a user may have rights, as far as authorizers know: a webhook does not."""
        found: set[str] = set()
        for member in self.members:
            known = getattr(member.authorizer, "namespaces_for", None)
            if known is not None:
                found |= known(user)
        return found

    async def list_rules(self, user: User, namespace: str, work: Work | Inline) -> SubjectRules:
        """The rules of all authorizers that can list them; what takes long is done in `work`."""
        rules = SubjectRules()
        for member in self.members:
            resolve = getattr(member.authorizer, "rules_for", None)
            in_work = getattr(member.authorizer, "list_rules", None)
            if in_work is not None:
                rules.add(await in_work(user, namespace, work))
            elif resolve is not None:
                rules.add(resolve(user, namespace))
        return rules


async def is_allowed(
    authorizer: Authorizer,
    user: User,
    verb: str,
    *,
    group: str,
    resource: str,
    namespace: str = "",
    name: str = "",
) -> bool:
    """Whether a user has a right that a request needs beside its own, as `escalate`, `bind` and `copy`."""
    attributes = AuthorizationAttributes(
        user,
        verb,
        is_resource=True,
        group=group,
        version="*",
        resource=resource,
        namespace=namespace,
        name=name,
    )
    return (await authorizer.authorize(attributes)).allowed


def forbidden(attributes: AuthorizationAttributes, reason: str = "") -> errors.StatusError:
    """The 403 for a request that nobody allowed (apiserver responsewriters.ForbiddenStatusError)."""
    user = quote(attributes.user.name)
    if not attributes.is_resource:
        message = f"User {user} cannot {attributes.verb} path {quote(attributes.path)}"
        err = errors.forbidden("", "", "", _explain(message, reason))
        err.missing = attributes
        return err
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
    err = errors.forbidden(attributes.group, attributes.resource, attributes.name, _explain(message, reason))
    err.missing = attributes
    return err


def undecided(path: str, decision: Decision) -> errors.StatusError:
    """The 500 for a request of which an authorizer could not say whether it is allowed."""
    return errors.InternalError(f"Internal Server Error: {quote(path)}: {decision.error}")


def _explain(message: str, reason: str) -> str:
    # Nothing in an error may look like markup.
    safe = sanitized(message)
    return f"{safe}: {reason}" if reason else safe
