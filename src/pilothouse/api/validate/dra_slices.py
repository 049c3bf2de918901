"""Validates resource.k8s.io/v1: the slices in which drivers publish their devices."""

from typing import Any

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.patterns import Pattern
from pilothouse.api.quantity import Quantity
from pilothouse.api.validate import dra_shown
from pilothouse.api.validate.common import (
    equal,
    immutable_field,
    report,
    validate_dns_label,
    validate_dns_subdomain,
    validate_qualified_name,
)
from pilothouse.api.validate.dra import each, validate_attribute_name, validate_binding, validate_pool_name
from pilothouse.api.validate.pod.scheduling import validate_node_selector
from pilothouse.api.validate.resources import amount
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.storage import validate_driver_name

MAX_DEVICES, MAX_DEVICES_WITH_TAINTS = 128, 64
MAX_COUNTER_SETS, MAX_COUNTERS, MAX_CONSUMPTIONS = 8, 32, 2
MAX_PROPERTIES, MAX_VALUE, MAX_TAINTS, MAX_OPTIONS = 32, 64, 16, 10
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_DEVICE_PLACES = ("nodeName", "nodeSelector", "allNodes")
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_DEVICE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is "
    "set to true in the ResourceSlice spec"
)
_NO_DEVICE_PLACE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in "
    "the ResourceSlice spec"
)
_NUMBER = r"(0|[1-9][0-9]*)"
_PRE_RELEASE = r"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"
_SEMANTIC = Pattern(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE_RELEASE}(\.{_PRE_RELEASE})*)?(\+{_BUILD}(\.{_BUILD})*)?"
)


def _name(item: Object) -> str:
    return str(item.get("name", ""))


