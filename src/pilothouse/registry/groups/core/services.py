"""Service strategy: sets defaults, allocates IPs and ports,
keeps or drops fields (registry/core/service/storage).

What is chosen here is claimed when the service is written and released afterwards (service_objects.py).
"""

from pilothouse import errors
from pilothouse.api.validate.common import Repeated, is_ipv6
from pilothouse.api.values.fields import Errors, Object
from pilothouse.registry.allocators import AllocationError
from pilothouse.registry.groups import rules
from pilothouse.registry.strategy import Addresses, NodePorts, WriteContext


def prepare_create(ctx: WriteContext, service: Object) -> None:
    """Set IP families, addresses and ports; raises Invalid if a requested one is not available."""
    spec = service.setdefault("spec", {})
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    _init_families(ctx, service, None)
    _allocate_addresses(ctx, service)
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        _init_node_ports(ctx, service)
    if rules.service.needs_health_check(spec):
        _allocate_health_port(ctx, spec)


def prepare_update(ctx: WriteContext, service: Object, old: Object) -> None:
    """Keep allocated values, allocate newly needed ones and drop those without use."""
    spec, before = service.setdefault("spec", {}), old.get("spec") or {}
    _keep_allocated(spec, before)
    _sync_cluster_ips(spec, before)
    _init_families(ctx, service, old)
    _update_addresses(ctx, service, before)
    _update_node_ports(ctx, service, before)
    _update_health_port(ctx, spec, before)
    _drop_by_type(spec, before)


def canonicalize(service: Object) -> None:
    """Drop the internal traffic policy of an external name, which has no traffic;
    upstream does not show it either."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        spec.pop("internalTrafficPolicy", None)


def warnings(ctx: WriteContext, service: Object, old: Object | None) -> list[str]:
    return rules.service.service_warnings(service)


def _pools(ctx: WriteContext) -> tuple[Addresses, NodePorts]:
    return ctx.services.addresses, ctx.services.node_ports


def _refuse(service: Object, errs: Errors) -> None:
    errs.raise_if_any("", "Service", service["metadata"].get("name", ""))


def _needs_cluster_ip(spec: Object) -> bool:
    """Whether it has cluster IPs. An unknown type counts as one that has: validation refuses it later."""
    return spec.get("type") != "ExternalName"


def _needs_node_port(spec: Object) -> bool:
    kind = spec.get("type")
    return kind == "NodePort" or (
        kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def _node_ports(spec: Object) -> list[int]:
    return [p["nodePort"] for p in spec.get("ports") or () if p.get("nodePort")]


def _keep_allocated(spec: Object, before: Object) -> None:
    """Copy allocated values from the old service if an update omits them (patchAllocatedValues)."""
    if _needs_cluster_ip(before) and _needs_cluster_ip(spec):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        same = spec.get("clusterIP") == before.get("clusterIP")
        if not spec.get("clusterIPs") and same and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
    if _needs_node_port(before) and _needs_node_port(spec):
        used = set(_node_ports(before)) & set(_node_ports(spec))
        by_name = {p.get("name", ""): p.get("nodePort", 0) for p in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                known = by_name.get(port.get("name", ""), 0)
                if known and known not in used:
                    port["nodePort"] = known
                    used.add(known)
    if (
        rules.service.needs_health_check(before)
        and rules.service.needs_health_check(spec)
        and not spec.get("healthCheckNodePort")
    ):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort", 0)


def _sync_cluster_ips(spec: Object, before: Object) -> None:
    """Update clusterIPs from clusterIP for clients that know only the latter (normalizeClusterIPs)."""
    new, old = spec.get("clusterIP", ""), before.get("clusterIP", "")
    listed = spec.get("clusterIPs") or []
    if new == old or listed not in ([], before.get("clusterIPs") or []):
        return
    if new:
        spec["clusterIPs"] = [new]
    else:
        spec.pop("clusterIPs", None)


def _keeps_families(spec: Object, before: Object) -> bool:
    """Whether a PreferDualStack service keeps its families,
    although the cluster's families may have changed."""
    return (
        spec.get("ipFamilyPolicy") == "PreferDualStack"
        and before.get("ipFamilyPolicy") in (None, "PreferDualStack")
        and before.get("type") == spec.get("type")
        and _needs_cluster_ip(spec)
        and (spec.get("clusterIPs") or []) == (before.get("clusterIPs") or [])
        and (spec.get("ipFamilies") or []) == (before.get("ipFamilies") or [])
    )


