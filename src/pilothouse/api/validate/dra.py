"""Validates resource.k8s.io/v1: resource claims and their templates, device classes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from pilothouse.api import names
from pilothouse.api.equality import identity
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import dra_shown
from pilothouse.api.validate.common import (
    NOT_POSITIVE,
    equal,
    report,
    validate_annotations,
    validate_dns_label,
    validate_dns_subdomain,
    validate_labels,
    validate_qualified_name,
)
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.expressions import device_selector
from pilothouse.api.validate.pod.scheduling import validate_node_selector
from pilothouse.api.validate.resources import is_extended
from pilothouse.api.validate.storage import validate_driver_name

MAX_REQUESTS = MAX_CONSTRAINTS = MAX_CONFIGS = MAX_SELECTORS = MAX_RESULTS = 32
MAX_ALTERNATIVES, MAX_RESERVED, MAX_BINDING, MAX_CONDITIONS = 8, 256, 4, 8
MAX_EXPRESSION = MAX_PARAMETERS = 10 * 1024
MAX_ID, MAX_POOL_NAME = 32, 253
_EFFECTS = ("NoExecute", "NoSchedule")
_BAD_REF = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)
_ONE_ATTRIBUTE = (
    'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
)
_NOT_ALLOCATED = "may not be specified when `allocated` is not set"
_NO_NEW_CONSUMERS = (
    "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
)

Item = Callable[[Any, str, Errors], None]
Requests = dict[str, set[str]]
"""Names of a claim's requests -> names of their alternatives."""


def each(
    items: Sequence[Any] | None,
    limit: int,
    path: str,
    errs: Errors,
    check: Item,
    *,
    key: Callable[[Any], Any] | None = None,
) -> None:
    """Validates a list's length and items, and with `key` that items are distinct."""
    items = items or ()
    if 0 <= limit < len(items):
        errs.too_many(path, len(items), limit)
    seen: set[Any] = set()
    for i, item in enumerate(items):
        check(item, f"{path}[{i}]", errs)
        if key is not None:
            if key(item) in seen:
                errs.duplicate(f"{path}[{i}]", key(item))
            seen.add(key(item))


def _name(item: Object) -> str:
    return str(item.get("name", ""))


# Claims


def validate_claim(obj: Object, errs: Errors) -> None:
    _claim_spec(obj.get("spec") or {}, "spec", errs)


