"""A rule: which requests a fault strikes, how often, and what becomes of them."""

from dataclasses import fields
from fnmatch import fnmatchcase

from pilothouse.api.values.fields import Object
from pilothouse.faults.subject import WRITES, Subject
from pilothouse.process.frozen import frozen

Texts = tuple[str, ...]

OWN = ("system:apiserver",)
"""Users by which servers call themselves."""
OWN_AGENTS = ("pilothouse-testing",)
"""User agents of a test's own helpers, such as `kube.wait`."""
HEALTH = ("/healthz", "/livez", "/readyz")


@frozen(kw_only=True)
class Rule:
    """One rule. Its members are those of its JSON, in camel case there; durations are seconds.

    A request must match every member of the first group that is given, and one of its patterns, in which `*`
    stands for any text.
    """

    # which requests
    user: Texts = ()
    group: Texts = ()
    user_agent: Texts = ()
    verb: Texts = ()
    resource: Texts = ()
    """Forms: `deployments`, `deployments.apps`, `deployments/status`, `deployments.apps/*`."""
    namespace: Texts = ()
    name: Texts = ()
    path: Texts = ()
    """Without it only requests for resources are struck."""
    # how often
    skip: int = 0
    every: int = 1
    times: int = 0
    probability: float = 1.0
    seed: int = 0
    seconds: float = 0.0
    # what becomes of them
    delay: float = 0.0
    code: int = 0
    reason: str = ""
    message: str = ""
    retry_after: int = 0
    webhook: str = ""
    drop: bool = False
    carry_out: bool = False
    stale: bool = False
    after_events: int = 0

    @property
    def effect(self) -> str:
        """The main thing that happens to a request, in one word."""
        if self.drop:
            return "drop"
        if self.code:
            return "error"
        return "stale" if self.stale else "delay"

    @property
    def ends_watches(self) -> bool:
        """Whether a watch that runs is ended by it."""
        return self.drop or self.code == 410

    def matches(self, one: Subject) -> bool:
        """Whether a request is one of those that the rule is for."""
        return (
            (not self.verb or one.verb in self.verb)
            and self._is_for(one)
            and _any(self.user, one.user)
            and (not self.group or any(_any(self.group, group) for group in one.groups))
            and _any(self.user_agent, one.user_agent)
            and _any(self.namespace, one.namespace)
            and _any(self.name, one.name)
            and self._can_strike(one)
        )

    def _is_for(self, one: Subject) -> bool:
        """Whether a request is for a resource or path of the rule, and nobody's who is left alone."""
        if one.path.startswith(HEALTH) or (one.user in OWN and not self.user):
            return False
        if one.user_agent in OWN_AGENTS and not (self.user_agent or self.user):
            return False
        if self.path:
            return _any(self.path, one.path) and (not self.resource or self._names(one))
        return bool(one.resource) and (not self.resource or self._names(one))

    def _names(self, one: Subject) -> bool:
        return any(_is_resource(pattern, one) for pattern in self.resource)

    def _can_strike(self, one: Subject) -> bool:
        """Whether the API has such an answer to such a request."""
        if self.code == 410:
            return one.may_be_too_old
        if self.stale:
            return one.may_be_stale
        return not self.webhook or one.verb in WRITES

    def shown(self) -> Object:
        """The rule as JSON: what differs from the defaults."""
        out: Object = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                out[camel(one.name)] = list(value) if isinstance(value, tuple) else value
        return out


def camel(name: str) -> str:
    """`retry_after` as it is called in JSON."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _any(patterns: Texts, text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def _is_resource(pattern: str, one: Subject) -> bool:
    whole, _, subresource = pattern.partition("/")
    plural, dot, group = whole.partition(".")
    if not fnmatchcase(one.subresource, subresource) or not fnmatchcase(one.resource, plural):
        return False
    return not dot or fnmatchcase(one.api_group, group)
