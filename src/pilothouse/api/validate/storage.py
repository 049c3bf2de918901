"""Validates storage.k8s.io/v1: classes, CSI drivers and nodes, capacities, attachments."""

from collections import Counter
from typing import Any

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import (
    equal,
    immutable_field,
    report,
    selector_has_invalid_value,
    validate_dns_subdomain,
    validate_label_selector,
    validate_nonnegative,
    validate_qualified_name,
)
from pilothouse.api.validate.persistentvolume import validate_volume_spec
from pilothouse.api.validate.resources import validate_nonnegative_quantity
from pilothouse.api.validate.shown import label_selector, sorted_map

MAX_PARAMETERS, MAX_PARAMETERS_SIZE = 512, 256 * 1024
MAX_METADATA_SIZE = 256 * 1024
MAX_ERROR_MESSAGE = 1024
MAX_NODE_ID = 256
MAX_DRIVER_NAME = 63
MAX_INT32 = 2**31 - 1
_RECLAIM = ("Delete", "Retain")
_BINDING = ("Immediate", "WaitForFirstConsumer")
_FS_GROUP = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLE = ("Persistent", "Ephemeral")
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


# Storage classes and volume attributes classes


def validate_storage_class(obj: Object, errs: Errors) -> None:
    _provisioner(obj.get("provisioner", ""), "provisioner", errs)
    _parameters(obj.get("parameters") or {}, errs)
    reclaim, binding = obj.get("reclaimPolicy"), obj.get("volumeBindingMode")
    if reclaim and reclaim not in _RECLAIM:
        errs.not_supported("reclaimPolicy", reclaim, _RECLAIM)
    if binding is None:
        errs.required("volumeBindingMode")
    elif binding not in _BINDING:
        errs.not_supported("volumeBindingMode", binding, _BINDING)
    _topologies(obj.get("allowedTopologies") or (), errs)


def validate_storage_class_update(obj: Object, old: Object, errs: Errors) -> None:
    for member in ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"):
        new, before = (_shown(o.get(member)) for o in (obj, old))
        immutable_field(new, before, member, errs)


def _shown(value: Any) -> Any:
    return sorted_map(value) if isinstance(value, dict) else value


def _provisioner(name: str, path: str, errs: Errors) -> None:
    if not name:
        errs.required(path)
    else:
        validate_qualified_name(name.lower(), path, errs)


def _parameters(parameters: dict[str, str], errs: Errors, *, needed: bool = False) -> None:
    if len(parameters) > MAX_PARAMETERS:
        errs.too_long("parameters", MAX_PARAMETERS)
        return
    if "" in parameters:
        errs.invalid("parameters", "", "field can not be empty.")
    if _size(parameters) > MAX_PARAMETERS_SIZE:
        errs.too_long("parameters", MAX_PARAMETERS_SIZE)
    if needed and not parameters:
        errs.required("parameters", "must contain at least one key/value pair")


def _size(members: dict[str, str]) -> int:
    return sum(len(k.encode()) + len(v.encode()) for k, v in members.items())


def _topologies(terms: list[Object] | tuple[()], errs: Errors) -> None:
    """Check the terms; one without expressions equals the empty places that upstream's list of terms starts with."""
    seen: Counter[tuple[tuple[str, tuple[str, ...]], ...]] = Counter({(): len(terms)})
    for i, term in enumerate(terms):
        path = f"allowedTopologies[{i}].matchLabelExpressions"
        found: dict[str, set[str]] = {}
        for j, expression in enumerate(term.get("matchLabelExpressions") or ()):
            name, values = expression.get("key", ""), expression.get("values") or ()
            _topology_values(name, values, f"{path}[{j}]", errs)
            if name in found:
                errs.duplicate(f"{path}[{j}].key", name)
            found[name] = set(values)
        same = tuple(sorted((name, tuple(sorted(values))) for name, values in found.items()))
        for _ in range(seen[same]):
            errs.duplicate(path, "")
        seen[same] += 1


def _topology_values(name: str, values: list[str] | tuple[()], path: str, errs: Errors) -> None:
    if not values:
        errs.required(f"{path}.values")
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            errs.duplicate(f"{path}.values[{i}]", value)
        seen.add(value)
    validate_qualified_name(name, f"{path}.key", errs)


