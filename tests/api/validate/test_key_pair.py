"""PEM errors in certificates and keys of TLS secrets."""

import base64

from rules import gives

from pilothouse.api.validate.key_pair import key_pair_fault


def block(kind: bytes, body: bytes = b"abc") -> bytes:
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (kind, base64.b64encode(body), kind)


NONE = "tls: failed to find any PEM data in certificate input"

test_blocks = gives(lambda certificate: key_pair_fault(certificate, b""), [
    (b"", NONE),
    (b"-----BEGIN CERTIFICATE-----\nAAAA\n", NONE),
    (b"-----BEGIN CERTIFICATE-----\nA!\n-----END CERTIFICATE-----", NONE),
    (block(b"CERTIFICATE"), "tls: failed to find any PEM data in key input"),
    (b"junk -----BEGIN CERTIFICATE-----\n" + block(b"A"), NONE.replace("any PEM data", '"CERTIFICATE" PEM block') + " after skipping PEM blocks of the following types: [A]"),
    (block(b"A") + block(b"B C"), 'tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [A B C]'),
    (block(b"RSA PRIVATE KEY"), "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"),
])  # fmt: skip
