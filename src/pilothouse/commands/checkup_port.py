"""The check of `pilothouse doctor` that looks at the port of a server, and at who listens there."""

import errno
import pathlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator

from pilothouse.commands.findings import Finding, error, ok
from pilothouse.configuration.addresses import reachable, url
from pilothouse.configuration.config import Config
from pilothouse.server.listener import bind

TIMEOUT = 3.0
LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def port(config: Config) -> Iterator[Finding]:
    """The port: free, or held by the server of these flags, by another one or by another program."""
    address, number = reachable(config.serving), config.serving.secure_port
    try:
        bind(config.serving.bind_address, number).close()
    except OSError as problem:
        text = problem.strerror or str(problem)
        if problem.errno != errno.EADDRINUSE:
            yield error(text)
            return
    else:
        yield ok(f"port {number} is free")
        return
    address, theirs = _found(address, number)
    where, holder = url(address, number), _process(number)
    said = None if theirs is None else _readyz(where)
    if said is None:
        yield error(f"{text}, and what listens there{holder} is no API server")
    elif theirs != _own_certificate(config):
        yield error(
            f"another server serves at {where}{holder}, by a certificate that these flags do not name: choose"
            " another --secure-port, or give the flags of that server"
        )
    elif said:
        yield error(f"the server of these flags serves at {where}{holder}, and is not ready: {said}")
    else:
        yield ok(f"the server of these flags serves at {where}{holder}, and is ready")


def _found(address: str, number: int) -> tuple[str, bytes | None]:
    """The address at which somebody speaks TLS, the loopback's if need be, and the certificate."""
    for one in dict.fromkeys((address, "127.0.0.1", "::1")):
        if (certificate := _certificate(one, number)) is not None:
            return one, certificate
    return address, None


def _certificate(address: str, number: int) -> bytes | None:
    """The certificate of who listens, in DER; None where nobody speaks TLS."""
    try:
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((address, number), timeout=TIMEOUT))
    except (OSError, ValueError):
        return None


def _own_certificate(config: Config) -> bytes | None:
    """The certificate that a server with these flags serves by, in DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    path = config.serving.tls_cert_file or config.data.certificate_directory / "apiserver.crt"
    try:
        found = x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    return found.public_bytes(Encoding.DER)


def _readyz(server: str) -> str | None:
    """The failed checks of a server, "" when it is ready or tells strangers nothing,
    None when that is no API server."""
    context = ssl._create_unverified_context()  # noqa: S323 -- only whether it is ready is asked
    try:
        with urllib.request.urlopen(f"{server}/readyz", timeout=TIMEOUT, context=context) as answer:  # noqa: S310 -- always https
            return "" if answer.read(16) == b"ok" else None
    except urllib.error.HTTPError as refused:
        text = refused.read(4096).decode("utf-8", "replace")
        if refused.code in (401, 403) and '"kind":"Status"' in text.replace(" ", ""):
            return ""
        failed = [line[3:] for line in text.splitlines() if line[:3] == "[-]"]
        return ", ".join(failed) or f"status {refused.code}"
    except (OSError, ValueError):
        return None


def _process(number: int) -> str:
    """The process that listens on a port, as ` (NAME, pid N)`; "" where the kernel does not tell."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(number)}
    for handle in pathlib.Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        try:
            if str(handle.readlink()) in sockets:
                process = handle.parent.parent
                return f" ({(process / 'comm').read_text().strip()}, pid {process.name})"
        except OSError:  # of somebody else, or it has ended
            continue
    return ""


def _inodes(number: int) -> Iterator[str]:
    """The numbers of the sockets that listen on a port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = pathlib.Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *more = line.split()
            if state == LISTENING and int(local.rpartition(":")[2], 16) == number:
                yield more[5]
