"""Signs certificate requests with a CA in two files
(kube-controller-manager's pkg/controller/certificates/authority)."""

import datetime
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended
from cryptography.x509.oid import NameOID, ObjectIdentifier

from pilothouse.authn.x509 import scope_of, scope_unit

BACKDATE = datetime.timedelta(minutes=5)
SHORT = datetime.timedelta(hours=8)
"""Certificates that live shorter than this do not end earlier for having begun in the past."""
SHORTEST = datetime.timedelta(minutes=10)

_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED = {
    "any": Extended.ANY_EXTENDED_KEY_USAGE,
    "server auth": Extended.SERVER_AUTH,
    "client auth": Extended.CLIENT_AUTH,
    "code signing": Extended.CODE_SIGNING,
    "email protection": Extended.EMAIL_PROTECTION,
    "s/mime": Extended.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": Extended.TIME_STAMPING,
    "ocsp signing": Extended.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}


class SigningError(Exception):
    """A request that cannot be signed; the text is upstream's."""


class Signer:
    """Signs with the CA in two files, which are read for every certificate, so that a new CA counts at once.

    `longest` is the longest life of a certificate (--cluster-signing-duration). `scope` is the logical
    cluster in which the certificates are good, "" for the server's own (authn/x509.py).
    """

    def __init__(self, cert_file: str, key_file: str, longest: datetime.timedelta, scope: str = "") -> None:
        self.scope = scope
        self._cert_file = Path(cert_file)
        self._key_file = Path(key_file)
        self._longest = longest

    def sign(
        self,
        request: x509.CertificateSigningRequest,
        usages: Sequence[str],
        seconds: int | None,
        now: datetime.datetime,
    ) -> bytes:
        """A certificate (PEM) that lives as long as the request asks for in `seconds`,
        if that is not too long or short.

        It has the subject and the alternative names of the request, and nothing else of it but the unit of a
        logical cluster. Raises
        SigningError, and OSError or ValueError when the CA cannot be read.
        """
        if not request.is_signature_valid:
            raise SigningError("unable to verify certificate request signature")
        ca = x509.load_pem_x509_certificate(self._cert_file.read_bytes())
        key: Any = load_pem_private_key(self._key_file.read_bytes(), None)
        if now >= ca.not_valid_after_utc:
            raise SigningError("refusing to sign a certificate that expired in the past: the CA has expired")
        life = self._life(seconds)
        end = now + (life if life < SHORT else life - BACKDATE)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self._subject(request))
            .issuer_name(ca.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(min(end, ca.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        builder = _with_names(_with_usages(builder, usages), request)
        edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        return builder.sign(key, None if edwards else hashes.SHA256()).public_bytes(Encoding.PEM)

    def _subject(self, request: x509.CertificateSigningRequest) -> x509.Name:
        """The subject, with the unit of the cluster; SigningError when it has that of another one."""
        found = scope_of(request)
        if found == self.scope:
            return request.subject
        if found:
            raise SigningError("the subject has the organizational unit of another cluster")
        unit = x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, scope_unit(self.scope))
        return x509.Name([*request.subject.rdns, x509.RelativeDistinguishedName([unit])])

    def _life(self, seconds: int | None) -> datetime.timedelta:
        if seconds is None:
            return self._longest
        return min(max(datetime.timedelta(seconds=seconds), SHORTEST), self._longest)


def _with_usages(builder: x509.CertificateBuilder, usages: Sequence[str]) -> x509.CertificateBuilder:
    unknown = [usage for usage in usages if usage not in _USAGES and usage not in _EXTENDED]
    if unknown:
        quoted = " ".join(f'"{usage}"' for usage in unknown)
        raise SigningError(f"unrecognized usage values: [{quoted}]")
    key_usages = {_USAGES[usage] for usage in usages if usage in _USAGES}
    if key_usages & {"encipher_only", "decipher_only"}:
        key_usages.add("key_agreement")  # the two say something about it, and X.509 knows them only beside it
    extended = list(dict.fromkeys(_EXTENDED[usage] for usage in usages if usage in _EXTENDED))
    if key_usages:
        names = inspect.signature(x509.KeyUsage).parameters
        usage = x509.KeyUsage(**{name: name in key_usages for name in names})
        builder = builder.add_extension(usage, critical=True)
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    return builder


def _with_names(
    builder: x509.CertificateBuilder, request: x509.CertificateSigningRequest
) -> x509.CertificateBuilder:
    names = [name for names in alternative_names(request).values() for name in names]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def alternative_names(
    request: x509.CertificateSigningRequest,
) -> dict[type[x509.GeneralName], list[x509.GeneralName]]:
    """The alternative names of a request by their type: host names, mail addresses, IP addresses, URIs."""
    kinds: tuple[type[x509.GeneralName], ...] = (
        x509.DNSName,
        x509.RFC822Name,
        x509.IPAddress,
        x509.UniformResourceIdentifier,
    )
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return {kind: [] for kind in kinds}
    return {kind: [name for name in found if isinstance(name, kind)] for kind in kinds}
