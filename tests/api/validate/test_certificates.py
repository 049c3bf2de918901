"""Every cause that signing requests can have (pkg/apis/certificates/validation)."""

import base64

import certificates
import pytest
from rules import GONE, at, gives, put, table, valid

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
    (NEW, BASE),
    (NEW, of(request=GONE), "spec.request=null : PEM block type must be CERTIFICATE REQUEST"),
    (NEW, of(request=coded(OTHER)), "spec.request : PEM block type must be CERTIFICATE REQUEST"),
    (NEW, of(request="?"), "spec.request : PEM block type must be CERTIFICATE REQUEST"),
    (NEW, of(usages=[], expirationSeconds=599), "spec.usages!", "spec.expirationSeconds : may not specify a duration less than 600 seconds (10 minutes)"),
    (NEW, of(usages=["client auth", "client auth"], expirationSeconds=600), "spec.usages[1] unique"),
    (NEW, of(signerName="odd"), "spec.signerName : must be a fully qualified domain and path of the form 'example.com/signer-name'"),
    *valid(UPDATE, (LEGACY, LEGACY), (conditions("", "Approved", "Denied", "Denied"), conditions("", "Approved", "Denied", "Denied"))),
    (NEW, conditions("", status=""), "status.conditions[0].type,status!"),
    (NEW, conditions("Approved", status="False"), "status.conditions[0].status |True"),
    (NEW, conditions("Approved", "Denied"), 'status.conditions="Denied" : Approved and Denied conditions are mutually exclusive'),
    (NEW, conditions("Mine", "Mine"), "status.conditions[1].type unique"),
    (UPDATE, (conditions("Approved"), BASE), 'status.conditions- : updates may not add a condition of type "Approved"'),
    (UPDATE, (BASE, conditions("Approved", "Failed")), 'status.conditions- : updates may not remove a condition of type "Approved"',
        'status.conditions- : updates may not remove a condition of type "Failed"'),
    (UPDATE, (put(conditions("Approved"), {"status.conditions.0.reason": "r"}), conditions("Approved")),
        'status.conditions- : updates may not modify a condition of type "Approved"\n@@ -2,7 +2,7 @@\n  {\n   "Type": "Approved",\n   "Status": "True",\n-  "Reason": "",\n+  "Reason": "r",\n   "Message": "",\n   "LastUpdateTime": null,\n   "LastTransitionTime": null\n'),
    (APPROVAL, (conditions("Approved"), BASE)),
    (UPDATE, (issued(PEM), BASE), "status.certificate- : updates may not set certificate content"),
    *valid(STATUS, (issued(PEM), BASE), (issued(b"nothing"), issued(b"nothing"))),
    (STATUS, (issued(PEM + PEM), issued(PEM)), "status.certificate- : updates may not modify existing certificate content"),
    (STATUS, (issued(b"nothing"), BASE), 'status.certificate="<certificate data>" : must contain at least one CERTIFICATE PEM block'),
    (STATUS, (issued(REQUEST), BASE), 'status.certificate="<certificate data>" : only CERTIFICATE PEM blocks are allowed, found "CERTIFICATE REQUEST"'),
    (STATUS, (issued(HEADERS), BASE), 'status.certificate="<certificate data>" : no PEM block headers are permitted'),
    (NEW, {"spec": {"request": "eA==", "signerName": "kubernetes.io/legacy-unknown", "usages": ["fly", "any", "any"], "expirationSeconds": 5}},
        "spec.request : PEM block type must be CERTIFICATE REQUEST",
        'spec.usages[0]: Unsupported value: "fly": supported values: "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping"',
        "spec.usages[2] unique", "spec.signerName : the legacy signerName is not allowed via this API version",
        "spec.expirationSeconds : may not specify a duration less than 600 seconds (10 minutes)"),
    (STATUS, (conditions("Approved"), BASE), 'status.conditions- : updates may not add a condition of type "Approved"'),
    (APPROVAL, (conditions("Approved", "Denied"), conditions("Approved")), 'status.conditions="Denied" : Approved and Denied conditions are mutually exclusive'),
    (APPROVAL, (BASE, conditions("Approved")), 'status.conditions- : updates may not remove a condition of type "Approved"'),
])  # fmt: skip


def test_who_asks() -> None:
    assert rules.organizations(coded(REQUEST)) == ["g", "h"]
    assert rules.organizations("") == []
    assert rules.common_name(coded(REQUEST)) == "u"
    with pytest.raises(ValueError, match="CERTIFICATE REQUEST"):
        rules.common_name(coded(PEM))


BROKEN = REQUEST.replace(b"CERTIFICATE REQUEST-----\n", b"CERTIFICATE REQUEST-----\nAAAA", 1)
test_requests = gives(rules.request_fault, [(coded(BROKEN), "asn1: structure error: …")])
test_certificates = gives(lambda text: rules.certificate_fault(coded(text)), [
    (OTHER, "x509: malformed certificate: …"),
    (b"", ""),
    (b"x", "must contain at least one CERTIFICATE PEM block"),
    (b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----", 'only CERTIFICATE PEM blocks are allowed, found "KEY"'),
])  # fmt: skip
