"""Validates endpoints (apis/core/validation)."""

from pilothouse.api.validate.service import validate_non_special_ip
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

rules = Rules(__name__, validate_non_special_ip)
rules.define("""
address                             api.core.v1.EndpointAddress
    ip                                  legacy-ip
    hostname+                           dns-label
    nodeName                            dns-subdomain
    ip                                  non-special-ip
endpoint-port                       api.core.v1.EndpointPort
    name+                               dns-label
    port                                port
    protocol!                           SCTP|TCP|UDP
    appProtocol                         qualified-name
""")
_endpoints = rules.kind("v1 Endpoints")("""
    subsets[]
      if not addresses and not notReadyAddresses
        required                        : must specify `addresses` or `notReadyAddresses`
      addresses[]                       address
      notReadyAddresses[]               address
      if #ports > 1
        ports[]
          name!
          @endpoint-port
      else
        ports[]                         endpoint-port
""")


def validate_endpoints(endpoints: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates the subsets of Endpoints; addresses in the old object are allowed."""
    before, members = (old or {}).get("subsets") or (), ("addresses", "notReadyAddresses")
    _endpoints(endpoints, errs, {a.get("ip", "") for s in before for m in members for a in s.get(m) or ()})