def _init_families(ctx: WriteContext, service: Object, old: Object | None) -> None:
    """Set ipFamilyPolicy and ipFamilies by the cluster's configuration (initIPFamilyFields)."""
    spec, before = service["spec"], (old or {}).get("spec")
    if spec.get("type") == "ExternalName" or (before is not None and _keeps_families(spec, before)):
        return
    headless, selector = spec.get("clusterIP") == "None", spec.get("selector")
    if spec.get("ipFamilyPolicy") is None:
        if before and before.get("ipFamilyPolicy") is not None:
            spec["ipFamilyPolicy"] = before["ipFamilyPolicy"]
        else:
            spec["ipFamilyPolicy"] = "RequireDualStack" if headless and not selector else "SingleStack"
    errs = Errors()
    rules.service.validate_cluster_ip_fields(spec, errs, frozenset((before or {}).get("clusterIPs") or ()))
    _refuse(service, errs)
    configured = _pools(ctx)[0].families
    if before is not None:
        _drop_secondary(spec, before, errs)
    _check_policy(spec, errs)
    _infer_families(spec, configured, errs)
    _refuse(service, errs)
    policy = spec["ipFamilyPolicy"]
    if headless and not selector:
        families = spec.get("ipFamilies") or [configured[0]]
        if len(families) < 2 and policy != "SingleStack":
            families = [*families, _other(families[0])]
        spec["ipFamilies"] = families
        return
    if policy == "RequireDualStack" and len(configured) < 2:
        why = "this cluster is not configured for dual-stack services"
        errs.invalid("spec.ipFamilyPolicy", policy, why)
    for i, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in configured:
            errs.invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster")
    _refuse(service, errs)
    families = spec.get("ipFamilies") or [configured[0]]
    if policy != "SingleStack" and len(families) == 1 and len(configured) == 2:
        families = [*families, _other(families[0])]
    spec["ipFamilies"] = families


def _other(family: str) -> str:
    return "IPv6" if family == "IPv4" else "IPv4"


def _drop_secondary(spec: Object, before: Object, errs: Errors) -> None:
    """Drop the secondary IP and family if the policy becomes SingleStack; refuse to lose them otherwise."""
    policy = spec.get("ipFamilyPolicy")
    for member, what in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        new, old = spec.get(member) or [], before.get(member) or []
        if policy == "SingleStack":
            if new == old and len(new) > 1:
                spec[member] = new[:1]
        elif new and len(new) < len(old):
            why = f"must be 'SingleStack' to release the secondary {what}"
            errs.invalid("spec.ipFamilyPolicy", policy, why)


def _check_policy(spec: Object, errs: Errors) -> None:
    if spec.get("ipFamilyPolicy") != "SingleStack":
        return
    for member, what in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
        if len(spec.get(member) or ()) == 2:
            why = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            errs.invalid("spec.ipFamilyPolicy", "SingleStack", why)


def _infer_families(spec: Object, configured: tuple[str, ...], errs: Errors) -> None:
    elsewhere = {
        f: Repeated(spec.get("clusterIPs"), f"{f} is not configured on this cluster")
        for f in rules.service.FAMILIES
    }
    inferred = list(spec.get("ipFamilies") or ())
    for i, address in enumerate(spec.get("clusterIPs") or ()):
        if address == "None":
            return
        family = "IPv6" if is_ipv6(address) else "IPv4"
        if i < len(inferred):
            continue
        if family not in configured:
            elsewhere[family].add_to(errs, f"spec.clusterIPs[{i}]")
        else:
            inferred.append(family)
            spec["ipFamilies"] = inferred


def _allocate_addresses(ctx: WriteContext, service: Object) -> None:
    spec = service["spec"]
    listed = spec.get("clusterIPs") or []
    if spec.get("type") == "ExternalName" or listed[:1] == ["None"]:
        return
    listed = list(listed)
    for i, family in enumerate(spec.get("ipFamilies") or ()):
        address = _allocate(ctx, service, family, listed[i] if i < len(listed) else "")
        listed[i : i + 1] = [address]
    if listed:
        spec["clusterIPs"], spec["clusterIP"] = listed, listed[0]


def _allocate(ctx: WriteContext, service: Object, family: str, wanted: str) -> str:
    addresses = _pools(ctx)[0]
    try:
        address = addresses.allocate(wanted or None, family, dry_run=ctx.dry_run)
    except AllocationError as err:
        if not wanted:
            raise errors.internal(f"failed to allocate a serviceIP: {err}") from None
        errs = Errors()
        why = f"failed to allocate IP {wanted}: {err}"
        errs.invalid("spec.clusterIPs", service["spec"].get("clusterIPs"), why)
        _refuse(service, errs)
        raise
    if ctx.dry_run:
        return address
    if not wanted:
        ctx.assigned.add(address)
    ctx.undo.append(lambda: addresses.release(address))
    return address


def _update_addresses(ctx: WriteContext, service: Object, before: Object) -> None:
    spec = service["spec"]
    if _keeps_families(spec, before):
        return
    kind, old_kind = spec.get("type"), before.get("type")
    if old_kind == "ExternalName" and kind != "ExternalName":
        _allocate_addresses(ctx, service)
        return
    if (before.get("clusterIPs") or [])[:1] == ["None"]:
        return
    families = spec.get("ipFamilies") or []
    if kind != "ExternalName" and len(before.get("ipFamilies") or ()) == 1 and len(families) == 2:
        listed = spec.get("clusterIPs") or []
        wanted = listed[1] if len(listed) > 1 else ""
        spec["clusterIPs"] = [*listed[:1], _allocate(ctx, service, families[1], wanted)]


