"""Validates nodes (apis/core/validation)."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pilothouse.api.validate.common import doubles, is_ipv6, validate_cidr
from pilothouse.api.validate.pod.scheduling import validate_taint_effect
from pilothouse.api.validate.resources import validate_quantity
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object, show
from pilothouse.gotext import quote

TAINTS = "scheduler.alpha.kubernetes.io/taints"
AVOID_PODS = "scheduler.alpha.kubernetes.io/preferAvoidPods"
_TOO_DEEP = "exceeded max depth"
_FEATURE = re.compile(r"[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*")
_NO_FEATURE = (
    "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or"
    " MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
)
rules = Rules(
    __name__,
    taint_effect=validate_taint_effect,
)


@rules
def validate_taints(taints: Sequence[Object], path: str, errs: Errors) -> None:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        pair = taint.get("key", ""), taint.get("effect", "")
        _taint(taint, f"{path}[{i}]", errs)
        if pair in seen:
            text = (
                f"Duplicate value: {show(go(taint, 'api.core.v1.Taint'))}: taints must be unique by key and"
                " effect pair"
            )
            errs.add("FieldValueDuplicate", f"{path}[{i}]", text)
        seen.add(pair)


@rules
def _annotations_with_json(annotations: Object, path: str, errs: Errors) -> None:
    """Validates the deprecated annotations for taints and avoided pods, which contain JSON."""
    if annotations.get(TAINTS):
        taints = _listed(annotations[TAINTS])
        if isinstance(taints, str):
            errs.invalid(path, TAINTS, taints)
        else:
            validate_taints(taints, f"{path}.{TAINTS}", errs)
    if not annotations.get(AVOID_PODS):
        return
    try:
        avoided = json.loads(annotations[AVOID_PODS])
        entries = avoided.get("preferAvoidPods") or []
    except RecursionError:
        errs.invalid(f"{path}.AvoidPods", AVOID_PODS, _TOO_DEEP)
        return
    except (ValueError, AttributeError) as err:
        errs.invalid(f"{path}.AvoidPods", AVOID_PODS, str(err))
        return
    for i, entry in enumerate(entries):
        at = f"{path}.{AVOID_PODS}[{i}].PodSignature"
        controller = (entry.get("podSignature") or {}).get("podController")
        if controller is None:
            errs.required(at)
        elif not controller.get("controller"):
            errs.invalid(f"{at}.PodController.Controller", False, "must point to a controller")


def _listed(text: str) -> list[Object] | str:
    try:
        value: Any = json.loads(text)
    except RecursionError:
        return _TOO_DEEP
    except ValueError as err:
        return str(err)
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        return "json: cannot unmarshal object into Go value of type []v1.Taint"
    return value


@rules
def _amounts(listed: Object, path: str, errs: Errors) -> None:
    for name, text in sorted(listed.items()):
        validate_quantity(name, text, f"{path}.{name}", errs)


@rules
def _declared_features(features: Sequence[str], path: str, errs: Errors) -> None:
    for i, feature in enumerate(features):
        if fault := _feature_fault(feature):
            errs.invalid(f"{path}[{i}]", feature, f"invalid feature name {quote(feature)}: {fault}")
        if i + 1 < len(features):
            following, at = features[i + 1], f"{path}[{i + 1}]"
            if feature == following:
                errs.duplicate(at, following)
            elif feature.encode() > following.encode():
                errs.invalid(at, following, "list must be sorted alphabetically")


def _feature_fault(name: str) -> str:
    if names.size(name) > names.SUBDOMAIN_MAX:
        return f"must be no more than {names.SUBDOMAIN_MAX} characters"
    return "" if _FEATURE.fullmatch(name) else _NO_FEATURE


@rules
def _pod_cidrs(cidrs: Sequence[str], path: str, errs: Errors) -> None:
    for i, cidr in enumerate(cidrs):
        validate_cidr(cidr, f"{path}[{i}]", errs)
    if len(cidrs) < 2:
        return
    hosts = [cidr.partition("/")[0] for cidr in cidrs]
    invalid = next((c for c in cidrs if addresses.parse_cidr(c) is None), None)
    if invalid is not None:
        why = f"invalid CIDR[{cidrs.index(invalid)}]: <nil> (invalid CIDR address: {invalid})"
        errs.internal(path, f"invalid PodCIDRs. failed to check with dual stack with error:{why}")
    if invalid is not None or len({is_ipv6(host) for host in hosts}) != 2 or len(cidrs) > 2:
        errs.invalid(path, list(cidrs), "may specify no more than one CIDR for each IP family")
    for i in doubles(cidrs):
        errs.duplicate(f"{path}[{i}]", cidrs[i])


validate_node = rules.kind("v1 Node")("""
    metadata.annotations                annotations-with-json
    spec.taints                         taints as-root:metadata.taints
    status.capacity                     amounts
    status.allocatable                  amounts
    status.nodeInfo.swap.capacity       >0 as-root:metadata.nodeSwapStatus.capacity : must be greater than zero
    status.declaredFeatures             declared-features
    spec.podCIDRs                       pod-cidrs