def validate_claim_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed claim; its spec is immutable."""
    if not equal(obj.get("spec") or {}, old.get("spec") or {}):
        errs.invalid("spec", dra_shown.claim_spec(obj.get("spec") or {}), "field is immutable")


def validate_claim_template(obj: Object, errs: Errors) -> None:
    spec = obj.get("spec") or {}
    metadata = spec.get("metadata") or {}
    validate_labels(metadata.get("labels"), "spec.metadata.labels", errs)
    validate_annotations(metadata.get("annotations"), "spec.metadata.annotations", errs)
    _claim_spec(spec.get("spec") or {}, "spec.spec", errs)


def _claim_spec(spec: Object, path: str, errs: Errors) -> None:
    devices = spec.get("devices") or {}
    path = f"{path}.devices"
    known = request_names(spec)
    each(devices.get("requests"), MAX_REQUESTS, f"{path}.requests", errs, _request, key=_name)

    def constraint(item: Object, at: str, errs: Errors) -> None:
        _constraint(item, at, errs, known)

    def config(item: Object, at: str, errs: Errors) -> None:
        _references(item, at, errs, known)
        _configuration(item, at, errs)

    each(devices.get("constraints"), MAX_CONSTRAINTS, f"{path}.constraints", errs, constraint)
    each(devices.get("config"), MAX_CONFIGS, f"{path}.config", errs, config)


def request_names(spec: Object) -> Requests:
    requests = (spec.get("devices") or {}).get("requests") or ()
    return {_name(r): {_name(s) for s in r.get("firstAvailable") or ()} for r in requests}


def _request(request: Object, path: str, errs: Errors) -> None:
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    validate_dns_label(_name(request), f"{path}.name", errs)
    if exactly is None and not alternatives:
        errs.required(path, "exactly one of `exactly` or `firstAvailable` is required")
    elif exactly is not None and alternatives:
        why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        errs.invalid(path, None, why)
    elif exactly is not None:
        _device_request(exactly, f"{path}.exactly", errs)
    else:
        each(alternatives, MAX_ALTERNATIVES, f"{path}.firstAvailable", errs, _alternative, key=_name)


def _alternative(request: Object, path: str, errs: Errors) -> None:
    validate_dns_label(_name(request), f"{path}.name", errs)
    _device_request(request, path, errs)


def _device_request(request: Object, path: str, errs: Errors) -> None:
    """Rules shared by exact requests and alternatives."""
    device_class, mode, count = (
        request.get("deviceClassName", ""),
        request.get("allocationMode", ""),
        request.get("count", 0),
    )
    if not device_class:
        errs.required(f"{path}.deviceClassName")
    else:
        validate_dns_subdomain(device_class, f"{path}.deviceClassName", errs)
    each(request.get("selectors"), MAX_SELECTORS, f"{path}.selectors", errs, _selector)
    if mode == "All":
        if count:
            errs.invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount":
        if count <= 0:
            errs.invalid(f"{path}.count", count, NOT_POSITIVE)
    else:
        errs.not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount"))
    each(request.get("tolerations"), -1, f"{path}.tolerations", errs, _toleration)


def _selector(selector: Object, path: str, errs: Errors) -> None:
    cel = selector.get("cel")
    if cel is None:
        errs.required(f"{path}.cel")
        return
    expression, where = cel.get("expression", ""), f"{path}.cel.expression"
    if len(expression.encode()) > MAX_EXPRESSION:
        errs.too_long(where, MAX_EXPRESSION)
    else:
        device_selector(expression, where, errs)


def _stored_selector(selector: Object, path: str, errs: Errors) -> None:
    """One that is as it was stored: its expression was accepted then."""
    if selector.get("cel") is None:
        errs.required(f"{path}.cel")


def _toleration(toleration: Object, path: str, errs: Errors) -> None:
    key, operator, value, effect = (toleration.get(m, "") for m in ("key", "operator", "value", "effect"))
    if key:
        validate_qualified_name(key, f"{path}.key", errs)
    if operator == "Exists":
        if value:
            errs.invalid(f"{path}.value", value, "must be empty for operator `Exists`")
    elif operator == "Equal":
        report(f"{path}.value", value, names.label_value(value), errs)
    elif not operator:
        errs.required(f"{path}.operator")
    else:
        errs.not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    if effect and effect not in _EFFECTS:
        errs.not_supported(f"{path}.effect", effect, _EFFECTS)


def _constraint(constraint: Object, path: str, errs: Errors, known: Requests) -> None:
    _references(constraint, path, errs, known)
    match, distinct = constraint.get("matchAttribute"), constraint.get("distinctAttribute")
    if match is not None:
        _full_name(match, f"{path}.matchAttribute", errs)
    elif distinct is not None:
        _full_name(distinct, f"{path}.distinctAttribute", errs)
    else:
        errs.required(path, _ONE_ATTRIBUTE)


def _full_name(name: str, path: str, errs: Errors) -> None:
    validate_attribute_name(name, path, errs)
    if "/" not in name:
        errs.invalid(path, name, "must include a domain")


def validate_attribute_name(name: str, path: str, errs: Errors) -> None:
    """Validates `name` or `domain/name`; the name must be a C identifier."""
    domain, slash, local = name.partition("/")
    if not slash:
        _identifier(name, path, errs)
        return
    if not domain:
        errs.invalid(path, "", "the domain must not be empty")
    else:
        validate_driver_name(domain, path, errs)
    if not local:
        errs.invalid(path, "", "the name must not be empty")
    else:
        _identifier(local, path, errs)


def _identifier(name: str, path: str, errs: Errors) -> None:
    if len(name.encode()) > MAX_ID:
        errs.too_long(path, MAX_ID)
    report(path, name, names.c_identifier(name), errs)


def _references(holder: Object, path: str, errs: Errors, known: Requests) -> None:
    def check(name: str, at: str, errs: Errors) -> None:
        _reference(name, at, errs, known)

    each(holder.get("requests"), MAX_REQUESTS, f"{path}.requests", errs, check, key=lambda name: name)


def _reference(name: str, path: str, errs: Errors, known: Requests) -> None:
    parts = name.split("/")
    if len(parts) > 2:
        errs.invalid(path, name, _BAD_REF)
        return
    for part in parts:
        validate_dns_label(part, path, errs)
    if parts[0] not in known or (len(parts) == 2 and parts[1] not in known[parts[0]]):
        errs.invalid(path, name, _BAD_REF)


def _configuration(config: Object, path: str, errs: Errors) -> None:
    opaque = config.get("opaque")
    if opaque is None:
        errs.required(f"{path}.opaque")
        return
    validate_driver_name(opaque.get("driver", ""), f"{path}.opaque.driver", errs)
    validate_raw(opaque.get("parameters"), f"{path}.opaque.parameters", errs)


def validate_raw(value: Any, path: str, errs: Errors) -> None:
    """Validates a driver's opaque parameters: an object of limited size."""
    if value is None:
        errs.required(path)
    elif len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) > MAX_PARAMETERS:
        errs.too_long(path, MAX_PARAMETERS)
    elif not isinstance(value, dict):
        errs.invalid(path, "<value omitted>", "must be a valid JSON object")


