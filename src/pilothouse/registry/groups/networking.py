"""networking.k8s.io/v1: ingresses, network policies, IP addresses, service CIDRs."""

from pilothouse.api.validate import ingress, network_policy
from pilothouse.api.validate import networking as rules
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    on_create,
    on_update,
    resource,
    spec_of,
    status_strategy,
)
from pilothouse.registry.strategy import WHOLE_WITHIN, Strategy, WriteContext
from pilothouse.storage.keys import ROOT

GROUP = "networking.k8s.io"


def _ingress_warnings(ctx: WriteContext, obj: Object, old: Object | None) -> list[str]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if (
        old is not None
        or ingress.CLASS_ANNOTATION not in annotations
        or spec_of(obj).get("ingressClassName") is not None
    ):
        return []
    return [
        f"annotation \"{ingress.CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"
    ]


INGRESS = Strategy(
    validate=on_create(ingress.validate_ingress),
    validate_update=on_update(ingress.validate_ingress_update),
    update_order=WHOLE_WITHIN,
    warnings=_ingress_warnings,
    **COUNTS_SPEC,
    **STATUS_APART,
)
INGRESS_CLASS = Strategy(
    validate=on_create(ingress.validate_ingress_class),
    validate_update=on_update(ingress.validate_ingress_class_update),
    update_order=WHOLE_WITHIN,
    **COUNTS_SPEC,
)
NETWORK_POLICY = Strategy(
    validate=on_create(network_policy.validate_network_policy),
    validate_update=lambda ctx, obj, old, errs: network_policy.validate_network_policy(obj, errs, old),
    warnings=lambda ctx, obj, old: network_policy.network_policy_warnings(obj),
    **COUNTS_SPEC,
)
IP_ADDRESS = Strategy(
    name_check=rules.ip_address_name,
    validate=on_create(rules.validate_ip_address),
    validate_update=on_update(rules.validate_ip_address_update),
)
SERVICE_CIDR = Strategy(
    validate=on_create(rules.validate_service_cidr),
    validate_update=on_update(rules.validate_service_cidr_update),
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
            ingress.validate_ingress_status,
            warnings=lambda ctx, obj, old: ingress.ingress_status_warnings(obj),
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
