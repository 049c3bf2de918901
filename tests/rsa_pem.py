"""RSA keys for tests of tokens."""

from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa


def rsa_pem() -> bytes:
    """A new private key in PEM, with 2048 bits."""
    private = rsa.generate_private_key(65537, 2048)
    return private.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption())