# Status of claims


def validate_claim_status(obj: Object, old: Object, errs: Errors) -> None:
    status, before = obj.get("status") or {}, old.get("status") or {}
    reserved, allocation = status.get("reservedFor") or [], status.get("allocation")
    each(reserved, MAX_RESERVED, "status.reservedFor", errs, _consumer, key=lambda c: c.get("uid", ""))
    allocated = {_device_id(r) for r in ((allocation or {}).get("devices") or {}).get("results") or ()}

    def device(item: Object, path: str, errs: Errors) -> None:
        _device_status(item, path, errs, allocated)

    each(status.get("devices"), -1, "status.devices", errs, device, key=_device_id)
    if reserved and allocation is None:
        errs.forbidden("status.reservedFor", _NOT_ALLOCATED)
    known = {identity(consumer) for consumer in before.get("reservedFor") or ()}
    added = any(identity(consumer) not in known for consumer in reserved)
    if added and allocation is not None and (obj.get("metadata") or {}).get("deletionTimestamp"):
        errs.forbidden("status.reservedFor", _NO_NEW_CONSUMERS)
    if allocation is None:
        return
    if before.get("allocation") is None:
        _allocation(allocation, "status.allocation", errs, request_names(obj.get("spec") or {}))
    elif not equal(allocation, before["allocation"]):
        errs.invalid("status.allocation", allocation, "field is immutable")


def _consumer(consumer: Object, path: str, errs: Errors) -> None:
    for member in ("resource", "name", "uid"):
        if not consumer.get(member):
            errs.required(f"{path}.{member}")


def _device_id(device: Object) -> str:
    text = "/".join(device.get(m, "") for m in ("driver", "pool", "device"))
    share = device.get("shareID")
    return f"{text}/{share}" if share else text


def _device_place(device: Object, path: str, errs: Errors) -> None:
    validate_driver_name(device.get("driver", ""), f"{path}.driver", errs)
    validate_pool_name(device.get("pool", ""), f"{path}.pool", errs)
    validate_dns_label(device.get("device", ""), f"{path}.device", errs)


def validate_pool_name(name: str, path: str, errs: Errors) -> None:
    """Validates DNS names separated by slashes."""
    if not name:
        errs.required(path)
        return
    if len(name.encode()) > MAX_POOL_NAME:
        errs.too_long(path, MAX_POOL_NAME)
    for part in name.split("/"):
        validate_dns_subdomain(part, path, errs)


