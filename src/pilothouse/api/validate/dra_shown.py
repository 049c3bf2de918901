"""Formats the specs of resource claims and their templates as messages show upstream's internal types."""

from collections.abc import Callable, Sequence
from typing import Any

from pilothouse.api.fields import Object
from pilothouse.api.validate.shown import object_meta


def claim_spec(spec: Object) -> Object:
    """A ResourceClaimSpec: Go field names, null for what is missing."""
    devices = spec.get("devices") or {}
    return {
        "Devices": {
            "Requests": _each(devices.get("requests"), _request),
            "Constraints": _each(devices.get("constraints"), _constraint),
            "Config": _each(devices.get("config"), _config),
        }
    }


def template_spec(spec: Object) -> Object:
    """A ResourceClaimTemplateSpec; its metadata is embedded, and has JSON names in Go as well."""
    return {**object_meta(spec.get("metadata") or {}), "Spec": claim_spec(spec.get("spec") or {})}


def _each(items: Sequence[Any] | None, show: Callable[[Any], Any]) -> list[Any] | None:
    return [show(item or {}) for item in items] if items else None


def _request(request: Object) -> Object:
    exactly = request.get("exactly")
    return {
        "Name": request.get("name", ""),
        "Exactly": _device_request(exactly, exact=True) if exactly is not None else None,
        "FirstAvailable": _each(
            request.get("firstAvailable"), lambda one: {"Name": one.get("name", ""), **_device_request(one)}
        ),
    }


def _device_request(request: Object, *, exact: bool = False) -> Object:
    admin = {"AdminAccess": request.get("adminAccess")} if exact else {}
    return {
        "DeviceClassName": request.get("deviceClassName", ""),
        "Selectors": _each(request.get("selectors"), _selector),
        "AllocationMode": request.get("allocationMode", ""),
        "Count": request.get("count", 0),
        **admin,
        "Tolerations": _each(request.get("tolerations"), _toleration),
        "Capacity": _capacity(request.get("capacity")),
    }


def _selector(selector: Object) -> Object:
    cel = selector.get("cel")
    return {"CEL": {"Expression": cel.get("expression", "")} if cel is not None else None}


def _toleration(toleration: Object) -> Object:
    texts = {name: toleration.get(name.lower(), "") for name in ("Key", "Operator", "Value", "Effect")}
    return {**texts, "TolerationSeconds": toleration.get("tolerationSeconds")}


def _capacity(capacity: Object | None) -> Object | None:
    if capacity is None:
        return None
    requests = capacity.get("requests")
    return {"Requests": dict(sorted(requests.items())) if requests else None}


def _constraint(constraint: Object) -> Object:
    return {
        "Requests": constraint.get("requests") or None,
        "MatchAttribute": constraint.get("matchAttribute"),
        "DistinctAttribute": constraint.get("distinctAttribute"),
    }


def _config(config: Object) -> Object:
    opaque = config.get("opaque")
    shown = None
    if opaque is not None:
        shown = {"Driver": opaque.get("driver", ""), "Parameters": opaque.get("parameters")}
    return {"Requests": config.get("requests") or None, "Opaque": shown}


def attribute(value: Object) -> Object:
    """A DeviceAttribute; lists of values belong to a feature that is off (KEP-5491)."""
    one = {f"{name.capitalize()}Value": value.get(name) for name in ("int", "bool", "string", "version")}
    many = {f"{name.capitalize()}Values": None for name in ("int", "bool", "string", "version")}
    return one | many
