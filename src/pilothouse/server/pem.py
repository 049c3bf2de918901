"""Certificates in PEM: when they are good, and as files, for Python's ssl reads them from no other place."""

import contextlib
import datetime
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


@contextlib.contextmanager
def pem_files(cert: bytes | str, key: bytes | str) -> Iterator[tuple[str, str]]:
    """The paths of a certificate and a key.
    PEM texts (bytes) become files that nobody else can read, and are removed."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-") as made:  # mode 0700
        paths = []
        for name, given in (("crt", cert), ("key", key)):
            if isinstance(given, bytes):
                path = f"{made}/tls.{name}"
                Path(path).write_bytes(given)
                given = path
            paths.append(given)
        yield paths[0], paths[1]


def validity_fault(certificate: "x509.Certificate", now: datetime.datetime | None = None) -> str:
    """Why clients refuse a certificate at a time, by default now; "" when it is good."""
    now = now or datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_before_utc > now:
        return (
            f"is not good before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: is the clock behind?"
        )
    if certificate.not_valid_after_utc <= now:
        return f"has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def pair_fault(cert: bytes, key: bytes) -> str:
    """Why a certificate cannot be used with a key, where OpenSSL says little; "" for other reasons."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate(cert)
    except ValueError:
        return "there is no certificate in PEM"
    try:
        private = load_pem_private_key(key, None)
        fits = certificate.public_key() == private.public_key()
    except UnsupportedAlgorithm:
        return ""
    except TypeError:
        return "the key has a password"
    except ValueError:
        return "there is no private key in PEM"
    return "" if fits else "it is the key of another certificate"
