"""Validates resource.k8s.io/v1: resource claims and their templates, device classes."""

import json
from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, validate_template_metadata
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.expressions import device_selector
from pilothouse.api.validate.pod.scheduling import validate_node_selector
from pilothouse.api.validate.resources import is_extended
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.validate.uuids import normal_uuid
from pilothouse.api.values import names
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Errors, Object

MAX_EXPRESSION = MAX_PARAMETERS = 10 * 1024
_BAD_REF = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)
_NO_NEW_CONSUMERS = (
    "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
)

Requests = dict[str, set[str]]
"""Names of a claim's requests -> names of their alternatives."""

rules = Rules(
    __name__,
    validate_template_metadata,
    interface_address=d.Matches(names.interface_address),
    extended=d.holds(is_extended, "must be a valid extended resource name"),
    with_domain=d.holds(
        lambda name: "/" in name, "a fully qualified name must be a domain and a name separated by a slash"
    ),
    claim_spec=lambda spec, path, errs: _claim_devices(spec, path, errs, request_names(spec)),
    node_selector=d.apart(validate_node_selector),
    share_id=d.Matches(normal_uuid),
    conditions=validate_conditions,
)


def _name(item: Object) -> str:
    return str(item.get("name", ""))


# Claims

rules.define("""
device-request                      api.resource.v1.ExactDeviceRequest|DeviceSubRequest
    deviceClassName!                    dns-subdomain
    selectors[]                         most:32 selector
    if allocationMode == All
      count+                            never : must not be specified when allocationMode is 'All'
    elif allocationMode == ExactCount
      count                             >=1 : must be greater than zero
    else
      allocationMode                    All|ExactCount
    tolerations[]
      key+                              qualified-name
      if operator == Exists
        value+                          never : must be empty for operator `Exists`
      if operator == Equal
        value                           label-value
      operator!                         Equal|Exists
      effect+                           NoExecute|NoSchedule
selector                            api.resource.v1.DeviceSelector
    cel*
      expression                        device-expression
requests                            api.resource.v1.DeviceConstraint|DeviceClaimConfiguration|DeviceAllocationConfiguration
    requests[]                          most:32 unique: reference
configuration                       api.resource.v1.DeviceClaimConfiguration|DeviceAllocationConfiguration|DeviceClassConfiguration
    opaque*
      driver                            driver-name
      parameters*                       raw
device-place                        api.resource.v1.DeviceRequestAllocationResult|AllocatedDeviceStatus
    driver                              driver-name
    pool!                               max:253 pool-parts
    device                              dns-label
""")
_claim_devices = rules.table("api.resource.v1.ResourceClaimSpec")("""
    devices.requests[]                  most:32 unique:name
      name                              dns-label
      if not exactly given and not firstAvailable
        required                        : exactly one of `exactly` or `firstAvailable` is required
      if exactly given and firstAvailable
        invalid                         show:null : exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set
      elif exactly given
        exactly                         device-request
      if not exactly given
        firstAvailable[]                most:8 unique:name
          name                          dns-label
          @device-request
    devices.constraints[]               most:32
      @requests
      if matchAttribute given
        matchAttribute                  attribute-name with-domain
      elif distinctAttribute given
        distinctAttribute               attribute-name with-domain
      else
        required                        : exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set
    devices.config[]                    most:32
      @requests
      @configuration
""")
_allocation = rules.table("api.resource.v1.AllocationResult")("""
    devices.results[]                   most:32
      request                           reference
      @device-place
      @binding
      shareID                           share-id
    devices.config[]                    most:64
      source!                           FromClaim|FromClass
      @requests
      @configuration
    nodeSelector                        node-selector
""")
"""Around the spec and the allocation of a claim are the names of its requests."""


@rules
def _device_expression(expression: str, path: str, errs: Errors) -> None:
    if names.size(expression) > MAX_EXPRESSION:
        errs.too_long(path, MAX_EXPRESSION)
    else:
        device_selector(expression, path, errs)


validate_claim = rules.kind("resource.k8s.io/v1 ResourceClaim")("""
    spec
      @claim-spec
""")
validate_claim_update = d.fixed("spec", {}, show="api.resource.v1.ResourceClaimSpec")
"""Validates a changed claim; its spec is immutable."""
validate_claim_template = rules.kind("resource.k8s.io/v1 ResourceClaimTemplate")("""
    spec.metadata                       template-metadata
    spec.spec
      @claim-spec
""")
validate_claim_template_update = d.fixed("spec", {}, show="api.resource.v1.ResourceClaimTemplateSpec")
"""Validates a change of a template; its spec is immutable."""


def request_names(spec: Object) -> Requests:
    requests = (spec.get("devices") or {}).get("requests") or ()
    return {_name(r): {_name(s) for s in r.get("firstAvailable") or ()} for r in requests}


@rules
def validate_attribute_name(name: str, path: str, errs: Errors) -> None:
    """Validates `name` or `domain/name`; the name must be a C identifier."""
    domain, slash, local = name.partition("/")
    if not slash:
        _identifier(name, path, errs)
        return
    if not domain:
        errs.invalid(path, "", "the domain must not be empty")
    else:
        d.driver_name(domain, path, errs)
    if not local:
        errs.invalid(path, "", "the name must not be empty")
    else:
        _identifier(local, path, errs)


_identifier = d.every(d.max_bytes(32), d.Matches(names.c_identifier))


