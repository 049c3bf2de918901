"""Validates resource.k8s.io/v1: the slices in which drivers publish their devices."""

from typing import Any, NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.dra import name_of, validate_attribute_name, validate_binding, validate_pool_name
from pilothouse.api.validate.pod.scheduling import validate_node_selector
from pilothouse.api.validate.resources import amount
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.patterns import Pattern
from pilothouse.api.values.quantity import Quantity

MAX_DEVICES, MAX_DEVICES_WITH_TAINTS = 128, 64
MAX_PROPERTIES = 32
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_DEVICE_PLACES = ("nodeName", "nodeSelector", "allNodes")
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_DEVICE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is "
    "set to true in the ResourceSlice spec"
)
_NUMBER = r"(0|[1-9][0-9]*)"
_PRE_RELEASE = r"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"
_SEMANTIC = Pattern(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE_RELEASE}(\.{_PRE_RELEASE})*)?(\+{_BUILD}(\.{_BUILD})*)?"
)

rules = Rules(
    __name__,
    validate_binding,
    node_selector=d.apart(validate_node_selector),
    pool_name=validate_pool_name,
    unset_or_true=d.holds(bool, "must be either unset or set to true"),
    semantic=d.holds(_SEMANTIC.fullmatch, "must be a string compatible with semver.org spec 2.0.0"),
)


_slice = rules.kind("resource.k8s.io/v1 ResourceSlice")("""
    spec.driver                         driver-name
    spec.pool.name                      pool-name
    spec.pool.resourceSliceCount        >=1 : must be greater than zero
    spec.pool.generation                >=0 : must be greater than or equal to zero
    @unchanged
    spec
      @place
    if spec.sharedCounters and spec.devices
      invalid                           at:spec : only one of `sharedCounters` or `devices` is allowed
    @number-of-devices
    spec.devices[]                      unique:name
      name                              dns-label
      @properties
      attributes                        attributes
      @capacities
      @changed-taints
      consumesCounters[]                most:2 unique:counterSet
        counterSet!                     dns-label
        @counters
      if /spec.perDeviceNodeSelection
        @device-place
      elif nodeName given or nodeSelector given or allNodes given
        invalid                         show:null : `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec
      @binding
    spec.sharedCounters[]               most:8 unique:name
      name!                             dns-label
      @counters
""")
_taints = rules.table("api.resource.v1.Device")("""
    taints[]                            most:16
      key                               qualified-name
      value                             label-value
      effect!                           NoExecute|NoSchedule|None
""")


class _Stored(NamedTuple):
    """The slice that is changed, and its devices by name."""

    slice: Object | None
    devices: dict[str, Object]


