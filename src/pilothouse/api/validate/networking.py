"""Validates networking.k8s.io/v1: ingresses, ingress classes,
network policies, IP addresses, service CIDRs."""

from collections.abc import Iterator
from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import IMMUTABLE, report, validate_cidr
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.warnings import enough

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")

rules = Rules(__name__)

# Ingresses


_ingress = rules.table("api.networking.v1.IngressSpec")("""
    if not rules and not defaultBackend given
      invalid                           show:null : either `defaultBackend` or `rules` must be specified
    defaultBackend                      backend
    rules[]
      host+                             no-address host
      if not $any_wildcard or not host has *
        @http
    tls[]
      hosts[]                           host
      secretName+                       $any_secret?:dns-subdomain
    ingressClassName                    dns-subdomain
""")


class _Excuses(NamedTuple):
    """The faults that a changed ingress may keep:
    invalid names of secrets, and what rules for wildcards lead to."""

    any_secret: bool = False
    any_wildcard: bool = False


@rules
def _host(host: str, path: str, errs: Errors) -> None:
    report(path, host, (names.wildcard_subdomain if "*" in host else names.dns_subdomain)(host), errs)


rules.define("""
http                                api.networking.v1.IngressRule
    http
      paths[]!
        if pathType given
          if pathType in Exact|Prefix
            path                        absolute without-steps
          else
            pathType                    Exact|ImplementationSpecific|Prefix
            if pathType == ImplementationSpecific
              path+                     absolute
          backend
            @backend
        else
          pathType!                     : pathType must be specified
""")
_http = rules["http"]


@rules
def _without_steps(text: str, path: str, errs: Errors) -> None:
    for bad in _BAD_SEQUENCES:
        if bad in text:
            errs.invalid(path, text, f"must not contain '{bad}'")
    for bad in _BAD_ENDS:
        if text.endswith(bad):
            errs.invalid(path, text, f"cannot end with '{bad}'")


rules.define("""
backend                             api.networking.v1.IngressBackend
    if resource given and service given
      invalid                           : cannot set both resource and service backends
    else
      resource
        apiGroup                        dns-subdomain
        kind!                           path-segment
        name!                           path-segment
      if service given
        service.name!                   dns-label
        if service.port.name and service.port.number
          invalid                       : cannot set both port name & port number
        else
          service.port.name+            port-name
          service.port.number+          port
        if not service.port.name and not service.port.number
          required                      : port name or number is required
      if not resource given and not service given
        invalid                         : resource or service backend is required
""")


def _leads_nowhere(rule: Object) -> bool:
    return "*" in rule.get("host", "") and d.finds_fault(_http, rule)


def _matching_class(obj: Object, errs: Errors) -> None:
    annotated = d.found(obj, ("metadata", "annotations", CLASS_ANNOTATION))
    chosen = d.found(obj, ("spec", "ingressClassName"))
    if annotated is not None and chosen is not None and annotated != chosen:
        why = "must match `ingressClassName` when both are specified"
        errs.invalid(f"annotations.{CLASS_ANNOTATION}", annotated, why)


def validate_ingress(obj: Object, errs: Errors) -> None:
    _ingress(obj.get("spec") or {}, "spec", errs, _Excuses())
    _matching_class(obj, errs)


def validate_ingress_update(obj: Object, old: Object, errs: Errors) -> None:
    before = old.get("spec") or {}
    secrets = [t["secretName"] for t in before.get("tls") or () if t.get("secretName")]
    any_wildcard = any(map(_leads_nowhere, before.get("rules") or ()))
    _ingress(
        obj.get("spec") or {}, "spec", errs, _Excuses(any(map(names.dns_subdomain, secrets)), any_wildcard)
    )


def validate_ingress_status(obj: Object, old: Object, errs: Errors) -> None:
    _ingress_status(obj, errs, {i.get("ip", "") for i in _balancer_ingress(old)})


