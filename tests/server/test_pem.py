"""Certificates and keys that OpenSSL reads from files."""

import datetime
import pathlib
import ssl

from cryptography.hazmat.primitives import serialization as s

from pilothouse.pki import CertificateAuthority, key_pem, pem
from pilothouse.server.pem import pair_fault, pem_files, validity_fault


def test_texts_become_files_for_a_moment(tmp_path: pathlib.Path) -> None:
    key = tmp_path / "key"
    with pem_files(b"CERT", str(key)) as (cert_file, key_file):
        made = pathlib.Path(cert_file)
        assert made.read_bytes() == b"CERT" and key_file == str(key)
        assert made.parent.stat().st_mode & 0o777 == 0o700
    assert not made.parent.exists()


def test_when_a_certificate_is_good() -> None:
    certificate = CertificateAuthority.create("a", days=1).certificate
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    second = datetime.timedelta(seconds=1)
    assert validity_fault(certificate) == validity_fault(certificate, last - second) == ""
    assert validity_fault(certificate, last).startswith("has expired on ")
    assert validity_fault(certificate, first - second).endswith(" UTC: is the clock behind?")


def test_why_a_pair_cannot_be_used() -> None:
    """OpenSSL says `PEM lib` for most of it."""
    one, other = CertificateAuthority.create("a"), CertificateAuthority.create("b")
    cert, key = pem(one.certificate), key_pem(one.key)
    locked = one.key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"a password")
    )
    assert pair_fault(cert, key) == ""
    assert pair_fault(b"x", key) == "there is no certificate in PEM"
    assert pair_fault(cert, b"x") == pair_fault(cert, cert) == "there is no private key in PEM"
    assert pair_fault(cert, locked) == "the key has a password"
    assert pair_fault(cert, key_pem(other.key)) == "it is the key of another certificate"


def test_keys_that_nobody_knows_are_left_to_openssl() -> None:
    """The algorithm of the certificate's key is one that does not exist."""
    authority = CertificateAuthority.create("a")
    der = authority.der()
    known = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey
    assert der.count(known) == 1
    unknown = ssl.DER_cert_to_PEM_cert(der.replace(known, known[:-1] + b"\x7f")).encode()
    assert pair_fault(unknown, key_pem(authority.key)) == ""
