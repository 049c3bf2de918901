"""Validates nodes (apis/core/validation)."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object, show
from pilothouse.api.validate.common import doubles, is_ipv6, report, validate_cidr, validate_qualified_name
from pilothouse.api.validate.pod.scheduling import validate_taint_effect
from pilothouse.api.validate.resources import validate_quantity

TAINTS = "scheduler.alpha.kubernetes.io/taints"
AVOID_PODS = "scheduler.alpha.kubernetes.io/preferAvoidPods"
_TOO_DEEP = "exceeded max depth"
_ONE_REFERENCE = "exactly one reference subfield must be non-nil"


def validate_node(node: Object, errs: Errors) -> None:
    spec = node.get("spec") or {}
    _annotations(node["metadata"].get("annotations") or {}, errs)
    validate_taints(spec.get("taints") or [], "metadata.taints", errs)
    _resources(node, errs)
    _pod_cidrs(spec.get("podCIDRs") or [], errs)


def validate_taints(taints: Sequence[Object], path: str, errs: Errors) -> None:
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        at, name, effect = f"{path}[{i}]", taint.get("key", ""), taint.get("effect", "")
        validate_qualified_name(name, f"{at}.key", errs)
        messages = names.label_value(taint.get("value", ""))
        if messages:
            errs.invalid(f"{at}.value", taint.get("value", ""), ";".join(messages))
        validate_taint_effect(effect, f"{at}.effect", errs)
        if (name, effect) in seen:
            shown = {
                "Key": name,
                "Value": taint.get("value", ""),
                "Effect": effect,
                "TimeAdded": taint.get("timeAdded"),
            }
            text = f"Duplicate value: {show(shown)}: taints must be unique by key and effect pair"
            errs.add("FieldValueDuplicate", at, text)
        seen.add((name, effect))


def _annotations(annotations: Object, errs: Errors) -> None:
    """Validates the deprecated annotations for taints and avoided pods, which contain JSON."""
    path = "metadata.annotations"
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


def _resources(node: Object, errs: Errors) -> None:
    status = node.get("status") or {}
    for member in ("capacity", "allocatable"):
        for name, text in sorted((status.get(member) or {}).items()):
            validate_quantity(name, text, f"status.{member}.{name}", errs)


def _pod_cidrs(cidrs: Sequence[str], errs: Errors) -> None:
    path = "spec.podCIDRs"
    for i, cidr in enumerate(cidrs):
        validate_cidr(cidr, f"{path}[{i}]", errs)
    if len(cidrs) < 2:
        return
    hosts = [cidr.partition("/")[0] for cidr in cidrs]
    bad = next((c for c in cidrs if names.parse_cidr(c) is None), None)
    if bad is not None:
        why = f"invalid CIDR[{cidrs.index(bad)}]: <nil> (invalid CIDR address: {bad})"
        errs.internal(path, f"invalid PodCIDRs. failed to check with dual stack with error:{why}")
    if bad is not None or len({is_ipv6(host) for host in hosts}) != 2 or len(cidrs) > 2:
        errs.invalid(path, list(cidrs), "may specify no more than one CIDR for each IP family")
    for i in doubles(cidrs):
        errs.duplicate(f"{path}[{i}]", cidrs[i])


def validate_node_update(node: Object, old: Object, errs: Errors) -> None:
    """Validates a changed node; pod CIDRs and the provider ID can be set only once."""
    spec, before, status = node.get("spec") or {}, old.get("spec") or {}, node.get("status") or {}
    _annotations(node["metadata"].get("annotations") or {}, errs)
    _resources(node, errs)
    addresses = [(a.get("type", ""), a.get("address", "")) for a in status.get("addresses") or ()]
    for i in doubles(addresses):
        kind, address = addresses[i]
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
    _config_sources(spec, status, errs)
    validate_taints(spec.get("taints") or [], "metadata.taints", errs)
    if spec.get("externalID", "") != before.get("externalID", ""):
        errs.forbidden("spec.externalID", "may not be updated")


def _config_sources(spec: Object, status: Object, errs: Errors) -> None:
    """Validates the kubelet's configuration sources: the feature was removed, but its fields are still validated."""
    source = spec.get("configSource")
    if source is not None:
        config = source.get("configMap")
        if config is not None:
            for member in ("uid", "resourceVersion"):
                if config.get(member):
                    errs.forbidden(
                        f"spec.configSource.configMap.{member}", f"{member} must not be set in spec"
                    )
            _config_map_source(config, "spec.configSource.configMap", errs)
        else:
            errs.invalid("spec.configSource", {"ConfigMap": None}, _ONE_REFERENCE)
    for member in ("assigned", "active", "lastKnownGood"):
        part = (status.get("config") or {}).get(member)
        if part is None:
            continue
        path, config = f"status.config.{member}", part.get("configMap")
        if config is None:
            errs.invalid(path, {"ConfigMap": None}, _ONE_REFERENCE)
            continue
        for needed in ("uid", "resourceVersion"):
            if not config.get(needed):
                errs.required(f"{path}.configMap.{needed}", f"{needed} must be set in status")
        _config_map_source(config, f"{path}.configMap", errs)


def _config_map_source(config: Object, path: str, errs: Errors) -> None:
    rules: dict[str, Callable[[str], list[str]]] = {
        "namespace": names.dns_label,
        "name": names.dns_subdomain,
        "kubeletConfigKey": names.config_map_key,
    }
    for member, rule in rules.items():
        value = config.get(member, "")
        if not value:
            errs.required(f"{path}.{member}", f"{member} must be set")
        else:
            report(f"{path}.{member}", value, rule(value), errs)
