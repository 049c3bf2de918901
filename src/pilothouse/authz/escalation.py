"""Prevents privilege escalation by writes of roles and bindings, and computes aggregated roles."""

from collections.abc import Iterable, Sequence

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.authz.authorizer import SUPERUSERS, Authorizer, UnionAuthorizer, is_allowed
from pilothouse.authz.cover import TooComplex, first_uncovered, uncovered
from pilothouse.authz.rbac import RBACAuthorizer
from pilothouse.authz.rbac_index import GROUP, Rule
from pilothouse.authz.rbac_rules import MissingRole
from pilothouse.gotext import quote
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.readers import Readers

MAX_LISTED = 12 << 10
"""Characters of the rights that a refusal lists. Upstream lists all of them."""

_FULL_AUTHORITY: list[Rule] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]


class Escalation:
    """Checks a role or binding after mutating admission and before validation (the policybased storages)."""

    def __init__(self, authorizer: Authorizer, rbac: RBACAuthorizer) -> None:
        self.authorizer = authorizer
        self.rbac = rbac

    async def check(
        self,
        user: User,
        resource: str,
        namespace: str,
        name: str,
        *,
        obj: Object,
        old: Object | None,
        work: Work | Inline = INLINE_WORK,
    ) -> None:
        """Raise Forbidden when the write grants what `user` does not hold; `name` is the one in the URL."""
        if SUPERUSERS in user.groups:
            return
        if resource.endswith("bindings"):
            await self._check_binding(user, resource, namespace, obj, old, work)
        elif not await self._may(user, "escalate", resource, namespace, name):
            await work.run(self._check_role, user, resource, namespace, obj, old)

    def _check_role(self, user: User, resource: str, namespace: str, obj: Object, old: Object | None) -> None:
        if old is not None and only_garbage_fields(obj, old):
            return
        own_name = obj["metadata"].get("name", "")
        fault = self._missing_rights(user, resource, namespace, obj.get("rules") or [])
        if not fault and (_aggregates(obj) or (old is not None and _aggregates(old))):
            held, _ = self.rbac.policy_for(user, namespace)
            if uncovered(held, _FULL_AUTHORITY):
                fault = "must have cluster-admin privileges to use the aggregationRule"
        if fault:
            raise errors.forbidden(GROUP, resource, own_name, fault)

    async def _check_binding(
        self,
        user: User,
        resource: str,
        namespace: str,
        obj: Object,
        old: Object | None,
        work: Work | Inline,
    ) -> None:
        if old is not None and only_garbage_fields(obj, old):
            return
        ref = obj.get("roleRef") or {}
        kind, role = ref.get("kind", ""), ref.get("name", "")
        target = {"ClusterRole": "clusterroles", "Role": "roles"}.get(kind)
        if target and await self._may(user, "bind", target, namespace, role, group=ref.get("apiGroup", "")):
            return
        rules = self.rbac.role_rules(kind, role, namespace)
        if isinstance(rules, MissingRole):
            if target is None:
                raise errors.InternalError(str(rules))
            raise errors.not_found(GROUP, resource, role)
        fault = await work.run(self._missing_rights, user, resource, namespace, rules)
        if fault:
            raise errors.forbidden(GROUP, resource, obj["metadata"].get("name", ""), fault)

    async def _may(
        self, user: User, verb: str, resource: str, namespace: str, name: str, *, group: str = GROUP
    ) -> bool:
        return await is_allowed(
            self.authorizer, user, verb, group=group, resource=resource, namespace=namespace, name=name
        )

    def _missing_rights(self, user: User, resource: str, namespace: str, rules: Sequence[Rule]) -> str:
        """The text that lists what `user` lacks, "" when all is held."""
        held, unresolved = self.rbac.policy_for(user, namespace)
        try:
            missing, complete = first_uncovered(held, rules)
        except TooComplex:
            return (
                f"user {quote(user.name)} is attempting to grant RBAC permissions that are too many to"
                " compare"
            )
        if not missing:
            return ""
        lines, listed = [], 0
        for line in sorted({describe(rule) for rule in compact(missing)}):
            listed += len(line)
            if listed > MAX_LISTED:
                complete = False
                break
            lines.append(line)
        if not complete:
            lines.append("... and more")
        text = (
            f"user {quote(user.name)} (groups={_list(user.groups)}) is attempting to grant "
            "RBAC permissions not currently held:\n" + "\n".join(lines)
        )
        if unresolved:
            # The resolver reads through the storage of the request, whose resource its errors name.
            texts = dict.fromkeys(f"{resource}.{GROUP} {quote(m.name)} not found" for m in unresolved)
            joined = next(iter(texts)) if len(texts) == 1 else f"[{', '.join(texts)}]"
            text += f"; resolution errors: [{joined}]"
        return text


def guard(authorizer: UnionAuthorizer, readers: Readers) -> Escalation:
    """The checks on top of the server's authorizers; roles are looked up even where RBAC is not a mode."""
    known = (m.authorizer for m in authorizer.members if isinstance(m.authorizer, RBACAuthorizer))
    return Escalation(authorizer, next(known, None) or RBACAuthorizer(readers))


def compact(rules: Iterable[Rule]) -> list[Rule]:
    """Rules of one group and resource that differ by verb alone become one."""
    merged: dict[tuple[str, str], Rule] = {}
    others: list[Rule] = []
    for rule in rules:
        if "resourceNames" in rule or "nonResourceURLs" in rule:
            others.append(rule)
            continue
        key = (rule["apiGroups"][0], rule["resources"][0])
        if key in merged:
            merged[key]["verbs"] += rule["verbs"]
        else:
            merged[key] = {**rule, "verbs": list(rule["verbs"])}
    return [*others, *merged.values()]


def describe(rule: Rule) -> str:
    """A rule in one line: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`."""
    parts = [f"{label}:{_list(rule[member])}" for member, label in _LABELS.items() if rule.get(member)]
    return f"{{{', '.join(parts)}}}"


_LABELS = {
    "apiGroups": "APIGroups",
    "resources": "Resources",
    "nonResourceURLs": "NonResourceURLs",
    "resourceNames": "ResourceNames",
    "verbs": "Verbs",
}


def _list(texts: Iterable[str]) -> str:
    return f"[{' '.join(quote(t) for t in texts)}]"


def _aggregates(role: Object) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def only_garbage_fields(obj: Object, old: Object) -> bool:
    """Whether an update touches no more than what the garbage collector must: finalizers and owners."""
    return _significant(obj) == _significant(old)


def _significant(obj: Object) -> Object:
    dropped = ("ownerReferences", "finalizers", "managedFields", "selfLink", "resourceVersion")
    metadata = {k: v for k, v in obj["metadata"].items() if k not in dropped and v}
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "kind", "apiVersion") and v}
    return {**rest, "metadata": metadata}