def _allocates_node_ports(spec: Object) -> bool:
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and bool(spec.get("allocateLoadBalancerNodePorts")))


def _allocate_port(ctx: WriteContext, service: Object, wanted: int, path: str) -> int:
    ports = _pools(ctx)[1]
    try:
        port = ports.allocate(wanted or None, dry_run=ctx.dry_run)
    except AllocationError as err:
        if not wanted:
            raise errors.internal(f"failed to allocate a nodePort: {err}") from None
        errs = Errors()
        errs.invalid(path, wanted, str(err))
        _refuse(service, errs)
        raise
    _record_port(ctx, port, wanted)
    return port


def _record_port(ctx: WriteContext, port: int, wanted: int) -> None:
    ports = _pools(ctx)[1]
    if not wanted:
        ctx.assigned.add(port)
    ctx.undo.append(lambda: ports.release(port))


def _init_node_ports(ctx: WriteContext, service: Object) -> None:
    """Give ports with the same number the same node port,
    unless they request different ones (initNodePorts)."""
    spec = service["spec"]
    assigned: dict[int, int] = {}
    ports = spec.get("ports") or []
    requested: dict[int, int] = {}  # port number -> the first requested node port
    for port in ports:
        if port.get("nodePort"):
            requested.setdefault(port.get("port", 0), port["nodePort"])
    for i, port in enumerate(ports):
        wanted, number = port.get("nodePort", 0), port.get("port", 0)
        if not wanted and not _allocates_node_ports(spec):
            continue
        path = f"spec.ports[{i}].nodePort"
        if number not in assigned:
            port["nodePort"] = _allocate_port(ctx, service, requested.get(number, 0), path)
            assigned[number] = port["nodePort"]
        elif not wanted:
            port["nodePort"] = assigned[number]
        elif wanted != assigned[number]:
            _allocate_port(ctx, service, wanted, path)


def _update_node_ports(ctx: WriteContext, service: Object, before: Object) -> None:
    spec = service["spec"]
    if spec.get("type") not in ("NodePort", "LoadBalancer"):
        return
    known = set(_node_ports(before))
    seen: set[tuple[str, int]] = set()
    for i, port in enumerate(spec.get("ports") or ()):
        wanted = port.get("nodePort", 0)
        if not wanted and not _allocates_node_ports(spec):
            continue
        if not wanted:
            port["nodePort"] = _allocate_port(ctx, service, 0, "")
        elif wanted not in known:
            _allocate_port(ctx, service, wanted, f"spec.ports[{i}].nodePort")
        known.add(port["nodePort"])
        pair = (port.get("protocol", ""), port["nodePort"])
        if pair in seen:
            raise errors.Unknown(f"duplicate nodePort: {{{pair[0]} {pair[1]}}}")
        seen.add(pair)


def _allocate_health_port(ctx: WriteContext, spec: Object) -> None:
    ports, wanted = _pools(ctx)[1], spec.get("healthCheckNodePort", 0)
    try:
        port = ports.allocate(wanted or None)
    except AllocationError as err:
        requested = f"requested HealthCheck NodePort {wanted}" if wanted else "a HealthCheck NodePort 0"
        raise errors.internal(f"failed to allocate {requested}: {err}") from None
    _record_port(ctx, port, wanted)
    spec["healthCheckNodePort"] = port


def _update_health_port(ctx: WriteContext, spec: Object, before: Object) -> None:
    if rules.service.needs_health_check(spec) and not rules.service.needs_health_check(before):
        _allocate_health_port(ctx, spec)


def _drop_by_type(spec: Object, before: Object) -> None:
    """Clear unchanged fields that the new type does not use (dropTypeDependentFields)."""

    def untouched(member: str) -> bool:
        return (spec.get(member) or None) == (before.get(member) or None)

    if _needs_cluster_ip(before) and not _needs_cluster_ip(spec):
        if untouched("clusterIPs"):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        for member in ("ipFamilies", "ipFamilyPolicy"):
            if untouched(member):
                spec.pop(member, None)
    if (
        _needs_node_port(before)
        and not _needs_node_port(spec)
        and set(_node_ports(before)) == set(_node_ports(spec))
    ):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    balancer = before.get("type") == "LoadBalancer" and spec.get("type") != "LoadBalancer"
    for member, gone in (
        (
            "healthCheckNodePort",
            rules.service.needs_health_check(before) and not rules.service.needs_health_check(spec),
        ),
        ("allocateLoadBalancerNodePorts", balancer),
        ("loadBalancerClass", balancer),
        (
            "externalTrafficPolicy",
            rules.service.is_externally_accessible(before)
            and not rules.service.is_externally_accessible(spec),
        ),
    ):
        if gone and spec.get(member) == before.get(member):
            spec.pop(member, None)