_ingress_status = rules.kind("networking.k8s.io/v1 Ingress")("""
    status.loadBalancer.ingress[]
      ip+                               legacy-ip
      hostname+                         dns-subdomain no-address
""")


def _balancer_ingress(obj: Object) -> list[Object]:
    found: list[Object] = d.found(obj, ("status", "loadBalancer", "ingress"), [])
    return found


def ingress_status_warnings(obj: Object) -> list[str]:
    return [
        warning
        for i, ingress in enumerate(_balancer_ingress(obj))
        if ingress.get("ip")
        for warning in names.ip_warnings(f"status.loadBalancer.ingress[{i}].ip", ingress["ip"])
    ]


# Ingress classes

validate_ingress_class = rules.kind("networking.k8s.io/v1 IngressClass")("""
    spec.controller                     max:250 domain-prefixed-path
    spec.parameters
      apiGroup                          dns-subdomain
      kind!                             path-segment
      name!                             path-segment
      scope*                            Cluster|Namespace
      if scope == Namespace
        namespace*                      : `parameters.scope` is set to 'Namespace'
        namespace                       dns-label
      if scope == Cluster
        namespace-?                     : `parameters.scope` is set to 'Cluster'
""")
validate_ingress_class_update = d.change(d.fixed("spec.controller", ""), d.anew(validate_ingress_class))

# Network policies


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


class _Stored(NamedTuple):
    """The faults that a changed policy may keep:
    values of selectors that are no label values, and its CIDRs."""

    any_value: bool
    cidrs: frozenset[str]


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
    whole = names.parse_cidr(cidr)
    if whole is None:
        return
    for i, text in enumerate(block.get("except") or ()):
        at = f"{path}.except[{i}]"
        validate_cidr(text, at, errs, stored.cidrs)
        part = names.parse_cidr(text)
        if part is not None and not _is_strict_part(part, whole):
            errs.invalid(at, text, "must be a strict subset of `cidr`")


def _is_strict_part(part: tuple[names.Address, int], whole: tuple[names.Address, int]) -> bool:
    (inner, inner_length), (outer, outer_length) = part, whole
    if inner.version != outer.version or inner_length <= outer_length:
        return False
    rest = outer.max_prefixlen - outer_length
    return int(inner) >> rest == int(outer) >> rest


def network_policy_warnings(obj: Object) -> list[str]:
    return enough(warning for path, cidr in policy_cidrs(obj) for warning in names.cidr_warnings(path, cidr))


# IP addresses and service CIDRs


def ip_address_name(name: str, prefix: bool = False) -> list[str]:
    """Name rule: the name of an IPAddress is the address in canonical form."""
    return list(names.ip(name))


validate_ip_address = rules.kind("networking.k8s.io/v1 IPAddress")("""
    spec.parentRef*
      group+                            dns-subdomain
      resource!                         path-segment
      name!                             path-segment
      namespace+                        path-segment
""")
validate_ip_address_update = d.fixed("spec.parentRef", show="api.networking.v1.ParentReference")


def validate_service_cidr(obj: Object, errs: Errors) -> None:
    path, cidrs = "spec.cidrs", (obj.get("spec") or {}).get("cidrs") or []
    if not cidrs:
        errs.required(path, "at least one CIDR required")
        return
    if len(cidrs) > 2:
        errs.invalid(path, {"CIDRs": cidrs}, "may only hold up to 2 values")
        return
    for i, cidr in enumerate(cidrs):
        d.Matches(names.cidr)(cidr, f"{path}[{i}]", errs)
    if _of_one_family(cidrs):
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errs.invalid(path, cidrs, why)


def _of_one_family(cidrs: list[str]) -> bool:
    """Whether there are two, and both are IPv4 or both IPv6."""
    parsed = [found for found in map(names.parse_cidr, cidrs) if found is not None]
    return len(parsed) == 2 and parsed[0][0].version == parsed[1][0].version


def validate_service_cidr_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed ServiceCIDR:
    a single-stack range may get a second CIDR, nothing else may change."""
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
