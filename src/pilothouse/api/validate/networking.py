"""Validates networking.k8s.io/v1: ingresses, ingress classes, network policies, IP addresses, service CIDRs."""

from collections.abc import Iterator

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import (
    IMMUTABLE,
    immutable_field,
    report,
    validate_cidr,
    validate_dns_subdomain,
    validate_ip,
    validate_label_selector,
    validate_port,
)
from pilothouse.api.warnings import enough

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
MAX_CONTROLLER = 250
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_POLICY_TYPES = ("Ingress", "Egress")
_SCOPES = ("Cluster", "Namespace")


# Ingresses


def validate_ingress(obj: Object, errs: Errors) -> None:
    spec = obj.get("spec") or {}
    _ingress_spec(spec, errs)
    annotated = ((obj.get("metadata") or {}).get("annotations") or {}).get(CLASS_ANNOTATION)
    chosen = spec.get("ingressClassName")
    if annotated is not None and chosen is not None and annotated != chosen:
        why = "must match `ingressClassName` when both are specified"
        errs.invalid(f"annotations.{CLASS_ANNOTATION}", annotated, why)


def validate_ingress_update(obj: Object, old: Object, errs: Errors) -> None:
    before = old.get("spec") or {}
    any_secret = any(_secret_name(t) for t in before.get("tls") or ())
    any_wildcard = any("*" in r.get("host", "") and _is_bad_rule(r) for r in before.get("rules") or ())
    _ingress_spec(obj.get("spec") or {}, errs, any_secret=any_secret, any_wildcard=any_wildcard)


def _secret_name(tls: Object) -> list[str]:
    name = tls.get("secretName", "")
    return list(names.dns_subdomain(name)) if name else []


def _is_bad_rule(rule: Object) -> bool:
    errs = Errors()
    _rule_value(rule, "", errs)
    return bool(errs)


def _ingress_spec(
    spec: Object, errs: Errors, *, any_secret: bool = False, any_wildcard: bool = False
) -> None:
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        errs.invalid(
            "spec", spec.get("rules") or None, "either `defaultBackend` or `rules` must be specified"
        )
    if backend is not None:
        _backend(backend, "spec.defaultBackend", errs)
    for i, rule in enumerate(rules):
        _rule(rule, f"spec.rules[{i}]", errs, any_wildcard)
    for i, tls in enumerate(spec.get("tls") or ()):
        _tls(tls, f"spec.tls[{i}]", errs, any_secret)
    if spec.get("ingressClassName") is not None:
        validate_dns_subdomain(spec["ingressClassName"], "spec.ingressClassName", errs)


def _host(host: str, path: str, errs: Errors) -> None:
    check = names.wildcard_subdomain if "*" in host else names.dns_subdomain
    report(path, host, check(host), errs)


def _tls(tls: Object, path: str, errs: Errors, any_secret: bool) -> None:
    for i, host in enumerate(tls.get("hosts") or ()):
        _host(host, f"{path}.hosts[{i}]", errs)
    if not any_secret:
        report(f"{path}.secretName", tls.get("secretName", ""), _secret_name(tls), errs)


def _rule(rule: Object, path: str, errs: Errors, any_wildcard: bool) -> None:
    host = rule.get("host", "")
    if host:
        if names.parse_ip(host) is not None:
            errs.invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        _host(host, f"{path}.host", errs)
    if "*" not in host or not any_wildcard:
        _rule_value(rule, path, errs)


def _rule_value(rule: Object, path: str, errs: Errors) -> None:
    http = rule.get("http")
    if http is None:
        return
    if not http.get("paths"):
        errs.required(f"{path}.http.paths")
    for i, entry in enumerate(http.get("paths") or ()):
        _http_path(entry, f"{path}.http.paths[{i}]", errs)


def _http_path(entry: Object, path: str, errs: Errors) -> None:
    kind, text = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        errs.required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errs.invalid(f"{path}.path", text, "must be an absolute path")
        for bad in _BAD_SEQUENCES:
            if bad in text:
                errs.invalid(f"{path}.path", text, f"must not contain '{bad}'")
        for bad in _BAD_ENDS:
            if text.endswith(bad):
                errs.invalid(f"{path}.path", text, f"cannot end with '{bad}'")
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errs.invalid(f"{path}.path", text, "must be an absolute path")
    else:
        errs.not_supported(f"{path}.pathType", kind, _PATH_TYPES)
    _backend(entry.get("backend") or {}, f"{path}.backend", errs)


def _backend(backend: Object, path: str, errs: Errors) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errs.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        _local_reference(resource, f"{path}.resource", errs, explain=True)
    elif service is not None:
        _service(service, path, errs)
    else:
        errs.invalid(path, "", "resource or service backend is required")


def _service(service: Object, path: str, errs: Errors) -> None:
    name, port = service.get("name", ""), service.get("port") or {}
    if not name:
        errs.required(f"{path}.service.name")
    else:
        report(f"{path}.service.name", name, names.dns_label(name), errs)
    port_name, number = port.get("name", ""), port.get("number", 0)
    if port_name and number:
        errs.invalid(path, "", "cannot set both port name & port number")
    elif port_name:
        report(f"{path}.service.port.name", port_name, names.port_name(port_name), errs)
    elif number:
        validate_port(number, f"{path}.service.port.number", errs)
    else:
        errs.required(path, "port name or number is required")


