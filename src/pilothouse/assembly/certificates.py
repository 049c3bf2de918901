"""Follows the certificates of the listener, and the CAs by which clients and front proxies are known."""

from collections.abc import Callable
from pathlib import Path

from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.x509 import CertificateAuthenticator, roots
from pilothouse.reload import Files, Followed, Reloads
from pilothouse.server.tls import Contexts, Loaded, Settings


class Authorities:
    """The CAs in force, PEM: `clients` are those of client certificates, `proxies` those of front proxies."""

    def __init__(self, client_files: tuple[str, ...], proxy_file: str) -> None:
        """OSError when a file cannot be read."""
        self.client_files = client_files
        self.proxy_file = proxy_file
        self.clients = _joined({path: Path(path).read_bytes() for path in client_files}, client_files)
        self.proxies = Path(proxy_file).read_bytes() if proxy_file else b""
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have a function called when other CAs are in force."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Tell that other CAs are in force."""
        for listener in self._listeners:
            listener()


def follow_certificates(
    reloads: Reloads,
    settings: Settings,
    contexts: Contexts,
    authorities: Authorities,
    authenticator: UnionAuthenticator,
) -> None:
    """Follow them all. The handshake and the authenticator go by the same CAs at every moment."""
    reloads.follow(
        Followed(kind="serving-certificates", paths=settings.pairs, read=contexts.loaded, use=contexts.use)
    )
    reloads.follow(_clients(contexts, authorities, authenticator))
    if authorities.proxy_file:
        reloads.follow(_proxies(contexts, authorities, authenticator))


Made = tuple[Loaded, bytes]
"""Contexts that are not in use yet, and the CAs that they go by."""


def _clients(
    contexts: Contexts, authorities: Authorities, authenticator: UnionAuthenticator
) -> Followed[Made]:
    def read(files: Files) -> Made:
        for path in authorities.client_files:
            roots(files[path])
        return contexts.loaded(files), _joined(files, authorities.client_files)

    def use(made: Made) -> None:
        contexts.use(made[0])
        authorities.clients = made[1]
        for method in authenticator.methods:
            if isinstance(method, CertificateAuthenticator):
                method.trust(made[1])
        authorities.changed()

    return Followed(kind="client-ca", paths=lambda: authorities.client_files, read=read, use=use)


def _proxies(
    contexts: Contexts, authorities: Authorities, authenticator: UnionAuthenticator
) -> Followed[Made]:
    path = authorities.proxy_file

    def read(files: Files) -> Made:
        roots(files[path])
        return contexts.loaded(files), files[path]

    def use(made: Made) -> None:
        contexts.use(made[0])
        authorities.proxies = made[1]
        for method in authenticator.methods:
            if isinstance(method, RequestHeaderAuthenticator):
                method.trust(made[1])
        authorities.changed()

    return Followed(kind="requestheader-client-ca", paths=lambda: (path,), read=read, use=use)


def _joined(files: Files, paths: tuple[str, ...]) -> bytes:
    """The content of several PEM files as one; the last line of a file may lack its end."""
    return b"\n".join(files[path] for path in paths)
