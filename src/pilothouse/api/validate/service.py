"""Validates services (apis/core/validation); service_update.py validates their changes."""

from collections.abc import Container, Sequence
from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import doubles, is_ipv6, validate_cidr, validate_ip
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses
from pilothouse.api.values.fields import Errors, Object, key
from pilothouse.gotext import quote

FAMILIES = ("IPv4", "IPv6")
MAX_AFFINITY_SECONDS = 86400
TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_host = d.nonempty(d.dns_subdomain)
rules = Rules(
    __name__,
    external_name=lambda name, path, errs: _host(name.removesuffix("."), path, errs),
    cluster_ips=lambda spec, path, errs, known: validate_cluster_ip_fields(spec, errs, known.cluster),
)


class _Known(NamedTuple):
    """The addresses of the stored service, which stay allowed."""

    external: frozenset[str] = frozenset()
    cluster: frozenset[str] = frozenset()
    ranges: frozenset[str] = frozenset()


_NONE = _Known()


@rules
def _matching_topology(service: Object, path: str, errs: Errors) -> None:
    annotations = service["metadata"].get("annotations") or {}
    hints, mode = annotations.get(TOPOLOGY_HINTS), annotations.get(TOPOLOGY_MODE)
    if hints is not None and mode is not None and hints != mode:
        why = f"must match annotations[{TOPOLOGY_HINTS}] when both are specified"
        errs.invalid(key("metadata.annotations", TOPOLOGY_MODE), mode, why)


@rules
def _external_ip(address: str, path: str, errs: Errors, known: _Known) -> None:
    count = len(errs)
    validate_ip(address, path, errs, known.external)
    if len(errs) == count:
        validate_non_special_ip(address, path, errs)


