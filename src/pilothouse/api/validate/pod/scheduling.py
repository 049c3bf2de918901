"""Validates scheduling fields: affinity, tolerations, spread constraints, gates (apis/core/validation)."""

from collections import Counter
from collections.abc import Sequence

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import (
    NOT_POSITIVE,
    check_values_by_operator,
    equal,
    report,
    validate_label_selector,
    validate_name,
    validate_qualified_name,
)
from pilothouse.api.validate.shown import go, sorted_map

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def validate_node_selector(selector: Object, path: str, errs: Errors, *, any_value: bool = False) -> None:
    """Validates a NodeSelector; `any_value` if the stored object has a value that is no valid label value."""
    path = f"{path}.nodeSelectorTerms"
    terms = selector.get("nodeSelectorTerms") or []
    if not terms:
        errs.required(path, "must have at least one node selector term")
    for i, term in enumerate(terms):
        validate_node_selector_term(term, f"{path}[{i}]", errs, any_value=any_value)


def validate_node_selector_term(term: Object, path: str, errs: Errors, *, any_value: bool = False) -> None:
    for i, requirement in enumerate(term.get("matchExpressions") or ()):
        _node_requirement(requirement, f"{path}.matchExpressions[{i}]", errs, any_value)
    for i, requirement in enumerate(term.get("matchFields") or ()):
        _node_field(requirement, f"{path}.matchFields[{i}]", errs)


def _node_requirement(requirement: Object, path: str, errs: Errors, any_value: bool) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    if operator in ("In", "NotIn", "Exists", "DoesNotExist"):
        check_values_by_operator(operator, values, f"{path}.values", errs)
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            errs.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        errs.invalid(f"{path}.operator", operator, "not a valid selector operator")
    validate_qualified_name(requirement.get("key", ""), f"{path}.key", errs)
    if not any_value:
        for i, value in enumerate(values):
            report(f"{path}.values[{i}]", value, names.label_value(value), errs)


def _node_field(requirement: Object, path: str, errs: Errors) -> None:
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    if operator not in ("In", "NotIn"):
        errs.invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        errs.required(
            f"{path}.values",
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )
    if requirement.get("key") != "metadata.name":
        errs.invalid(f"{path}.key", requirement.get("key", ""), "not a valid field selector key")
    else:
        for i, value in enumerate(values):
            validate_name(names.dns_subdomain, value, f"{path}.values[{i}]", errs)


def validate_affinity(
    affinity: Object | None,
    path: str,
    errs: Errors,
    *,
    any_node_value: bool = False,
    any_pod_value: bool = False,
) -> None:
    if not affinity:
        return
    node = affinity.get("nodeAffinity")
    if node is not None:
        _node_affinity(node, f"{path}.nodeAffinity", errs, any_node_value)
    for member in ("podAffinity", "podAntiAffinity"):
        if affinity.get(member) is not None:
            _pod_affinity(affinity[member], f"{path}.{member}", errs, any_pod_value)


def _node_affinity(affinity: Object, path: str, errs: Errors, any_value: bool) -> None:
    required = affinity.get(_REQUIRED)
    if required is not None:
        validate_node_selector(required, f"{path}.{_REQUIRED}", errs, any_value=any_value)
    for i, term in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{i}]"
        _weight(term, at, errs)
        validate_node_selector_term(term.get("preference") or {}, f"{at}.preference", errs, any_value=True)


