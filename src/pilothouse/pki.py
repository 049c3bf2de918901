"""Keys and certificates that a server makes for itself, and the kubeconfig that goes with them.

They are files in the data directory, by kubeadm's names: ca, admin and sa; apiserver-kubelet-client, by which
kubelets know the server; front-proxy-ca and front-proxy-client, by which aggregated servers and webhooks do.
apiserver.crt and its key are in --cert-dir. What is there and good is used; what is missing, broken or about
to expire is made again. Keys are ECDSA P-256.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import ipaddress
import os
import pathlib
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pilothouse.api.yaml import kubeconfigs
from pilothouse.configuration.addresses import advertised, url
from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.data import DataOptions
from pilothouse.configuration.sections.serving import ServingOptions
from pilothouse.files import NO_SPACE, make_private, put, write_file, written
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record
from pilothouse.server.soundness import Soundness

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

log = Logger(__name__)

CA_DAYS = 3650
LEAF_DAYS = 365
RENEW_BEFORE = datetime.timedelta(days=30)
BACKDATED = datetime.timedelta(minutes=5)
"""Certificates begin a little in the past, for clients whose clock is behind."""

KUBELET_CLIENT, ADMINS = "kube-apiserver-kubelet-client", "kubeadm:cluster-admins"
"""The identity with which the server calls kubelets: user and group, as kubeadm names them.
A binding lets the group do everything."""
FRONT_PROXY = "front-proxy-client"
"""The identity with which the server calls aggregated servers."""
SOUND = "sound.json"
"""The file in the data directory that says that the others were found good."""


@frozen
class Files:
    """The paths of the server's keys. Empty paths: not made, because the operator brings their own."""

    serving_cert: str
    serving_key: str
    ca_cert: str
    """The certificate that clients trust: our own CA, or the operator's serving certificate."""
    client_ca: tuple[str, ...]
    """CAs of client certificates: the operator's and our own."""
    signing_key: str
    """Private key of service account tokens."""
    admin_cert: str
    admin_key: str
    issuer_cert: str
    issuer_key: str
    """Our own CA, which signs the certificates of clients and kubelets."""
    kubelet_cert: str = ""
    kubelet_key: str = ""
    """The key by which kubelets know the server; empty: the flags name others."""
    proxy_ca: str = ""
    proxy_cert: str = ""
    proxy_key: str = ""
    """The CA of front proxies, and the certificate by which this server is one;
    empty: the flags name others."""
    sound: tuple[str, ...] = ()
    """The files that are known to be good, for so long that they need not be renewed."""


@record
class CertificateAuthority:
    """A CA: its certificate and key."""

    certificate: "x509.Certificate"
    key: "ec.EllipticCurvePrivateKey"

    @classmethod
    def create(cls, name: str = "kubernetes", days: float = CA_DAYS) -> "CertificateAuthority":
        """Make a new CA that is good for `days`."""
        from cryptography import x509

        key = _new_key()
        builder = _builder(_name(name), _name(name), key, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        return cls(_signed(builder, key), key)

    def der(self) -> bytes:
        """The certificate in DER."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.DER)

    @classmethod
    def load(
        cls, cert: pathlib.Path, key: pathlib.Path, renew_before: datetime.timedelta = RENEW_BEFORE
    ) -> "CertificateAuthority | None":
        """The CA in two files, None when they are missing, broken, or good for less than `renew_before`."""
        pair = _load(cert, key, renew_before)
        return None if pair is None else cls(*pair)

    def issue(
        self,
        name: str,
        organizations: Sequence[str] = (),
        hosts: Iterable[str] = (),
        *,
        server: bool,
        days: float = LEAF_DAYS,
        unit: str = "",
    ) -> tuple[bytes, bytes]:
        """A certificate and its key in PEM, for a server under `hosts` or for a client;
        it is good for `days`. `unit` is the organizational unit of its subject.

        It does not outlive the CA.
        """
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

        key = _new_key()
        builder = _builder(
            _name(name, organizations, unit),
            self.certificate.subject,
            key,
            days,
            self.certificate.not_valid_after_utc,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        purpose = Purpose.SERVER_AUTH if server else Purpose.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        names = [_general_name(host) for host in hosts]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return pem(_signed(builder, self.key)), key_pem(key)


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _new_key() -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _new_rsa_key() -> "rsa.RSAPrivateKey":
    """RSA, for the widest choice of programs that check service account tokens (RS256)."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common: str, organizations: Sequence[str] = (), unit: str = "") -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization) for organization in organizations]
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: "x509.Name",
    issuer: "x509.Name",
    key: Any,
    days: float,
    latest: datetime.datetime | None = None,
) -> "x509.CertificateBuilder":
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    end = now + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end if latest is None else min(end, latest))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**true: bool) -> "x509.KeyUsage":
    """The purposes of a key: those that are named, of all that RFC 5280 has."""
    from cryptography import x509

    return x509.KeyUsage(**{**dict.fromkeys(_USAGES, False), **true})