def validate_slice(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new slice; with `old`, a changed one."""
    _slice(obj, errs, _Stored(old, {name_of(one): one for one in d.found(old, ("spec", "devices"), ())}))


@rules
def _unchanged(obj: Object, path: str, errs: Errors, stored: _Stored) -> None:
    if stored.slice is not None:
        _fixed(obj, stored.slice, errs)


_fixed = d.change(d.fixed("spec.pool.name", ""), d.fixed("spec.driver", ""), d.fixed("spec.nodeName"))


@rules
def _number_of_devices(obj: Object, path: str, errs: Errors) -> None:
    devices = d.found(obj, ("spec", "devices"), ())
    heavy = any(one.get("taints") or one.get("consumesCounters") for one in devices)
    most = MAX_DEVICES_WITH_TAINTS if heavy else MAX_DEVICES
    if len(devices) > most:
        errs.too_many("spec.devices", len(devices), most)


@rules
def _changed_taints(device: Object, path: str, errs: Errors, stored: _Stored) -> None:
    old = stored.devices.get(name_of(device))
    if old is None or not equal(old.get("taints"), device.get("taints")):
        _taints(device, path, errs)


rules.define("""
place                               api.resource.v1.ResourceSliceSpec
    if nodeName given and not nodeName
      nodeName                          never : must be either unset or set to a non-empty string
    nodeName+                           dns-subdomain
    nodeSelector                        node-selector one-term
    allNodes                            unset-or-true
    perDeviceNodeSelection              unset-or-true
    @one-place
device-place                        api.resource.v1.Device
    if nodeName given and not nodeName
      nodeName                          never : must not be empty
    nodeName+                           dns-subdomain
    nodeSelector                        node-selector
    allNodes                            unset-or-true
    @one-device-place
""")


@rules
def _one_term(selector: Object, path: str, errs: Errors) -> None:
    terms = selector.get("nodeSelectorTerms") or []
    if len(terms) != 1:
        shown = go(terms, "api.core.v1.NodeSelectorTerm") or None
        errs.invalid(f"{path}.nodeSelectorTerms", shown, "must have exactly one node selector term")


def _one_of(members: tuple[str, ...], why: str, more: str) -> d.Rule:
    """The holder must have one of these members; `more` is the message if there are several."""

    def check(holder: Object, path: str, errs: Errors) -> None:
        given = [m for m in members if holder.get(m) or (m == "nodeSelector" and holder.get(m) is not None)]
        if not given:
            errs.required(path, why)
        elif len(given) > 1:
            errs.invalid(path, f"{{{', '.join(f'`{member}`' for member in given)}}}", more)

    return check


rules.add("one-place", _one_of(_PLACES, _ONE_PLACE, f"{_ONE_PLACE}, but multiple fields are set"))
rules.add("one-device-place", _one_of(_DEVICE_PLACES, _ONE_DEVICE_PLACE, _ONE_DEVICE_PLACE))


@rules
def _properties(device: Object, path: str, errs: Errors) -> None:
    count = len(device.get("attributes") or ()) + len(device.get("capacity") or ())
    if count > MAX_PROPERTIES:
        why = f"the total number of attributes and capacities must not exceed {MAX_PROPERTIES}"
        errs.invalid(path, count, why)


@rules
def _attributes(attributes: Object, path: str, errs: Errors) -> None:
    for name, value in sorted(attributes.items()):
        validate_attribute_name(name, path, errs)
        _attribute(value, f"{path}[{name}]", errs)


@rules
def _capacities(device: Object, path: str, errs: Errors) -> None:
    shared = bool(device.get("allowMultipleAllocations"))
    for name, value in sorted((device.get("capacity") or {}).items()):
        validate_attribute_name(name, f"{path}.capacity", errs)
        _capacity(value, shared, f"{path}.capacity[{name}].requestPolicy", errs)


_attribute = rules.table("api.resource.v1.DeviceAttribute")("""
    string                              max:64
    version                             semantic max:64
    @one-value
""")


@rules
def _one_value(attribute: Object, path: str, errs: Errors) -> None:
    kinds = ("int", "bool", "string", "version")
    given = [kind for kind in kinds if attribute.get(kind) is not None]
    if len(given) != 1:
        shown: Any = {f"{kind.capitalize()}Value": attribute.get(kind) for kind in kinds}
        shown |= {f"{kind.capitalize()}Values": None for kind in kinds}  # a feature that is off (KEP-5491)
        errs.invalid(path, shown if given else "", "exactly one value must be specified")


rules.define("""
counters                            api.resource.v1.DeviceCounterConsumption|CounterSet
    counters! most-counters
""")


@rules
def _most_counters(counters: Object, path: str, errs: Errors) -> None:
    if len(counters) > 32:
        errs.too_many(path, len(counters), 32)
    for name in sorted(counters):
        d.dns_label(name, path, errs)


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
        most = amount(capacity.get("value", "0"))
        _valid_values(values, amount(default), most, f"{path}.validValues", errs)
    elif span is not None:
        most = amount(capacity.get("value", "0"))
        _valid_range(span, amount(default), most, f"{path}.validRange", errs)


def _valid_values(values: list[str], default: Quantity, most: Quantity, path: str, errs: Errors) -> None:
    options = [amount(v) for v in values]
    for i in range(1, len(options)):
        if options[i - 1] > options[i]:
            errs.invalid(f"{path}[{i}]", values[i], "values must be sorted in ascending order")

    seen: set[str] = set()
    if len(values) > 10:
        errs.too_many(path, len(values), 10)
    for i, (text, option) in enumerate(zip(values, options, strict=True)):
        if option > most:
            errs.invalid(f"{path}[{i}]", text, f"option is larger than capacity value: {most}")
        if text in seen:
            errs.duplicate(f"{path}[{i}]", text)
        seen.add(text)
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
        values = [low, default] if high is None else [low, default, high]
        _steps(amount(span["step"]), values, most, f"{path}.step", errs)


def _steps(step: Quantity, values: list[Quantity], most: Quantity, path: str, errs: Errors) -> None:
    """Check that values exceed the first and lowest of them by multiples of the step."""
    low, *others = values
    if low + step > most:
        errs.invalid(path, str(step), f"one step {low + step} is larger than capacity value: {most}")
    for value in others:
        if not step.value() or (value.value() - low.value()) % step.value():
            why = f"value is not a multiple of a given step ({step}) from ({low})"
            errs.invalid(path, str(value), why)
