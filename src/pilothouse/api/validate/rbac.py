"""Validates rbac.authorization.k8s.io/v1: roles and role bindings."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.apps import compile_selector
from pilothouse.api.validate.common import report, selector_has_invalid_value, validate_label_selector

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")
_SELECTORS = "aggregationRule.clusterRoleSelectors"


def validate_role(obj: Object, errs: Errors) -> None:
    for i, rule in enumerate(obj.get("rules") or ()):
        _rule(rule, f"rules[{i}]", True, errs)


def validate_role_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_role(obj, errs)


def validate_cluster_role(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new cluster role; with `old`, a changed one, whose selectors may keep invalid label values."""
    for i, rule in enumerate(obj.get("rules") or ()):
        _rule(rule, f"rules[{i}]", False, errs)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    before = ((old or {}).get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    excuse = any(selector_has_invalid_value(s) for s in before)
    selectors = aggregation.get("clusterRoleSelectors") or ()
    if not selectors:
        errs.required(_SELECTORS, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for i, selector in enumerate(selectors):
        path = f"{_SELECTORS}[{i}]"
        validate_label_selector(selector, path, errs, allow_invalid_values=excuse)
        if compile_selector(selector) is None:
            errs.invalid(path, None, "invalid label selector.")


def _rule(rule: Object, path: str, namespaced: bool, errs: Errors) -> None:
    if not rule.get("verbs"):
        errs.required(f"{path}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs")
    if urls:
        at = f"{path}.nonResourceURLs"
        if namespaced:
            errs.invalid(at, urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            errs.invalid(at, urls, "rules cannot apply to both regular resources and non-resource URLs")
        return
    if not rule.get("apiGroups"):
        errs.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        errs.required(f"{path}.resources", "resource rules must supply at least one resource")


def validate_role_binding(obj: Object, errs: Errors) -> None:
    _binding(obj, ("Role", "ClusterRole"), errs)


def validate_cluster_role_binding(obj: Object, errs: Errors) -> None:
    _binding(obj, ("ClusterRole",), errs)


def _binding(obj: Object, kinds: tuple[str, ...], errs: Errors) -> None:
    role = obj.get("roleRef") or {}
    group, kind, name = (role.get(m, "") for m in ("apiGroup", "kind", "name"))
    if group != GROUP:
        errs.not_supported("roleRef.apiGroup", group, (GROUP,))
    if kind not in kinds:
        errs.not_supported("roleRef.kind", kind, kinds)
    if not name:
        errs.required("roleRef.name")
    else:
        report("roleRef.name", name, names.path_segment(name), errs)
    for i, subject in enumerate(obj.get("subjects") or ()):
        _subject(subject, f"subjects[{i}]", "Role" in kinds, errs)


def _subject(subject: Object, path: str, namespaced: bool, errs: Errors) -> None:
    kind, group, name = (subject.get(m, "") for m in ("kind", "apiGroup", "name"))
    if not name:
        errs.required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            report(f"{path}.name", name, names.dns_subdomain(name), errs)
        if group:
            errs.not_supported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            errs.required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != GROUP:
            errs.not_supported(f"{path}.apiGroup", group, (GROUP,))
    else:
        errs.not_supported(f"{path}.kind", kind, _SUBJECTS)


def validate_role_binding_update(obj: Object, old: Object, errs: Errors) -> None:
    _fixed_role(obj, old, errs)


def validate_cluster_role_binding_update(obj: Object, old: Object, errs: Errors) -> None:
    _fixed_role(obj, old, errs)


def _fixed_role(obj: Object, old: Object, errs: Errors) -> None:
    new, before = (_role_shown(o.get("roleRef") or {}) for o in (obj, old))
    if new != before:
        errs.invalid("roleRef", new, "cannot change roleRef")


def _role_shown(role: Object) -> Object:
    return {
        "APIGroup": role.get("apiGroup", ""),
        "Kind": role.get("kind", ""),
        "Name": role.get("name", ""),
    }
