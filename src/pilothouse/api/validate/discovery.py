"""Validates discovery.k8s.io/v1: endpoint slices."""

from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, report
from pilothouse.api.validate.service import validate_non_special_ip
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object

MAX_ENDPOINTS, MAX_PORTS = 1000, 20_000


class _Addresses(NamedTuple):
    """The type of a slice's addresses, and whether its endpoints are the stored ones, which may stay."""

    kind: str
    unchanged: bool


rules = Rules(__name__)


@rules
def _addresses(endpoint: Object, path: str, errs: Errors, around: _Addresses) -> None:
    kind, path = around.kind, f"{path}.addresses"
    for i, address in enumerate(endpoint.get("addresses") or ()):
        at = f"{path}[{i}]"
        if kind == "FQDN":
            names.fully_qualified_domain_name(errs, at, address)
        elif kind in ("IPv4", "IPv6"):
            wrong = (addresses.ip if kind == "IPv6" else addresses.ip_legacy)(address)
            parsed = addresses.parse_ip(address)
            report(at, address, wrong, errs)
            if wrong or parsed is None:
                continue
            if parsed.version != int(kind[-1]):
                errs.invalid(path, address, f"must be an {kind} address")
            validate_non_special_ip(address, at, errs)


_slice = rules.kind("discovery.k8s.io/v1 EndpointSlice")(f"""
    addressType!                        FQDN|IPv4|IPv6
    ports[]                             most:{MAX_PORTS}
    if #ports <= {MAX_PORTS}
      ports[]
        name+                           dns-label
        name~                           unique
        protocol*                       SCTP|TCP|UDP
        appProtocol                     qualified-name
    if not $unchanged
      endpoints[]                       most:{MAX_ENDPOINTS}
      if #endpoints <= {MAX_ENDPOINTS}
        endpoints[]
          addresses[]!                  most:100 : must contain at least 1 address
          @addresses
          nodeName                      dns-subdomain
          deprecatedTopology[]          most:16
          deprecatedTopology            labels
          hostname                      dns-label
          hints.forZones[]              most:8
          if #hints.forZones <= 8
            hints.forZones[]            unique-first:.name
              name                      label-value
          hints.forNodes[]              most:8
          if #hints.forNodes <= 8
            hints.forNodes[]            unique-first:.name
              name                      dns-subdomain
""")
_same_type = d.fixed("addressType", "")


def validate_slice(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new slice; with `old`, a changed one."""
    unchanged = old is not None and equal(obj.get("endpoints"), old.get("endpoints"))
    _slice(obj, errs, _Addresses(obj.get("addressType", ""), unchanged))


def validate_slice_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_slice(obj, errs, old)
    _same_type(obj, old, errs)


def slice_warnings(obj: Object) -> list[str]:
    kind = obj.get("addressType", "")
    if kind == "FQDN":
        return ["spec.addressType: FQDN endpoints are deprecated"]
    return [
        warning
        for i, endpoint in enumerate(obj.get("endpoints") or ())
        for j, address in enumerate(endpoint.get("addresses") or ())
        for warning in addresses.ip_warnings(f"endpoints[{i}].addresses[{j}]", address)
    ]
