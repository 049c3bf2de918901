"""Validates scheduling fields: affinity, tolerations, spread constraints, gates (apis/core/validation)."""

from collections import Counter
from collections.abc import Sequence
from functools import cache

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.shown import go, sorted_map
from pilothouse.api.validate.tables import Rules

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

rules = Rules()
rules.define("""
any-node-requirement
    if operator in In|NotIn
      values!                           : must be specified when `operator` is 'In' or 'NotIn'
    else
      if operator in Exists|DoesNotExist
        values-                         : may not be specified when `operator` is 'Exists' or 'DoesNotExist'
      else
        if operator in Gt|Lt
          @single-value
        else
          operator                      never : not a valid selector operator
    key                                 qualified-name
node-requirement
    @any-node-requirement
    values[]                            label-value
node-field
    if operator in In|NotIn
      @single-name
    else
      operator                          never : not a valid selector operator
    if key == metadata.name
      values[]                          dns-subdomain
    else
      key                               never : not a valid field selector key
node-term
    matchExpressions[]                  node-requirement
    matchFields[]                       node-field
any-node-term
    matchExpressions[]                  any-node-requirement
    matchFields[]                       node-field
node-selector
    nodeSelectorTerms[]!                node-term : must have at least one node selector term
any-node-selector
    nodeSelectorTerms[]!                any-node-term : must have at least one node selector term
""")
_node_selector, _any_node_selector = rules["node-selector"], rules["any-node-selector"]


@rules
def _single_value(requirement: Object, path: str, errs: Errors) -> None:
    if len(requirement.get("values") or ()) != 1:
        errs.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")


@rules
def _single_name(requirement: Object, path: str, errs: Errors) -> None:
    if len(requirement.get("values") or ()) != 1:
        why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        errs.required(f"{path}.values", why)


def validate_node_selector(selector: Object, path: str, errs: Errors, *, any_value: bool = False) -> None:
    """Validates a NodeSelector; `any_value` if the stored object has a value that is no valid label value."""
    (_any_node_selector if any_value else _node_selector)(selector, path, errs)


@cache
def _affinity(any_node_value: bool, any_pod_value: bool) -> d.Rule:
    """With these, values of selectors need not be valid label values."""
    pods = f"""
      {_REQUIRED}[]                     {{term}}
      {_PREFERRED}[]
        weight                          1..100 : must be in the range 1-100
        podAffinityTerm
          @{{term}}
    """.format(term="any-pod-term" if any_pod_value else "pod-term")
    return rules.table(f"""
    nodeAffinity?
      {_REQUIRED}?                      {"any-node-selector" if any_node_value else "node-selector"}
      {_PREFERRED}[]
        weight                          1..100 : must be in the range 1-100
        preference
          @any-node-term
    podAffinity?{pods}
    podAntiAffinity?{pods}
    """)


_pod_term = """
    labelSelector?                      {selector}
    namespaceSelector?                  {selector}
    namespaces?                         namespaces
    @label-keys
    topologyKey!                        : can not be empty
    topologyKey                         qualified-name
"""
rules.add("pod-term", _pod_term.format(selector="label-selector"))
rules.add("any-pod-term", _pod_term.format(selector="any-selector"))


def validate_affinity(
    affinity: Object | None,
    path: str,
    errs: Errors,
    *,
    any_node_value: bool = False,
    any_pod_value: bool = False,
) -> None:
    if affinity:
        _affinity(any_node_value, any_pod_value)(affinity, path, errs)


@rules
def _namespaces(namespaces: list[str], path: str, errs: Errors) -> None:
    """Upstream's path is in the singular."""
    for namespace in namespaces:
        d.dns_label(namespace, path.removesuffix("s"), errs)


_label_key_lists = rules.table("""
    if labelSelector given
      matchLabelKeys[]                  qualified-name
      mismatchLabelKeys[]               qualified-name
    else
      matchLabelKeys-                   : must not be specified when labelSelector is not set
      mismatchLabelKeys-                : must not be specified when labelSelector is not set
""")


@rules
def _label_keys(term: Object, path: str, errs: Errors) -> None:
    """Validates matchLabelKeys and mismatchLabelKeys; their expressions are already merged into the selector."""
    match = term.get("matchLabelKeys")
    if not match and not term.get("mismatchLabelKeys"):
        return
    _label_key_lists(term, path, errs)
    _merged_twice(match or (), term.get("labelSelector"), path, errs)
    mismatched = set(term.get("mismatchLabelKeys") or ())
    for i, key in enumerate(match or ()):
        if key in mismatched:
            why = "exists in both matchLabelKeys and mismatchLabelKeys"
            errs.invalid(f"{path}.matchLabelKeys[{i}]", key, why)


