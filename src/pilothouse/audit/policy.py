"""The audit policy (audit.k8s.io/v1 Policy):
reads and validates it, and decides what is recorded of a request.

Upstream's rules are in apiserver pkg/audit/policy and pkg/apis/audit/validation.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.api.yaml import text as yaml
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen

log = Logger(__name__)

VERSION = "audit.k8s.io/v1"
KIND = "Policy"

NONE, METADATA, REQUEST, REQUEST_RESPONSE = range(4)
LEVELS = ("None", "Metadata", "Request", "RequestResponse")
"""The names of the levels, by their numbers."""

RECEIVED, STARTED, COMPLETE, PANIC = "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"
STAGES = (RECEIVED, STARTED, COMPLETE, PANIC)

_POLICY_MEMBERS = ("kind", "apiVersion", "metadata", "rules", "omitStages", "omitManagedFields")
_RULE_LISTS = ("users", "userGroups", "verbs", "namespaces", "nonResourceURLs", "omitStages")
_RULE_MEMBERS = (*_RULE_LISTS, "level", "resources", "omitManagedFields")
_GROUP_MEMBERS = ("group", "resources", "resourceNames")


class AuditPolicyError(ValueError):
    """A policy that cannot be used; the text is upstream's where it has one."""


@frozen
class AuditVerdict:
    """The verdict on a request: its level, the stages that are left out, and whether managed fields are."""

    level: int
    omitted: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


@frozen
class GroupResources:
    """Resources of one API group, or of all groups ("*"). No resources stand for all of them."""

    group: str
    resources: tuple[str, ...]
    names: frozenset[str]

    def matches(self, a: AuthorizationAttributes) -> bool:
        """Whether a request for a resource is among these; names count only where resources are listed."""
        if self.group not in (a.group, "*"):
            return False
        if not self.resources:
            return True
        if self.names and a.name not in self.names:
            return False
        wanted = [a.resource + "/" + a.subresource if a.subresource else a.resource, "*", a.resource + "/*"]
        if a.subresource:
            wanted.append("*/" + a.subresource)
        return any(resource in wanted for resource in self.resources)


@frozen
class AuditRule:
    """One rule. An empty member matches everything."""

    verdict: AuditVerdict
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[GroupResources, ...] = ()
    paths: tuple[str, ...] = ()

    def matches(self, user: User | None, a: AuthorizationAttributes) -> bool:
        """Whether the rule is about a request; `user` is the authenticated one, None when there is none."""
        if self.users and (user is None or user.name not in self.users):
            return False
        if self.groups and (user is None or self.groups.isdisjoint(user.groups)):
            return False
        if self.verbs and a.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if not a.is_resource or (self.namespaces and a.namespace not in self.namespaces):
                return False
            return not self.resources or any(one.matches(a) for one in self.resources)
        if self.paths:
            return not a.is_resource and any(_path_matches(a.path, path) for path in self.paths)
        return True