def validate_volume_attributes_class(obj: Object, errs: Errors) -> None:
    _provisioner(obj.get("driverName", ""), "driverName", errs)
    _parameters(obj.get("parameters") or {}, errs, needed=True)


def validate_volume_attributes_class_update(obj: Object, old: Object, errs: Errors) -> None:
    for member in ("driverName", "parameters"):
        if not equal(obj.get(member), old.get(member)):
            errs.forbidden(member, f"updates to {member} are forbidden.")
    validate_volume_attributes_class(obj, errs)


# CSI drivers


def validate_csi_driver(obj: Object, errs: Errors) -> None:
    spec = _spec(obj)
    needed = (("attachRequired", "attachedRequired"), ("podInfoOnMount", ""), ("storageCapacity", ""))
    for member, shown in needed:
        if spec.get(member) is None:
            errs.required(f"spec.{shown or member}")
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in _FS_GROUP:
        errs.not_supported("spec.fsGroupPolicy", policy, _FS_GROUP)
    _token_requests(spec.get("tokenRequests") or (), errs)
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in _LIFECYCLE:
            errs.not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLE)
    if spec.get("seLinuxMount") is None:
        errs.required("spec.seLinuxMount")
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < 10:
        why = "must be greater than or equal to 10 seconds"
        errs.invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, why)
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not spec.get("tokenRequests"):
        why = "must be unset if tokenRequests is empty"
        errs.invalid("spec.serviceAccountTokenInSecrets", in_secrets, why)


def _token_requests(requests: list[Object] | tuple[()], errs: Errors) -> None:
    audiences: set[str] = set()
    for i, request in enumerate(requests):
        audience, seconds = request.get("audience", ""), request.get("expirationSeconds")
        path = f"spec.tokenRequests[{i}]"
        if audience in audiences:
            errs.duplicate(f"{path}.audience", audience)
            continue
        audiences.add(audience)
        if seconds is None:
            continue
        if seconds < 600:
            why = "may not specify a duration less than 10 minutes"
            errs.invalid(f"{path}.expirationSeconds", seconds, why)
        if seconds > 2**32:
            why = "may not specify a duration larger than 2^32 seconds"
            errs.invalid(f"{path}.expirationSeconds", seconds, why)


def validate_csi_driver_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_csi_driver(obj, errs)
    spec, before = _spec(obj), _spec(old)
    immutable_field(spec.get("attachRequired"), before.get("attachRequired"), "spec.attachedRequired", errs)
    modes = "volumeLifecycleModes"
    immutable_field(spec.get(modes), before.get(modes), f"spec.{modes}", errs)


def csi_driver_warnings(obj: Object) -> list[str]:
    """Warns about tokens that a driver gets in its volume context, where they may be logged (KEP-5538)."""
    spec = _spec(obj)
    if not spec.get("tokenRequests") or spec.get("serviceAccountTokenInSecrets") is not None:
        return []
    return [
        "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent "
        "possible logging of tokens in volume attributes"
    ]


# CSI nodes


def validate_csi_node(obj: Object, errs: Errors) -> None:
    seen: set[str] = set()
    for i, driver in enumerate(_spec(obj).get("drivers") or ()):
        _node_driver(driver, f"spec.drivers[{i}]", seen, errs)


def validate_driver_name(name: str, path: str, errs: Errors) -> None:
    if not name:
        errs.required(path)
        return
    if len(name.encode()) > MAX_DRIVER_NAME:
        errs.too_long(path, MAX_DRIVER_NAME)
    report(path, name, names.dns_subdomain_caseless(name), errs)


def _node_driver(driver: Object, path: str, seen: set[str], errs: Errors) -> None:
    name, node = driver.get("name", ""), driver.get("nodeID", "")
    validate_driver_name(name, f"{path}.name", errs)
    if not node:
        errs.required(f"{path}.nodeID")
    if len(node.encode()) > MAX_NODE_ID:
        errs.invalid(f"{path}.nodeID", node, f"must be {MAX_NODE_ID} characters or less")
    count = (driver.get("allocatable") or {}).get("count")
    validate_nonnegative(count or 0, f"{path}.allocatable.count", errs)
    if name in seen:
        errs.duplicate(f"{path}.name", name)
    seen.add(name)
    keys: set[str] = set()
    for topology in driver.get("topologyKeys") or ():
        if not topology:
            errs.required(path)
        if topology in keys:
            errs.duplicate(path, topology)
        keys.add(topology)
        validate_qualified_name(topology, path, errs)