@rules
def validate_non_special_ip(address: str, path: str, errs: Errors) -> None:
    """Refuse unspecified, loopback, link-local and multicast addresses (ValidateNonSpecialIP)."""
    parsed = addresses.parse_ip(address)
    if parsed is None:
        errs.invalid(path, address, "must be a valid IP address")
        return
    if parsed.is_unspecified:
        errs.invalid(path, address, f"may not be unspecified ({address})")
    if parsed.is_loopback:
        errs.invalid(path, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    raw = parsed.packed
    multicast = raw[:3] == b"\xe0\x00\x00" if parsed.version == 4 else raw[0] == 0xFF and raw[1] & 0x0F == 2
    if not multicast and parsed.is_link_local:
        errs.invalid(path, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if multicast:
        errs.invalid(path, address, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")


@rules
def _unlike_ports(ports: Sequence[Object], path: str, errs: Errors) -> None:
    """Each pair of protocol and node port must be unique, and each pair of protocol and port."""
    for i in doubles((port.get("protocol", ""), port.get("nodePort", 0)) for port in ports):
        if ports[i].get("nodePort"):
            errs.duplicate(f"{path}[{i}].nodePort", ports[i]["nodePort"])
    for i in doubles((port.get("protocol", ""), port.get("port", 0)) for port in ports):
        shown = {"Name": "", "Protocol": ports[i].get("protocol", ""), "AppProtocol": None}
        errs.duplicate(
            f"{path}[{i}]", {**shown, "Port": ports[i].get("port", 0), "TargetPort": 0, "NodePort": 0}
        )


@rules
def _source_ranges(service: Object, path: str, errs: Errors, known: _Known) -> None:
    spec, annotations = service.get("spec") or {}, service["metadata"].get("annotations") or {}
    ranges = spec.get("loadBalancerSourceRanges") or []
    path = "spec.LoadBalancerSourceRanges"
    if ranges:
        if spec.get("type") != "LoadBalancer":
            errs.forbidden(path, ONLY_LOAD_BALANCER)
        for i, text in enumerate(ranges):
            validate_cidr(text.strip(), f"{path}[{i}]", errs, known.ranges)
    elif SOURCE_RANGES in annotations:
        path, text = key("metadata.annotations", SOURCE_RANGES), annotations[SOURCE_RANGES].strip()
        if spec.get("type") != "LoadBalancer":
            errs.forbidden(path, ONLY_LOAD_BALANCER)
        for part in text.split(",") if text else ():
            validate_cidr(part.strip(), path, errs)


_service = rules.kind("v1 Service")(f"""
    @matching-topology
    if not spec.ports and spec.type != ExternalName
      if not spec.clusterIPs has None or #spec.clusterIPs != 1
        required                        at:spec.ports
    if #spec.clusterIPs == 1 and spec.clusterIPs has None
      if spec.type == LoadBalancer
        invalid                         at:spec.clusterIPs[0] show:None : may not be set to 'None' for LoadBalancer services
      elif spec.type == NodePort
        invalid                         at:spec.clusterIPs[0] show:None : may not be set to 'None' for NodePort services
    if spec.type == ExternalName
      spec.clusterIPs-,spec.ipFamilies-,spec.ipFamilyPolicy- : may not be set for ExternalName services
      spec.externalName                 external-name
    spec.ports[]
      name+                             dns-label unique
      if not name and #/spec.ports > 1
        name!
      port                              port
      protocol!                         SCTP|TCP|UDP
      targetPort                        port-or-name
      appProtocol                       qualified-name
    spec.selector                       labels
    spec.sessionAffinity!               ClientIP|None
    if spec.sessionAffinity == None
      spec.sessionAffinityConfig-?      : must not be set when session affinity is None
    elif spec.sessionAffinity == ClientIP
      spec.sessionAffinityConfig*       : when session affinity type is ClientIP
        clientIP*                       : when session affinity type is ClientIP
          timeoutSeconds*               : when session affinity type is ClientIP
          timeoutSeconds                1..{MAX_AFFINITY_SECONDS} : must be greater than 0 and less than {MAX_AFFINITY_SECONDS}
    spec
      @cluster-ips
    spec.externalIPs[]                  external-ip
    spec.type!                          ClusterIP|ExternalName|LoadBalancer|NodePort
    if spec.type == ClusterIP
      spec.ports[]
        nodePort-                       : may not be used when `type` is 'ClusterIP'
    spec.ports                          unlike-ports
    @source-ranges
    if spec.type == LoadBalancer
      spec.allocateLoadBalancerNodePorts* as-root:allocateLoadBalancerNodePorts
      spec.loadBalancerClass            qualified-name
    else
      spec.allocateLoadBalancerNodePorts-?,spec.loadBalancerClass-? : {ONLY_LOAD_BALANCER}
    if spec.type in LoadBalancer|NodePort or spec.type == ClusterIP and spec.externalIPs
      spec.externalTrafficPolicy!       Cluster|Local
    else
      spec.externalTrafficPolicy+       never : may only be set for externally-accessible services
    if spec.type == LoadBalancer and spec.externalTrafficPolicy == Local
      spec.healthCheckNodePort!         port
    else
      spec.healthCheckNodePort+         never : may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'
    if spec.type in NodePort|LoadBalancer|ClusterIP
      spec.internalTrafficPolicy*
    spec.internalTrafficPolicy          Cluster|Local
    spec.trafficDistribution            PreferClose|PreferSameZone|PreferSameNode
""")


def validate_service(service: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a service as it will be stored; addresses in `old` are allowed."""
    if old is None:
        _service(service, errs, _NONE)
        return
    before = old.get("spec") or {}
    lists = (before.get(m) or () for m in ("externalIPs", "clusterIPs", "loadBalancerSourceRanges"))
    _service(service, errs, _Known(*(frozenset(map(str.strip, one)) for one in lists)))


def validate_cluster_ip_fields(spec: Object, errs: Errors, known: Container[str] = ()) -> None:
    """Check that the fields about cluster IPs are consistent; also called before addresses are allocated.

    known: the addresses of the stored service.
    """
    if spec.get("type") == "ExternalName":
        return
    single, listed, path = spec.get("clusterIP", ""), spec.get("clusterIPs") or [], "spec.clusterIPs"
    if single and not listed:
        errs.required(path)
    elif single and listed[0] != single:
        errs.invalid(path, listed, "first value must match `clusterIP`")
    elif not single and listed:
        errs.invalid(path, listed, "must be empty when `clusterIP` is not specified")
    _families(spec, "spec", errs)
    if _cluster_ips_invalid(listed, path, errs, known):
        return
    if len(listed) > 1 and len({is_ipv6(ip) for ip in listed}) != 2:
        errs.invalid(path, listed, "may specify no more than one IP for each IP family")
    if not is_headless(spec):
        for i, (address, family) in enumerate(zip(listed, spec.get("ipFamilies") or (), strict=False)):
            if family in FAMILIES and (family == "IPv6") != is_ipv6(address):
                why = f"expected an {family} value as indicated by `ipFamilies[{i}]`"
                errs.invalid(f"{path}[{i}]", address, why)


_families = rules.table("api.core.v1.ServiceSpec")("""
    ipFamilies[]                        unique: IPv4|IPv6
    ipFamilyPolicy                      PreferDualStack|RequireDualStack|SingleStack
""")


def _cluster_ips_invalid(listed: Sequence[str], path: str, errs: Errors, known: Container[str]) -> bool:
    invalid = False
    for i, address in enumerate(listed):
        if i == 0 and address == "None":
            if len(listed) > 1:
                invalid = True
                errs.invalid(path, listed, "'None' must be the first and only value")
            continue
        count = len(errs)
        validate_ip(address, f"{path}[{i}]", errs, known)
        invalid = invalid or len(errs) > count
    if len(listed) > 2:
        errs.invalid(path, listed, "may only hold up to 2 values")
    return invalid


def is_headless(spec: Object) -> bool:
    return (spec.get("clusterIPs") or []) == ["None"]


def is_externally_accessible(spec: Object) -> bool:
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_check(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def service_warnings(service: Object) -> list[str]:
    """Warnings for a service (apiservice.GetWarningsForService)."""
    spec, out = service.get("spec") or {}, []
    kind, external = spec.get("type"), spec.get("externalIPs") or []
    if TOPOLOGY_HINTS in (service["metadata"].get("annotations") or {}):
        out.append(f"annotation {TOPOLOGY_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead")
    if spec.get("clusterIP") not in (None, "", "None"):
        for i, address in enumerate(spec.get("clusterIPs") or ()):
            out += addresses.ip_warnings(f"spec.clusterIPs[{i}]", address)
    headless = kind == "ClusterIP" and spec.get("clusterIP") == "None"
    if headless:
        if spec.get("loadBalancerIP"):
            out.append("spec.loadBalancerIP is ignored for headless services")
        if external:
            out.append("spec.externalIPs is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            out.append("spec.SessionAffinity is ignored for headless services")
    for i, address in enumerate(external):
        out += addresses.ip_warnings(f"spec.externalIPs[{i}]", address)
    if external and not headless and kind != "ExternalName":
        out.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.get("loadBalancerIP"):
        out += addresses.ip_warnings("spec.loadBalancerIP", spec["loadBalancerIP"])
    for i, text in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        out += addresses.cidr_warnings(f"spec.loadBalancerSourceRanges[{i}]", text)
    if kind == "ExternalName" and external:
        out.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        out.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        out.append(f'spec.trafficDistribution: {quote("PreferClose")} is deprecated; use "PreferSameZone"')
    return out
