"""Validates networking.k8s.io/v1: ingresses, ingress classes, network policies, IP addresses, service CIDRs."""

from collections.abc import Iterator
from functools import cache

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import IMMUTABLE, validate_cidr, validate_ip
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables import Rules
from pilothouse.api.warnings import enough

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")

rules = Rules(
    no_address=d.holds(lambda host: names.parse_ip(host) is None, "must be a DNS name, not an IP address"),
    absolute=d.holds(lambda path: path.startswith("/"), "must be an absolute path"),
)

# Ingresses


@cache
def _ingress_spec(any_secret: bool, any_wildcard: bool) -> d.Rule:
    """With `any_secret`, names of secrets are not checked; with `any_wildcard`, not what rules for wildcards lead to."""
    return rules.table(f"""
        @backend-or-rules
        defaultBackend?                 backend
        rules[]
          host+                         no-address host
          {"@http-unless-wildcard" if any_wildcard else "@http"}
        tls[]
          hosts[]                       host
          {"" if any_secret else "secretName+ dns-subdomain"}
        ingressClassName?               dns-subdomain
    """)


@rules
def _backend_or_rules(spec: Object, path: str, errs: Errors) -> None:
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        why = "either `defaultBackend` or `rules` must be specified"
        errs.invalid(path, spec.get("rules") or None, why)


@rules
def _host(host: str, path: str, errs: Errors) -> None:
    for message in (names.wildcard_subdomain if "*" in host else names.dns_subdomain)(host):
        errs.invalid(path, host, message)


rules.define("""
http
    http?
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
def _http_unless_wildcard(rule: Object, path: str, errs: Errors) -> None:
    if "*" not in rule.get("host", ""):
        _http(rule, path, errs)


@rules
def _without_steps(text: str, path: str, errs: Errors) -> None:
    for bad in _BAD_SEQUENCES:
        if bad in text:
            errs.invalid(path, text, f"must not contain '{bad}'")
    for bad in _BAD_ENDS:
        if text.endswith(bad):
            errs.invalid(path, text, f"cannot end with '{bad}'")


rules.define("""
backend
    if resource given and service given
      invalid                           : cannot set both resource and service backends
    else
      resource?
        apiGroup?                       dns-subdomain
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
    _ingress_spec(False, False)(obj.get("spec") or {}, "spec", errs)
    _matching_class(obj, errs)


def validate_ingress_update(obj: Object, old: Object, errs: Errors) -> None:
    before = old.get("spec") or {}
    any_secret = any(
        t.get("secretName") and names.dns_subdomain(t["secretName"]) for t in before.get("tls") or ()
    )
    any_wildcard = any(map(_leads_nowhere, before.get("rules") or ()))
    _ingress_spec(any_secret, any_wildcard)(obj.get("spec") or {}, "spec", errs)


def validate_ingress_status(obj: Object, old: Object, errs: Errors) -> None:
    known = {i.get("ip", "") for i in _balancer_ingress(old)}
    for i, ingress in enumerate(_balancer_ingress(obj)):
        path = f"status.loadBalancer.ingress[{i}]"
        if ingress.get("ip"):
            validate_ip(ingress["ip"], f"{path}.ip", errs, known)
        _balancer_host(ingress, path, errs)


_balancer_host = rules.table("hostname+ dns-subdomain no-address")


def _balancer_ingress(obj: Object) -> list[Object]:
    return ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def ingress_status_warnings(obj: Object) -> list[str]:
    return [
        warning
        for i, ingress in enumerate(_balancer_ingress(obj))
        if ingress.get("ip")
        for warning in names.ip_warnings(f"status.loadBalancer.ingress[{i}].ip", ingress["ip"])
    ]


# Ingress classes

validate_ingress_class = rules.kind("""
    spec.controller                     max:250 domain-prefixed-path
    spec.parameters?
      apiGroup?                         dns-subdomain
      kind!                             path-segment
      name!                             path-segment
      scope*                            Cluster|Namespace
      if scope == Namespace
        namespace*                      : `parameters.scope` is set to 'Namespace'
        namespace?                      dns-label
      if scope == Cluster
        namespace-?                     : `parameters.scope` is set to 'Cluster'
""")
validate_ingress_class_update = d.change(d.fixed("spec.controller", ""), d.anew(validate_ingress_class))

# Network policies


def validate_network_policy(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new policy; with `old`, a changed one, which may keep its CIDRs and label values."""
    excuse = d.finds_fault(d.label_selector, d.found(old, ("spec", "podSelector")))
    known = {cidr for _, cidr in policy_cidrs(old)} if old is not None else set()
    spec, selector = obj.get("spec") or {}, d.selector(excuse)
    selector(spec.get("podSelector") or {}, "spec.podSelector", errs)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{i}]"
            _policy_ports(rule, path, errs)
            for j, peer in enumerate(rule.get(peers) or ()):
                _peer(peer, f"{path}.{peers}[{j}]", errs, selector, known)
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        errs.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    _policy_types(spec, "spec", errs)


_policy_types = rules.table("policyTypes[] Ingress|Egress")


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


_policy_ports = rules.table("""
    ports[]
      protocol?                         TCP|UDP|SCTP
      @port-and-end
""")


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


def _peer(peer: Object, path: str, errs: Errors, selector: d.Rule, known: set[str]) -> None:
    given = [m for m in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(m) is not None]
    for member in given:
        if member == "ipBlock":
            _block(peer[member], f"{path}.ipBlock", errs, known)
        else:
            selector(peer[member], f"{path}.{member}", errs)
    if not given:
        errs.required(path, "must specify a peer")
    elif len(given) > 1 and "ipBlock" in given:
        errs.forbidden(path, "may not specify both ipBlock and another peer")


def _block(block: Object, path: str, errs: Errors, known: set[str]) -> None:
    cidr = block.get("cidr", "")
    if not cidr:
        errs.required(f"{path}.cidr")
        return
    validate_cidr(cidr, f"{path}.cidr", errs, known)
    whole = names.parse_cidr(cidr)
    if whole is None:
        return
    for i, text in enumerate(block.get("except") or ()):
        at = f"{path}.except[{i}]"
        validate_cidr(text, at, errs, known)
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


validate_ip_address = rules.kind("""
    spec.parentRef*
      group+                            dns-subdomain
      resource!                         path-segment
      name!                             path-segment
      namespace+                        path-segment
""")
validate_ip_address_update = d.fixed(
    "spec.parentRef", show=lambda ref: go(ref, "api.networking.v1.ParentReference")
)


def validate_service_cidr(obj: Object, errs: Errors) -> None:
    path, cidrs = "spec.cidrs", (obj.get("spec") or {}).get("cidrs") or []
    if not cidrs:
        errs.required(path, "at least one CIDR required")
    elif len(cidrs) > 2:
        errs.invalid(path, {"CIDRs": cidrs}, "may only hold up to 2 values")
    elif len(cidrs) == 2 and not _is_dual_stack(cidrs):
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errs.invalid(path, cidrs, why)
    else:
        for i, cidr in enumerate(cidrs):
            d.matches(names.cidr)(cidr, f"{path}[{i}]", errs)


def _is_dual_stack(cidrs: list[str]) -> bool:
    parsed = [names.parse_cidr(c) for c in cidrs]
    return len({p[0].version for p in parsed if p is not None}) == 2


def validate_service_cidr_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed ServiceCIDR: a single-stack range may get a second CIDR, nothing else may change."""
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
