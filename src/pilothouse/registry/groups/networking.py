"""networking.k8s.io/v1: ingresses, network policies, IP addresses, service CIDRs."""

from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy

GROUP = "networking.k8s.io"

INGRESS = Strategy(**COUNTS_SPEC, **STATUS_APART)
SERVICE_CIDR = Strategy()

RESOURCES = [
    resource(GROUP, "v1", "IngressClass", "ingressclasses", "l/iqIbDgFyQ=", Strategy(**COUNTS_SPEC)),
    resource(
        GROUP,
        "v1",
        "Ingress",
        "ingresses",
        "39NQlfNR+bo=",
        INGRESS,
        namespaced=True,
        short_names=("ing",),
        key_prefix="/registry/ingress/",
        status=status_strategy(INGRESS),
    ),
    resource(GROUP, "v1", "IPAddress", "ipaddresses", "3f/plJFChNE=", Strategy(), short_names=("ip",)),
    resource(
        GROUP,
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        "YpfwF18m1G8=",
        Strategy(**COUNTS_SPEC),
        namespaced=True,
        short_names=("netpol",),
    ),
    resource(
        GROUP,
        "v1",
        "ServiceCIDR",
        "servicecidrs",
        "gNLvruQhW2g=",
        SERVICE_CIDR,
        status=status_strategy(SERVICE_CIDR, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(META, SPEC)),
    ),
]
