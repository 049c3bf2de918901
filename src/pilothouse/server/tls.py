"""TLS contexts of the listener: versions and ciphers by Go's names, client certificates, SNI and reload.

Clients are asked for a certificate if client CAs are configured. OpenSSL verifies it within the handshake; one of an
unknown CA and the validity period are left to the authenticator, which answers 401. Sessions are not resumed, so the
removal of a CA takes effect at once.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pilothouse.logs import Logger
from pilothouse.server import openssl, unknown_clients

log = Logger(__name__)

_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python's ssl has no name."""

_TLS12 = {
    f"TLS_ECDHE_{key}_WITH_{go}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_128_CBC_SHA256", "AES128-SHA256"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305", "CHACHA20-POLY1305"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
_RSA = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}
_TLS13 = dict.fromkeys(
    ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"), ""
)

CIPHERS = {**_TLS12, **_RSA, **_TLS13}
"""Go's name of a cipher suite -> OpenSSL's; "" for the suites of TLS 1.3, which are always enabled."""

CURVES = {23: "P-256", 24: "P-384", 25: "P-521", 29: "X25519", 4588: "X25519MLKEM768"}
"""Go's number of a key exchange (crypto/tls CurveID) -> OpenSSL's name."""

_VERSIONS = {
    "VersionTLS10": ssl.TLSVersion.TLSv1,
    "VersionTLS11": ssl.TLSVersion.TLSv1_1,
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What contexts are made from. `sni` has (certificate, key, names); without names, those in the certificate.
    `http2` offers HTTP/2 beside HTTP/1.1. `curves` are the key exchanges by their numbers in CURVES; without, OpenSSL's."""

    cert_file: str
    key_file: str
    client_ca_files: tuple[str, ...] = ()
    sni: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    min_version: str = ""
    ciphers: tuple[str, ...] = ()
    http2: bool = True
    curves: tuple[int, ...] = ()

    def files(self) -> list[str]:
        """All files that are watched for changes."""
        pairs = [path for cert, key, _ in self.sni for path in (cert, key)]
        return [self.cert_file, self.key_file, *self.client_ca_files, *pairs]


def make_context(cert: str, key: str, settings: Settings) -> ssl.SSLContext:
    """Make one context. Raises OSError (which ssl.SSLError is) for unreadable files and pairs that do not match."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version or "VersionTLS12"]
    names = [CIPHERS[name] for name in settings.ciphers if CIPHERS[name]]
    if names:
        context.set_ciphers(":".join(dict.fromkeys(names)))
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_alpn_protocols(["h2", "http/1.1"] if settings.http2 else ["http/1.1"])
    if settings.curves and not openssl.choose_groups(context, [CURVES[number] for number in settings.curves]):
        raise OSError(f"key exchanges {settings.curves} cannot be chosen with {ssl.OPENSSL_VERSION}")
    context.load_cert_chain(cert, key)
    if settings.client_ca_files:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= _NO_CHECK_TIME
        for path in settings.client_ca_files:
            context.load_verify_locations(path)
        unknown_clients.admit(context)
        openssl.name_authorities(context, settings.client_ca_files)
    return context


class Contexts:
    """The current contexts: the listener uses `context`, and each handshake switches to the newest one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = _state(settings.files())
        self._default, self._by_name = self._load()
        self.context = make_context(settings.cert_file, settings.key_file, settings)
        self.context.sni_callback = self._choose

    def _load(self) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
        settings = self._settings
        by_name: dict[str, ssl.SSLContext] = {}
        for cert, key, names in settings.sni:
            context = make_context(cert, key, settings)
            for name in names or _names_in(cert):
                by_name.setdefault(name.lower(), context)
        return make_context(settings.cert_file, settings.key_file, settings), by_name

    def _choose(self, sock: Any, name: str | None, _: ssl.SSLContext) -> None:
        chosen = self._default
        if name and self._by_name:
            name = name.lower()
            wildcard = "*." + name.partition(".")[2]
            chosen = self._by_name.get(name) or self._by_name.get(wildcard) or chosen
        sock.context = chosen

    def reload(self) -> bool:
        """Read all files again if one has changed. Returns True if new contexts are in use; on errors keeps the old."""
        state = _state(self._settings.files())
        if state == self._state:
            return False
        self._state = state
        try:
            self._default, self._by_name = self._load()
        except (OSError, ValueError) as error:
            log.warning("Certificates were not reloaded", err=error)
            return False
        log.info("Certificates were reloaded")
        return True

    async def watch(self, interval: float = 5.0, reloaded: Callable[[], None] | None = None) -> None:
        """Check the files every `interval` seconds until cancelled; calls `reloaded` after each reload."""
        while True:
            await asyncio.sleep(interval)
            if self.reload() and reloaded is not None:
                reloaded()


def _state(paths: Sequence[str]) -> tuple[Any, ...]:
    """Inode, time and size of each file, which change when it is edited or replaced; None for a missing file."""
    out: list[Any] = []
    for path in paths:
        try:
            stat = os.stat(path)
        except OSError:
            out.append(None)
        else:
            out.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(out)


def _names_in(cert_file: str) -> list[str]:
    from cryptography import x509

    with open(cert_file, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return [str(a.value) for a in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]


def peer_chain(ssl_object: Any) -> tuple[bytes, ...]:
    """The client's verified chain in DER, leaf first; () without a certificate, the leaf alone when its CA is unknown.

    So nobody looks for another way to a CA than OpenSSL, which knows of more rules.
    """
    leaf = ssl_object.getpeercert(binary_form=True)
    if not leaf:
        return ()
    chain = _built_chain(ssl_object)
    return chain if unknown_clients.is_complete(ssl_object.context, chain) else (leaf,)


def _built_chain(ssl_object: Any) -> tuple[bytes, ...]:
    """The chain that OpenSSL has built, () when Python does not tell."""
    if hasattr(ssl_object, "get_verified_chain"):
        return tuple(ssl_object.get_verified_chain())
    inner: Any = getattr(ssl_object, "_sslobj", None)  # public from Python 3.13 on
    chain = inner.get_verified_chain() if hasattr(inner, "get_verified_chain") else None
    return tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain or ())