def _merged_twice(keys: Sequence[str], selector: Object | None, path: str, errs: Errors) -> None:
    """Keys are merged into the selector already, so one that occurs twice there is in both."""
    index = {key: i for i, key in enumerate(keys)}
    seen = set((selector or {}).get("matchLabels") or ())
    for expression in (selector or {}).get("matchExpressions") or ():
        key = expression.get("key", "")
        if key in index and key in seen:
            errs.invalid(f"{path}[{index[key]}]", key, "exists in both matchLabelKeys and labelSelector")
        seen.add(key)


validate_taint_effect = d.chosen("NoSchedule", "PreferNoSchedule", "NoExecute")
rules.add("taint-effect", validate_taint_effect)
rules.add("joined-label-value", d.matches(names.label_value, ";"))
_tolerations = rules.table("""
    tolerations[]                       as:
      key+                              qualified-name
      if not key and operator != Exists
        operator                        never : operator must be Exists when `key` is empty, which means "match all values and all keys"
      if tolerationSeconds given and effect != NoExecute
        effect                          never : effect must be 'NoExecute' when `tolerationSeconds` is set
      if not operator or operator == Equal
        value                           joined-label-value as:operator
      else
        if operator == Exists
          value+                        never as:operator : value must be empty when `operator` is 'Exists'
        else
          operator                      known-operator
      effect+                           taint-effect
""")


@rules
def _known_operator(operator: str, path: str, errs: Errors) -> None:
    """Alpha operators are refused together with the list of valid ones."""
    more = ("Lt", "Gt") if operator in ("Lt", "Gt") else ()
    errs.not_supported(path, operator, ("Equal", "Exists", *more))


def validate_tolerations(tolerations: Sequence[Object] | None, path: str, errs: Errors) -> None:
    if tolerations:
        _tolerations({"tolerations": tolerations}, path, errs)


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
        d.qualified_name(name, f"{path}[{i}]", errs)
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


_spread_head = rules.table("""
    maxSkew                             >=1 : must be greater than zero
    topologyKey!                        : can not be empty
    whenUnsatisfiable                   DoNotSchedule|ScheduleAnyway
""")
_spread_rest = rules.table("""
    minDomains?                         >=1 : must be greater than zero
    if minDomains given and whenUnsatisfiable != DoNotSchedule
      @only-do-not-schedule
    nodeAffinityPolicy?                 Honor|Ignore
    nodeTaintsPolicy?                   Honor|Ignore
    if matchLabelKeys
      if not labelSelector given
        matchLabelKeys-                 : must not be specified when labelSelector is not set
      matchLabelKeys[]                  qualified-name
""")


@rules
def _only_do_not_schedule(constraint: Object, path: str, errs: Errors) -> None:
    action = constraint.get("whenUnsatisfiable", "")
    why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
    errs.invalid(f"{path}.minDomains", constraint["minDomains"], why)


def validate_spread_constraints(
    constraints: Sequence[Object] | None, path: str, errs: Errors, *, any_selector: bool = False
) -> None:
    listed = constraints or ()
    left = Counter(map(_spread_pair, listed))
    for i, constraint in enumerate(listed):
        at, (key, action) = f"{path}[{i}]", _spread_pair(constraint)
        _spread_head(constraint, at, errs)
        left[key, action] -= 1
        if left[key, action]:  # another constraint with the same pair follows
            errs.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        _spread_rest(constraint, at, errs)
        selector = constraint.get("labelSelector")
        if constraint.get("matchLabelKeys"):
            _merged_twice(constraint["matchLabelKeys"], selector, f"{at}.matchLabelKeys", errs)
        if selector is not None and not any_selector:
            d.label_selector(selector, f"{at}.labelSelector", errs)


def _spread_pair(constraint: Object) -> tuple[str, str]:
    return constraint.get("topologyKey", ""), constraint.get("whenUnsatisfiable", "")


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
        errs.invalid(path, go(after, "api.core.v1.NodeSelectorTerm") or None, why)
        return
    for i, (one, two) in enumerate(zip(after, before, strict=True)):
        if not _only_additions(one, two):
            errs.invalid(
                f"{path}[{i}]",
                go(one, "api.core.v1.NodeSelectorTerm"),
                "only additions are allowed (no mutations or deletions)",
            )


def _only_additions(new: Object, old: Object) -> bool:
    lists = [(new.get(m) or [], old.get(m) or []) for m in ("matchExpressions", "matchFields")]
    if not any(before for _, before in lists) and any(after for after, _ in lists):
        return False
    return all(equal(after[: len(before)], before) for after, before in lists if before)
