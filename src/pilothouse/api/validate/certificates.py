"""Validates certificates.k8s.io/v1: signing requests, and changes by update, status and approval."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pilothouse.api.validate import declare as d
from pilothouse.api.validate import pem
from pilothouse.api.validate.diff import diff
from pilothouse.api.validate.pod.volumes import validate_signer_name
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object
from pilothouse.process.frozen import frozen

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest

LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
MIN_SECONDS = 600
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
_USAGES = (
    "any|cert sign|client auth|code signing|content commitment|crl sign|data encipherment|"
    "decipher only|digital signature|email protection|encipher only|ipsec end system|"
    "ipsec tunnel|ipsec user|key agreement|key encipherment|microsoft sgc|netscape sgc|"
    "ocsp signing|s/mime|server auth|signing|timestamping"
)
USAGES = tuple(_USAGES.split("|"))
_CONDITIONS = "status.conditions"
_BOTH = "Approved and Denied conditions are mutually exclusive"
_HEADER = re.compile(rb"^[^\s:]+:.*$", re.MULTILINE)
_NO_REQUEST = "PEM block type must be CERTIFICATE REQUEST"


@frozen
class _Excuses:
    """Invalid values that a changed object may keep because the old one has them."""

    legacy_signer: bool = False
    both_approved_and_denied: bool = False
    unknown_usages: bool = False
    duplicate_usages: bool = False
    empty_condition_type: bool = False
    duplicate_condition_types: bool = False
    any_certificate: bool = False


rules = Rules(__name__, known_usage=d.one_of(*USAGES), signer_name=validate_signer_name)


@rules
def _certificate(text: str, path: str, errs: Errors) -> None:
    fault = certificate_fault(text)
    if fault:
        errs.invalid(path, "<certificate data>", fault)


@rules
def _request_text(text: str, path: str, errs: Errors) -> None:
    fault = request_fault(text)
    if fault:
        errs.invalid(path, text or None, fault)


@rules
def _conditions(conditions: Sequence[Object], path: str, errs: Errors, excuses: _Excuses) -> None:
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        path, kind, status = f"{_CONDITIONS}[{i}]", condition.get("type", ""), condition.get("status", "")
        if not kind and not excuses.empty_condition_type:
            errs.required(f"{path}.type")
        valid = ("True",) if kind in (APPROVED, DENIED, FAILED) else ("False", "True", "Unknown")
        d.chosen(*valid)(status, f"{path}.status", errs)
        other = {APPROVED: DENIED, DENIED: APPROVED}.get(kind)
        if other in seen and not excuses.both_approved_and_denied:
            errs.invalid(_CONDITIONS, kind, _BOTH)
        if kind in seen and not excuses.duplicate_condition_types:
            errs.duplicate(f"{path}.type", kind)
        seen.add(kind)


_request = rules.kind("certificates.k8s.io/v1 CertificateSigningRequest")(f"""
    spec.request                        request-text
    spec.usages[]!
    if not $unknown_usages
      spec.usages[]                     known-usage
    if not $duplicate_usages
      spec.usages[]                     unique:
    if spec.signerName == {LEGACY_SIGNER} and not $legacy_signer
      spec.signerName                   never : the legacy signerName is not allowed via this API version
    else
      spec.signerName                   signer-name
    spec.expirationSeconds              >={MIN_SECONDS} : may not specify a duration less than 600 seconds (10 minutes)
    status.conditions                   conditions
    if not $any_certificate
      status.certificate                certificate
