"""Validates IP addresses and service CIDRs (apis/networking/validation)."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import IMMUTABLE
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses
from pilothouse.api.values.fields import Errors, Object

rules = Rules(__name__)
validate_ip_address = rules.kind("networking.k8s.io/v1 IPAddress")("""
    spec.parentRef*
      group+                            dns-subdomain
      resource!                         path-segment
      name!                             path-segment
      namespace+                        path-segment
""")
validate_ip_address_update = d.fixed("spec.parentRef", show="api.networking.v1.ParentReference")


def ip_address_name(name: str, prefix: bool = False) -> list[str]:
    """Name rule: the name of an IPAddress is the address in canonical form."""
    return list(addresses.ip(name))


def validate_service_cidr(obj: Object, errs: Errors) -> None:
    path, cidrs = "spec.cidrs", (obj.get("spec") or {}).get("cidrs") or []
    if not cidrs:
        errs.required(path, "at least one CIDR required")
        return
    if len(cidrs) > 2:
        errs.invalid(path, {"CIDRs": cidrs}, "may only hold up to 2 values")
        return
    for i, cidr in enumerate(cidrs):
        d.Matches(addresses.cidr)(cidr, f"{path}[{i}]", errs)
    if _of_one_family(cidrs):
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errs.invalid(path, cidrs, why)


def _of_one_family(cidrs: list[str]) -> bool:
    """Whether there are two, and both are IPv4 or both IPv6."""
    parsed = [found for found in map(addresses.parse_cidr, cidrs) if found is not None]
    return len(parsed) == 2 and parsed[0][0].version == parsed[1][0].version


def validate_service_cidr_update(obj: Object, old: Object, errs: Errors) -> None:
    """A range of one family may get a second CIDR; nothing else may change."""
    new, before = ((o.get("spec") or {}).get("cidrs") or [] for o in (obj, old))
    if len(new) == len(before):
        for i, (cidr, was) in enumerate(zip(new, before, strict=True)):
            if cidr != was:
                errs.invalid(f"spec.cidrs[{i}]", cidr, IMMUTABLE)
    elif len(before) == 1 and len(new) == 2:
        if new[0] != before[0]:
            errs.invalid("spec.cidrs[0]", new[0], IMMUTABLE)
        validate_service_cidr(obj, errs)
    else:
        errs.invalid("spec.cidrs", new or None, IMMUTABLE)
