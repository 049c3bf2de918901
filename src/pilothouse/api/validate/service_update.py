"""Validates changes of services and of their status (apis/core/validation)."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import Repeated
from pilothouse.api.validate.service import (
    ONLY_LOAD_BALANCER,
    is_headless,
    needs_health_check,
    validate_service,
)
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object

_ONCE = "may not change once set"
rules = Rules(__name__)
_balancer_class = rules.kind("v1 Service")(f"""
    if spec.type == LoadBalancer
      spec.loadBalancerClass            qualified-name
    else
      spec.loadBalancerClass-?          : {ONLY_LOAD_BALANCER}
""")
_same_class = d.fixed("spec.loadBalancerClass", why=_ONCE)
_same_health_check = d.fixed("spec.healthCheckNodePort", 0, forbidden="field is immutable")
_balancer_status = rules.kind("v1 Service")("""
    if spec.type != LoadBalancer
      status.loadBalancer.ingress-      : may only be used when `spec.type` is 'LoadBalancer'
    else
      status.loadBalancer.ingress[]
        ip+                             legacy-ip
        if ip
          ipMode*                       : must be specified when `ip` is set
          ipMode                        Proxy|VIP
        else
          ipMode-?                      : may not be specified when `ip` is not set
        hostname+                       dns-subdomain no-address
""")
"""Validates the addresses of a load balancer; around them are those that the stored service has."""


def validate_service_update(service: Object, old: Object, errs: Errors) -> None:
    """Validates what may change, then applies all rules for new services."""
    spec, before = service.get("spec") or {}, old.get("spec") or {}
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        _cluster_ips_change(spec, before, errs)
        _families_change(spec, before, errs)
    if spec.get("type") == before.get("type") == "LoadBalancer":
        _same_class(service, old, errs)
    _balancer_class(service, errs)
    if needs_health_check(before) and needs_health_check(spec):
        _same_health_check(service, old, errs)
    validate_service(service, errs, old)


def _cluster_ips_change(spec: Object, before: Object, errs: Errors) -> None:
    if is_headless(spec) and is_headless(before):
        return
    new, old = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
    path = "spec.clusterIPs"
    if len(old) == len(new):
        fixed = Repeated(new, _ONCE)
        for i, (one, two) in enumerate(zip(new, old, strict=True)):
            if one != two:
                fixed.add_to(errs, f"{path}[{i}]")
        return
    if len(old) > len(new):
        if not new:
            errs.invalid(f"{path}[0]", None, "primary clusterIP can not be unset")
        elif new[0] != old[0]:
            errs.invalid(f"{path}[0]", new, _ONCE)
        if len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
            why = "must be set to 'SingleStack' when releasing the secondary clusterIP"
            errs.invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), why)
    elif old and new[0] != old[0]:
        errs.invalid(f"{path}[0]", new, _ONCE)


def _families_change(spec: Object, before: Object, errs: Errors) -> None:
    if is_headless(spec) or is_headless(before):
        return
    new, old = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
    ips, path = spec.get("clusterIPs") or None, "spec.ipFamilies[0]"
    if len(old) == len(new):
        fixed = Repeated(new, _ONCE)
        for one, two in zip(new, old, strict=True):
            if one != two:
                fixed.add_to(errs, path)
        return
    if len(old) > len(new):
        if not ips:
            errs.invalid(path, new or None, "primary ipFamily can not be unset")
        if new and new[0] != old[0]:
            errs.invalid(path, ips, _ONCE)
        if len(new) == 1 and spec.get("ipFamilyPolicy") != "SingleStack":
            why = "must be set to 'SingleStack' when releasing the secondary ipFamily"
            errs.invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), why)
    elif old and new and new[0] != old[0]:
        errs.invalid(path, ips, _ONCE)


def validate_service_status_update(service: Object, old: Object, errs: Errors) -> None:
    before = d.found(old, ("status", "loadBalancer", "ingress"), ())
    _balancer_status(service, errs, {i.get("ip", "") for i in before})
