"""CertificateApproval, CertificateSigning and CertificateSubjectRestriction: who may decide on which certificate."""

from collections.abc import Awaitable

from pilothouse.admission.chain import AdmissionAttributes, Plugin
from pilothouse.api.fields import Object, quote
from pilothouse.api.identity import AuthorizationAttributes
from pilothouse.api.validate.certificates import organizations
from pilothouse.api.validate.common import equal

GROUP = "certificates.k8s.io"
REQUESTS = "certificatesigningrequests.certificates.k8s.io"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"


async def may(a: AdmissionAttributes, verb: str, signer: str) -> bool:
    """Whether the user has a verb on a signer, or on all signers of its domain."""
    domain = signer.partition("/")[0]
    for name in (signer, f"{domain}/*"):
        asked = AuthorizationAttributes(a.user, verb, "", True, GROUP, "*", "signers", "", "", name)
        decision = await a.services.authorizer.authorize(asked)
        if decision.allowed:
            return True
    return False


class CertificateApproval(Plugin):
    """Who approves or denies a request needs the right to do so for its signer."""

    name = "CertificateApproval"

    def wants(self, a: AdmissionAttributes) -> bool:
        return (
            a.operation == "UPDATE" and a.subresource == "approval" and a.resource.group_resource == REQUESTS
        )

    def validate(self, a: AdmissionAttributes) -> Awaitable[None]:
        return self._check(a)

    async def _check(self, a: AdmissionAttributes) -> None:
        assert a.old is not None
        signer = _signer(a.old)
        if not await may(a, "approve", signer):
            raise a.refuse(f"user not permitted to approve requests with signerName {quote(signer)}")


class CertificateSigning(Plugin):
    """Who issues a certificate, or says that it failed, needs the right to sign for the signer."""

    name = "CertificateSigning"

    def wants(self, a: AdmissionAttributes) -> bool:
        return a.operation == "UPDATE" and a.subresource == "status" and a.resource.group_resource == REQUESTS

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        assert a.obj is not None and a.old is not None
        new, before = a.obj.get("status") or {}, a.old.get("status") or {}
        if all(equal(new.get(member), before.get(member)) for member in ("certificate", "conditions")):
            return None
        return self._check(a, _signer(a.old))

    async def _check(self, a: AdmissionAttributes, signer: str) -> None:
        if not await may(a, "sign", signer):
            raise a.refuse(f"user not permitted to sign requests with signerName {quote(signer)}")


class CertificateSubjectRestriction(Plugin):
    """Nobody gets a client certificate for the group that may do everything."""

    name = "CertificateSubjectRestriction"

    def wants(self, a: AdmissionAttributes) -> bool:
        return a.operation == "CREATE" and not a.subresource and a.resource.group_resource == REQUESTS

    def validate(self, a: AdmissionAttributes) -> None:
        assert a.obj is not None
        spec = a.obj.get("spec") or {}
        if spec.get("signerName") == CLIENT_SIGNER and MASTERS in organizations(spec.get("request")):
            raise a.refuse(f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")


def _signer(request: Object) -> str:
    return str((request.get("spec") or {}).get("signerName", ""))
