"""Validates discovery.k8s.io/v1: endpoint slices."""

from typing import NamedTuple

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import report
from pilothouse.api.validate.service import validate_non_special_ip
from pilothouse.api.validate.tables import Rules

MAX_ENDPOINTS, MAX_PORTS = 1000, 20_000


rules = Rules()
_slice = rules.kind(f"""
    endpoints[]                         most:{MAX_ENDPOINTS}
    if #endpoints <= {MAX_ENDPOINTS}
      endpoints[]
        @addresses
        nodeName?                       dns-subdomain
        deprecatedTopology[]            most:16
        deprecatedTopology?             labels
        hostname?                       dns-label
        hints.forZones[]                most:8
        if #hints.forZones <= 8
          hints.forZones[]              unique-first:.name
            name                        label-value
        hints.forNodes[]                most:8
        if #hints.forNodes <= 8
          hints.forNodes[]              unique-first:.name
            name                        dns-subdomain
    ports[]                             most:{MAX_PORTS}
    if #ports <= {MAX_PORTS}
      ports[]
        name+                           dns-label
        name                            unique
        protocol*                       SCTP|TCP|UDP
        appProtocol?                    qualified-name
    addressType!                        FQDN|IPv4|IPv6
    if #endpoints <= {MAX_ENDPOINTS}
      endpoints[]
        addresses[]!                    most:100 : must contain at least 1 address
""")
"""Rules that upstream declares with the types (address type, number of addresses) are reported last."""


class _Addresses(NamedTuple):
    """The type of a slice's addresses, and those that stay allowed because the stored slice has them."""

    kind: str
    known: frozenset[str]


def validate_slice(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new slice; with `old`, a changed one, which may keep addresses that are not canonical."""
    known = frozenset(a for e in (old or {}).get("endpoints") or () for a in e.get("addresses") or ())
    _slice(obj, errs, _Addresses(obj.get("addressType", ""), known))


def validate_slice_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_slice(obj, errs, old)
    _same_type(obj, old, errs)


_same_type = d.fixed("addressType", "")


@rules
def _addresses(endpoint: Object, path: str, errs: Errors, around: _Addresses) -> None:
    kind, path = around.kind, f"{path}.addresses"
    for i, address in enumerate(endpoint.get("addresses") or ()):
        at = f"{path}[{i}]"
        if kind == "FQDN":
            names.fully_qualified_domain_name(errs, at, address)
        elif kind in ("IPv4", "IPv6") and address not in around.known:
            wrong, parsed = names.ip_legacy(address), names.parse_ip(address)
            report(at, address, wrong, errs)
            if wrong or parsed is None:
                continue
            if parsed.version != int(kind[-1]):
                errs.invalid(path, address, f"must be an {kind} address")
            validate_non_special_ip(address, at, errs)


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
