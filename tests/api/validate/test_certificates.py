"""Every cause that signing requests can have (pkg/apis/certificates/validation)."""

import base64

import certificates
import pytest
from rules import GONE, at, gives, put, table

from pilothouse.api.validate import certificates as rules
from pilothouse.api.values.fields import Object

NEW, UPDATE, STATUS, APPROVAL = (rules.validate_request, rules.validate_request_update, rules.validate_request_status, rules.validate_request_approval)


def coded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


REQUEST = certificates.request("u", "g", "h")
OTHER = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PEM = certificates.certificate(certificates.new_key())
BASE: Object = {"spec": {"request": coded(REQUEST), "usages": ["client auth"], "signerName": "example.com/s"}, "status": {}}

of = at(BASE, "spec")


def conditions(*kinds: str, status: str = "True") -> Object:
    return put(BASE, {"status.conditions": [{"type": kind, "status": status} for kind in kinds]})


def issued(pem: bytes) -> Object:
    return put(BASE, {"status.certificate": coded(pem)})


HEADERS = PEM.replace(b"-----\n", b"-----\na: b\n\n", 1)
LEGACY = of(signerName=rules.LEGACY_SIGNER, usages=["odd", "odd"])

test_causes = table([
    (NEW, BASE, []),
    (NEW, of(request=GONE), ["spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST"]),
    (NEW, of(request=coded(OTHER)), ['spec.request: Invalid value: "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=": PEM block type must be CERTIFICATE REQUEST']),
    (NEW, of(request="?"), ['spec.request: Invalid value: "?": PEM block type must be CERTIFICATE REQUEST']),
    (NEW, of(usages=[], expirationSeconds=599), ["spec.usages: Required value", "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)"]),
    (NEW, of(usages=["client auth", "client auth"], expirationSeconds=600), ['spec.usages[1]: Duplicate value: "client auth"']),
    (NEW, of(signerName=rules.LEGACY_SIGNER), ['spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version']),
    (NEW, of(signerName="odd"), ["spec.signerName: Invalid value: \"odd\": must be a fully qualified domain and path of the form 'example.com/signer-name'"]),
    (UPDATE, (LEGACY, LEGACY), []),
    (NEW, conditions("", status=""), ["status.conditions[0].type: Required value", "status.conditions[0].status: Required value"]),
    (NEW, conditions("Approved", status="False"), ['status.conditions[0].status: Unsupported value: "False": supported values: "True"']),
    (NEW, conditions("Approved", "Denied"), ['status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive']),
    (NEW, conditions("Mine", "Mine"), ['status.conditions[1].type: Duplicate value: "Mine"']),
    (UPDATE, (conditions("", "Approved", "Denied", "Denied"), conditions("", "Approved", "Denied", "Denied")), []),
    (UPDATE, (conditions("Approved"), BASE), ['status.conditions: Forbidden: updates may not add a condition of type "Approved"']),
    (UPDATE, (BASE, conditions("Approved", "Failed")), ['status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
        'status.conditions: Forbidden: updates may not remove a condition of type "Failed"']),
    (UPDATE, (put(conditions("Approved"), {"status.conditions.0.reason": "r"}), conditions("Approved")),
        ['status.conditions: Forbidden: updates may not modify a condition of type "Approved"\n@@ -2,7 +2,7 @@\n  {\n   "Type": "Approved",\n   "Status": "True",\n-  "Reason": "",\n+  "Reason": "r",\n   "Message": "",\n   "LastUpdateTime": null,\n   "LastTransitionTime": null\n']),
    (APPROVAL, (conditions("Approved"), BASE), []),
    (UPDATE, (issued(PEM), BASE), ["status.certificate: Forbidden: updates may not set certificate content"]),
    (STATUS, (issued(PEM), BASE), []),
    (STATUS, (issued(PEM + PEM), issued(PEM)), ["status.certificate: Forbidden: updates may not modify existing certificate content"]),
    (STATUS, (issued(b"nothing"), BASE), ['status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block']),
    (STATUS, (issued(REQUEST), BASE), ['status.certificate: Invalid value: "<certificate data>": only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"']),
    (STATUS, (issued(HEADERS), BASE), ['status.certificate: Invalid value: "<certificate data>": no PEM block headers are permitted']),
    (STATUS, (issued(b"nothing"), issued(b"nothing")), []),
    (NEW, {"spec": {"request": "eA==", "signerName": "kubernetes.io/legacy-unknown", "usages": ["fly", "any", "any"], "expirationSeconds": 5}},
        ['spec.request: Invalid value: "eA==": PEM block type must be CERTIFICATE REQUEST',
        'spec.usages[0]: Unsupported value: "fly": supported values: "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping"',
        'spec.usages[2]: Duplicate value: "any"', 'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version',
        "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 600 seconds (10 minutes)"]),
    (STATUS, (conditions("Approved"), BASE), ['status.conditions: Forbidden: updates may not add a condition of type "Approved"']),
    (APPROVAL, (conditions("Approved", "Denied"), conditions("Approved")), ['status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive']),
    (APPROVAL, (BASE, conditions("Approved")), ['status.conditions: Forbidden: updates may not remove a condition of type "Approved"']),
])  # fmt: skip


def test_broken_contents_are_told() -> None:
    assert rules.certificate_fault(coded(OTHER)).startswith("x509: malformed certificate: ")
    broken = REQUEST.replace(b"CERTIFICATE REQUEST-----\n", b"CERTIFICATE REQUEST-----\nAAAA", 1)
    assert rules.request_fault(coded(broken)).startswith("asn1: structure error: ")


def test_who_asks() -> None:
    assert rules.organizations(coded(REQUEST)) == ["g", "h"]
    assert rules.organizations("") == []
    assert rules.common_name(coded(REQUEST)) == "u"
    with pytest.raises(ValueError, match="CERTIFICATE REQUEST"):
        rules.common_name(coded(PEM))


test_certificates = gives(lambda text: rules.certificate_fault(coded(text)), [
    (b"", ""),
    (b"x", "must contain at least one CERTIFICATE PEM block"),
    (b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----", 'only CERTIFICATE PEM blocks are allowed, found "KEY"'),
])  # fmt: skip
