"""Validates resource claims, their templates, and device classes (apis/resource/validation)."""

import json
from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, validate_template_metadata
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.expressions import device_selector
from pilothouse.api.validate.pod.scheduling import validate_node_selector
from pilothouse.api.validate.resources import is_extended
from pilothouse.api.validate.tables.rules import Rules, Table
from pilothouse.api.validate.uuids import normal_uuid
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

MAX_EXPRESSION = MAX_PARAMETERS = 10 * 1024
_BAD_REF = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)
Requests = dict[str, set[str]]
"""Names of a claim's requests -> names of their alternatives."""
rules = Rules(
    __name__,
    validate_template_metadata,
    extended=d.holds(is_extended, "must be a valid extended resource name"),
    with_domain=d.holds(
        lambda name: "/" in name, "a fully qualified name must be a domain and a name separated by a slash"
    ),
    claim_spec=lambda spec, path, errs: _claim_devices(spec, path, errs, request_names(spec)),
    node_selector=d.apart(validate_node_selector),
    share_id=d.Matches(normal_uuid),
    conditions=validate_conditions,
)


@rules
def _device_expression(expression: str, path: str, errs: Errors) -> None:
    if names.size(expression) > MAX_EXPRESSION:
        errs.too_long(path, MAX_EXPRESSION)
    else:
        device_selector(expression, path, errs)


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


@rules
def _pool_parts(name: str, path: str, errs: Errors) -> None:
    """DNS names separated by slashes."""
    for part in name.split("/"):
        d.dns_subdomain(part, path, errs)


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
_claim_devices: Table = rules.table("api.resource.v1.ResourceClaimSpec")("""
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
"""Around the devices of a claim are the names of its requests."""
_binding_names = rules.table("api.resource.v1.Device|DeviceRequestAllocationResult")("""
    bindingConditions[]                 most:4 unique: qualified-name
    bindingFailureConditions[]          most:4 unique: qualified-name
""")
_identifier = d.every(d.max_bytes(32), d.Matches(names.c_identifier))
validate_pool_name = d.nonempty(d.max_bytes(253), _pool_parts)
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
    return {name_of(r): {name_of(s) for s in r.get("firstAvailable") or ()} for r in requests}


def name_of(item: Object) -> str:
    return str(item.get("name", ""))


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
