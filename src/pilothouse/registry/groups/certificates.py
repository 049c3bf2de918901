"""certificates.k8s.io/v1: certificate signing requests, their approval and status."""

import base64

from pilothouse.api.values import names
from pilothouse.api.values.fields import Object
from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    SPEC,
    STATUS,
    own,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy, UpdateCheck, WriteContext

BACKDATED = 300
"""Seconds by which the validity of a certificate may differ from what was requested,
beside a twentieth of that."""

GROUP, KIND = "certificates.k8s.io", "CertificateSigningRequest"


def _prepare(ctx: WriteContext, obj: Object) -> None:
    """Set the spec's user fields to the requesting user; clients cannot set them."""
    user = ctx.user
    identity = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {k: list(v) for k, v in user.extra.items()},
    }
    spec = obj.setdefault("spec", {})
    for member, value in identity.items():
        spec.pop(member, None)
        if value:
            spec[member] = value


def _prepare_status(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Keep the stored approval conditions, because only the approval subresource may change them."""
    new, before = _conditions(obj), _conditions(old)
    for kind in (rules.certificates.APPROVED, rules.certificates.DENIED):
        stored = [c for c in before if c.get("type") == kind]
        places = [i for i, c in enumerate(new) if c.get("type") == kind]
        if len(stored) == len(places):
            for i, condition in zip(places, stored, strict=True):
                new[i] = dict(condition)
    _set_times(ctx, new, before)


def _prepare_approval(ctx: WriteContext, obj: Object, old: Object) -> None:
    """Take only the conditions from the client."""
    conditions = _conditions(obj)
    _set_times(ctx, conditions, _conditions(old))
    status = dict(old.get("status") or {})
    status.pop("conditions", None)
    if conditions:
        status["conditions"] = conditions
    obj["status"] = status


def _conditions(obj: Object) -> list[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _set_times(ctx: WriteContext, new: list[Object], before: list[Object]) -> None:
    for condition in new:
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = ctx.now
        if not condition.get("lastTransitionTime"):
            condition["lastTransitionTime"] = _transition(condition, before) or ctx.now


def _transition(condition: Object, before: list[Object]) -> str | None:
    """The time of an earlier condition with the same type and status, None without one."""
    for old in before:
        same = all(old.get(m) == condition.get(m) for m in ("type", "status"))
        if same and old.get("lastTransitionTime"):
            return str(old["lastTransitionTime"])
    return None


async def _count_duration(ctx: WriteContext, obj: Object | None, old: Object | None) -> None:
    """Count a certificate that was just issued for a request with a duration, and whether it has that
    (registry/certificates countCSRDurationMetric)."""
    if obj is None or old is None or (old.get("status") or {}).get("certificate"):
        return
    wanted, issued = old["spec"].get("expirationSeconds"), (obj.get("status") or {}).get("certificate")
    if wanted is None or not issued:
        return
    from cryptography import x509

    signer = old["spec"]["signerName"]
    signer = signer if signer.startswith("kubernetes.io/") else "other"
    ctx.services.metrics.requested_durations.inc(signer)
    found = x509.load_pem_x509_certificates(base64.b64decode(issued))[0]
    valid = (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds()
    if abs(wanted - valid) < BACKDATED + wanted / 20:
        ctx.services.metrics.honored_durations.inc(signer)


_ORDER = (UpdateCheck.METADATA, UpdateCheck.RULES, UpdateCheck.METADATA_CHANGE)
REQUEST = Strategy(
    name_check=names.path_segment,
    reset_on_create=(STATUS,),
    keep_on_update=(SPEC, STATUS),
    apply_reset=(SPEC, STATUS),
    prepare_create=_prepare,
    validate=lambda ctx, obj, errs: rules.certificates.validate_request(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.certificates.validate_request_update(obj, old, errs),
    settle=_count_duration,
    update_order=_ORDER,
)
REQUEST_STATUS = status_strategy(
    REQUEST,
    lambda ctx, obj, old, errs: rules.certificates.validate_request_status(obj, old, errs),
    apply_reset=(SPEC, ("status", "conditions")),
    prepare_update=_prepare_status,
    update_order=_ORDER,
)
REQUEST_APPROVAL = status_strategy(
    REQUEST,
    lambda ctx, obj, old, errs: rules.certificates.validate_request_approval(obj, old, errs),
    apply_reset=(SPEC, ("status", "certificate")),
    prepare_update=_prepare_approval,
    update_order=_ORDER,
)

RESOURCES = [
    resource(
        GROUP,
        KIND,
        "certificatesigningrequests",
        "95fRKMXA+00=",
        REQUEST,
        short_names=("csr",),
        selectable={"spec.signerName": ("spec", "signerName")},
        field_error="field label not supported: {label}",
        status=REQUEST_STATUS,
        subresources=(own("approval", GROUP, "v1", KIND, REQUEST_APPROVAL, tables=False),),
    )
]
