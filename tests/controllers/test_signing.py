"""The content of a signed certificate, and how long it is good."""

import datetime
import ipaddress
import pathlib
from typing import Any

import pytest
from certificates import name, new_key
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended

from pilothouse import pki
from pilothouse.controllers.signing import Signer, SigningError, alternative_names

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
HOUR, BACK = datetime.timedelta(hours=1), datetime.timedelta(minutes=5)


@pytest.fixture
def ca(tmp_path: pathlib.Path) -> pki.CertificateAuthority:
    made = pki.CertificateAuthority.create()
    write(tmp_path, made)
    return made


def write(directory: pathlib.Path, authority: pki.CertificateAuthority) -> None:
    (directory / "ca.crt").write_bytes(pki.pem(authority.certificate))
    (directory / "ca.key").write_bytes(pki.key_pem(authority.key))


def signer(directory: pathlib.Path, longest: datetime.timedelta = 24 * HOUR) -> Signer:
    return Signer(str(directory / "ca.crt"), str(directory / "ca.key"), longest)


def request(*names: x509.GeneralName, key: Any = None, extra: Any = None) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("jane", "dev", "ops"))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    key = key or new_key()
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def signed(made: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(made)


def test_a_certificate_has_subject_names_and_usages_of_its_request(
    tmp_path: pathlib.Path, ca: pki.CertificateAuthority
) -> None:
    names = [x509.DNSName("a.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
    asked = request(*names, extra=x509.BasicConstraints(ca=True, path_length=None))
    usages = ["digital signature", "key encipherment", "server auth", "client auth"]
    cert = signed(signer(tmp_path).sign(asked, usages, None, NOW))
    cert.verify_directly_issued_by(ca.certificate)
    assert cert.subject == asked.subject and cert.public_key() == asked.public_key()
    found = cert.extensions
    assert list(found.get_extension_for_class(x509.SubjectAlternativeName).value) == names
    assert found.get_extension_for_class(x509.BasicConstraints).value.ca is False, "whatever the request says"
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    assert list(found.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        Extended.SERVER_AUTH,
        Extended.CLIENT_AUTH,
    ]
    issuer = found.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    own = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert issuer == own


@pytest.mark.parametrize(
    ("seconds", "life"),
    [
        (None, 24 * HOUR - BACK),
        (86400 * 30, 24 * HOUR - BACK),
        (60, datetime.timedelta(minutes=10)),
        (3600, HOUR),
        (9 * 3600, 9 * HOUR - BACK),
    ],
)
def test_how_long_it_is_good(
    tmp_path: pathlib.Path, ca: pki.CertificateAuthority, seconds: int | None, life: datetime.timedelta
) -> None:
    cert = signed(signer(tmp_path).sign(request(), ["client auth"], seconds, NOW))
    assert cert.not_valid_before_utc == NOW - BACK and cert.not_valid_after_utc == NOW + life


def test_it_does_not_outlive_the_ca(tmp_path: pathlib.Path) -> None:
    ca = pki.CertificateAuthority.create(days=1)
    write(tmp_path, ca)
    cert = signed(signer(tmp_path, 1000 * HOUR).sign(request(), ["client auth"], None, NOW))
    assert cert.not_valid_after_utc == ca.certificate.not_valid_after_utc
    with pytest.raises(SigningError, match="expired in the past"):
        signer(tmp_path).sign(request(), ["client auth"], None, NOW + 48 * HOUR)


def test_a_new_ca_counts_at_once(tmp_path: pathlib.Path, ca: pki.CertificateAuthority) -> None:
    signs = signer(tmp_path)
    signs.sign(request(), ["client auth"], None, NOW)
    other = pki.CertificateAuthority.create()
    write(tmp_path, other)
    signed(signs.sign(request(), ["client auth"], None, NOW)).verify_directly_issued_by(other.certificate)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(OSError):
        signs.sign(request(), ["client auth"], None, NOW)


@pytest.mark.parametrize(
    "make", [lambda: rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate]
)
def test_keys_of_other_kinds(tmp_path: pathlib.Path, ca: pki.CertificateAuthority, make: Any) -> None:
    signed(signer(tmp_path).sign(request(key=make()), ["client auth"], None, NOW))


def test_usages_that_there_are_not(tmp_path: pathlib.Path, ca: pki.CertificateAuthority) -> None:
    with pytest.raises(SigningError, match=r'unrecognized usage values: \["a" "b"\]'):
        signer(tmp_path).sign(request(), ["client auth", "a", "b"], None, NOW)
    cert = signed(signer(tmp_path).sign(request(), ["encipher only", "decipher only"], None, NOW))
    assert cert.extensions.get_extension_for_class(x509.KeyUsage).value.encipher_only


def test_a_request_that_was_changed_is_not_signed(
    tmp_path: pathlib.Path, ca: pki.CertificateAuthority
) -> None:
    der = bytearray(request().public_bytes(Encoding.DER))
    at = bytes(der).index(b"jane")
    der[at : at + 4] = b"root"
    with pytest.raises(SigningError, match="unable to verify certificate request signature"):
        signer(tmp_path).sign(x509.load_der_x509_csr(bytes(der)), ["client auth"], None, NOW)


def test_alternative_names_by_their_kind() -> None:
    names = alternative_names(request(x509.DNSName("a"), x509.RFC822Name("b@c"), x509.DNSName("d")))
    assert [n.value for n in names[x509.DNSName]] == ["a", "d"]
    assert [n.value for n in names[x509.RFC822Name]] == ["b@c"]
    assert not names[x509.IPAddress] and not names[x509.UniformResourceIdentifier]
    assert not any(alternative_names(request()).values())
