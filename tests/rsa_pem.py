"""RSA keys for tests of tokens."""

from functools import cache

from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def rsa_pem(name: str = "") -> bytes:
    """The private key of this name in PEM, with 2048 bits; a process makes it once, which takes 70 ms."""
    private = rsa.generate_private_key(65537, 2048)
    return private.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption())
