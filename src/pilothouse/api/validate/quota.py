"""Validates resource quotas and limit ranges (apis/core/validation)."""

from collections.abc import Sequence

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import IMMUTABLE
from pilothouse.api.validate.resources import (
    amount,
    is_quota_standard,
    overcommits,
    validate_container_resource_name,
    validate_quantities,
    validate_quota_resource_name,
    validate_resource_name,
)
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.quantity import Quantity

LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
POD_SCOPES = ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
SCOPES = (*POD_SCOPES, "BestEffort", "VolumeAttributesClass")
_EXISTS_ONLY = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_POD_RESOURCES = frozenset(
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"]
)
_CLAIM_RESOURCES = frozenset(("persistentvolumeclaims", "requests.storage"))
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_ONE = Quantity(1)
_MAX_MILLI = (2**63 - 1) // 1000
_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating,"
    " ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or"
    " ResourceQuotaScopeCrossNamespacePodAffinity"
)
_ORDERED = (
    ("min", "max", "min", "min", "min/max"),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest", "min/default request"),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request/max"),
    ("defaultRequest", "default", "defaultRequest", "defaultRequest", "default request/default limit"),
    ("min", "default", "default", "min", "min/default"),
    ("default", "max", "default", "max", "default/max"),
)
"""Two bounds, of which the first must not exceed the second; the bound at whose path a fault is reported;
the bound whose value the fault shows; the names of both in the message."""


class _Misfits:
    """Counts the resources of a quota to which a scope cannot apply, once for each scope."""

    def __init__(self, hard: Object) -> None:
        self._standard = [name for name in hard if is_quota_standard(name)]
        self._counts: dict[str, int] = {}

    def count(self, scope: str) -> int:
        if scope not in SCOPES:
            return 0
        if scope not in self._counts:
            self._counts[scope] = sum(not _scope_fits(scope, name) for name in self._standard)
        return self._counts[scope]


rules = Rules(__name__)


@rules
def _quantities(listed: Object, path: str, errs: Errors) -> None:
    validate_quantities(listed, path, errs, validate_quota_resource_name)


validate_quota_status = rules.kind("v1 ResourceQuota")("""
    status.hard                         quantities
    status.used                         quantities
""")
_scope_values = rules.table("api.core.v1.ScopedResourceSelectorRequirement")("""
    if operator in In|NotIn
      values!                           : must be at least one value when `operator` is 'In' or 'NotIn' for scope selector
    elif operator in Exists|DoesNotExist
      values+                           never : must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector
    else
      operator                          never : not a valid selector operator
""")


def validate_quota(quota: Object, errs: Errors) -> None:
    _quota_spec(quota.get("spec") or {}, errs)
    validate_quota_status(quota, errs)


def _quota_spec(spec: Object, errs: Errors) -> None:
    hard = spec.get("hard") or {}
    _quantities(hard, "spec.hard", errs)
    scopes = spec.get("scopes") or []
    misfits = _Misfits(hard)
    for scope in scopes:
        if scope not in SCOPES:
            errs.invalid("spec.scopes", scopes, "unsupported scope")
        for _ in range(misfits.count(scope)):
            errs.invalid("spec.scopes", scopes, "unsupported scope applied to resource")
    _conflicts(scopes, scopes, "spec.scopes", errs)
    if spec.get("scopeSelector") is not None:
        _scope_selector(spec, hard, errs)


def _scope_fits(scope: str, resource: str) -> bool:
    if scope in POD_SCOPES:
        return resource in _POD_RESOURCES
    if scope == "BestEffort":
        return resource == "pods"
    return scope != "VolumeAttributesClass" or resource in _CLAIM_RESOURCES


def _conflicts(found: Sequence[str], shown: Sequence[str] | None, path: str, errs: Errors) -> None:
    for pair in _CONFLICTS:
        if all(scope in found for scope in pair):
            errs.invalid(path, shown or None, "conflicting scopes")


def _scope_selector(spec: Object, hard: Object, errs: Errors) -> None:
    selector, path = spec["scopeSelector"], "spec.scopeSelector.matchExpressions"
    expressions = selector.get("matchExpressions") or []
    misfits = _Misfits(hard)
    shown: Object = {}
    for expression in expressions:
        scope, operator = expression.get("scopeName", ""), expression.get("operator", "")
        if scope not in SCOPES:
            errs.invalid(f"{path}.scopeName", scope, "unsupported scope")
        for _ in range(misfits.count(scope)):
            shown = shown or go(selector, "api.core.v1.ScopeSelector")
            errs.invalid(path, shown, "unsupported scope applied to resource")
        if scope in _EXISTS_ONLY and operator != "Exists":
            errs.invalid(f"{path}.operator", operator, _ONLY_EXISTS)
        _scope_values(expression, path, errs)
    _conflicts([e.get("scopeName", "") for e in expressions], spec.get("scopes"), path, errs)


