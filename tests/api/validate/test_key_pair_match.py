"""Keys that match a certificate, and keys that do not."""

import certificates
from cryptography.hazmat.primitives.asymmetric import ed25519

from pilothouse.api.validate.key_pair import key_pair_fault

KEY = certificates.new_key()
PEM = certificates.certificate(KEY)


def block(kind: str) -> bytes:
    return f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n".encode()


def test_pairs() -> None:
    assert key_pair_fault(PEM, certificates.private(KEY)) == ""


def test_other_keys() -> None:
    other = certificates.private(certificates.new_key())
    assert key_pair_fault(PEM, other) == "tls: private key does not match public key"
    edwards = certificates.private(ed25519.Ed25519PrivateKey.generate())
    assert key_pair_fault(PEM, edwards) == "tls: private key type does not match public key type"


def test_what_is_no_key() -> None:
    assert key_pair_fault(PEM, block("PRIVATE KEY")) == "tls: failed to parse private key"
    assert key_pair_fault(PEM, PEM) == "tls: found a certificate rather than a key in the PEM for the private key"
    assert key_pair_fault(PEM, block("A") + block("B")) == ('tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [A B]')


def test_what_is_no_certificate() -> None:
    assert key_pair_fault(block("CERTIFICATE"), certificates.private(KEY)) == "x509: malformed certificate"
