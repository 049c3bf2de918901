"""Validates the status of resource claims (apis/resource/validation)."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate import dra
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.dra import request_names
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Errors, Object

_NO_NEW_CONSUMERS = (
    "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
)
rules = Rules(__name__, dra.rules, interface_address=d.Matches(addresses.interface_address))
_reserved = rules.table("api.resource.v1.ResourceClaimStatus")("""
    reservedFor[]                       most:256 unique:uid
      resource!
      name!
      uid!
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
"""Around the allocation are the names of its requests."""
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
