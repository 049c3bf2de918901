"""Validates scheduling fields: affinity, tolerations, spread constraints, gates (apis/core/validation)."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.shown import go, sorted_map
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
validate_taint_effect = d.chosen("NoSchedule", "PreferNoSchedule", "NoExecute")


class _Spread(NamedTuple):
    """How many constraints of each kind are left in the list, and whether their selectors may be invalid."""

    left: Counter[tuple[str, str]]
    any_selector: bool


rules = Rules(
    __name__,
    merged_keys=lambda constraint, path, errs: _merged_twice(
        constraint["matchLabelKeys"], constraint.get("labelSelector"), f"{path}.matchLabelKeys", errs
    ),
)


@rules
def _match_label_keys(term: Object, path: str, errs: Errors) -> None:
    """The expressions of the keys are already merged into the selector."""
    _merged_twice(term["matchLabelKeys"], term.get("labelSelector"), path, errs)
    mismatched = set(term.get("mismatchLabelKeys") or ())
    for i, key in enumerate(term["matchLabelKeys"]):
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


rules.add("taint-effect", validate_taint_effect)


@rules
def _known_operator(operator: str, path: str, errs: Errors) -> None:
    """Alpha operators are refused together with the list of valid ones."""
    more = ("Lt", "Gt") if operator in ("Lt", "Gt") else ()
    errs.not_supported(path, operator, ("Equal", "Exists", *more))


@rules
def _only_do_not_schedule(constraint: Object, path: str, errs: Errors) -> None:
    action = constraint.get("whenUnsatisfiable", "")
    why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
    errs.invalid(f"{path}.minDomains", constraint["minDomains"], why)


@rules
def _one_of_its_kind(constraint: Object, path: str, errs: Errors, spread: _Spread) -> None:
    """Check that no other constraint with the same pair follows."""
    key, action = pair = _spread_pair(constraint)
    spread.left[pair] -= 1
    if spread.left[pair]:
        errs.duplicate(f"{path}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")


rules.define(f"""
any-node-requirement                api.core.v1.NodeSelectorRequirement
    if operator in In|NotIn
      values!                           : must be specified when `operator` is 'In' or 'NotIn'
    elif operator in Exists|DoesNotExist
      values-                           : may not be specified when `operator` is 'Exists' or 'DoesNotExist'
    elif operator in Gt|Lt
      if #values != 1
        required                        at:values : must be specified single value when `operator` is 'Lt' or 'Gt'
    else
      operator                          never : not a valid selector operator
    key                                 qualified-name
node-requirement                    api.core.v1.NodeSelectorRequirement
    @any-node-requirement
    values[]                            $allow_invalid_node_affinity_values?:label-value
node-field                          api.core.v1.NodeSelectorRequirement
    if not operator in In|NotIn
      operator                          never : not a valid selector operator
    elif #values != 1
      required at:values                : must be only one value when `operator` is 'In' or 'NotIn' for node field selector
    if key == metadata.name
      values[]                          dns-subdomain
    else
      key                               never : not a valid field selector key
any-node-term                       api.core.v1.NodeSelectorTerm
    matchExpressions[]                  any-node-requirement
    matchFields[]                       node-field
node-selector                       api.core.v1.NodeSelector
    nodeSelectorTerms[]!                : must have at least one node selector term
      matchExpressions[]                node-requirement
      matchFields[]                     node-field
affinity                            api.core.v1.Affinity
    nodeAffinity
      {_REQUIRED}                       node-selector
      {_PREFERRED}[]
        weight                          1..100 : must be in the range 1-100
        preference
          @any-node-term
    podAffinity                         pod-affinity
    podAntiAffinity                     pod-affinity
pod-affinity                        api.core.v1.PodAffinity|PodAntiAffinity
    {_REQUIRED}[]                       pod-term
    {_PREFERRED}[]
      weight                            1..100 : must be in the range 1-100
      podAffinityTerm
        @pod-term