def _weight(term: Object, path: str, errs: Errors) -> None:
    weight = term.get("weight", 0)
    if not 0 < weight <= 100:
        errs.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _pod_affinity(affinity: Object, path: str, errs: Errors, any_value: bool) -> None:
    for i, term in enumerate(affinity.get(_REQUIRED) or ()):
        _pod_term(term, f"{path}.{_REQUIRED}[{i}]", errs, any_value)
    for i, term in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{path}.{_PREFERRED}[{i}]"
        _weight(term, at, errs)
        _pod_term(term.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm", errs, any_value)


def _pod_term(term: Object, path: str, errs: Errors, any_value: bool) -> None:
    for member in ("labelSelector", "namespaceSelector"):
        validate_label_selector(term.get(member), f"{path}.{member}", errs, allow_invalid_values=any_value)
    for namespace in term.get("namespaces") or ():
        validate_name(names.dns_label, namespace, f"{path}.namespace", errs)
    _label_keys(term, path, errs)
    topology = term.get("topologyKey", "")
    if not topology:
        errs.required(f"{path}.topologyKey", "can not be empty")
    validate_qualified_name(topology, f"{path}.topologyKey", errs)


def _label_keys(term: Object, path: str, errs: Errors) -> None:
    """Validates matchLabelKeys and mismatchLabelKeys; their expressions are already merged into the selector."""
    match, mismatch = term.get("matchLabelKeys") or [], term.get("mismatchLabelKeys") or []
    selector = term.get("labelSelector")
    for member, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            errs.forbidden(f"{path}.{member}", "must not be specified when labelSelector is not set")
        elif keys:
            for i, key in enumerate(keys):
                validate_qualified_name(key, f"{path}.{member}[{i}]", errs)
    if selector is not None:
        index = {key: i for i, key in enumerate(match)}
        seen = set(selector.get("matchLabels") or ())
        for expression in selector.get("matchExpressions") or ():
            key = expression.get("key", "")
            if key in index and key in seen:
                errs.invalid(f"{path}[{index[key]}]", key, "exists in both matchLabelKeys and labelSelector")
            seen.add(key)
    mismatched = set(mismatch)
    for i, key in enumerate(match):
        if key in mismatched:
            errs.invalid(
                f"{path}.matchLabelKeys[{i}]", key, "exists in both matchLabelKeys and mismatchLabelKeys"
            )


def validate_taint_effect(effect: str, path: str, errs: Errors) -> None:
    if not effect:
        errs.required(path)
    elif effect not in TAINT_EFFECTS:
        errs.not_supported(path, effect, TAINT_EFFECTS)


def validate_tolerations(tolerations: Sequence[Object] | None, path: str, errs: Errors) -> None:
    for i, toleration in enumerate(tolerations or ()):
        _toleration(toleration, f"{path}[{i}]", errs)


def _toleration(toleration: Object, path: str, errs: Errors) -> None:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key:
        validate_qualified_name(key, f"{path}.key", errs)
    elif operator != "Exists":
        errs.invalid(
            f"{path}.operator",
            operator,
            'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        )
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        errs.invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("", "Equal"):
        messages = names.label_value(value)
        if messages:
            errs.invalid(f"{path}.operator", value, ";".join(messages))
    elif operator == "Exists":
        if value:
            errs.invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    else:
        compares = operator in ("Lt", "Gt")  # alpha operators; refused together with the list of valid ones
        valid = ("Equal", "Exists", "Lt", "Gt") if compares else ("Equal", "Exists")
        errs.not_supported(f"{path}.operator", operator, valid)
    if effect:
        validate_taint_effect(effect, f"{path}.effect", errs)


def validate_added_tolerations(new: Sequence[Object], old: Sequence[Object], path: str, errs: Errors) -> None:
    """Old tolerations must stay, except their tolerationSeconds; new ones may be added."""

    def plain(toleration: Object) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((k, v) for k, v in toleration.items() if k != "tolerationSeconds"))

    kept = {plain(t) for t in new}
    if any(plain(t) not in kept for t in old):
        errs.forbidden(path, "existing toleration can not be modified except its tolerationSeconds")
        return
    validate_tolerations(new, path, errs)


def validate_scheduling_gates(gates: Sequence[Object] | None, path: str, errs: Errors) -> None:
    seen: set[str] = set()
    for i, gate in enumerate(gates or ()):
        name = gate.get("name", "")
        validate_qualified_name(name, f"{path}[{i}]", errs)
        if name in seen:
            errs.duplicate(f"{path}[{i}]", name)
        seen.add(name)


def validate_deleted_gates(new: Sequence[Object], old: Sequence[Object], path: str, errs: Errors) -> None:
    """Gates may be removed but not added."""
    kept = {gate.get("name", "") for gate in old}
    for i, gate in enumerate(new):
        name = gate.get("name", "")
        if name not in kept:
            errs.forbidden(
                f"{path}[{i}].name", f"only deletion is allowed, but found new scheduling gate '{name}'"
            )


def validate_readiness_gates(gates: Sequence[Object] | None, path: str, errs: Errors) -> None:
    for i, gate in enumerate(gates or ()):
        validate_qualified_name(gate.get("conditionType", ""), f"{path}[{i}].conditionType", errs)


def validate_spread_constraints(
    constraints: Sequence[Object] | None, path: str, errs: Errors, *, any_selector: bool = False
) -> None:
    listed = constraints or ()
    left = Counter(map(_spread_pair, listed))
    for i, constraint in enumerate(listed):
        at = f"{path}[{i}]"
        if constraint.get("maxSkew", 0) <= 0:
            errs.invalid(f"{at}.maxSkew", constraint.get("maxSkew", 0), NOT_POSITIVE)
        key, action = _spread_pair(constraint)
        if not key:
            errs.required(f"{at}.topologyKey", "can not be empty")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errs.not_supported(f"{at}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
        left[key, action] -= 1
        if left[key, action]:  # another constraint with the same pair follows
            errs.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        _min_domains(constraint.get("minDomains"), action, f"{at}.minDomains", errs)
        for member in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = constraint.get(member)
            if policy is not None and policy not in ("Honor", "Ignore"):
                errs.not_supported(f"{at}.{member}", policy, ("Honor", "Ignore"))
        _spread_label_keys(constraint, f"{at}.matchLabelKeys", errs)
        if not any_selector:
            validate_label_selector(constraint.get("labelSelector"), f"{at}.labelSelector", errs)


def _spread_pair(constraint: Object) -> tuple[str, str]:
    return constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")


def _min_domains(count: int | None, action: str, path: str, errs: Errors) -> None:
    if count is None:
        return
    if count <= 0:
        errs.invalid(path, count, NOT_POSITIVE)
    if action != "DoNotSchedule":
        errs.invalid(path, count, f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}")


def _spread_label_keys(constraint: Object, path: str, errs: Errors) -> None:
    """The keys are merged into the selector already, so a key that occurs twice there is a duplicate."""
    keys, selector = constraint.get("matchLabelKeys") or [], constraint.get("labelSelector")
    if not keys:
        return
    if selector is None:
        errs.forbidden(path, "must not be specified when labelSelector is not set")
    for i, key in enumerate(keys):
        validate_qualified_name(key, f"{path}[{i}]", errs)
    if selector is None:
        return
    index = {key: i for i, key in enumerate(keys)}
    seen = set(selector.get("matchLabels") or ())
    for expression in selector.get("matchExpressions") or ():
        key = expression.get("key", "")
        if key in index and key in seen:
            errs.invalid(f"{path}[{index[key]}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)


def validate_node_selector_additions(new: Object, old: Object, path: str, errs: Errors) -> None:
    """The nodeSelector of a pod with gates may only get additional entries."""
    if any(new.get(k) != v for k, v in old.items()):
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errs.invalid(path, sorted_map(new), why)


def validate_node_affinity_additions(new: Object | None, old: Object | None, path: str, errs: Errors) -> None:
    """The required node affinity of a pod with gates may only become stricter."""
    before = ((old or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    if not before:
        return
    after = ((new or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
    path = f"{path}.{_REQUIRED}.nodeSelectorTerms"
    if len(before) != len(after):
        why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        errs.invalid(path, go(after, "core.v1.NodeSelectorTerm") or None, why)
        return
    for i, (one, two) in enumerate(zip(after, before, strict=True)):
        if not _only_additions(one, two):
            errs.invalid(
                f"{path}[{i}]",
                go(one, "core.v1.NodeSelectorTerm"),
                "only additions are allowed (no mutations or deletions)",
            )


def _only_additions(new: Object, old: Object) -> bool:
    lists = [(new.get(m) or [], old.get(m) or []) for m in ("matchExpressions", "matchFields")]
    if not any(before for _, before in lists) and any(after for after, _ in lists):
        return False
    return all(equal(after[: len(before)], before) for after, before in lists if before)
