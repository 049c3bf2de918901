"""Validates discovery.k8s.io/v1: endpoint slices."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import (
    immutable_field,
    report,
    validate_dns_label,
    validate_dns_subdomain,
    validate_labels,
    validate_qualified_name,
)
from pilothouse.api.validate.service import validate_non_special_ip

MAX_ENDPOINTS, MAX_ADDRESSES, MAX_TOPOLOGY, MAX_PORTS, MAX_HINTS = 1000, 100, 16, 20_000, 8
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def validate_slice(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new slice; with `old`, a changed one, which may keep addresses that are not canonical.

    Rules that upstream declares with the types (address type, number of addresses) are reported last.
    """
    declared = Errors()
    kind = obj.get("addressType", "")
    if not kind:
        declared.required("addressType")
    elif kind not in _ADDRESS_TYPES:
        declared.not_supported("addressType", kind, _ADDRESS_TYPES)
    endpoints = obj.get("endpoints") or []
    if len(endpoints) > MAX_ENDPOINTS:
        errs.too_many("endpoints", len(endpoints), MAX_ENDPOINTS)
    else:
        known = {a for e in (old or {}).get("endpoints") or () for a in e.get("addresses") or ()}
        for i, endpoint in enumerate(endpoints):
            _endpoint(endpoint, kind, f"endpoints[{i}]", errs, known=known, declared=declared)
    _ports(obj.get("ports") or [], errs)
    errs.extend(declared)


def validate_slice_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_slice(obj, errs, old)
    immutable_field(obj.get("addressType", ""), old.get("addressType", ""), "addressType", errs)


def _endpoint(
    endpoint: Object, kind: str, path: str, errs: Errors, *, known: set[str], declared: Errors
) -> None:
    addresses = endpoint.get("addresses") or []
    if not addresses:
        declared.required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > MAX_ADDRESSES:
        declared.too_many(f"{path}.addresses", len(addresses), MAX_ADDRESSES)
    for i, address in enumerate(addresses):
        if kind == "FQDN":
            names.fully_qualified_domain_name(errs, f"{path}.addresses[{i}]", address)
        elif kind in ("IPv4", "IPv6") and address not in known:
            _address(address, int(kind[-1]), f"{path}.addresses", i, errs)
    if endpoint.get("nodeName") is not None:
        validate_dns_subdomain(endpoint["nodeName"], f"{path}.nodeName", errs)
    _topology(endpoint.get("deprecatedTopology") or {}, f"{path}.deprecatedTopology", errs)
    if endpoint.get("hostname") is not None:
        validate_dns_label(endpoint["hostname"], f"{path}.hostname", errs)
    hints = endpoint.get("hints") or {}
    for member in ("forZones", "forNodes"):
        _hints(hints.get(member) or [], member, f"{path}.hints.{member}", errs)


def _address(text: str, version: int, path: str, index: int, errs: Errors) -> None:
    wrong = names.ip_legacy(text)
    report(f"{path}[{index}]", text, wrong, errs)
    parsed = names.parse_ip(text)
    if wrong or parsed is None:
        return
    if parsed.version != version:
        errs.invalid(path, text, f"must be an IPv{version} address")
    validate_non_special_ip(text, f"{path}[{index}]", errs)


def _topology(topology: dict[str, str], path: str, errs: Errors) -> None:
    if len(topology) > MAX_TOPOLOGY:
        errs.too_many(path, len(topology), MAX_TOPOLOGY)
    validate_labels(topology, path, errs)


def _hints(hints: list[Object], member: str, path: str, errs: Errors) -> None:
    if len(hints) > MAX_HINTS:
        errs.too_many(path, len(hints), MAX_HINTS)
        return
    check = names.label_value if member == "forZones" else names.dns_subdomain
    seen: set[str] = set()
    for i, hint in enumerate(hints):
        name = hint.get("name", "")
        if name in seen:
            errs.duplicate(f"{path}[{i}].name", name)
        seen.add(name)
        report(f"{path}[{i}].name", name, check(name), errs)


def _ports(ports: list[Object], errs: Errors) -> None:
    if len(ports) > MAX_PORTS:
        errs.too_many("ports", len(ports), MAX_PORTS)
        return
    seen: set[str] = set()
    for i, port in enumerate(ports):
        path, name, protocol = f"ports[{i}]", port.get("name") or "", port.get("protocol")
        if name:
            validate_dns_label(name, f"{path}.name", errs)
        if name in seen:
            errs.duplicate(f"{path}.name", name)
        seen.add(name)
        if protocol is None:
            errs.required(f"{path}.protocol")
        elif protocol not in _PROTOCOLS:
            errs.not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
        if port.get("appProtocol") is not None:
            validate_qualified_name(port["appProtocol"], f"{path}.appProtocol", errs)


def slice_warnings(obj: Object) -> list[str]:
    kind = obj.get("addressType", "")
    if kind == "FQDN":
        return ["spec.addressType: FQDN endpoints are deprecated"]
    return [
        warning
        for i, endpoint in enumerate(obj.get("endpoints") or ())
        for j, address in enumerate(endpoint.get("addresses") or ())
        for warning in names.ip_warnings(f"endpoints[{i}].addresses[{j}]", address)
    ]
