"""Follows the certificates of the listener, and the CAs by which clients and front proxies are known."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.x509 import CertificateAuthenticator, roots
from pilothouse.logs import Logger
from pilothouse.reload import Files, Followed, Reloads
from pilothouse.server.pem import validity_fault
from pilothouse.server.tls import Contexts, Loaded, TLSSettings

log = Logger(__name__)


class Authorities:
    """The CAs in force, PEM: `clients` are those of client certificates, `proxies` those of front proxies.

    scope: the UID of the logical cluster whose client certificates are good, "" for the server's own cluster.
    """

    def __init__(self, client_files: tuple[str, ...], proxy_file: str, scope: str = "") -> None:
        """OSError when a file cannot be read."""
        self.scope = scope
        self.client_files = client_files
        self.proxy_file = proxy_file
        self.clients = _joined({path: Path(path).read_bytes() for path in client_files}, client_files)
        self.proxies = Path(proxy_file).read_bytes() if proxy_file else b""
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have a function called when other CAs are in force."""
        self._listeners.append(listener)

    def forget_listeners(self) -> None:
        """Have nobody called; for a copy."""
        self._listeners = []

    def trust_clients(self, clients: bytes) -> None:
        """Put other CAs of client certificates in force."""
        self.clients = clients
        self._changed()

    def trust_proxies(self, proxies: bytes) -> None:
        """Put other CAs of front proxies in force."""
        self.proxies = proxies
        self._changed()

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()


def follow_certificates(
    reloads: Reloads,
    settings: TLSSettings,
    contexts: Contexts,
    authorities: Authorities,
    authenticator: UnionAuthenticator,
    sound: Sequence[str] = (),
) -> None:
    """Follow the files of all certificates.
    The handshake and the authenticator use the same CAs at every moment. sound: files that have no faults."""
    tell_faults({path: Path(path).read_bytes() for path in settings.certificates() if path not in sound})

    def use(loaded: Loaded) -> None:
        contexts.use(loaded)
        tell_faults({path: loaded.files[path] for path in settings.certificates() if path in loaded.files})

    reloads.follow(Followed(kind="serving-certificates", paths=settings.pairs, read=contexts.loaded, use=use))
    users = [one for one in authenticator.methods if isinstance(one, CertificateAuthenticator)]
    reloads.follow(
        _authorities("client-ca", authorities.client_files, contexts, authorities.trust_clients, users)
    )
    if authorities.proxy_file:
        proxies = [one for one in authenticator.methods if isinstance(one, RequestHeaderAuthenticator)]
        files = (authorities.proxy_file,)
        reloads.follow(
            _authorities("requestheader-client-ca", files, contexts, authorities.trust_proxies, proxies)
        )


def tell_faults(certificates: Files) -> None:
    """Log the serving certificates that have expired or are not good yet: clients refuse them."""
    if not certificates:
        return
    from cryptography import x509

    for path, data in certificates.items():
        if fault := validity_fault(x509.load_pem_x509_certificate(data)):
            log.warning("Clients will refuse a serving certificate", path=path, err=fault)


Made = tuple[Loaded, bytes]
"""Contexts that are not in use yet, and the CAs that they go by."""


def _authorities(
    kind: str,
    paths: tuple[str, ...],
    contexts: Contexts,
    keep: Callable[[bytes], None],
    methods: Iterable[CertificateAuthenticator | RequestHeaderAuthenticator],
) -> Followed[Made]:
    """Follows files of CAs, by which the handshake and these methods go;
    `keep` takes note of those in force."""

    def read(files: Files) -> Made:
        for path in paths:
            roots(files[path])
        return contexts.loaded(files), _joined(files, paths)

    def use(made: Made) -> None:
        contexts.use(made[0])
        for method in methods:
            method.trust(made[1])
        keep(made[1])

    return Followed(kind=kind, paths=lambda: paths, read=read, use=use)


def _joined(files: Files, paths: tuple[str, ...]) -> bytes:
    """The content of several PEM files as one; the last line of a file may lack its end."""
    return b"\n".join(files[path] for path in paths)