def _signed(builder: "x509.CertificateBuilder", key: Any) -> "x509.Certificate":
    from cryptography.hazmat.primitives import hashes

    return builder.sign(key, hashes.SHA256())


def pem(certificate: "x509.Certificate") -> bytes:
    """A certificate in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def key_pem(key: "ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey") -> bytes:
    """A private key in PKCS#8 PEM."""
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def _load(
    cert: pathlib.Path, key: pathlib.Path, renew_before: datetime.timedelta = RENEW_BEFORE
) -> "tuple[x509.Certificate, Any] | None":
    """Certificate and key of two files when they are there, belong together and do not expire soon."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    if certificate.not_valid_after_utc - renew_before < datetime.datetime.now(datetime.UTC):
        return None
    return (certificate, private) if certificate.public_key() == private.public_key() else None


def serving_hosts(config: Config) -> list[str]:
    """Names and addresses that the serving certificate must be good for."""
    serving = config.serving
    service = [str(next(iter(network.hosts()))) for network in config.objects.service_networks]
    own = [a for a in (advertised(serving), serving.bind_address) if a not in ("0.0.0.0", "::", "")]
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    outside = [name for name in (serving.external_hostname, config.clusters.wildcard) if name]
    hosts = ["localhost", *names, socket.gethostname(), *outside, "127.0.0.1", "::1", *service, *own]
    return list(dict.fromkeys(hosts))


def _covers(certificate: "x509.Certificate", hosts: Iterable[str], authority: CertificateAuthority) -> bool:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(authority.certificate)
    except (x509.ExtensionNotFound, ValueError, TypeError, _invalid_signature()):
        return False
    return set(map(_general_name, hosts)) <= set(names)


def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature


def check_authority(options: DataOptions) -> None:
    """OSError when the data directory has no CA of a server that can be used."""
    cert, key = options.directory / "ca.crt", options.directory / "ca.key"
    if not cert.exists():
        raise FileNotFoundError(
            f"the data directory {options.directory} has no CA (ca.crt): name that of a server with"
            " --data-dir, or give --create to make one"
        )
    if CertificateAuthority.load(cert, key, datetime.timedelta(0)) is None:
        raise OSError(
            f"the CA in {cert} and {key} cannot be used: it has expired, cannot be read, or the key is that"
            " of another one; restore both from a backup"
        )


def prepare(config: Config, *, keep_authorities: bool = False, serving: bool = True) -> Files:
    """Make what is missing and say where everything is. Raises OSError where it cannot write.

    Several servers may share a data directory; those that differ in address need a --cert-dir each. With
    `keep_authorities` a CA that is about to expire is kept, for it is the one that a running server goes by.
    Without `serving` the serving certificate is left alone:
    commands do not know all flags of the server, by which it is made.
    """
    make_private(config.data.directory)
    with _alone(config.data.directory):
        return _prepare(config, datetime.timedelta(0) if keep_authorities else RENEW_BEFORE, serving)


def completed(config: Config, files: Files) -> Config:
    """The configuration with what this server has made for itself in place of flags that were not given."""
    outbound, authentication = config.outbound, config.authentication
    if files.kubelet_cert:
        outbound = dataclasses.replace(
            outbound,
            kubelet_client_certificate=files.kubelet_cert,
            kubelet_client_key=files.kubelet_key,
        )
    if files.proxy_ca:
        outbound = dataclasses.replace(
            outbound, proxy_client_cert_file=files.proxy_cert, proxy_client_key_file=files.proxy_key
        )
        proxies = authentication.request_header
        headers = {name: getattr(proxies, name) or value for name, value in _HEADERS.items()}
        proxies = dataclasses.replace(proxies, requestheader_client_ca_file=files.proxy_ca, **headers)
        authentication = dataclasses.replace(authentication, request_header=proxies)
    return dataclasses.replace(config, outbound=outbound, authentication=authentication)


_HEADERS: dict[str, Any] = {
    "requestheader_allowed_names": (FRONT_PROXY,),
    "requestheader_username_headers": ("X-Remote-User",),
    "requestheader_uid_headers": ("X-Remote-Uid",),
    "requestheader_group_headers": ("X-Remote-Group",),
    "requestheader_extra_headers_prefix": ("X-Remote-Extra-",),
}


@contextlib.contextmanager
def _alone(directory: pathlib.Path) -> Iterator[None]:
    """Hold a file lock, so that only one process at a time makes what is missing."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _prepare(config: Config, renew_before: datetime.timedelta, serving: bool) -> Files:
    files = _places(config)
    own = _made_here(config, files)
    sound = Soundness(config.data.directory / SOUND, own, serving_hosts(config))
    if sound.holds(time.time()):
        return dataclasses.replace(files, sound=tuple(map(str, own)))
    foreign = _make(config, files, renew_before, serving)
    if foreign:
        return dataclasses.replace(files, ca_cert=foreign)
    if serving and (span := _good(own)):
        sound.keep(*span)
    return files


