"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction and ClusterTrustBundleAttest.

They check who may decide on a certificate signing request, and who may act for a signer.
"""

from collections.abc import Awaitable

from pilothouse.admission.about import CREATE, UPDATE, WRITES, About
from pilothouse.admission.authorization import AccessAuthorizer, allowed
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.validate.common import equal
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes

GROUP = "certificates.k8s.io"
BUNDLES = "clustertrustbundles.certificates.k8s.io"
REQUESTS = "certificatesigningrequests.certificates.k8s.io"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"


async def may(authorizer: AccessAuthorizer, user: User, verb: str, signer: str) -> bool:
    """Whether the user may use the verb on this signer, or on all signers of its domain (`domain/*`)."""
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        asked = AuthorizationAttributes(
            user,
            verb,
            is_resource=True,
            group=GROUP,
            version="*",
            resource="signers",
            name=name,
        )
        if await allowed(authorizer, asked):
            return True
    return False


class CertificateApproval(AdmissionPlugin):
    """Requires the right to `approve` the signer from users who approve or deny a request."""

    name = "CertificateApproval"
    about = (About((UPDATE,), (f"{REQUESTS}/approval",)),)

    def __init__(self, authorizer: AccessAuthorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, a: AdmissionAttributes) -> None:
        assert a.old is not None
        signer = _signer(a.old)
        if not await may(self._authorizer, a.user, "approve", signer):
            raise a.refuse(f"user not permitted to approve requests with signerName {quote(signer)}")


class CertificateSigning(AdmissionPlugin):
    """Requires the right to `sign` for the signer
    from users who set the certificate or a Failed condition."""

    name = "CertificateSigning"
    about = (About((UPDATE,), (f"{REQUESTS}/status",)),)

    def __init__(self, authorizer: AccessAuthorizer) -> None:
        self._authorizer = authorizer

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        assert a.obj is not None and a.old is not None
        new, before = a.obj.get("status") or {}, a.old.get("status") or {}
        if all(equal(new.get(member), before.get(member)) for member in ("certificate", "conditions")):
            return None
        return self._check(a, _signer(a.old))

    async def _check(self, a: AdmissionAttributes, signer: str) -> None:
        if not await may(self._authorizer, a.user, "sign", signer):
            raise a.refuse(f"user not permitted to sign requests with signerName {quote(signer)}")


class CertificateSubjectRestriction(AdmissionPlugin):
    """Refuses client certificates for the group system:masters, which every authorizer allows everything."""

    name = "CertificateSubjectRestriction"
    about = (About((CREATE,), (REQUESTS,)),)

    def validate(self, a: AdmissionAttributes) -> None:
        from pilothouse.api.validate.certificates import organizations  # and with it what reads requests

        assert a.obj is not None
        spec = a.obj.get("spec") or {}
        if spec.get("signerName") == CLIENT_SIGNER and MASTERS in organizations(spec.get("request")):
            raise a.refuse(f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")


class ClusterTrustBundleAttest(AdmissionPlugin):
    """Requires the right to attest for a signer of users who publish its certificates."""

    name = "ClusterTrustBundleAttest"
    about = (About(WRITES, (f"{BUNDLES}/*",)),)

    def __init__(self, authorizer: AccessAuthorizer) -> None:
        self._authorizer = authorizer

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        assert a.obj is not None
        signer = _signer(a.obj)
        if not signer or (a.old is not None and _only_garbage_collection(a.obj, a.old)):
            return None
        return self._check(a, signer)

    async def _check(self, a: AdmissionAttributes, signer: str) -> None:
        if not await may(self._authorizer, a.user, "attest", signer):
            raise a.refuse(f"user not permitted to attest for signerName {quote(signer)}")


def _only_garbage_collection(new: Object, old: Object) -> bool:
    """Whether a write changes nothing but owners,
    finalizers and managed fields (rbac.IsOnlyMutatingGCFields)."""

    def rest(obj: Object) -> Object:
        metadata = {k: v for k, v in obj["metadata"].items() if k not in _GARBAGE_COLLECTION}
        return {**obj, "metadata": metadata}

    return equal(rest(new), rest(old))


_GARBAGE_COLLECTION = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")


def _signer(request: Object) -> str:
    return str((request.get("spec") or {}).get("signerName", ""))
