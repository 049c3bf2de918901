"""certificates.k8s.io/v1: signing requests, their approval and their certificate."""

from pilothouse.registry.groups.records import SPEC, STATUS, any_name, own, resource, status_strategy
from pilothouse.registry.strategy import Strategy

GROUP = "certificates.k8s.io"

REQUEST = Strategy(
    name_check=any_name,
    reset_on_create=(STATUS,),
    keep_on_update=(SPEC, STATUS),
    apply_reset=(SPEC, STATUS),
)
REQUEST_STATUS = status_strategy(REQUEST, apply_reset=(SPEC, ("status", "conditions")))
REQUEST_APPROVAL = status_strategy(
    REQUEST,
    keep_on_update=(SPEC, ("status", "certificate")),
    apply_reset=(SPEC, ("status", "certificate")),
)

_REQUESTS = resource(
    GROUP,
    "v1",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    "95fRKMXA+00=",
    REQUEST,
    short_names=("csr",),
    selectable={"spec.signerName": ("spec", "signerName")},
    field_error="field label not supported: {label}",
    status=REQUEST_STATUS,
)
_REQUESTS.subresources["approval"] = own("approval", _REQUESTS, REQUEST_APPROVAL)

RESOURCES = [_REQUESTS]
