"""Keys that match a certificate, and keys that do not."""

import certificates
from cryptography.hazmat.primitives.asymmetric import ed25519
from rules import gives

from pilothouse.api.validate.key_pair import key_pair_fault

KEY = certificates.new_key()
PEM = certificates.certificate(KEY)


def block(kind: str) -> bytes:
    return f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n".encode()


test_pairs = gives(lambda pair: key_pair_fault(*pair), [
    ((PEM, certificates.private(KEY)), ""),
    ((PEM, certificates.private(certificates.new_key())), "tls: private key does not match public key"),
    ((PEM, certificates.private(ed25519.Ed25519PrivateKey.generate())), "tls: private key type does not match public key type"),
    ((PEM, block("PRIVATE KEY")), "tls: failed to parse private key"),
    ((PEM, PEM), "tls: found a certificate rather than a key in the PEM for the private key"),
    ((PEM, block("A") + block("B")), 'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [A B]'),
    ((block("CERTIFICATE"), certificates.private(KEY)), "x509: malformed certificate"),
])  # fmt: skip