""")
_taint = rules.table("api.core.v1.Taint")("""
    key                                 qualified-name
    value                               joined-label-value
    effect                              taint-effect
""")
_changed_node = rules.kind("v1 Node")("""
    metadata.annotations                annotations-with-json
    status.capacity                     amounts
    status.allocatable                  amounts
    status.declaredFeatures             declared-features
""")
_changed_node_rest = rules.kind("v1 Node")("""
    spec.configSource
      if configMap given
        configMap.uid-                  : uid must not be set in spec
        configMap.resourceVersion-      : resourceVersion must not be set in spec
      configMap                         config-map-source
      @one-reference
    status.config.assigned              status-source
    status.config.active                status-source
    status.config.lastKnownGood         status-source
    spec.taints                         taints as-root:metadata.taints
""")
"""The kubelet's configuration sources: the feature was removed, but its fields are still validated."""
rules.define("""
one-reference                       api.core.v1.NodeConfigSource
    if not configMap given
      invalid                           show:api.core.v1.NodeConfigSource : exactly one reference subfield must be non-nil
status-source                       api.core.v1.NodeConfigSource
    configMap
      uid!                              : uid must be set in status
      resourceVersion!                  : resourceVersion must be set in status
      @config-map-source
    @one-reference
config-map-source                   api.core.v1.ConfigMapNodeConfigSource
    namespace!                          dns-label : namespace must be set
    name!                               dns-subdomain : name must be set
    kubeletConfigKey!                   config-key : kubeletConfigKey must be set
""")


def validate_node_update(node: Object, old: Object, errs: Errors) -> None:
    """Validates a changed node; pod CIDRs and the provider ID can be set only once."""
    spec, before, status = node.get("spec") or {}, old.get("spec") or {}, node.get("status") or {}
    _changed_node(node, errs)
    pairs = [(a.get("type", ""), a.get("address", "")) for a in status.get("addresses") or ()]
    for i in doubles(pairs):
        kind, address = pairs[i]
        errs.duplicate(f"status.addresses[{i}]", {"Type": kind, "Address": address})
    new_cidrs, old_cidrs = spec.get("podCIDRs") or [], before.get("podCIDRs") or []
    why = 'node updates may not change podCIDR except from "" to valid'
    if old_cidrs and len(old_cidrs) != len(new_cidrs):
        errs.forbidden("spec.podCIDRs", why)
    elif old_cidrs:
        for one, two in zip(new_cidrs, old_cidrs, strict=True):
            if one != two:
                errs.forbidden("spec.podCIDRs", why)
    if before.get("providerID") and before["providerID"] != spec.get("providerID", ""):
        why = 'node updates may not change providerID except from "" to valid'
        errs.forbidden("spec.providerID", why)
    _changed_node_rest(node, errs)
    if spec.get("externalID", "") != before.get("externalID", ""):
        errs.forbidden("spec.externalID", "may not be updated")
