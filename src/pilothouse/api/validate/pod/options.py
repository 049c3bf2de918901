"""Exceptions from pod rules for what the old object has (GetValidationOptionsFromPodSpecAndMeta)."""

from dataclasses import field
from itertools import product

from pilothouse.api.validate import common, resources
from pilothouse.api.validate.paths import has_backsteps
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.values.fields import Errors, Object
from pilothouse.process.frozen import frozen

_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@frozen
class PodOptions:
    """Exceptions from the rules; those that depend on an old object are False for a new one.

    is_pod: the spec is that of a pod, not of a template. old_ips: addresses in the old object, as written.
    allow_privileged: the server's setting, independent of the old object.
    """

    is_pod: bool = False
    allow_privileged: bool = False
    allow_invalid_deletion_cost: bool = False
    allow_invalid_selector_values: bool = False
    allow_indivisible_huge_pages: bool = False
    allow_invalid_spread_selector: bool = False
    allow_non_local_token_path: bool = False
    allow_host_sysctls: bool = False
    allow_invalid_node_affinity_values: bool = False
    old_ips: frozenset[str] = field(default_factory=frozenset)


_NEW = {
    (is_pod, privileged): PodOptions(is_pod, privileged)
    for is_pod, privileged in product((False, True), repeat=2)
}
"""The options for a new spec, by the first two of them."""
NEW = _NEW[False, False]


def options_for(
    old_spec: Object | None,
    old_meta: Object | None = None,
    *,
    is_pod: bool = False,
    policy: PodPolicy = STRICT,
) -> PodOptions:
    """The options for a spec that replaces `old_spec`; without one, those for a new spec."""
    if not old_spec:
        return _NEW[is_pod, policy.allow_privileged]
    affinity = old_spec.get("affinity") or {}
    dns, aliases = old_spec.get("dnsConfig") or {}, old_spec.get("hostAliases") or ()
    return PodOptions(
        is_pod=is_pod,
        allow_privileged=policy.allow_privileged,
        allow_invalid_deletion_cost=deletion_cost_bad(old_meta or {}),
        allow_invalid_selector_values=_pod_selectors_bad(affinity),
        allow_indivisible_huge_pages=_huge_pages_bad(old_spec),
        allow_invalid_spread_selector=_spread_bad(old_spec),
        allow_non_local_token_path=_token_path_bad(old_spec),
        allow_host_sysctls=bool((old_spec.get("securityContext") or {}).get("sysctls")),
        allow_invalid_node_affinity_values=_node_values_bad(affinity),
        old_ips=frozenset([*(dns.get("nameservers") or ()), *(a.get("ip", "") for a in aliases)]),
    )


def deletion_cost_bad(old_meta: Object) -> bool:
    """Whether the old object has a deletion cost that is not a number."""
    cost = (old_meta.get("annotations") or {}).get(DELETION_COST)
    return cost is not None and not is_int32(cost)


def is_int32(text: str) -> bool:
    """Whether Go's ParseInt(text, 10, 32) accepts a text that has no plus sign and no leading zeros."""
    if text and (text[0] == "+" or (text[0] == "0" and text != "0") or text.startswith("-0")):
        return False
    digits = text.removeprefix("-")
    return len(digits) <= 10 and digits.isascii() and digits.isdigit() and -(2**31) <= int(text) < 2**31


def _pod_selectors_bad(affinity: Object) -> bool:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = [
            *(rules.get(_REQUIRED) or ()),
            *(t.get("podAffinityTerm") or {} for t in rules.get(_PREFERRED) or ()),
        ]
        if any(common.selector_has_invalid_value(t.get("labelSelector")) for t in terms):
            return True
    return False


def _node_values_bad(affinity: Object) -> bool:
    required = (affinity.get("nodeAffinity") or {}).get(_REQUIRED) or {}
    return any(common.selector_has_invalid_value(term) for term in required.get("nodeSelectorTerms") or ())


def _spread_bad(spec: Object) -> bool:
    errs = Errors()
    for constraint in spec.get("topologySpreadConstraints") or ():
        common.validate_label_selector(constraint.get("labelSelector"), "labelSelector", errs)
    return bool(errs)


def _token_path_bad(spec: Object) -> bool:
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            path = (source.get("serviceAccountToken") or {}).get("path", "")
            if path.startswith(("/", "..")) or has_backsteps(path):
                return True
    return False


def _huge_pages_bad(spec: Object) -> bool:
    for member in ("containers", "initContainers"):
        for container in spec.get(member) or ():
            for listed in (container.get("resources") or {}).values():
                if isinstance(listed, dict):
                    for name, amount in listed.items():
                        if resources.is_huge_page(name) and resources.huge_page_fault(name, amount):
                            return True
    return False
