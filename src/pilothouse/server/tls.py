"""TLS contexts of the listener: versions and ciphers by Go's names, client certificates, SNI and reload.

Clients are asked for a certificate if client CAs are configured. OpenSSL verifies it within the handshake;
one of an unknown CA and the validity period are left to the authenticator, which answers 401. Sessions are
not resumed, so the removal of a CA takes effect at once.
"""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pilothouse.process.frozen import frozen
from pilothouse.server import openssl, unknown_clients
from pilothouse.server.pem import pair_fault, pem_files

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


@frozen
class TLSSettings:
    """The settings that contexts are made from. `sni` has (certificate, key, names);
    without names, those in the certificate. `http2` offers HTTP/2 beside HTTP/1.1.
    `curves` are the key exchanges by their numbers in CURVES; without, OpenSSL's."""

    cert_file: str
    key_file: str
    client_ca_files: tuple[str, ...] = ()
    sni: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    min_version: str = ""
    ciphers: tuple[str, ...] = ()
    http2: bool = True
    curves: tuple[int, ...] = ()

    def pairs(self) -> list[str]:
        """The files of certificates and their keys."""
        return [self.cert_file, self.key_file, *(path for cert, key, _ in self.sni for path in (cert, key))]

    def certificates(self) -> list[str]:
        """The files of certificates."""
        return [self.cert_file, *(cert for cert, _, _ in self.sni)]

    def files(self) -> list[str]:
        """All files that contexts are made of."""
        return [*self.pairs(), *self.client_ca_files]


Files = Mapping[str, bytes]
"""The content of files by their paths."""


def make_context(
    cert: bytes, key: bytes, settings: TLSSettings, client_cas: Sequence[bytes] = ()
) -> ssl.SSLContext:
    """Make one context of PEM texts. Raises OSError
    (which ssl.SSLError is) for what cannot be read or does not match."""
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
    with pem_files(cert, key) as (cert_file, key_file):
        context.load_cert_chain(cert_file, key_file, password="")  # so that nobody is asked for one
    if client_cas:
        _ask_clients(context, client_cas)
    return context


def _ask_clients(context: ssl.SSLContext, client_cas: Sequence[bytes]) -> None:
    """Have clients asked for a certificate of these CAs."""
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= _NO_CHECK_TIME
    for at, ca in enumerate(client_cas):
        try:
            context.load_verify_locations(cadata=ca.decode("ascii", "ignore"))
        except ssl.SSLError as error:
            raise UnusableAuthority(at, error) from None
    unknown_clients.admit(context)
    openssl.name_authorities(context, client_cas)


class UnusableAuthority(ssl.SSLError):
    """A CA of clients that cannot be used; `at` is its place among all of them."""

    def __init__(self, at: int, error: ssl.SSLError) -> None:
        super().__init__(error.errno, str(error))
        self.at = at


class Loaded(NamedTuple):
    """Contexts that are made and not yet in use:
    of `files`, and for all others of what was in force, `before`."""

    files: Files
    before: Files
    default: ssl.SSLContext
    by_name: Mapping[str, ssl.SSLContext]


class Contexts:
    """The current contexts: the listener uses `context`, and each handshake switches to the newest one."""

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._files: Files = {path: Path(path).read_bytes() for path in settings.files()}
        self._default, self._by_name = self._make(self._files)
        self.context = self._default
        self.context.sni_callback = self._choose

    def _make(self, files: Files) -> tuple[ssl.SSLContext, Mapping[str, ssl.SSLContext]]:
        by_name: dict[str, ssl.SSLContext] = {}
        for cert, key, names in self._settings.sni:
            context = self._of(cert, key, files)
            for name in names or _names_in(files[cert]):
                by_name.setdefault(name.lower(), context)
        return self._of(self._settings.cert_file, self._settings.key_file, files), by_name

    def _of(self, cert: str, key: str, files: Files) -> ssl.SSLContext:
        """The context of one pair; SSLError, which names the files that cannot be used."""
        client_cas = [files[path] for path in self._settings.client_ca_files]
        try:
            return make_context(files[cert], files[key], self._settings, client_cas)
        except UnusableAuthority as error:
            path = self._settings.client_ca_files[error.at]
            raise ssl.SSLError(error.errno, f"the CA {path} cannot be used: {error}") from None
        except ssl.SSLError as error:
            why = pair_fault(files[cert], files[key]) or error
            raise ssl.SSLError(error.errno, f"{cert} cannot be used with the key {key}: {why}") from None

    def _choose(self, sock: Any, name: str | None, _: ssl.SSLContext) -> None:
        context = self._default
        if name and self._by_name:
            name = name.lower()
            wildcard = "*." + name.partition(".")[2]
            context = self._by_name.get(name) or self._by_name.get(wildcard) or context
        sock.context = context

    def loaded(self, files: Files) -> Loaded:
        """Contexts in which these files take the place of those in force;
        OSError or ValueError when they cannot be used.

        May be called on a thread.
        """
        before = self._files
        ours = {path: data for path, data in files.items() if path in before}
        return Loaded(ours, before, *self._make({**before, **ours}))

    def use(self, loaded: Loaded) -> None:
        """Have new connections use other contexts. Open ones keep theirs."""
        if loaded.before is not self._files:  # other files have come into force meanwhile
            loaded = self.loaded(loaded.files)
        self._files = {**loaded.before, **loaded.files}
        self._default, self._by_name = loaded.default, loaded.by_name


def _names_in(cert: bytes) -> list[str]:
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(cert)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return [str(a.value) for a in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]


def peer_chain(ssl_object: Any) -> tuple[bytes, ...]:
    """The client's verified chain in DER, leaf first;
    () without a certificate, the leaf alone when its CA is unknown.

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
