"""How servers that share logical clusters know each other, and pass on who a client is.

A request that another server forwards comes over a connection with that server's client certificate, the one
by which kubelets know it. The client's own certificate and address are in its headers (RFC 9440).
"""

import base64
import binascii
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pilothouse import errors
from pilothouse.authn.x509 import scope_of, verified
from pilothouse.clusters.guests import PATH
from pilothouse.logs import Logger
from pilothouse.outbound.http import Trust
from pilothouse.server.request import Request

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, ObjectIdentifier

log = Logger(__name__)

FORWARDED = "x-pilothouse-forwarded"
"""Says that a request has been forwarded, for which cluster, and from which address and port it came. From
anybody but a server it means nothing."""
LEAF, CHAIN = "client-cert", "client-cert-chain"
OWN_HEADERS = frozenset((FORWARDED, LEAF, CHAIN))
"""Headers that no client can set for another server."""
ACCEPTED = ":forwarded"
"""The member of a request's headers that says that a server has forwarded it. No header has such a name."""

_PERIOD, _MOST = 60.0, 256
"""Seconds for which the judgement of a chain is remembered, and of how many."""


def headers_of(request: Request, cluster: str) -> list[tuple[str, str]]:
    """The headers by which another server knows the client of a request, and its cluster."""
    chain, (host, port) = request.peer_certificates, request.peer
    out = [(FORWARDED, f"{cluster} {host} {port}")]
    if chain:
        out.append((LEAF, _packed(chain[0])))
    if len(chain) > 1:
        out.append((CHAIN, ", ".join(_packed(one) for one in chain[1:])))
    return out


class CertificateSubject(NamedTuple):
    """The user and the groups of a client certificate, in their order."""

    name: str
    groups: tuple[str, ...]


class PeerServers:
    """Knows other servers by their certificates: they are for the user and the groups of the certificate of
    this server, and of a CA of clients. `authorities` tells the PEM of these CAs.

    cert_file, key_file: the client certificate of this server. ca_file: by which others are trusted.
    """

    def __init__(self, cert_file: str, key_file: str, ca_file: str, authorities: Callable[[], bytes]) -> None:
        self._cert_file, self._key_file, self._ca_file = cert_file, key_file, ca_file
        self._authorities = authorities
        self._files: dict[str, tuple[int, bytes]] = {}
        """The files that were read, each with the time of its last change in nanoseconds."""
        self._known: dict[tuple[bytes, ...], tuple[float, float]] = {}
        """Chains that were judged, until when that is good, and until when they are those of a server."""
        self._judged_by = b"", b""
        """The CAs and the own certificate by which they were."""

    def trust(self) -> Trust:
        """How connections to other servers are made; OSError when the CA cannot be read."""
        return Trust(self._read(self._ca_file), cert_file=self._cert_file, key_file=self._key_file)

    def check(self) -> None:
        """Raise ValueError when other servers could not know this one; OSError."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        chain = x509.load_pem_x509_certificates(self._read(self._cert_file))
        if not self.knows(tuple(one.public_bytes(Encoding.DER) for one in chain)):
            raise ValueError(
                "--clusters with --etcd-servers needs a --kubelet-client-certificate that names a group, and"
                " that a CA of --client-ca-file has signed: servers know each other by it"
            )

    def knows(self, chain: tuple[bytes, ...]) -> bool:
        """Whether a chain of certificates in DER is that of a server; no, while our own cannot be read."""
        if not chain:
            return False
        try:
            return self._judge(chain)
        except (OSError, ValueError) as error:
            log.warning("Other servers cannot be known", path=self._cert_file, err=error)
            return False

    def _judge(self, chain: tuple[bytes, ...]) -> bool:
        judges = self._authorities(), self._read(self._cert_file)
        if judges != self._judged_by or len(self._known) > _MOST:
            self._known.clear()
            self._judged_by = judges
        now = time.time()
        judged, good = self._known.get(chain, (0.0, 0.0))
        if judged <= now:
            good = _until(chain, *judges, now)
            self._known[chain] = now + _PERIOD, good
        return now < good

    def _read(self, path: str) -> bytes:
        changed = os.stat(path).st_mtime_ns
        known = self._files.get(path)
        if known is None or known[0] != changed:
            known = self._files[path] = changed, Path(path).read_bytes()
        return known[1]

    def accept(self, request: Request) -> None:
        """Take a forwarded request for that of the client, before anything else looks at it.

        What says so, but comes from no server, is a client's own. A request with a long body is judged and
        answered as two objects with the same headers, so each is accepted.
        """
        if FORWARDED not in request.headers or not self.knows(request.peer_certificates):
            return
        leaf, others = request.headers.get(LEAF, ""), request.headers.get(CHAIN, "")
        parts = [leaf, *others.split(",")] if others else [leaf]
        request.peer_certificates = tuple(_unpacked(part) for part in parts) if leaf else ()
        cluster, _, address = request.headers[FORWARDED].partition(" ")
        host, _, port = address.partition(" ")
        request.peer = host, int(port) if port.isdecimal() else 0
        if not request.path.startswith(PATH):  # by its host name, which may not be known here
            request.cluster = cluster
        request.headers[ACCEPTED] = "1"


def is_accepted(request: Request) -> bool:
    """Whether another server has forwarded a request."""
    return ACCEPTED in request.headers


def _packed(der: bytes) -> str:
    return f":{base64.b64encode(der).decode()}:"


def _unpacked(text: str) -> bytes:
    """A certificate of a header; one that cannot be read is none that anybody trusts."""
    try:
        return base64.b64decode(text.strip().removeprefix(":").removesuffix(":"), validate=True)
    except binascii.Error:
        return b"unreadable"


def _until(chain: Sequence[bytes], ca: bytes, own: bytes, now: float) -> float:
    """Until when a chain is good in the server's own cluster, for the subject of this server's own
    certificate (PEM), in Unix seconds; 0 when it is not."""
    from cryptography import x509

    try:
        leaf = verified(chain, ca, now)
    except errors.Unauthorized:
        return 0.0
    subject = _subject(leaf)
    if scope_of(leaf) or not subject.groups or subject != _subject(x509.load_pem_x509_certificate(own)):
        return 0.0
    return leaf.not_valid_after_utc.timestamp()


def _subject(certificate: "Certificate") -> CertificateSubject:
    from cryptography.x509.oid import NameOID

    def named(kind: "ObjectIdentifier") -> tuple[str, ...]:
        return tuple(sorted(str(one.value) for one in certificate.subject.get_attributes_for_oid(kind)))

    names = named(NameOID.COMMON_NAME)
    return CertificateSubject(
        names[0] if len(names) == 1 else "", named(NameOID.ORGANIZATION_NAME) if names else ()
    )
