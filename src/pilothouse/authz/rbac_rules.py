"""Lists the rules of a user by role based access control, for SelfSubjectRulesReviews.

The rules of the cluster's bindings and those of one namespace's are remembered apart, so a client that names
one namespace after the other has the first part made once. A part that was not remembered is made in the
work of its request, which runs beside the loop where there are many rules.
"""

from collections.abc import Iterable

from pilothouse.api import json
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.authz.authorizer import SubjectRules
from pilothouse.authz.rbac_index import GROUP, RBACIndex, Rule
from pilothouse.caches import Cache, CacheBudget, weight
from pilothouse.gotext import quote
from pilothouse.offload import INLINE, Inline, Work
from pilothouse.process.frozen import frozen

BINDING_BYTES = 512
"""Bytes that the rules of a binding are expected to have, where their roles are not looked at."""
ITEM_BYTES = 64
"""Bytes that an item of a rule is expected to have."""
RULE_MEMORY_BYTES = 320
"""Bytes of a remembered rule; its lists belong to the role."""
LARGEST_BYTES = 2 << 20
"""The largest part that is remembered: some 6,000 rules."""

_NOTHING = SubjectRules()


@frozen
class MissingRole:
    """A role that a binding refers to and that does not exist."""

    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind not in ("Role", "ClusterRole"):
            return f"unsupported role reference kind: {quote(self.kind)}"
        return f"{self.kind.lower()}.{GROUP} {quote(self.name)} not found"


def find_rules(index: RBACIndex, kind: str, name: str, namespace: str) -> list[Rule] | MissingRole:
    """The rules that a roleRef leads to, from a binding in `namespace` ("" = the cluster)."""
    key = ("", name) if kind == "ClusterRole" else (namespace, name) if kind == "Role" else None
    rules = index.roles.get(key) if key is not None and (key[0] or kind == "ClusterRole") else None
    return MissingRole(kind, name) if rules is None else rules


class RuleLists:
    """The rules of users in a namespace, or in the whole cluster, as reviews show them."""

    def __init__(self, index: RBACIndex, budget: CacheBudget) -> None:
        self._index = index
        self._revision = 0
        self._known: Cache[tuple[object, ...], SubjectRules] = Cache(
            "rule_lists", budget, largest=LARGEST_BYTES, weigh=_weigh
        )

    def forget(self) -> None:
        """Remember nothing: a role or a binding has changed."""
        self._revision += 1
        self._known.clear()

    def rules_for(self, user: User, namespace: str) -> SubjectRules:
        """The rules of a user in a namespace, made at once."""
        found = SubjectRules()
        for scope in _scopes(namespace):
            found.add(_collect(self._index, scope, self._index.names_of(user, scope)))
        return found

    async def list_rules(self, user: User, namespace: str, work: Work | Inline) -> SubjectRules:
        """The rules of a user in a namespace, made in the work of a request where they are not known."""
        found = SubjectRules()
        for scope in _scopes(namespace):
            found.add(await self._part(user, scope, work))
        return found

    async def _part(self, user: User, scope: str, work: Work | Inline) -> SubjectRules:
        if not self._index.has_bindings(user, scope):
            return _NOTHING
        # RBAC looks at nothing else of a user: the uid and extra give no right.
        key = (user.name, user.groups, scope)
        known = self._known[key]
        if known is not None:
            return known
        revision, names = self._revision, self._index.names_of(user, scope)
        await work.enter(_expected_bytes(self._index, scope, names))
        made = await work.run(_collect, self._index, scope, names)
        if revision == self._revision:
            self._known.put(key, made)
        return made


def _scopes(namespace: str) -> tuple[str, ...]:
    return ("", namespace) if namespace else ("",)


def _expected_bytes(index: RBACIndex, scope: str, names: set[str]) -> int:
    """The bytes of the rules of some bindings; where they are many, as soon as that is clear."""
    total = BINDING_BYTES * len(names)
    if total > INLINE:
        return total
    for name in names:
        binding = index.binding(scope, name)
        rules = find_rules(index, binding.role_kind, binding.role_name, scope) if binding else []
        for rule in rules if isinstance(rules, list) else ():
            total += ITEM_BYTES * (1 + sum(map(len, rule.values())))
            if total > INLINE:
                return total
    return total


def _collect(index: RBACIndex, scope: str, names: Iterable[str]) -> SubjectRules:
    """The rules of some bindings, in the order of the bindings' names.

    It may run on a thread: it only looks up single keys of the index, whose values nobody changes. A binding
    that goes meanwhile is left out, and what was made then is not remembered.
    """
    found = SubjectRules()
    for name in sorted(names):
        binding = index.binding(scope, name)
        if binding is None:
            continue
        rules = find_rules(index, binding.role_kind, binding.role_name, scope)
        if isinstance(rules, MissingRole):
            found.errors.append(str(rules))
            found.size += len(found.errors[-1])
            continue
        for rule in rules:
            if rule.get("resources"):
                found.resource.append(members(rule, "verbs", "apiGroups", "resources", "resourceNames"))
            if rule.get("nonResourceURLs"):
                found.non_resource.append(members(rule, "verbs", "nonResourceURLs"))
        found.size += len(json.dump(rules))
    return found


def members(rule: Rule, *names: str) -> Object:
    """Some members of a rule, without those that are empty."""
    return {name: rule[name] for name in names if rule.get(name)}


def _weigh(key: tuple[object, ...], rules: SubjectRules) -> int:
    count = len(rules.resource) + len(rules.non_resource)
    return weight(key) + 512 + RULE_MEMORY_BYTES * count + weight(rules.errors)
