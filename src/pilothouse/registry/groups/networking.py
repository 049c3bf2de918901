"""networking.k8s.io/v1: ingresses, network policies, IP addresses, service CIDRs."""

from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_FIRST, WHOLE_WITHIN, Strategy, WriteContext
from pilothouse.storage.keys import ROOT

GROUP = "networking.k8s.io"


def _ingress_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if (
        old is not None
        or rules.ingress.CLASS_ANNOTATION not in annotations
        or spec_of(obj).get("ingressClassName") is not None
    ):
        return []
    name = rules.ingress.CLASS_ANNOTATION
    return [f"annotation \"{name}\" is deprecated, please use 'spec.ingressClassName' instead"]


def _address_name(name: str, prefix: bool = False) -> list[str]:
    return rules.networking.ip_address_name(name, prefix)


INGRESS = Strategy(
    validate=lambda ctx, obj, errs: rules.ingress.validate_ingress(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.ingress.validate_ingress_update(obj, old, errs),
    update_order=WHOLE_WITHIN,
    warnings=_ingress_warnings,
    **COUNTS_SPEC,
    **STATUS_APART,
)
INGRESS_CLASS = Strategy(
    validate=lambda ctx, obj, errs: rules.ingress.validate_ingress_class(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.ingress.validate_ingress_class_update(obj, old, errs),
    update_order=WHOLE_WITHIN,
    **COUNTS_SPEC,
)
NETWORK_POLICY = Strategy(
    validate=lambda ctx, obj, errs: rules.network_policy.validate_network_policy(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.network_policy.validate_network_policy(obj, errs, old),
    warnings=lambda ctx, obj, old: rules.network_policy.network_policy_warnings(obj),
    **COUNTS_SPEC,
)
IP_ADDRESS = Strategy(
    name_check=_address_name,
    validate=lambda ctx, obj, errs: rules.networking.validate_ip_address(obj, errs),
    validate_anew=lambda ctx, obj, old, errs: rules.networking.validate_ip_address(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.networking.validate_ip_address_update(obj, old, errs),
    update_order=WHOLE_FIRST,
)
SERVICE_CIDR = Strategy(
    validate=lambda ctx, obj, errs: rules.networking.validate_service_cidr(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.networking.validate_service_cidr_update(obj, old, errs),
    reset_on_create=STATUS_APART["reset_on_create"],
    keep_on_update=STATUS_APART["keep_on_update"],
)

RESOURCES = [
    resource(GROUP, "IngressClass", "ingressclasses", "l/iqIbDgFyQ=", INGRESS_CLASS),
    resource(
        GROUP,
        "Ingress",
        "ingresses",
        "39NQlfNR+bo=",
        INGRESS,
        namespaced=True,
        short_names=("ing",),
        key_prefix=f"{ROOT}ingress/",
        status=status_strategy(
            INGRESS,
            lambda ctx, obj, old, errs: rules.ingress.validate_ingress_status(obj, old, errs),
            warnings=lambda ctx, obj, old: rules.ingress.ingress_status_warnings(obj),
        ),
    ),
    resource(GROUP, "IPAddress", "ipaddresses", "3f/plJFChNE=", IP_ADDRESS, short_names=("ip",)),
    resource(
        GROUP,
        "NetworkPolicy",
        "networkpolicies",
        "YpfwF18m1G8=",
        NETWORK_POLICY,
        namespaced=True,
        short_names=("netpol",),
    ),
    resource(
        GROUP,
        "ServiceCIDR",
        "servicecidrs",
        "gNLvruQhW2g=",
        SERVICE_CIDR,
        status=status_strategy(SERVICE_CIDR, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(META, SPEC)),
    ),
]
