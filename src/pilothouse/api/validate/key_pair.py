"""Reports the error of Go's crypto/tls for a certificate and its key, for the warning about TLS secrets."""

import base64
import binascii
from collections.abc import Callable

from pilothouse.api.validate import pem


def key_pair_fault(certificate: bytes, key: bytes) -> str:
    """The first error of tls.X509KeyPair, "" if certificate and key are a pair."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    chain, skipped = _blocks(certificate, lambda kind: kind == "CERTIFICATE")
    if not chain:
        if not skipped:
            return "tls: failed to find any PEM data in certificate input"
        if len(skipped) == 1 and skipped[0].endswith("PRIVATE KEY"):
            return (
                "tls: failed to find certificate PEM data in certificate input, but did find a private key;"
                " PEM inputs may have been switched"
            )
        what = 'tls: failed to find "CERTIFICATE" PEM block in certificate input'
        return f"{what} after skipping PEM blocks of the following types: [{' '.join(skipped)}]"
    keys, skipped = _blocks(key, lambda kind: kind == "PRIVATE KEY" or kind.endswith(" PRIVATE KEY"))
    if not keys:
        if not skipped:
            return "tls: failed to find any PEM data in key input"
        if len(skipped) == 1 and skipped[0] == "CERTIFICATE":
            return "tls: found a certificate rather than a key in the PEM for the private key"
        what = 'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input'
        return f"{what} after skipping PEM blocks of the following types: [{' '.join(skipped)}]"
    try:
        public = x509.load_der_x509_certificate(chain[0]).public_key()
    except ValueError:
        return "x509: malformed certificate"
    try:
        private = serialization.load_der_private_key(keys[0], None)
    except (ValueError, TypeError):
        return "tls: failed to parse private key"
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if type(private.public_key()) is not type(public):
        return "tls: private key type does not match public key type"
    if private.public_key().public_bytes(*form) != public.public_bytes(*form):
        return "tls: private key does not match public key"
    return ""


def _blocks(data: bytes, wanted: Callable[[str], bool]) -> tuple[list[bytes], list[str]]:
    """Contents of the blocks of the wanted kind, and the kinds of the other blocks."""
    found, skipped = [], []
    for kind, text in pem.blocks(data):
        try:
            body = base64.b64decode(b"".join(text.split()), validate=True)
        except binascii.Error:
            continue
        if wanted(kind):
            found.append(body)
        else:
            skipped.append(kind)
    return found, skipped
