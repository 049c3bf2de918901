"""Validates flowcontrol.apiserver.k8s.io/v1: flow schemas and priority levels."""

from math import ceil, log2

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import equal, report, validate_dns_subdomain

MAX_PRECEDENCE = 10_000
MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_METHODS = ("ByNamespace", "ByUser")
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_NAMESPACE_INTRO = "each member of this list must be '*' or a DNS-1123 label; "


def _everything(*groups: str) -> list[Object]:
    """Rules that match every request of these groups."""
    return [
        {
            "subjects": [{"kind": "Group", "group": {"name": group}} for group in groups],
            "resourceRules": [
                {
                    "verbs": ["*"],
                    "apiGroups": ["*"],
                    "resources": ["*"],
                    "clusterScope": True,
                    "namespaces": ["*"],
                }
            ],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }
    ]


MANDATORY_SCHEMAS: dict[str, Object] = {
    "exempt": {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": _everything("system:masters"),
    },
    "catch-all": {
        "priorityLevelConfiguration": {"name": "catch-all"},
        "matchingPrecedence": 10_000,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": _everything("system:unauthenticated", "system:authenticated"),
    },
}
MANDATORY_LEVELS: dict[str, Object] = {
    "exempt": {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    "catch-all": {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 5,
            "limitResponse": {"type": "Reject"},
            "lendablePercent": 0,
        },
    },
}
"""Specs of the mandatory objects, which must not be changed."""


# Flow schemas


def validate_flow_schema(obj: Object, errs: Errors) -> None:
    name, spec = (obj.get("metadata") or {}).get("name", ""), obj.get("spec") or {}
    _precedence(name, spec.get("matchingPrecedence", 0), errs)
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type", "") not in _METHODS:
        shown = {"Type": method.get("type", "")}
        errs.not_supported("spec.distinguisherMethod.type", shown, _METHODS)
    level = (spec.get("priorityLevelConfiguration") or {}).get("name", "")
    if level:
        validate_dns_subdomain(level, "spec.priorityLevelConfiguration.name", errs)
    else:
        errs.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    for i, rules in enumerate(spec.get("rules") or ()):
        _rules(rules, f"spec.rules[{i}]", errs)
    mandatory = MANDATORY_SCHEMAS.get(name)
    if mandatory is not None and not equal(spec, mandatory):
        errs.invalid("spec", _schema_shown(spec), f"spec of '{name}' must equal the fixed value")
    _conditions(obj, errs)


def _schema_shown(spec: Object) -> Object:
    """A flow schema's spec as upstream's internal type is printed."""
    method, listed = spec.get("distinguisherMethod"), spec.get("rules")
    return {
        "PriorityLevelConfiguration": {
            "Name": (spec.get("priorityLevelConfiguration") or {}).get("name", "")
        },
        "MatchingPrecedence": spec.get("matchingPrecedence", 0),
        "DistinguisherMethod": method and {"Type": method.get("type", "")},
        "Rules": listed and [_rules_shown(rules) for rules in listed],
    }


def _rules_shown(rules: Object) -> Object:
    subjects = [
        {
            "Kind": s.get("kind", ""),
            "User": s.get("user") and {"Name": s["user"].get("name", "")},
            "Group": s.get("group") and {"Name": s["group"].get("name", "")},
            "ServiceAccount": s.get("serviceAccount")
            and {m.capitalize(): s["serviceAccount"].get(m, "") for m in ("namespace", "name")},
        }
        for s in rules.get("subjects") or ()
    ]
    resource = [
        {
            "Verbs": r.get("verbs"),
            "APIGroups": r.get("apiGroups"),
            "Resources": r.get("resources"),
            "ClusterScope": r.get("clusterScope", False),
            "Namespaces": r.get("namespaces"),
        }
        for r in rules.get("resourceRules") or ()
    ]
    other = [
        {"Verbs": r.get("verbs"), "NonResourceURLs": r.get("nonResourceURLs")}
        for r in rules.get("nonResourceRules") or ()
    ]
    return {
        "Subjects": subjects or None,
        "ResourceRules": resource or None,
        "NonResourceRules": other or None,
    }


def validate_flow_schema_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_flow_schema(obj, errs)


def validate_conditions_status(obj: Object, old: Object, errs: Errors) -> None:
    """Validates the status of a flow schema or priority level."""
    _conditions(obj, errs)


def _conditions(obj: Object, errs: Errors) -> None:
    seen: set[str] = set()
    for i, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        path, kind = f"status.conditions[{i}].type", condition.get("type", "")
        if kind in seen:
            errs.duplicate(path, kind)
        seen.add(kind)
        if not kind:
            errs.required(path, "must not be empty")