def validate_slice(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new slice; with `old`, a changed one."""
    spec, before = obj.get("spec") or {}, (old or {}).get("spec") or {}
    pool = spec.get("pool") or {}
    validate_driver_name(spec.get("driver", ""), "spec.driver", errs)
    _pool(pool, "spec.pool", errs)
    if old is not None:
        immutable_field(_name(pool), _name(before.get("pool") or {}), "spec.pool.name", errs)
        immutable_field(spec.get("driver", ""), before.get("driver", ""), "spec.driver", errs)
        immutable_field(spec.get("nodeName"), before.get("nodeName"), "spec.nodeName", errs)
    _place(spec, errs)
    if spec.get("sharedCounters") and spec.get("devices"):
        errs.invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    devices = spec.get("devices") or []
    heavy = any(d.get("taints") or d.get("consumesCounters") for d in devices)
    known = {_name(d): d for d in before.get("devices") or ()}
    apart = bool(spec.get("perDeviceNodeSelection"))

    def device(item: Object, path: str, errs: Errors) -> None:
        _device(item, known.get(_name(item)), apart, path, errs)

    each(devices, MAX_DEVICES_WITH_TAINTS if heavy else MAX_DEVICES, "spec.devices", errs, device, key=_name)
    each(spec.get("sharedCounters"), MAX_COUNTER_SETS, "spec.sharedCounters", errs, _counter_set, key=_name)


def _pool(pool: Object, path: str, errs: Errors) -> None:
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    validate_pool_name(_name(pool), f"{path}.name", errs)
    if count <= 0:
        errs.invalid(f"{path}.resourceSliceCount", count, "must be greater than zero")
    if generation < 0:
        errs.invalid(f"{path}.generation", generation, "must be greater than or equal to zero")


def _place(spec: Object, errs: Errors) -> None:
    given = []
    for member in _PLACES:
        value, path = spec.get(member), f"spec.{member}"
        if value is None:
            continue
        if member == "nodeSelector":
            validate_node_selector(value, path, errs)
            terms = value.get("nodeSelectorTerms") or []
            if len(terms) != 1:
                why = "must have exactly one node selector term"
                errs.invalid(f"{path}.nodeSelectorTerms", go(terms, "core.v1.NodeSelectorTerm") or None, why)
        elif not value:
            text = "a non-empty string" if member == "nodeName" else "true"
            errs.invalid(path, value, f"must be either unset or set to {text}")
            continue
        elif member == "nodeName":
            validate_dns_subdomain(value, path, errs)
        given.append(f"`{member}`")
    if not given:
        errs.required("spec", _ONE_PLACE)
    elif len(given) > 1:
        errs.invalid("spec", f"{{{', '.join(given)}}}", f"{_ONE_PLACE}, but multiple fields are set")


def _device_place(device: Object, path: str, errs: Errors) -> None:
    given = []
    for member in _DEVICE_PLACES:
        value, at = device.get(member), f"{path}.{member}"
        if value is None:
            continue
        if member == "nodeSelector":
            validate_node_selector(value, at, errs)
        elif not value:
            why = "must not be empty" if member == "nodeName" else "must be either unset or set to true"
            errs.invalid(at, value, why)
            continue
        elif member == "nodeName":
            validate_dns_subdomain(value, at, errs)
        given.append(f"`{member}`")
    if not given:
        errs.required(path, _ONE_DEVICE_PLACE)
    elif len(given) > 1:
        errs.invalid(path, f"{{{', '.join(given)}}}", _ONE_DEVICE_PLACE)


def _device(device: Object, old: Object | None, apart: bool, path: str, errs: Errors) -> None:
    validate_dns_label(_name(device), f"{path}.name", errs)
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    if len(attributes) + len(capacity) > MAX_PROPERTIES:
        why = f"the total number of attributes and capacities must not exceed {MAX_PROPERTIES}"
        errs.invalid(path, len(attributes) + len(capacity), why)
    for name, value in sorted(attributes.items()):
        at = f"{path}.attributes[{name}]"
        validate_attribute_name(name, f"{path}.attributes", errs)
        _attribute(value, at, errs)
    for name, value in sorted(capacity.items()):
        validate_attribute_name(name, f"{path}.capacity", errs)
        shared = bool(device.get("allowMultipleAllocations"))
        _capacity(value, shared, f"{path}.capacity[{name}].requestPolicy", errs)
    if old is None or not equal(old.get("taints"), device.get("taints")):
        each(device.get("taints"), MAX_TAINTS, f"{path}.taints", errs, _taint)
    consumes = device.get("consumesCounters")
    key = "counterSet"
    each(
        consumes,
        MAX_CONSUMPTIONS,
        f"{path}.consumesCounters",
        errs,
        _consumption,
        key=lambda c: c.get(key, ""),
    )
    if apart:
        _device_place(device, path, errs)
    elif any(device.get(m) is not None for m in _DEVICE_PLACES):
        errs.invalid(path, None, _NO_DEVICE_PLACE)
    validate_binding(device, path, errs)


def _attribute(attribute: Object, path: str, errs: Errors) -> None:
    text, version = attribute.get("string"), attribute.get("version")
    if text is not None and len(text.encode()) > MAX_VALUE:
        errs.too_long(f"{path}.string", MAX_VALUE)
    if version is not None:
        if not _SEMANTIC.fullmatch(version):
            why = "must be a string compatible with semver.org spec 2.0.0"
            errs.invalid(f"{path}.version", version, why)
        if len(version.encode()) > MAX_VALUE:
            errs.too_long(f"{path}.version", MAX_VALUE)
    given = [m for m in ("int", "bool", "string", "version") if attribute.get(m) is not None]
    if len(given) != 1:
        shown: Any = dra_shown.attribute(attribute) if given else ""
        errs.invalid(path, shown, "exactly one value must be specified")


def _taint(taint: Object, path: str, errs: Errors) -> None:
    effect = taint.get("effect", "")
    validate_qualified_name(taint.get("key", ""), f"{path}.key", errs)
    report(f"{path}.value", taint.get("value", ""), names.label_value(taint.get("value", "")), errs)
    if not effect:
        errs.required(f"{path}.effect")
    elif effect not in _EFFECTS:
        errs.not_supported(f"{path}.effect", effect, _EFFECTS)


def _counter_set(counters: Object, path: str, errs: Errors) -> None:
    _counters(counters, "name", path, errs)


def _consumption(counters: Object, path: str, errs: Errors) -> None:
    _counters(counters, "counterSet", path, errs)


def _counters(holder: Object, name_member: str, path: str, errs: Errors) -> None:
    name, counters = holder.get(name_member, ""), holder.get("counters") or {}
    if not name:
        errs.required(f"{path}.{name_member}")
    else:
        validate_dns_label(name, f"{path}.{name_member}", errs)
    if not counters:
        errs.required(f"{path}.counters")
    if len(counters) > MAX_COUNTERS:
        errs.too_many(f"{path}.counters", len(counters), MAX_COUNTERS)
    for key in sorted(counters):
        validate_dns_label(key, f"{path}.counters", errs)


# Policies for how much of a capacity one request may take


def _capacity(capacity: Object, shared: bool, path: str, errs: Errors) -> None:
    policy = capacity.get("requestPolicy")
    if policy is None:
        return
    values, span, default = policy.get("validValues") or [], policy.get("validRange"), policy.get("default")
    if not shared:
        errs.forbidden(path, "allowMultipleAllocations must be true")
    elif values and span is not None:
        both = 'cannot specify "validValues" and "validRange" at the same time'
        errs.forbidden(path, f"exactly one policy can be specified, {both}")
    elif (values or span is not None) and default is None:
        which = "validValues" if values else "validRange"
        errs.required(f"{path}.default", f"required when {which} is defined")
    elif values:
        _valid_values(
            values, amount(default), amount(capacity.get("value", "0")), f"{path}.validValues", errs
        )
    elif span is not None:
        _valid_range(span, amount(default), amount(capacity.get("value", "0")), f"{path}.validRange", errs)


def _valid_values(values: list[str], default: Quantity, most: Quantity, path: str, errs: Errors) -> None:
    options = [amount(v) for v in values]
    for i in range(1, len(options)):
        if options[i - 1] > options[i]:
            errs.invalid(f"{path}[{i}]", values[i], "values must be sorted in ascending order")

    def option(text: str, at: str, errs: Errors) -> None:
        if amount(text) > most:
            errs.invalid(at, text, f"option is larger than capacity value: {most}")

    each(values, MAX_OPTIONS, path, errs, option, key=lambda text: text)
    if not any(o == default for o in options):
        errs.invalid(path, str(default), "default value is not valid according to the requestPolicy")


def _valid_range(span: Object, default: Quantity, most: Quantity, path: str, errs: Errors) -> None:
    if span.get("min") is None:
        errs.required(f"{path}.min", "required when validRange is defined")
        return
    low = amount(span["min"])
    high = amount(span["max"]) if span.get("max") is not None else None
    if low > most:
        errs.invalid(f"{path}.min", str(low), f"min is larger than capacity value: {most}")
    if default < low:
        errs.invalid(f"{path}.min", str(default), f"default is less than min: {low}")
    if high is not None:
        if low > high:
            errs.invalid(f"{path}.max", str(low), f"min is larger than max: {high}")
        if high > most:
            errs.invalid(f"{path}.max", str(high), f"max is larger than capacity value: {most}")
        if default > high:
            errs.invalid(f"{path}.max", str(default), f"default is more than max: {high}")
    if span.get("step") is not None:
        _steps(
            amount(span["step"]),
            [low, default] if high is None else [low, default, high],
            most,
            f"{path}.step",
            errs,
        )


def _steps(step: Quantity, values: list[Quantity], most: Quantity, path: str, errs: Errors) -> None:
    """Check `values`: the first is the lowest possible, the others must exceed it by multiples of the step."""
    low, *others = values
    if low + step > most:
        errs.invalid(path, str(step), f"one step {low + step} is larger than capacity value: {most}")
    for value in others:
        if not step.value() or (value.value() - low.value()) % step.value():
            why = f"value is not a multiple of a given step ({step}) from ({low})"
            errs.invalid(path, str(value), why)


def validate_slice_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_slice(obj, errs, old)
