"""Validates network policies (apis/networking/validation)."""

from collections.abc import Iterator
from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import validate_cidr
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.warnings import enough

rules = Rules(__name__)


class _Stored(NamedTuple):
    """The faults that a changed policy may keep: values of selectors, and its CIDRs."""

    any_value: bool
    cidrs: frozenset[str]


@rules
def _port_and_end(entry: Object, path: str, errs: Errors) -> None:
    port, end, at = entry.get("port"), entry.get("endPort"), f"{path}.endPort"
    if port is None or isinstance(port, str):
        if end is not None:
            what = "not specified" if port is None else "non-numeric"
            errs.invalid(at, end, f"may not be specified when `port` is {what}")
        if port is not None:
            d.port_name(port, f"{path}.port", errs)
        return
    d.port(port, f"{path}.port", errs)
    if end is not None:
        if end < port:
            errs.invalid(at, port, "must be greater than or equal to `port`")
        d.port(end, at, errs)


@rules
def _block(block: Object, path: str, errs: Errors, stored: _Stored) -> None:
    cidr = block.get("cidr", "")
    if not cidr:
        errs.required(f"{path}.cidr")
        return
    validate_cidr(cidr, f"{path}.cidr", errs, stored.cidrs)
    whole = addresses.parse_cidr(cidr)
    if whole is None:
        return
    for i, text in enumerate(block.get("except") or ()):
        at = f"{path}.except[{i}]"
        validate_cidr(text, at, errs, stored.cidrs)
        part = addresses.parse_cidr(text)
        if part is not None and not _is_strict_part(part, whole):
            errs.invalid(at, text, "must be a strict subset of `cidr`")


def _is_strict_part(part: tuple[addresses.Address, int], whole: tuple[addresses.Address, int]) -> bool:
    (inner, inner_length), (outer, outer_length) = part, whole
    if inner.version != outer.version or inner_length <= outer_length:
        return False
    rest = outer.max_prefixlen - outer_length
    return int(inner) >> rest == int(outer) >> rest


rules.define("""
policy-port                         api.networking.v1.NetworkPolicyPort
    protocol                            TCP|UDP|SCTP
    @port-and-end
peer                                api.networking.v1.NetworkPolicyPeer
    podSelector                         $any_value?any-selector:label-selector
    namespaceSelector                   $any_value?any-selector:label-selector
    ipBlock                             block
    if none-of podSelector,namespaceSelector,ipBlock
      required                          : must specify a peer
    elif ipBlock given and several-of podSelector,namespaceSelector,ipBlock
      forbidden                         : may not specify both ipBlock and another peer
""")
_network_policy = rules.kind("networking.k8s.io/v1 NetworkPolicy")("""
    spec.podSelector                    $any_value?any-selector:label-selector
    spec.ingress[]
      ports[]                           policy-port
      from[]                            peer
    spec.egress[]
      ports[]                           policy-port
      to[]                              peer
    if #spec.policyTypes > 2
      spec.policyTypes                  never : may not specify more than two policyTypes
    else
      spec.policyTypes[]                Ingress|Egress
""")


def validate_network_policy(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new policy; with `old`, a changed one, which may keep its CIDRs and label values."""
    excuse = d.finds_fault(d.label_selector, d.found(old, ("spec", "podSelector")))
    _network_policy(obj, errs, _Stored(excuse, frozenset(cidr for _, cidr in policy_cidrs(old or {}))))


def policy_cidrs(obj: Object) -> Iterator[tuple[str, str]]:
    """Yield every CIDR in a policy as (path, text)."""
    spec = obj.get("spec") or {}
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            for j, peer in enumerate(rule.get(peers) or ()):
                block, path = peer.get("ipBlock") or {}, f"spec.{direction}[{i}].{peers}[{j}].ipBlock"
                if block:
                    yield f"{path}.cidr", block.get("cidr", "")
                    yield from ((f"{path}.except[{k}]", c) for k, c in enumerate(block.get("except") or ()))


def network_policy_warnings(obj: Object) -> list[str]:
    return enough(
        warning for path, cidr in policy_cidrs(obj) for warning in addresses.cidr_warnings(path, cidr)
    )