def _precedence(name: str, precedence: int, errs: Errors) -> None:
    path = "spec.matchingPrecedence"
    if precedence <= 0:
        errs.invalid(path, precedence, "must be a positive value")
    if precedence > MAX_PRECEDENCE:
        errs.invalid(path, precedence, f"must not be greater than {MAX_PRECEDENCE}")
    if precedence == 1 and name != "exempt":
        errs.invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1")


def _rules(rules: Object, path: str, errs: Errors) -> None:
    subjects = rules.get("subjects") or ()
    resource, other = rules.get("resourceRules") or (), rules.get("nonResourceRules") or ()
    for i, subject in enumerate(subjects):
        _subject(subject, f"{path}.subjects[{i}]", errs)
    if not subjects:
        errs.required(f"{path}.subjects", "subjects must contain at least one value")
    if not resource and not other:
        errs.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for i, rule in enumerate(resource):
        _resource_rule(rule, f"{path}.resourceRules[{i}]", errs)
    for i, rule in enumerate(other):
        _non_resource_rule(rule, f"{path}.nonResourceRules[{i}]", errs)


def _subject(subject: Object, path: str, errs: Errors) -> None:
    kind = subject.get("kind", "")
    own = _SUBJECTS.get(kind)
    if own is None:
        errs.not_supported(f"{path}.kind", kind, _SUBJECTS)
        return
    _own_subject(subject.get(own), kind, own, f"{path}.{own}", errs)
    for other in ("serviceAccount", "user", "group"):
        if other != own and subject.get(other) is not None:
            expected = other[0].upper() + other[1:]
            errs.forbidden(f"{path}.{other}", f"{other} is forbidden when subject kind is not '{expected}'")


def _own_subject(named: Object | None, kind: str, member: str, path: str, errs: Errors) -> None:
    if named is None:
        errs.required(path, f"{member} is required when subject kind is '{kind}'")
        return
    name, namespace = named.get("name", ""), named.get("namespace", "")
    if not name:
        errs.required(f"{path}.name")
    elif kind == "ServiceAccount" and name != "*":
        validate_dns_subdomain(name, f"{path}.name", errs)
    if kind != "ServiceAccount":
        return
    if namespace:
        report(f"{path}.namespace", namespace, names.dns_label(namespace), errs)
    else:
        errs.required(f"{path}.namespace", "must specify namespace for service account")


def _verbs(verbs: list[str], path: str, errs: Errors) -> None:
    if not verbs:
        errs.required(path, "verbs must contain at least one value")
    elif "*" in verbs:
        _check_wildcard(verbs, "verbs", path, errs)
    elif not set(verbs) <= set(_VERBS):
        errs.not_supported(path, verbs, _VERBS)


def _check_wildcard(values: list[str], what: str, path: str, errs: Errors) -> None:
    if len(values) > 1 and "*" in values:
        errs.invalid(path, values, f"if '*' is present, must not specify other {what}")


def _resource_rule(rule: Object, path: str, errs: Errors) -> None:
    groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
    namespaces = rule.get("namespaces") or []
    _verbs(rule.get("verbs") or [], f"{path}.verbs", errs)
    if not groups:
        errs.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    _check_wildcard(groups, "api groups", f"{path}.apiGroups", errs)
    if not resources:
        errs.required(f"{path}.resources", "resource rules must supply at least one resource")
    _check_wildcard(resources, "resources", f"{path}.resources", errs)
    if not namespaces and not rule.get("clusterScope"):
        why = "resource rules that are not cluster scoped must supply at least one namespace"
        errs.required(f"{path}.namespaces", why)
    elif "*" in namespaces:
        _check_wildcard(namespaces, "namespaces", f"{path}.namespaces", errs)
    else:
        for i, namespace in enumerate(namespaces):
            wrong = [_NAMESPACE_INTRO + m for m in names.dns_label(namespace)]
            report(f"{path}.namespaces[{i}]", namespace, wrong, errs)


def _non_resource_rule(rule: Object, path: str, errs: Errors) -> None:
    urls = rule.get("nonResourceURLs") or []
    _verbs(rule.get("verbs") or [], f"{path}.verbs", errs)
    if not urls:
        errs.required(f"{path}.nonResourceURLs", "nonResourceURLs must contain at least one value")
    elif "*" in urls:
        _check_wildcard(urls, "non-resource URLs", f"{path}.nonResourceURLs", errs)
    else:
        for i, url in enumerate(urls):
            fault = _url_fault(url)
            if fault:
                errs.invalid(f"{path}.nonResourceURLs[{i}]", url, fault)