pod-term                            api.core.v1.PodAffinityTerm
    labelSelector                       $allow_invalid_selector_values?any-selector:label-selector
    namespaceSelector                   $allow_invalid_selector_values?any-selector:label-selector
    namespaces[=]                       dns-label as:namespace
    if labelSelector given
      matchLabelKeys[]                  qualified-name
      mismatchLabelKeys[]               qualified-name
    else
      matchLabelKeys-                   : must not be specified when labelSelector is not set
      mismatchLabelKeys-                : must not be specified when labelSelector is not set
    if matchLabelKeys
      @match-label-keys
    topologyKey!                        : can not be empty
    topologyKey                         qualified-name
scheduling-gates                    []api.core.v1.PodSchedulingGate
    []                                  unique:name
      name                              qualified-name as:
spread-constraints                  []api.core.v1.TopologySpreadConstraint
    []
      maxSkew                           >=1 : must be greater than zero
      topologyKey!                      : can not be empty
      whenUnsatisfiable                 DoNotSchedule|ScheduleAnyway
      @one-of-its-kind
      minDomains                        >=1 : must be greater than zero
      if minDomains given and whenUnsatisfiable != DoNotSchedule
        @only-do-not-schedule
      nodeAffinityPolicy                Honor|Ignore
      nodeTaintsPolicy                  Honor|Ignore
      if matchLabelKeys
        if not labelSelector given
          matchLabelKeys-               : must not be specified when labelSelector is not set
        matchLabelKeys[]                qualified-name
        @merged-keys
      labelSelector                     $any_selector?:label-selector
""")
validate_node_selector = rules["node-selector"]
rules.define("""
tolerations                         []api.core.v1.Toleration
    []
      key+                              qualified-name
      if not key and operator != Exists
        operator                        never : operator must be Exists when `key` is empty, which means "match all values and all keys"
      if tolerationSeconds given and effect != NoExecute
        effect                          never : effect must be 'NoExecute' when `tolerationSeconds` is set
      if not operator or operator == Equal
        value                           joined-label-value as:operator
      elif operator == Exists
        value+                          never as:operator : value must be empty when `operator` is 'Exists'
      else
        operator                        known-operator
      effect+                           taint-effect
""")
validate_tolerations = rules["tolerations"]


def validate_added_tolerations(new: Sequence[Object], old: Sequence[Object], path: str, errs: Errors) -> None:
    """Old tolerations must stay, except their tolerationSeconds; new ones may be added."""

    def plain(toleration: Object) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((k, v) for k, v in toleration.items() if k != "tolerationSeconds"))

    kept = {plain(t) for t in new}
    if any(plain(t) not in kept for t in old):
        errs.forbidden(path, "existing toleration can not be modified except its tolerationSeconds")
        return
    validate_tolerations(new, path, errs)


def validate_deleted_gates(new: Sequence[Object], old: Sequence[Object], path: str, errs: Errors) -> None:
    """Gates may be removed but not added."""
    kept = {gate.get("name", "") for gate in old}
    for i, gate in enumerate(new):
        name = gate.get("name", "")
        if name not in kept:
            why = f"only deletion is allowed, but found new scheduling gate '{name}'"
            errs.forbidden(f"{path}[{i}].name", why)


def validate_spread_constraints(
    constraints: Sequence[Object], path: str, errs: Errors, *, any_selector: bool = False
) -> None:
    spread = _Spread(Counter(map(_spread_pair, constraints)), any_selector)
    rules["spread-constraints"](constraints, path, errs, spread)


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
            why = "only additions are allowed (no mutations or deletions)"
            errs.invalid(f"{path}[{i}]", go(one, "api.core.v1.NodeSelectorTerm"), why)


def _only_additions(new: Object, old: Object) -> bool:
    lists = [(new.get(m) or [], old.get(m) or []) for m in ("matchExpressions", "matchFields")]
    if not any(before for _, before in lists) and any(after for after, _ in lists):
        return False
    return all(equal(after[: len(before)], before) for after, before in lists if before)