def _places(config: Config) -> Files:
    """The paths of what flags name, and of what is made here in place of the rest."""
    data, given, outbound = config.data.directory, config.serving, config.outbound
    accounts, proxies = config.authentication.service_accounts, config.authentication.request_header

    def pair(name: str, directory: pathlib.Path = data) -> tuple[str, str]:
        return str(directory / f"{name}.crt"), str(directory / f"{name}.key")

    ca, none = pair("ca"), ("", "")
    own = pair("apiserver", config.data.certificate_directory)
    serving = (given.tls_cert_file, given.tls_private_key_file) if given.tls_cert_file else own
    kubelet = proxy = none
    if not (outbound.kubelet_client_certificate or outbound.kubelet_client_key):
        kubelet = pair("apiserver-kubelet-client")
    if not (proxies.requestheader_client_ca_file or outbound.proxy_client_cert_file):
        proxy = pair("front-proxy-client")
    return Files(
        *serving,
        ca_cert=given.tls_cert_file or ca[0],
        client_ca=tuple(dict.fromkeys(filter(None, (config.authentication.client_ca_file, ca[0])))),
        signing_key=accounts.service_account_signing_key_file or str(data / "sa.key"),
        admin_cert=str(data / "admin.crt"),
        admin_key=str(data / "admin.key"),
        issuer_cert=ca[0],
        issuer_key=ca[1],
        kubelet_cert=kubelet[0],
        kubelet_key=kubelet[1],
        proxy_ca=pair("front-proxy-ca")[0] if proxy[0] else "",
        proxy_cert=proxy[0],
        proxy_key=proxy[1],
    )


