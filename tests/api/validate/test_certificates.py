"""Validation of certificate signing requests and of their changes."""

import base64
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import certificates as rules

Causes = list[tuple[str, str]]


def causes(check: Callable[..., None], *objects: Object) -> Causes:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


def pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def request(**status: object) -> Object:
    spec = {"request": pem(), "signerName": "example.com/s", "usages": ["client auth"]}
    return {"metadata": {"name": "r"}, "spec": spec, "status": status}


def test_a_good_one_and_a_bad_one() -> None:
    assert causes(rules.validate_request, request()) == []
    bad: Object = {"spec": {"request": "eA==", "signerName": "kubernetes.io/legacy-unknown", "usages": ["fly", "any", "any"], "expirationSeconds": 5}}
    assert [f for f, _ in causes(rules.validate_request, bad)] == ["spec.request", "spec.usages[0]", "spec.usages[2]", "spec.signerName", "spec.expirationSeconds"]


APPROVED = {"type": "Approved", "status": "True"}
DENIED = {"type": "Denied", "status": "True"}


def test_who_may_approve() -> None:
    old = request()
    new = old | {"status": {"conditions": [APPROVED]}}
    assert causes(rules.validate_request_approval, new, old) == []
    refused = [("status.conditions", 'Forbidden: updates may not add a condition of type "Approved"')]
    assert causes(rules.validate_request_status, new, old) == refused
    both = old | {"status": {"conditions": [APPROVED, DENIED]}}
    assert causes(rules.validate_request_approval, both, new)[0][1].endswith("mutually exclusive")
    assert causes(rules.validate_request_approval, old, new) == [("status.conditions", 'Forbidden: updates may not remove a condition of type "Approved"')]


@pytest.mark.parametrize(
    ("text", "fault"), [(b"", ""), (b"x", "must contain at least one CERTIFICATE PEM block"), (b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----", 'only CERTIFICATE PEM blocks are allowed, found "KEY"')]
)
def test_certificates(text: bytes, fault: str) -> None:
    assert rules.certificate_fault(base64.b64encode(text).decode()) == fault