def _path_matches(path: str, pattern: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


class AuditPolicy:
    """The rules in their order. The first one that matches a request decides;
    where none does, nothing is recorded."""

    def __init__(self, rules: Iterable[AuditRule], otherwise: AuditVerdict = AuditVerdict(NONE)) -> None:
        self.rules = tuple(rules)
        self.otherwise = otherwise
        self.by_user = any(rule.users or rule.groups for rule in self.rules)
        """Whether a rule asks who the user is."""
        self.by_name = any(one.names for rule in self.rules for one in rule.resources)
        """Whether a rule asks for the name of the object."""

    def decide(self, user: User | None, a: AuthorizationAttributes) -> AuditVerdict:
        """The verdict on a request of an authenticated user, or of one for which nobody was authenticated."""
        for rule in self.rules:
            if rule.matches(user, a):
                return rule.verdict
        return self.otherwise


def load(path: str) -> AuditPolicy:
    """Read a policy file; AuditPolicyError when it cannot be read or used."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        why = f"open {path}: {(error.strerror or str(error)).lower()}"
        raise AuditPolicyError(f"failed to read file path {quote(path)}: {why}") from None
    try:
        return parse(data)
    except AuditPolicyError as error:
        raise AuditPolicyError(f"{error}: from file {path}") from None


def parse(data: bytes) -> AuditPolicy:
    """The policy that YAML or JSON text holds; AuditPolicyError.

    Members that there are not, and ones that are written twice, are logged and otherwise passed over, as
    upstream's reader does.
    """
    try:
        found = yaml.parse(data)
    except yaml.YAMLError as error:
        raise AuditPolicyError(f"failed decoding: {error}") from None
    raw = found.value
    if not isinstance(raw, dict):
        raise AuditPolicyError(
            "failed decoding: couldn't get version/kind; json parse error: it is no object"
        )
    for member in ("kind", "apiVersion"):
        if not raw.get(member):
            shown = "Kind" if member == "kind" else member
            raise AuditPolicyError(
                f"failed decoding: Object '{shown}' is missing in '{data.decode(errors='replace')}'"
            )
    if raw["apiVersion"] != VERSION or raw["kind"] != KIND:
        raise AuditPolicyError(
            f"failed decoding: no kind {quote(str(raw['kind']))} is registered for version "
            f'{quote(str(raw["apiVersion"]))} in scheme "k8s.io/apiserver/pkg/audit/scheme.go"'
        )
    faults = [fault] if (fault := found.strict_error()) else []
    faults += _unknown(raw)
    policy = _policy(raw)
    if faults:
        log.warning(
            "Audit policy contains errors, falling back to lenient decoding",
            err="strict decoding error: " + ", ".join(faults),
        )
    return policy


def _unknown(raw: Object) -> Iterator[str]:
    """The members that there are not."""
    yield from _others(raw, _POLICY_MEMBERS, "")
    for i, rule in enumerate(_list(raw, "rules")):
        if isinstance(rule, dict):
            yield from _others(rule, _RULE_MEMBERS, f"rules[{i}].")
            for j, one in enumerate(_list(rule, "resources")):
                if isinstance(one, dict):
                    yield from _others(one, _GROUP_MEMBERS, f"rules[{i}].resources[{j}].")


def _others(value: Object, known: tuple[str, ...], path: str) -> Iterator[str]:
    return (f"unknown field {quote(path + name)}" for name in value if name not in known)


def _policy(raw: Object) -> AuditPolicy:
    everywhere = frozenset(_texts(raw, "omitStages"))
    omit_managed_fields = _boolean(raw, "omitManagedFields") or False
    rules = [_object(rule, "rules") for rule in _list(raw, "rules")]
    errs = Errors()
    _check_stages(_texts(raw, "omitStages"), "omitStages", errs)
    for i, rule in enumerate(rules):
        _check_rule(rule, f"rules[{i}]", errs)
    if errs:
        texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in errs.causes))
        raise AuditPolicyError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    if not rules:
        raise AuditPolicyError("loaded illegal policy with 0 rules")
    return AuditPolicy(
        [_rule(rule, everywhere, omit_managed_fields) for rule in rules],
        AuditVerdict(NONE, everywhere, omit_managed_fields),
    )


def _rule(raw: Object, everywhere: frozenset[str], omit_managed_fields: bool) -> AuditRule:
    own = _boolean(raw, "omitManagedFields")
    return AuditRule(
        AuditVerdict(
            LEVELS.index(raw["level"]),
            everywhere.union(_texts(raw, "omitStages")),
            omit_managed_fields if own is None else own,
        ),
        users=frozenset(_texts(raw, "users")),
        groups=frozenset(_texts(raw, "userGroups")),
        verbs=frozenset(_texts(raw, "verbs")),
        namespaces=frozenset(_texts(raw, "namespaces")),
        resources=tuple(
            GroupResources(
                _text(one, "group"), tuple(_texts(one, "resources")), frozenset(_texts(one, "resourceNames"))
            )
            for one in _list(raw, "resources")
        ),
        paths=tuple(_texts(raw, "nonResourceURLs")),
    )


def _check_rule(rule: Object, path: str, errs: Errors) -> None:
    level = _text(rule, "level")
    if not level:
        errs.required(f"{path}.level")
    elif level not in LEVELS:
        errs.not_supported(f"{path}.level", level, LEVELS)
    urls = _texts(rule, "nonResourceURLs")
    for i, url in enumerate(urls):
        if url != "*" and not url.startswith("/"):
            errs.invalid(
                f"{path}.nonResourceURLs[{i}]", url, "non-resource URL rules must begin with a '/' character"
            )
        if "*" in url[:-1]:
            why = "non-resource URL wildcards '*' must be the final character of the rule"
            errs.invalid(f"{path}.nonResourceURLs[{i}]", url, why)
    resources = [_object(one, "resources") for one in _list(rule, "resources")]
    for one in resources:
        _check_resources(one, f"{path}.resources", errs)
    for name in ("users", "userGroups", "verbs", "namespaces"):
        _texts(rule, name)
    _check_stages(_texts(rule, "omitStages"), f"{path}.omitStages", errs)
    if urls and (resources or _texts(rule, "namespaces")):
        why = "rules cannot apply to both regular resources and non-resource URLs"
        errs.invalid(f"{path}.nonResourceURLs", urls, why)


def _check_resources(one: Object, path: str, errs: Errors) -> None:
    group = _text(one, "group")
    if group not in ("", "*"):
        why = names.dns_subdomain(group)
        if why:
            errs.invalid(f"{path}.group", group, ",".join(why))
    listed = _texts(one, "resourceNames")
    if listed and not _texts(one, "resources"):
        errs.invalid(f"{path}.resourceNames", listed, "using resourceNames requires at least one resource")


def _check_stages(stages: list[str], path: str, errs: Errors) -> None:
    for i, stage in enumerate(stages):
        if stage not in STAGES:
            errs.invalid(f"{path}[{i}]", stage, "allowed stages are " + ",".join(STAGES))


# What a member holds; AuditPolicyError for a value of another type.


def _list(raw: Object, name: str) -> list[Any]:
    value = raw.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _mistyped(name, value)
    return value


def _texts(raw: Object, name: str) -> list[str]:
    values = ["" if one is None else one for one in _list(raw, name)]
    for one in values:
        if not isinstance(one, str):
            raise _mistyped(name, one)
    return values


def _text(raw: Object, name: str) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _mistyped(name, value)
    return value


def _boolean(raw: Object, name: str) -> bool | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, bool):
        raise _mistyped(name, value)
    return value


def _object(value: Any, name: str) -> Object:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _mistyped(name, value)
    return value


def _mistyped(name: str, value: Any) -> AuditPolicyError:
    kind = {bool: "bool", str: "string", int: "number", float: "number", list: "array"}.get(
        type(value), "object"
    )
    return AuditPolicyError(
        f"failed decoding: json: cannot unmarshal {kind} into Go struct field Policy.{name}"
    )
