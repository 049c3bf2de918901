"""Validates ingresses and their classes (apis/networking/validation)."""

from typing import NamedTuple

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import report
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import addresses, names
from pilothouse.api.values.fields import Errors, Object

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
rules = Rules(__name__)


class _Excuses(NamedTuple):
    """The faults that a changed ingress may keep: names of secrets, and what rules for wildcards lead to."""

    any_secret: bool = False
    any_wildcard: bool = False


@rules
def _host(host: str, path: str, errs: Errors) -> None:
    report(path, host, (names.wildcard_subdomain if "*" in host else names.dns_subdomain)(host), errs)


@rules
def _without_steps(text: str, path: str, errs: Errors) -> None:
    for bad in _BAD_SEQUENCES:
        if bad in text:
            errs.invalid(path, text, f"must not contain '{bad}'")
    for bad in _BAD_ENDS:
        if text.endswith(bad):
            errs.invalid(path, text, f"cannot end with '{bad}'")


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
_http = rules["http"]
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
_ingress_status = rules.kind("networking.k8s.io/v1 Ingress")("""
    status.loadBalancer.ingress[]
      ip+                               legacy-ip
      hostname+                         dns-subdomain no-address
""")
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


def _leads_nowhere(rule: Object) -> bool:
    return "*" in rule.get("host", "") and d.finds_fault(_http, rule)


def _matching_class(obj: Object, errs: Errors) -> None:
    annotated = d.found(obj, ("metadata", "annotations", CLASS_ANNOTATION))
    named = d.found(obj, ("spec", "ingressClassName"))
    if annotated is not None and named is not None and annotated != named:
        why = "must match `ingressClassName` when both are specified"
        errs.invalid(f"annotations.{CLASS_ANNOTATION}", annotated, why)


def validate_ingress_status(obj: Object, old: Object, errs: Errors) -> None:
    _ingress_status(obj, errs, {i.get("ip", "") for i in _balancer_ingress(old)})


def _balancer_ingress(obj: Object) -> list[Object]:
    found: list[Object] = d.found(obj, ("status", "loadBalancer", "ingress"), [])
    return found


def ingress_status_warnings(obj: Object) -> list[str]:
    return [
        warning
        for i, ingress in enumerate(_balancer_ingress(obj))
        if ingress.get("ip")
        for warning in addresses.ip_warnings(f"status.loadBalancer.ingress[{i}].ip", ingress["ip"])
    ]