def _url_fault(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if url.count("*") > 1 or ("*" in url and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


# Priority levels


def validate_priority_level(obj: Object, errs: Errors) -> None:
    name, spec = (obj.get("metadata") or {}).get("name", ""), obj.get("spec") or {}
    kind, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
    if (name == "exempt") != (kind == "Exempt"):
        errs.invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'")
    if kind == "Exempt":
        if limited is not None:
            errs.forbidden("spec.limited", "must be nil if the type is not Limited")
        if exempt is not None:
            _exempt(exempt, errs)
    elif kind == "Limited":
        if exempt is not None:
            errs.forbidden("spec.exempt", "must be nil if the type is Limited")
        if limited is None:
            errs.required("spec.limited", "must not be empty when type is Limited")
        else:
            _limited(limited, errs)
    else:
        errs.not_supported("spec.type", kind, ("Exempt", "Limited"))
    _fixed_level(name, spec, errs)
    _conditions(obj, errs)


def validate_priority_level_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_priority_level(obj, errs)


def _fixed_level(name: str, spec: Object, errs: Errors) -> None:
    mandatory = MANDATORY_LEVELS.get(name)
    if mandatory is None:
        return
    if name == "exempt":
        if not equal(spec | {"exempt": None}, mandatory | {"exempt": None}):
            why = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"
            errs.invalid("spec", _level_shown(spec), why)
    elif not equal(spec, mandatory):
        errs.invalid("spec", _level_shown(spec), f"spec of '{name}' must equal the fixed value")


def _level_shown(spec: Object) -> Object:
    """A priority level's spec as upstream's internal type is printed."""
    limited, exempt = spec.get("limited"), spec.get("exempt")
    shares = ("nominalConcurrencyShares", "lendablePercent")
    return {
        "Type": spec.get("type", ""),
        "Limited": limited and _limited_shown(limited),
        "Exempt": exempt and {m[0].upper() + m[1:]: exempt.get(m) for m in shares},
    }


def _limited_shown(limited: Object) -> Object:
    response = limited.get("limitResponse") or {}
    queuing = response.get("queuing")
    members = ("queues", "handSize", "queueLengthLimit")
    return {
        "NominalConcurrencyShares": limited.get("nominalConcurrencyShares", 0),
        "LimitResponse": {
            "Type": response.get("type", ""),
            "Queuing": queuing and {m[0].upper() + m[1:]: queuing.get(m, 0) for m in members},
        },
        "LendablePercent": limited.get("lendablePercent"),
        "BorrowingLimitPercent": limited.get("borrowingLimitPercent"),
    }


def _exempt(exempt: Object, errs: Errors) -> None:
    shares, percent = exempt.get("nominalConcurrencyShares"), exempt.get("lendablePercent")
    if shares is not None and shares < 0:
        errs.invalid("spec.exempt.nominalConcurrencyShares", shares, "must be a non-negative integer")
    _percent(percent, "spec.exempt.lendablePercent", errs)


def _percent(percent: int | None, path: str, errs: Errors) -> None:
    if percent is not None and not 0 <= percent <= 100:
        errs.invalid(path, percent, "must be between 0 and 100, inclusive")


def _limited(limited: Object, errs: Errors) -> None:
    path = "spec.limited"
    shares, borrowing = limited.get("nominalConcurrencyShares", 0), limited.get("borrowingLimitPercent")
    if shares < 0:
        errs.invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    _limit_response(limited.get("limitResponse") or {}, f"{path}.limitResponse", errs)
    _percent(limited.get("lendablePercent"), f"{path}.lendablePercent", errs)
    if borrowing is not None and borrowing < 0:
        why = "if specified, must be a non-negative integer"
        errs.invalid(f"{path}.borrowingLimitPercent", borrowing, why)


def _limit_response(response: Object, path: str, errs: Errors) -> None:
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            errs.forbidden(f"{path}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind == "Queue":
        if queuing is None:
            errs.required(f"{path}.queuing", "must not be empty if limited.limitResponse.type is Limited")
        else:
            _queuing(queuing, f"{path}.queuing", errs)
    else:
        errs.not_supported(f"{path}.type", kind, ("Queue", "Reject"))


def _queuing(queuing: Object, path: str, errs: Errors) -> None:
    length, queues, hand = (queuing.get(m, 0) for m in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        errs.invalid(f"{path}.queueLengthLimit", length, "must be positive")
    if queues <= 0:
        errs.invalid(f"{path}.queues", queues, "must be positive")
    elif queues > MAX_QUEUES:
        errs.invalid(f"{path}.queues", queues, f"must not be greater than {MAX_QUEUES}")
    if hand <= 0:
        errs.invalid(f"{path}.handSize", hand, "must be positive")
    elif hand > queues:
        errs.invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif entropy_bits(queues, hand) > MAX_HASH_BITS:
        needed = f"required entropy bits of deckSize {queues} and handSize {hand}"
        why = f"{needed} should not be greater than {MAX_HASH_BITS}"
        errs.invalid(f"{path}.handSize", hand, why)


def entropy_bits(queues: int, hand: int) -> int:
    """Bits of hash needed to deal a hand out of so many queues (shufflesharding.RequiredEntropyBits)."""
    return ceil(log2(queues) * hand)