def validate_quota_update(quota: Object, old: Object, errs: Errors) -> None:
    """Validates a changed quota; its scopes are immutable."""
    spec = quota.get("spec") or {}
    _quota_spec(spec, errs)
    if set(spec.get("scopes") or ()) != set((old.get("spec") or {}).get("scopes") or ()):
        errs.invalid("spec.scopes", spec.get("scopes") or None, IMMUTABLE)


def quota_warnings(quota: Object) -> list[str]:
    """Warnings for hard limits that are useless together (resourcequota strategy)."""
    hard, out = (quota.get("spec") or {}).get("hard") or {}, []
    for name in ("cpu", "memory"):
        shown, limit = f"requests.{name}" if f"requests.{name}" in hard else name, f"limits.{name}"
        if shown in hard and limit in hard and amount(hard[shown]) > amount(hard[limit]):
            out.append(f"ResourceQuota {shown} ({hard[shown]}) should be less than {limit} ({hard[limit]})")
    return out


def validate_limit_range(limits: Object, errs: Errors) -> None:
    seen: set[str] = set()
    for i, limit in enumerate((limits.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{i}]", limit.get("type", "")
        messages = names.qualified_name(kind)
        d.qualified_name(kind, f"{path}.type", errs)
        if not messages and "/" not in kind and kind not in LIMIT_TYPES:
            errs.invalid(f"{path}.type", kind, "must be a standard limit type or fully qualified")
        if kind in seen:
            errs.duplicate(f"{path}.type", kind)
        seen.add(kind)
        _limit(limit, kind, path, errs)


def _limit(limit: Object, kind: str, path: str, errs: Errors) -> None:
    rule = validate_container_resource_name if kind in ("Pod", "Container") else validate_resource_name
    parts: dict[str, Object] = {}
    for member in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        listed = limit.get(member) or {}
        if kind == "Pod" and member.startswith("default"):
            if listed:
                errs.forbidden(f"{path}.{member}", "may not be specified when `type` is 'Pod'")
            listed = {}
        stored = any("storage" in (limit.get(m) or {}) for m in ("min", "max"))
        if member == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim" and not stored:
            why = "either minimum or maximum storage value is required, but neither was provided"
            errs.required(f"{path}.limits", why)
        for name in sorted(listed):
            rule(name, f"{path}.{member}[{name}]", errs)
        parts[member] = listed
    for name in sorted({name for listed in parts.values() for name in listed}):
        given = {member: listed[name] for member, listed in parts.items() if name in listed}
        _bounds(name, given, path, errs)


def _bounds(name: str, given: dict[str, str], path: str, errs: Errors) -> None:
    """Validates the bounds of one resource against each other."""
    request, default = "defaultRequest", "default"
    for low, high, field, shown, what in _ORDERED:
        if low in given and high in given and amount(given[low]) > amount(given[high]):
            one, two = what.split("/")
            why = f"{one} value {given[low]} is greater than {two} value {given[high]}"
            errs.invalid(f"{path}.{field}[{name}]", given[shown], why)
    if "maxLimitRequestRatio" in given:
        _ratio(name, given, f"{path}.maxLimitRequestRatio[{name}]", errs)
    if not {default, request} <= given.keys() or overcommits(name):
        return
    if amount(given[default]) != amount(given[request]):
        why = f"default value {given[default]} must equal to defaultRequest value {given[request]} in {name}"
        errs.invalid(f"{path}.{request}[{name}]", given[request], why)


def _ratio(name: str, given: dict[str, str], path: str, errs: Errors) -> None:
    text = given["maxLimitRequestRatio"]
    ratio = amount(text)
    if ratio < _ONE:
        errs.invalid(path, text, f"ratio {text} is less than 1")
    if "min" not in given or "max" not in given:
        return
    low, high = amount(given["min"]), amount(given["max"])
    values = (float(ratio.value()), low.value(), high.value())
    if all(v < _MAX_MILLI for v in values):
        values = (ratio.milli_value() / 1000, low.milli_value(), high.milli_value())
    wanted, smallest, largest = values
    if not smallest:
        return
    bound = largest / smallest
    if wanted > bound:
        errs.invalid(path, text, f"ratio {text} is greater than max/min = {bound:f}")