def validate_csi_node_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed CSINode: of existing drivers only the volume count may change."""
    validate_csi_node(obj, errs)
    by_name: dict[str, list[Object]] = {}
    for driver in _spec(obj).get("drivers") or ():
        by_name.setdefault(driver.get("name", ""), []).append(driver)
    for before in _spec(old).get("drivers") or ():
        for driver in by_name.get(before.get("name", ""), ()):
            immutable_field(_driver_shown(driver), _driver_shown(before), "spec.drivers", errs)


def _driver_shown(driver: Object) -> Object:
    return {
        "Name": driver.get("name", ""),
        "NodeID": driver.get("nodeID", ""),
        "TopologyKeys": driver.get("topologyKeys") or None,
        "Allocatable": None,
    }


# CSI storage capacities


def validate_capacity(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new capacity; with `old`, a changed one, whose topology may keep invalid label values."""
    excuse = old is not None and selector_has_invalid_value(old.get("nodeTopology"))
    validate_label_selector(obj.get("nodeTopology"), "nodeTopology", errs, allow_invalid_values=excuse)
    validate_dns_subdomain(obj.get("storageClassName", ""), "storageClassName", errs)
    if obj.get("capacity") is not None:
        validate_nonnegative_quantity(obj["capacity"], "capacity", errs)


def validate_capacity_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_capacity(obj, errs, old)
    new, before = (label_selector(o.get("nodeTopology")) for o in (obj, old))
    immutable_field(new, before, "nodeTopology", errs)
    immutable_field(
        obj.get("storageClassName", ""), old.get("storageClassName", ""), "storageClassName", errs
    )


# Volume attachments


def validate_attachment(obj: Object, errs: Errors) -> None:
    """Validates a new attachment; v1 checks names more strictly than older versions."""
    _attachment(obj, errs)
    spec = _spec(obj)
    attacher, volume = spec.get("attacher", ""), (spec.get("source") or {}).get("persistentVolumeName")
    if attacher:
        validate_driver_name(attacher, "spec.attacher", errs)
    if volume is not None:
        validate_dns_subdomain(volume, "spec.source.persistentVolumeName", errs)


def _attachment(obj: Object, errs: Errors) -> None:
    spec, status = _spec(obj), obj.get("status") or {}
    if not spec.get("attacher"):
        errs.required("spec.attacher")
    _source(spec.get("source") or {}, "spec.source", errs)
    validate_dns_subdomain(spec.get("nodeName", ""), "spec.nodeName", errs)
    if _size(status.get("attachmentMetadata") or {}) > MAX_METADATA_SIZE:
        errs.too_long("status.attachmentMetadata", MAX_METADATA_SIZE)
    for member in ("attachError", "detachError"):
        _volume_error(status.get(member) or {}, f"status.{member}", errs)


def _source(source: Object, path: str, errs: Errors) -> None:
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and volume is None:
        errs.required(path, _ONE_SOURCE)
    elif inline is not None and volume is not None:
        errs.forbidden(path, _ONE_SOURCE)
    elif inline is not None:
        validate_volume_spec(inline, "", f"{path}.inlineVolumeSpec", errs, inline=True)
    elif not volume:
        errs.required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")


def _volume_error(error: Object, path: str, errs: Errors) -> None:
    if len(error.get("message", "").encode()) > MAX_ERROR_MESSAGE:
        errs.too_long(f"{path}.message", MAX_METADATA_SIZE)
    code = error.get("errorCode")
    if code is not None and code < 0:
        errs.invalid(f"{path}.errorCode", code, f"must be between 0 and {MAX_INT32}, inclusive")


def validate_attachment_update(obj: Object, old: Object, errs: Errors) -> None:
    """Applies the rules for new attachments, those of v1 as well; the spec is immutable."""
    validate_attachment(obj, errs)
    immutable_field(_attachment_shown(_spec(obj)), _attachment_shown(_spec(old)), "spec", errs)


def _attachment_shown(spec: Object) -> Object:
    source = spec.get("source") or {}
    return {
        "Attacher": spec.get("attacher", ""),
        "Source": {
            "PersistentVolumeName": source.get("persistentVolumeName"),
            "InlineVolumeSpec": source.get("inlineVolumeSpec"),
        },
        "NodeName": spec.get("nodeName", ""),
    }