def _made_here(config: Config, files: Files) -> list[pathlib.Path]:
    """The files that are made here: keys, and certificates with theirs."""
    given, data = config.serving.tls_cert_file, config.data.directory
    clients = (files.admin_cert, files.kubelet_cert, files.proxy_cert)
    certificates = (files.issuer_cert, files.proxy_ca, "" if given else files.serving_cert, *clients)
    made = [pathlib.Path(path) for path in certificates if path]
    accounts = config.authentication.service_accounts
    names = () if accounts.service_account_signing_key_file else ("sa.key", "sa.pub")
    return [*made, *(path.with_suffix(".key") for path in made), *(data / name for name in names)]


def _good(files: Iterable[pathlib.Path]) -> tuple[float, float] | None:
    """Since when, and until when, in Unix seconds, no certificate of the files has to be renewed;
    None when the key of tokens is none of ours, and is to be read at each start."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found: list[x509.Certificate] = []
    try:
        for path in files:
            if path.suffix == ".crt":
                found += x509.load_pem_x509_certificates(path.read_bytes())
            elif path.name == "sa.key":
                key = load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
                if not isinstance(key, rsa.RSAPrivateKey):
                    return None
    except (OSError, ValueError, TypeError):
        return None
    since = max(one.not_valid_before_utc for one in found)
    until = min(one.not_valid_after_utc for one in found) - RENEW_BEFORE
    return since.timestamp(), until.timestamp()


def _make(config: Config, files: Files, renew_before: datetime.timedelta, serving: bool) -> str:
    """Make what is missing or no longer good; the path of a foreign serving certificate, "" for ours."""
    data = config.data.directory
    authority = _authority(data / "ca", "kubernetes", renew_before)
    foreign = "" if config.serving.tls_cert_file else _serving(config, files, authority, serving)
    _client(data / "admin", authority, "kubernetes-admin", "system:masters")
    if files.kubelet_cert:
        _client(data / "apiserver-kubelet-client", authority, KUBELET_CLIENT, ADMINS)
    if files.proxy_ca:
        proxies = _authority(data / "front-proxy-ca", "front-proxy-ca", renew_before)
        _client(data / "front-proxy-client", proxies, FRONT_PROXY)
    if not config.authentication.service_accounts.service_account_signing_key_file:
        _signing_key(data / "sa.key")
    return foreign


def _authority(path: pathlib.Path, name: str, renew_before: datetime.timedelta) -> CertificateAuthority:
    """The CA in PATH.crt and PATH.key, made when it is missing or good for less than `renew_before`."""
    cert, key = path.with_name(f"{path.name}.crt"), path.with_name(f"{path.name}.key")
    authority = CertificateAuthority.load(cert, key, renew_before)
    if authority is None:
        old, authority = (
            CertificateAuthority.load(cert, key, datetime.timedelta(0)),
            CertificateAuthority.create(name),
        )
        if not _renewed(cert, key, pem(authority.certificate), key_pem(authority.key), old is not None):
            assert old is not None
            authority = old
    elif authority.certificate.not_valid_after_utc - RENEW_BEFORE < datetime.datetime.now(datetime.UTC):
        log.warning("A CA is about to expire, a restart makes another one", path=str(cert))
    return authority


def _client(path: pathlib.Path, authority: CertificateAuthority, name: str, *groups: str) -> None:
    """Make the client certificate in PATH.crt and its key,
    when it is missing, not of this CA or about to expire."""
    cert, key = path.with_name(f"{path.name}.crt"), path.with_name(f"{path.name}.key")
    pair = _load(cert, key)
    if pair is None or not _covers_issuer(pair[0], authority):
        old = _load(cert, key, datetime.timedelta(0))
        usable = old is not None and _covers_issuer(old[0], authority)
        _renewed(cert, key, *authority.issue(name, groups, server=False), usable)


def _renewed(cert: pathlib.Path, key: pathlib.Path, made: bytes, made_key: bytes, usable: bool) -> bool:
    """Write a certificate and its key, both or none.
    False when the disk is full and those that are there are `usable`."""
    try:
        with written(key, made_key) as new_key, written(cert, made, 0o644) as new_cert:
            put(new_key, key)
            put(new_cert, cert)
    except OSError as error:
        if not usable or error.errno not in NO_SPACE:
            raise
        log.error("The disk is full, a certificate was not renewed", path=str(cert))
        return False
    return True


def _covers_issuer(certificate: "x509.Certificate", authority: CertificateAuthority) -> bool:
    try:  # fails as well when the issuer's name is another one
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, _invalid_signature()):
        return False
    return True


def _serving(config: Config, files: Files, authority: CertificateAuthority, make: bool) -> str:
    """Make the serving certificate when it is missing or no longer good;
    the path of a foreign one, which clients trust, "" for our own."""
    cert, key = pathlib.Path(files.serving_cert), pathlib.Path(files.serving_key)
    if cert.exists() and key.exists() and not _is_ours(cert, authority.certificate.subject):
        return str(cert)
    if not make:
        return ""
    hosts, pair = serving_hosts(config), _load(cert, key)
    if pair is None or not _covers(pair[0], hosts, authority):
        old = _load(cert, key, datetime.timedelta(0))
        usable = old is not None and _covers(old[0], hosts, authority)
        _renewed(cert, key, *authority.issue("kube-apiserver", hosts=hosts, server=True), usable)
    return ""


def brought_serving_pair(config: Config) -> tuple[str, str] | None:
    """The serving certificate in the directory and its key when they were not made here. OSError."""
    if config.serving.tls_cert_file:
        return None
    data, directory = config.data.directory, config.data.certificate_directory
    cert, key = directory / "apiserver.crt", directory / "apiserver.key"
    if not (cert.exists() and key.exists()):
        return None
    authority = CertificateAuthority.load(data / "ca.crt", data / "ca.key")
    subject = _name("kubernetes") if authority is None else authority.certificate.subject
    return None if _is_ours(cert, subject) else (str(cert), str(key))


def _is_ours(cert: pathlib.Path, authority: "x509.Name") -> bool:
    """Whether a serving certificate was made here, so that it may be replaced; a foreign one never is."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(cert.read_bytes())
    except ValueError:
        return False
    return certificate.issuer == authority and certificate.subject == _name("kube-apiserver")


