"""Validates discovery.k8s.io/v1: endpoint slices."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.service import validate_non_special_ip
from pilothouse.api.validate.tables import Rules

MAX_ENDPOINTS, MAX_PORTS = 1000, 20_000


def _hints(rule: d.Rule) -> d.Rule:
    """The names of hints, which must differ."""

    def name(hint: Object, path: str, errs: Errors) -> None:
        rule(hint.get("name", ""), f"{path}.name", errs)

    each = d.items(name, key="name", double=".name", early=True)

    def check(hints: list[Object], path: str, errs: Errors) -> None:
        if len(hints) > 8:
            errs.too_many(path, len(hints), 8)
        else:
            each(hints, path, errs)

    return check


rules = Rules(zones=_hints(d.label_value), nodes=_hints(d.dns_subdomain))


def validate_slice(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new slice; with `old`, a changed one, which may keep addresses that are not canonical.

    Rules that upstream declares with the types (address type, number of addresses) are reported last.
    """
    endpoints, kind = obj.get("endpoints") or [], obj.get("addressType", "")
    if len(endpoints) > MAX_ENDPOINTS:
        errs.too_many("endpoints", len(endpoints), MAX_ENDPOINTS)
    else:
        known = {a for e in (old or {}).get("endpoints") or () for a in e.get("addresses") or ()}
        for i, endpoint in enumerate(endpoints):
            for j, address in enumerate(endpoint.get("addresses") or ()):
                if kind == "FQDN":
                    names.fully_qualified_domain_name(errs, f"endpoints[{i}].addresses[{j}]", address)
                elif kind in ("IPv4", "IPv6") and address not in known:
                    _address(address, int(kind[-1]), f"endpoints[{i}].addresses", j, errs)
            _endpoint(endpoint, f"endpoints[{i}]", errs)
    if len(obj.get("ports") or ()) > MAX_PORTS:
        errs.too_many("ports", len(obj["ports"]), MAX_PORTS)
    else:
        _ports(obj, errs)
    _address_type(obj, errs)
    if len(endpoints) <= MAX_ENDPOINTS:
        _enough_addresses(obj, errs)


_endpoint = rules.table("""
    nodeName?                           dns-subdomain
    deprecatedTopology?                 few-topologies labels
    hostname?                           dns-label
    hints.forZones?                     zones
    hints.forNodes?                     nodes
""")


def _ports(obj: Object, errs: Errors) -> None:
    seen: set[str] = set()
    for i, port in enumerate(obj.get("ports") or ()):
        name = port.get("name") or ""
        if name:
            d.dns_label(name, f"ports[{i}].name", errs)
        if name in seen:
            errs.duplicate(f"ports[{i}].name", name)
        seen.add(name)
        _port(port, f"ports[{i}]", errs)


_port = rules.table("""
    protocol*                           SCTP|TCP|UDP
    appProtocol?                        qualified-name
""")
_address_type = rules.kind("addressType! FQDN|IPv4|IPv6")
_enough_addresses = rules.kind("""
    endpoints[]
      addresses[]!                      most:100 : must contain at least 1 address
""")


def validate_slice_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_slice(obj, errs, old)
    _same_type(obj, old, errs)


_same_type = d.fixed("addressType", "")


def _address(text: str, version: int, path: str, index: int, errs: Errors) -> None:
    wrong = names.ip_legacy(text)
    for message in wrong:
        errs.invalid(f"{path}[{index}]", text, message)
    parsed = names.parse_ip(text)
    if wrong or parsed is None:
        return
    if parsed.version != version:
        errs.invalid(path, text, f"must be an IPv{version} address")
    validate_non_special_ip(text, f"{path}[{index}]", errs)


@rules
def _few_topologies(topology: dict[str, str], path: str, errs: Errors) -> None:
    if len(topology) > 16:
        errs.too_many(path, len(topology), 16)


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
