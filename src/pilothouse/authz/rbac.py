"""Role based access control: decides requests by roles and bindings."""

import sys
from collections.abc import Callable, Iterator

from pilothouse.api import json
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import ALLOW, NO_OPINION, Decision, SubjectRules
from pilothouse.authz.rbac_index import RESOURCES, RBACBinding, RBACIndex, Rule
from pilothouse.authz.rbac_rules import MissingRole, RuleLists, find_rules, members
from pilothouse.caches import Cache, CacheBudget, weight
from pilothouse.offload import Inline, Work
from pilothouse.registry.readers import Readers

_LARGEST = 64 << 10
"""The largest cached verdict, in bytes:
a role may name a thousand objects, and a user be in hundreds of groups."""

_LONGEST_RULE = 1024
"""Characters of a rule that a decision tells."""


class _Verdict:
    """The decisions on one verb and resource: for some names, and for all others."""

    __slots__ = ("by_name", "otherwise")

    def __init__(self) -> None:
        self.by_name: dict[str, Decision] = {}
        self.otherwise = NO_OPINION


def _weigh(key: tuple[object, ...], verdict: _Verdict) -> int:
    # The names belong to the roles; a decision is the same object for all names of one rule.
    return weight(key) + weight(verdict.otherwise) + sys.getsizeof(verdict.by_name)


class RBACAuthorizer:
    """Decides by the roles and bindings of the readers;
    a change of any of them empties the cache of decisions."""

    def __init__(self, readers: Readers, budget: CacheBudget | None = None) -> None:
        self._index = readers.indexed("rbac", RESOURCES, RBACIndex)
        self._index.changed = self._changed
        self.listeners: list[Callable[[], None]] = []
        """Called when a role or a binding has changed."""
        budget = budget or CacheBudget()
        self._lists = RuleLists(self._index, budget)
        self._verdicts: Cache[tuple[object, ...], _Verdict] = Cache(
            "authorization", budget, largest=_LARGEST, weigh=_weigh
        )

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        # PERF: the name is no part of the key, so that reads of many objects share one verdict.
        a, user = attributes, attributes.user
        key: tuple[object, ...]
        if a.is_resource:
            key = (user.name, user.groups, a.namespace, a.verb, a.group, a.resource, a.subresource)
        else:
            key = (user.name, user.groups, a.verb, a.path)
        verdict = self._verdicts[key]
        if verdict is None:
            verdict = self._judge(attributes)
            self._verdicts.put(key, verdict)
        return verdict.by_name.get(a.name, verdict.otherwise) if verdict.by_name else verdict.otherwise

    def for_every_name(self, attributes: AuthorizationAttributes) -> Decision | None:
        """The decision on a resource that was judged just now; None where a rule names objects."""
        a, user = attributes, attributes.user
        key = (user.name, user.groups, a.namespace, a.verb, a.group, a.resource, a.subresource)
        verdict = self._verdicts[key]
        return None if verdict is None or verdict.by_name else verdict.otherwise

    def namespaces_for(self, user: User) -> set[str]:
        """The namespaces with a binding to the user or one of their groups, whatever it grants."""
        return self._index.namespaces_of(user)

    def rules_for(self, user: User, namespace: str) -> SubjectRules:
        """The rules of a user in a namespace, made at once."""
        return self._lists.rules_for(user, namespace)

    async def list_rules(self, user: User, namespace: str, work: Work | Inline) -> SubjectRules:
        """The rules of a user in a namespace, remembered or made in the work of a request."""
        return await self._lists.list_rules(user, namespace, work)

    def policy_for(self, user: User, namespace: str) -> tuple[list[Rule], list[MissingRole]]:
        """Every rule that applies to a user in a namespace, and the roles that could not be found."""
        held: list[Rule] = []
        missing: list[MissingRole] = []
        for _, _, rules in self._visit(user, namespace):
            if isinstance(rules, MissingRole):
                missing.append(rules)
            else:
                held += rules
        return held, missing

    def role_rules(self, kind: str, name: str, namespace: str) -> list[Rule] | MissingRole:
        """The rules that a roleRef leads to, from a binding in `namespace` ("" = the cluster)."""
        return find_rules(self._index, kind, name, namespace)

    def _visit(
        self, user: User, namespace: str
    ) -> Iterator[tuple[RBACBinding, int, list[Rule] | MissingRole]]:
        for scope in ("", namespace) if namespace else ("",):
            for binding, subject in self._index.of(user, scope):
                yield binding, subject, self.role_rules(binding.role_kind, binding.role_name, scope)

    def _judge(self, attributes: AuthorizationAttributes) -> _Verdict:
        verdict, missing = _Verdict(), []
        namespace = attributes.namespace if attributes.is_resource else ""
        for binding, subject, rules in self._visit(attributes.user, namespace):
            if isinstance(rules, MissingRole):
                missing.append(str(rules))
                continue
            for rule in rules:
                if not rule_applies(attributes, rule):
                    continue
                reason = f"RBAC: allowed by {binding.describe(subject)}"
                allow = Decision(allowed=True, reason=reason, by="RBAC", rule=_shown(rule))
                names = rule.get("resourceNames") if attributes.is_resource else None
                if not names:
                    verdict.otherwise = allow
                    return verdict
                for name in names:
                    verdict.by_name.setdefault(name, allow)
        if missing:
            verdict.otherwise = Decision(allowed=False, reason=f"RBAC: {_aggregate(missing)}")
        return verdict

    def _changed(self) -> None:
        self._verdicts.clear()
        self._lists.forget()
        for listener in self.listeners:
            listener()


def _shown(rule: Rule) -> str:
    """A rule as JSON, cut when it is long."""
    shown = members(rule, "verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    text = json.dump(shown).decode()
    return text if len(text) <= _LONGEST_RULE else text[:_LONGEST_RULE] + "…"


def _aggregate(reasons: list[str]) -> str:
    unique = list(dict.fromkeys(reasons))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


def rules_allow(attributes: AuthorizationAttributes, rules: list[Rule]) -> Decision:
    """Whether one of fixed rules allows a request."""
    for rule in rules:
        if rule_applies(attributes, rule):
            names = rule.get("resourceNames")
            if not names or attributes.name in names:
                return ALLOW
    return NO_OPINION


def rule_applies(attributes: AuthorizationAttributes, rule: Rule) -> bool:
    """Whether a rule speaks of a request, whatever the object's name."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and attributes.verb not in verbs:
        return False
    if not attributes.is_resource:
        return any(_url_matches(url, attributes.path) for url in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and attributes.group not in groups:
        return False
    resources = rule.get("resources") or ()
    if not attributes.subresource:
        return "*" in resources or attributes.resource in resources
    return (
        "*" in resources
        or f"{attributes.resource}/{attributes.subresource}" in resources
        or f"*/{attributes.subresource}" in resources
    )


def _url_matches(url: str, path: str) -> bool:
    return url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))