def _signing_key(path: pathlib.Path) -> None:
    """Make the key of service account tokens when it is missing,
    and its public half for those who check them.

    The key is the server's own, so it is not tested for primes, which takes 40 ms of a processor.
    """
    from cryptography.hazmat.primitives import serialization as s

    if not path.exists():
        write_file(path, key_pem(_new_rsa_key()))
    public = path.with_suffix(".pub")
    if not public.exists():
        private = s.load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        key = private.public_key()
        write_file(public, key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo), 0o644)


def admin_kubeconfig(
    serving: ServingOptions, files: Files, port: int | None = None, server: str = ""
) -> bytes:
    """The administrator's kubeconfig, for `server` or by the bind address or,
    when that is all, the loopback."""
    address = serving.bind_address if serving.bind_address not in ("0.0.0.0", "::", "") else "127.0.0.1"
    return kubeconfigs.of_user(
        server or url(address, port or serving.secure_port),
        pathlib.Path(files.ca_cert).read_bytes(),
        cert=pathlib.Path(files.admin_cert).read_bytes(),
        key=pathlib.Path(files.admin_key).read_bytes(),
    )


def issued_kubeconfig(
    files: Files, server: str, user: str, groups: Sequence[str] = (), seconds: float = LEAF_DAYS * 86400
) -> bytes:
    """A kubeconfig with a new client certificate of the data directory's CA; OSError when it has none."""
    authority = CertificateAuthority.load(
        pathlib.Path(files.issuer_cert), pathlib.Path(files.issuer_key), datetime.timedelta(0)
    )
    if authority is None:
        raise OSError(f"the CA in {files.issuer_cert} cannot be used")
    cert, key = authority.issue(user, groups, server=False, days=seconds / 86400)
    return kubeconfigs.of_user(
        server, pathlib.Path(files.ca_cert).read_bytes(), cert=cert, key=key, user=user
    )
