"""Authenticates client certificates: CN is the user, O the groups. Imports `cryptography` lazily."""

import functools
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from pilothouse import errors
from pilothouse.api.values.identity import User
from pilothouse.authn.authenticator import Recognition, Remembered, with_authenticated
from pilothouse.authn.metrics import CertificateMetrics
from pilothouse.caches import Cache, CacheBudget
from pilothouse.server.request import Request

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, CertificateSigningRequest

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_UID_OID = "1.3.6.1.4.1.57683.2"
"""The subject attribute that carries a user's uid (feature AllowParsingUserUIDFromCertAuth)."""
_SCOPE = "clusters.pilothouse.dev:"
_LARGEST = 64 << 10
"""The largest cached pair of a certificate and its user, in bytes."""
_MAX_DEPTH = 10


class CertificateAuthenticator:
    """Users by client certificate of `ca`, the PEM of --client-ca-file. The result of a chain is cached.

    `clock` gives Unix seconds. One CA serves all logical clusters of a server: a certificate is good in the
    cluster that its organizational unit names (`scope_unit`), and without one in the server's own, whose
    scope is "".
    """

    name = "client certificate"

    def __init__(
        self,
        ca: bytes,
        budget: CacheBudget | None = None,
        clock: Callable[[], float] = time.time,
        metrics: CertificateMetrics | None = None,
        scope: str = "",
    ) -> None:
        self.scope = scope
        self.metrics = metrics or CertificateMetrics()
        self.ca = ca
        self._clock = clock
        self._observed = self.metrics.remaining.series()
        self.listeners: list[Callable[[], None]] = []
        """Called when certificates are judged anew."""
        self._known: Cache[bytes, tuple[float, User | None]] = Cache(
            "certificates", budget or CacheBudget(), largest=_LARGEST
        )

    def trust(self, ca: bytes) -> None:
        """Have certificates verified by other CAs from now on; `roots` has accepted them."""
        self.ca = ca
        self._known.clear()
        for listener in self.listeners:
            listener()

    def remembered(self, leaf: bytes, recognition: Recognition) -> Remembered | None:
        """The user of a certificate that was judged before; None where this method did not recognise it."""
        known = self._known[leaf]
        if known is None or known[1] is None or recognition.by != self.name or recognition.said:
            return None
        return Remembered(known[1], recognition, known[0], self._observed)

    async def authenticate(self, request: Request) -> User | None:
        chain = request.peer_certificates
        if not chain:
            return None
        # PERF: the same bytes object on every request of a connection, so that its hash is computed once.
        known = self._known[chain[0]]
        now = self._clock()
        if known is None or known[0] <= now:
            self._known.drop(chain[0])
            leaf = verified(chain, self.ca, now)
            if scope_of(leaf) != self.scope:
                raise errors.Unauthorized("the certificate is for another cluster")
            user = subject_user(leaf, chain[0])
            known = (leaf.not_valid_after_utc.timestamp(), user and with_authenticated(user))
            self._known.put(chain[0], known)
        self._observed.observe(known[0] - now)
        return known[1]


def scope_unit(uid: str) -> str:
    """The organizational unit of certificates that are good in one logical cluster only: in that of a UID, so
    that they are not good in another cluster by the same name."""
    return f"{_SCOPE}{uid}"


def scope_of(leaf: "Certificate | CertificateSigningRequest") -> str:
    """The UID of the logical cluster that a certificate, or a request for one, is for, "" for none."""
    from cryptography.x509.oid import NameOID

    units = leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    found = [str(unit.value) for unit in units if str(unit.value).startswith(_SCOPE)]
    return "\0".join(one.removeprefix(_SCOPE) for one in found)


def subject_user(leaf: "Certificate", der: bytes) -> User | None:
    """The user a certificate's subject names; None without a common name."""
    from cryptography.x509.oid import NameOID

    names = [str(a.value) for a in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names or not names[-1]:
        return None
    groups = tuple(str(a.value) for a in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    extra = {CREDENTIAL_ID: [f"X509SHA256={sha256(der).hexdigest()}"]}
    return User(names[-1], _uid(leaf), groups, extra)


def _uid(leaf: "Certificate") -> str:
    found = [a for a in leaf.subject if a.oid.dotted_string == _UID_OID]
    if not found:
        return ""
    if len(found) > 1:
        raise errors.Unauthorized("expected 1 UID, but found multiple")
    value = found[0].value
    if not isinstance(value, str):
        raise errors.Unauthorized("unable to parse UID into a string")
    if not value:
        raise errors.Unauthorized("UID cannot be an empty string")
    return value


def verified(chain: Sequence[bytes], ca: bytes, now: float) -> "Certificate":
    """The leaf of a chain that leads to `ca` and may be used by clients at `now`, in Unix seconds.

    Raises errors.Unauthorized when there is a fault.
    """
    from cryptography import x509

    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
    except ValueError as error:
        raise errors.Unauthorized(f"x509: {error}") from None
    leaf = certificates[0]
    why = _fault(leaf, certificates[1:], roots(ca), datetime.fromtimestamp(now, UTC))
    if why:
        raise errors.Unauthorized(f"verifying certificate SN={leaf.serial_number} failed: {why}")
    return leaf


@functools.lru_cache(maxsize=8)
def roots(ca: bytes) -> "tuple[Certificate, ...]":
    """The certificates of a PEM text; ValueError when there are none, or one cannot be read."""
    from cryptography import x509

    return tuple(x509.load_pem_x509_certificates(ca))


def _fault(
    leaf: "Certificate", others: "list[Certificate]", roots: "tuple[Certificate, ...]", now: datetime
) -> str:
    """Why a leaf cannot be trusted, "" when it can."""
    if not _in_time(leaf, now):
        return "x509: certificate has expired or is not yet valid"
    if not _for_clients(leaf):
        return "x509: certificate specifies an incompatible key usage"
    if not _leads_to(leaf, others, roots, now, 0):
        return "x509: certificate signed by unknown authority"
    return ""


def _in_time(certificate: "Certificate", now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _for_clients(certificate: "Certificate") -> bool:
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

    try:
        usages = certificate.extensions.get_extension_for_class(ExtendedKeyUsage).value
    except ExtensionNotFound:
        return True
    return Usage.CLIENT_AUTH in usages or Usage.ANY_EXTENDED_KEY_USAGE in usages


def _may_sign(certificate: "Certificate") -> bool:
    from cryptography.x509 import BasicConstraints, ExtensionNotFound

    try:
        return certificate.extensions.get_extension_for_class(BasicConstraints).value.ca
    except ExtensionNotFound:
        return certificate.issuer == certificate.subject


def _leads_to(
    certificate: "Certificate",
    others: "list[Certificate]",
    roots: "tuple[Certificate, ...]",
    now: datetime,
    depth: int,
) -> bool:
    if certificate in roots:
        return True
    if any(_in_time(root, now) and _may_sign(root) and _signed_by(certificate, root) for root in roots):
        return True
    return depth < _MAX_DEPTH and any(
        _in_time(other, now)
        and _may_sign(other)
        and _signed_by(certificate, other)
        and _leads_to(other, [o for o in others if o is not other], roots, now, depth + 1)
        for other in others
    )


def _signed_by(certificate: "Certificate", issuer: "Certificate") -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