""")


def _excuses(old: Object) -> _Excuses:
    spec, status = old.get("spec") or {}, old.get("status") or {}
    usages = spec.get("usages") or ()
    kinds = [c.get("type", "") for c in status.get("conditions") or ()]
    return _Excuses(
        legacy_signer=spec.get("signerName") == LEGACY_SIGNER,
        both_approved_and_denied=APPROVED in kinds and DENIED in kinds,
        unknown_usages=any(u not in USAGES for u in usages),
        duplicate_usages=len(set(usages)) < len(usages),
        empty_condition_type="" in kinds,
        duplicate_condition_types=len(set(kinds)) < len(kinds),
        any_certificate=bool(certificate_fault(status.get("certificate", ""))),
    )


def validate_request(obj: Object, errs: Errors) -> None:
    _request(obj, errs, _Excuses())


def validate_request_status(obj: Object, old: Object, errs: Errors) -> None:
    """Validates an update of status, which may set the certificate once."""
    validate_request_update(obj, old, errs, sets_certificate=True)


def validate_request_approval(obj: Object, old: Object, errs: Errors) -> None:
    validate_request_update(obj, old, errs, approves=True)


def validate_request_update(
    obj: Object, old: Object, errs: Errors, *, sets_certificate: bool = False, approves: bool = False
) -> None:
    """Validates an update of the resource itself, which may set neither certificate nor approval."""
    _request(obj, errs, _excuses(old))
    for kind in (APPROVED, DENIED, FAILED):
        if len(_of_type(obj, kind)) < len(_of_type(old, kind)):
            errs.forbidden(_CONDITIONS, f'updates may not remove a condition of type "{kind}"')
    if not approves:
        for kind in (APPROVED, DENIED):
            _same_conditions(_of_type(obj, kind), _of_type(old, kind), kind, errs)
    new, before = ((o.get("status") or {}).get("certificate", "") for o in (obj, old))
    if new != before:
        if not sets_certificate:
            errs.forbidden("status.certificate", "updates may not set certificate content")
        elif before:
            errs.forbidden("status.certificate", "updates may not modify existing certificate content")


def _of_type(obj: Object, kind: str) -> list[Object]:
    return [c for c in (obj.get("status") or {}).get("conditions") or () if c.get("type") == kind]


def _same_conditions(new: list[Object], before: list[Object], kind: str, errs: Errors) -> None:
    if len(new) > len(before):
        errs.forbidden(_CONDITIONS, f'updates may not add a condition of type "{kind}"')
    elif len(new) == len(before) and new != before:
        shown = diff(
            *(go(c, "api.certificates.v1.CertificateSigningRequestCondition") for c in (before, new))
        )
        errs.forbidden(_CONDITIONS, f'updates may not modify a condition of type "{kind}"\n{shown}')


def _blocks(data: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Each PEM block: type, content, whether it has headers."""
    for kind, text in pem.blocks(data, own_line=True):
        head, _, rest = text.partition(b"\n\n")
        headers = bool(_HEADER.match(text))
        body = rest if headers and rest else head if not rest else text
        try:
            yield kind, base64.b64decode(b"".join(body.split()), validate=True), headers
        except binascii.Error:
            continue


def _decoded(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "")
    except binascii.Error:
        return b""


def request_fault(text: str | None) -> str:
    """The error in a base64-encoded PEM request, including its signature; "" for a valid one."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    block = next(_blocks(_decoded(text)), None)
    if block is None or block[0] != "CERTIFICATE REQUEST":
        return _NO_REQUEST
    try:
        if not x509.load_der_x509_csr(block[1]).is_signature_valid:
            return "x509: invalid signature: parent certificate cannot sign this kind of certificate"
    except UnsupportedAlgorithm:
        return "x509: cannot verify signature: algorithm unimplemented"
    except (ValueError, InvalidSignature) as err:
        return f"asn1: structure error: {err}"
    return ""


def load_request(text: str | None) -> "CertificateSigningRequest":
    """The request in a base64-encoded PEM text; raises ValueError if it is none."""
    from cryptography import x509

    block = next(_blocks(_decoded(text)), None)
    if block is None or block[0] != "CERTIFICATE REQUEST":
        raise ValueError(_NO_REQUEST)
    return x509.load_der_x509_csr(block[1])


def organizations(text: str | None) -> list[str]:
    """The organizations in the subject of a valid request, which become the user's groups."""
    from cryptography.x509 import NameOID, load_der_x509_csr

    block = next(_blocks(_decoded(text)), None)
    if block is None:
        return []
    try:
        names = load_der_x509_csr(block[1]).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    except ValueError:
        return []
    return [str(name.value) for name in names]


def common_name(text: str | None) -> str:
    """The last common name in the subject of a request; raises ValueError if it is no request."""
    from cryptography.x509 import NameOID

    names = load_request(text).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def certificate_fault(text: str | None) -> str:
    """The error in base64-encoded PEM certificates; "" if there is none, or no certificate."""
    from cryptography import x509

    data = _decoded(text)
    if not data:
        return ""
    count = 0
    for kind, content, has_headers in _blocks(data):
        if kind != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{kind}"'
        if has_headers:
            return "no PEM block headers are permitted"
        count += 1
        try:
            x509.load_der_x509_certificate(content)
        except ValueError as err:
            return f"x509: malformed certificate: {err}"
    return "" if count else "must contain at least one CERTIFICATE PEM block"
