"""Makes certificates, keys and certificate requests in PEM for tests."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def name(common: str, *organizations: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate that has signed itself."""
    start = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name("c")).issuer_name(name("c"))
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def expired(issuer: x509.Certificate, issuer_key: Key, common: str, *organizations: str) -> bytes:
    """A client's certificate that was good until a minute ago, and its key."""
    key, end = new_key(), datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    builder = x509.CertificateBuilder().subject_name(name(common, *organizations)).issuer_name(issuer.subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(end - datetime.timedelta(minutes=4)).not_valid_after(end)
    signed = builder.sign(issuer_key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM) + private(key)


def private(key: Key) -> bytes:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form)


def request(common: str, *organizations: str) -> bytes:
    """A signing request."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common, *organizations))
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