@rules
def _reference(name: str, path: str, errs: Errors, known: Requests) -> None:
    parts = name.split("/")
    if len(parts) > 2:
        errs.invalid(path, name, _BAD_REF)
        return
    for part in parts:
        d.dns_label(part, path, errs)
    if parts[0] not in known or (len(parts) == 2 and parts[1] not in known[parts[0]]):
        errs.invalid(path, name, _BAD_REF)


@rules
def validate_raw(value: Any, path: str, errs: Errors) -> None:
    """Validates a driver's opaque parameters: an object of limited size."""
    if len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) > MAX_PARAMETERS:
        errs.too_long(path, MAX_PARAMETERS)
    elif not isinstance(value, dict):
        errs.invalid(path, "<value omitted>", "must be a valid JSON object")


# Status of claims

_reserved = rules.table("api.resource.v1.ResourceClaimStatus")("""
    reservedFor[]                       most:256 unique:uid
      resource!
      name!
      uid!
""")


def validate_claim_status(obj: Object, old: Object, errs: Errors) -> None:
    status, before = obj.get("status") or {}, old.get("status") or {}
    reserved, allocation = status.get("reservedFor") or [], status.get("allocation")
    _reserved(status, "status", errs)
    allocated = {_device_id(r) for r in d.found(allocation, ("devices", "results"), ())}

    seen: set[str] = set()
    for i, device in enumerate(status.get("devices") or ()):
        path, identifier = f"status.devices[{i}]", _device_id(device)
        rules["device-place"](device, path, errs)
        _share_id(device, path, errs)
        if identifier not in allocated:
            errs.invalid(path, _shared_id(device), "must be an allocated device in the claim")
        _device_status(device, path, errs)
        if identifier in seen:
            errs.duplicate(path, identifier)
        seen.add(identifier)
    if reserved and allocation is None:
        errs.forbidden("status.reservedFor", "may not be specified when `allocated` is not set")
    known = {identity(consumer) for consumer in before.get("reservedFor") or ()}
    added = any(identity(consumer) not in known for consumer in reserved)
    if added and allocation is not None and (obj.get("metadata") or {}).get("deletionTimestamp"):
        errs.forbidden("status.reservedFor", _NO_NEW_CONSUMERS)
    if allocation is None:
        return
    if before.get("allocation") is None:
        _allocation(allocation, "status.allocation", errs, request_names(obj.get("spec") or {}))
    elif not equal(allocation, before["allocation"]):
        shown = go(allocation, "api.resource.v1.AllocationResult")
        errs.invalid("status.allocation", shown, "field is immutable")


def _shared_id(device: Object) -> Object:
    """The device as messages show it: upstream's SharedDeviceID."""
    return {
        name[0].upper() + name[1:]: device.get(name) or "" for name in ("driver", "pool", "device", "shareID")
    }


def _device_id(device: Object) -> str:
    text = "/".join(device.get(m, "") for m in ("driver", "pool", "device"))
    share = device.get("shareID")
    return f"{text}/{share}" if share else text


_share_id = rules.table("api.resource.v1.AllocatedDeviceStatus")("""
    shareID                             share-id
""")
_device_status = rules.table("api.resource.v1.AllocatedDeviceStatus")("""
    conditions[]                        most:8
    conditions                          conditions
    data                                raw
    networkData.interfaceName+          max:256
    networkData.hardwareAddress+        max:128
    networkData.ips[]                   most:16 unique: interface-address
""")


@rules
def _pool_parts(name: str, path: str, errs: Errors) -> None:
    """DNS names separated by slashes."""
    for part in name.split("/"):
        d.dns_subdomain(part, path, errs)


validate_pool_name = d.nonempty(d.max_bytes(253), _pool_parts)


_binding_names = rules.table("api.resource.v1.Device|DeviceRequestAllocationResult")("""
    bindingConditions[]                 most:4 unique: qualified-name
    bindingFailureConditions[]          most:4 unique: qualified-name
""")


@rules
def validate_binding(device: Object, path: str, errs: Errors) -> None:
    """Conditions that binding waits for and conditions that make it fail must both be given, or neither."""
    _binding_names(device, path, errs)
    ready, failed = device.get("bindingConditions") or [], device.get("bindingFailureConditions") or []
    awaited = set(ready)
    for i, condition in enumerate(failed):
        if condition in awaited:
            why = "bindingFailureConditions must not overlap with bindingConditions"
            errs.invalid(f"{path}.bindingFailureConditions[{i}]", condition, why)
    if failed and not ready:
        why = "bindingConditions are required to use bindingFailureConditions"
        errs.invalid(f"{path}.bindingConditions", None, why)
    if ready and not failed:
        why = "bindingFailureConditions are required to use bindingConditions"
        errs.invalid(f"{path}.bindingFailureConditions", None, why)


# Classes

_class = """
    spec.selectors[]                    most:32 {selector}
    spec.config[]                       most:32 configuration
    spec.extendedResourceName           extended
"""
validate_device_class = rules.kind("resource.k8s.io/v1 DeviceClass")(_class.format(selector="selector"))
_unchanged_class = rules.kind("resource.k8s.io/v1 DeviceClass")(_class.format(selector="stored-selector"))
rules.define("""
stored-selector                     api.resource.v1.DeviceSelector
    cel*
""")


def validate_device_class_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed class; the expressions of selectors are compiled when any of them has changed."""
    new, before = (d.found(o, ("spec", "selectors"), []) for o in (obj, old))
    (_unchanged_class if equal(new, before) else validate_device_class)(obj, errs)