def _local_reference(reference: Object, path: str, errs: Errors, *, explain: bool) -> None:
    """Validates a reference by group, kind and name; `explain` selects the messages of hand-written rules."""
    group = reference.get("apiGroup")
    if group is not None:
        validate_dns_subdomain(group, f"{path}.apiGroup", errs)
    for member in ("kind", "name"):
        value = reference.get(member, "")
        if not value:
            errs.required(f"{path}.{member}", f"{member} is required" if explain else "")
        else:
            report(f"{path}.{member}", value, names.path_segment(value), errs)


def validate_ingress_status(obj: Object, old: Object, errs: Errors) -> None:
    known = {i.get("ip", "") for i in _balancer_ingress(old)}
    for i, ingress in enumerate(_balancer_ingress(obj)):
        path = f"status.loadBalancer.ingress[{i}]"
        ip, host = ingress.get("ip", ""), ingress.get("hostname", "")
        if ip:
            validate_ip(ip, f"{path}.ip", errs, known)
        if host:
            validate_dns_subdomain(host, f"{path}.hostname", errs)
            if names.parse_ip(host) is not None:
                errs.invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address")


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


def validate_ingress_class(obj: Object, errs: Errors) -> None:
    spec = obj.get("spec") or {}
    controller, parameters = spec.get("controller", ""), spec.get("parameters")
    if len(controller.encode()) > MAX_CONTROLLER:
        errs.too_long("spec.controller", MAX_CONTROLLER)
    names.domain_prefixed_path(errs, "spec.controller", controller)
    if parameters is not None:
        _parameters(parameters, "spec.parameters", errs)


def validate_ingress_class_update(obj: Object, old: Object, errs: Errors) -> None:
    new, before = ((o.get("spec") or {}).get("controller", "") for o in (obj, old))
    immutable_field(new, before, "spec.controller", errs)
    validate_ingress_class(obj, errs)


def _parameters(parameters: Object, path: str, errs: Errors) -> None:
    _local_reference(parameters, path, errs, explain=False)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        errs.required(f"{path}.scope")
    elif scope not in _SCOPES:
        errs.not_supported(f"{path}.scope", scope, _SCOPES)
    elif scope == "Namespace":
        if namespace is None:
            errs.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
        else:
            report(f"{path}.namespace", namespace, names.dns_label(namespace), errs)
    elif namespace is not None:
        errs.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


# Network policies


def validate_network_policy(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new policy; with `old`, a changed one, which may keep its CIDRs and label values."""
    spec = obj.get("spec") or {}
    excuse = _has_bad_selector(old)
    known = {cidr for _, cidr in policy_cidrs(old)} if old is not None else set()
    pods = spec.get("podSelector") or {}
    validate_label_selector(pods, "spec.podSelector", errs, allow_invalid_values=excuse)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{i}]"
            for j, port in enumerate(rule.get("ports") or ()):
                _policy_port(port, f"{path}.ports[{j}]", errs)
            for j, peer in enumerate(rule.get(peers) or ()):
                _peer(peer, f"{path}.{peers}[{j}]", errs, excuse, known)
    types = spec.get("policyTypes") or []
    if len(types) > len(_POLICY_TYPES):
        errs.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for i, kind in enumerate(types):
        if kind not in _POLICY_TYPES:
            errs.not_supported(f"spec.policyTypes[{i}]", kind, _POLICY_TYPES)


def _has_bad_selector(old: Object | None) -> bool:
    errs = Errors()
    if old is not None:
        validate_label_selector((old.get("spec") or {}).get("podSelector"), "", errs)
    return bool(errs)


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


def _policy_port(entry: Object, path: str, errs: Errors) -> None:
    protocol, port, end = entry.get("protocol"), entry.get("port"), entry.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        errs.not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
    if port is None:
        if end is not None:
            errs.invalid(f"{path}.endPort", end, "may not be specified when `port` is not specified")
    elif isinstance(port, str):
        if end is not None:
            errs.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
        report(f"{path}.port", port, names.port_name(port), errs)
    else:
        validate_port(port, f"{path}.port", errs)
        if end is not None:
            if end < port:
                errs.invalid(f"{path}.endPort", port, "must be greater than or equal to `port`")
            validate_port(end, f"{path}.endPort", errs)


def _peer(peer: Object, path: str, errs: Errors, excuse: bool, known: set[str]) -> None:
    given = [m for m in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(m) is not None]
    for member in given:
        if member == "ipBlock":
            _block(peer[member], f"{path}.ipBlock", errs, known)
        else:
            validate_label_selector(peer[member], f"{path}.{member}", errs, allow_invalid_values=excuse)
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


def validate_ip_address(obj: Object, errs: Errors) -> None:
    parent = (obj.get("spec") or {}).get("parentRef")
    path = "spec.parentRef"
    if parent is None:
        errs.required(path)
        return
    if parent.get("group"):
        validate_dns_subdomain(parent["group"], f"{path}.group", errs)
    for member in ("resource", "name"):
        value = parent.get(member, "")
        if not value:
            errs.required(f"{path}.{member}")
        else:
            report(f"{path}.{member}", value, names.path_segment(value), errs)
    namespace = parent.get("namespace", "")
    if namespace:
        report(f"{path}.namespace", namespace, names.path_segment(namespace), errs)


def validate_ip_address_update(obj: Object, old: Object, errs: Errors) -> None:
    new, before = (_parent_shown((o.get("spec") or {}).get("parentRef")) for o in (obj, old))
    immutable_field(new, before, "spec.parentRef", errs)


def _parent_shown(parent: Object | None) -> Object | None:
    members = ("group", "resource", "namespace", "name")
    return None if parent is None else {m.capitalize(): parent.get(m, "") for m in members}


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
            report(f"{path}[{i}]", cidr, names.cidr(cidr), errs)


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