def _device_status(device: Object, path: str, errs: Errors, allocated: set[str]) -> None:
    _device_place(device, path, errs)
    if _device_id(device) not in allocated:
        errs.invalid(path, _device_id(device), "must be an allocated device in the claim")
    conditions = device.get("conditions") or []
    if len(conditions) > MAX_CONDITIONS:
        errs.too_many(f"{path}.conditions", len(conditions), MAX_CONDITIONS)
    validate_conditions(conditions, f"{path}.conditions", errs)
    if device.get("data") is not None:
        validate_raw(device["data"], f"{path}.data", errs)
    _network(device.get("networkData") or {}, f"{path}.networkData", errs)


def _network(data: Object, path: str, errs: Errors) -> None:
    for member, limit in (("interfaceName", 256), ("hardwareAddress", 128)):
        if len(data.get(member, "").encode()) > limit:
            errs.too_long(f"{path}.{member}", limit)

    def address(text: str, at: str, errs: Errors) -> None:
        report(at, text, names.interface_address(text), errs)

    each(data.get("ips"), 16, f"{path}.ips", errs, address, key=lambda text: text)


def _allocation(allocation: Object, path: str, errs: Errors, known: Requests) -> None:
    devices = allocation.get("devices") or {}

    def result(item: Object, at: str, errs: Errors) -> None:
        _reference(item.get("request", ""), f"{at}.request", errs, known)
        _device_place(item, at, errs)
        validate_binding(item, at, errs)

    def config(item: Object, at: str, errs: Errors) -> None:
        source = item.get("source", "")
        if not source:
            errs.required(f"{at}.source")
        elif source not in ("FromClaim", "FromClass"):
            errs.not_supported(f"{at}.source", source, ("FromClaim", "FromClass"))
        _references(item, at, errs, known)
        _configuration(item, at, errs)

    each(devices.get("results"), MAX_RESULTS, f"{path}.devices.results", errs, result)
    each(devices.get("config"), 2 * MAX_CONFIGS, f"{path}.devices.config", errs, config)
    if allocation.get("nodeSelector") is not None:
        validate_node_selector(allocation["nodeSelector"], f"{path}.nodeSelector", errs)


def validate_binding(device: Object, path: str, errs: Errors) -> None:
    """Conditions that binding waits for and conditions that make it fail must both be given, or neither."""
    ready, failed = device.get("bindingConditions") or [], device.get("bindingFailureConditions") or []
    for member, listed in (("bindingConditions", ready), ("bindingFailureConditions", failed)):
        each(listed, MAX_BINDING, f"{path}.{member}", errs, _label_key, key=lambda name: name)
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


def _label_key(name: str, path: str, errs: Errors) -> None:
    validate_qualified_name(name, path, errs)


# Classes


def validate_device_class(obj: Object, errs: Errors) -> None:
    _class_spec(obj.get("spec") or {}, _selector, errs)


def _class_spec(spec: Object, selector: Item, errs: Errors) -> None:
    each(spec.get("selectors"), MAX_SELECTORS, "spec.selectors", errs, selector)
    each(spec.get("config"), MAX_CONFIGS, "spec.config", errs, _configuration)
    extended = spec.get("extendedResourceName")
    if extended is not None and not is_extended(extended):
        errs.invalid("spec.extendedResourceName", extended, "must be a valid extended resource name")


def validate_device_class_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed class; the expressions of selectors are compiled when any of them has changed."""
    spec, before = obj.get("spec") or {}, old.get("spec") or {}
    stored = equal(spec.get("selectors") or [], before.get("selectors") or [])
    _class_spec(spec, _stored_selector if stored else _selector, errs)


def validate_claim_template_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed template as a new one, though its spec is immutable."""
    validate_claim_template(obj, errs)
    spec = obj.get("spec") or {}
    if not equal(spec, old.get("spec") or {}):
        errs.invalid("spec", dra_shown.template_spec(spec), "field is immutable")
