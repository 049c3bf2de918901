"""The certificate plugins: users who may approve, sign and request."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from harness import Rig, is_asked

from pilothouse import errors
from pilothouse.admission.certificates import (
    CLIENT_SIGNER,
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from pilothouse.api.values.identity import User
from pilothouse.authz.authorizer import Decision

RESOURCE = ("certificates.k8s.io", "v1", "certificatesigningrequests")
KEY = ec.generate_private_key(ec.SECP256R1())


def request(signer: str = "example.com/s", *organizations: Any) -> dict[str, Any]:
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(KEY, hashes.SHA256())
    pem = base64.b64encode(csr.public_bytes(Encoding.PEM)).decode()
    return {"metadata": {"name": "r"}, "spec": {"signerName": signer, "request": pem}}


class Authorizer:
    """Allows what is listed."""

    def __init__(self, *allowed: Any) -> None:
        self.allowed = allowed

    async def authorize(self, asked: Any) -> Decision:
        assert (asked.group, asked.resource, asked.is_resource) == ("certificates.k8s.io", "signers", True)
        return Decision(allowed=(asked.verb, asked.name) in self.allowed)


def attributes(rig: Rig, new: Any, old: Any, subresource: Any) -> Any:
    a = rig.attributes(new, old, resource=RESOURCE, subresource=subresource)
    a.user = User("jane")
    return a


@pytest.mark.parametrize("scope", ["example.com/s", "example.com/*"])
async def test_approving_takes_the_right_for_the_signer(rig: Rig, scope: str) -> None:
    a = attributes(rig, request(), request(), "approval")
    plugin = CertificateApproval(Authorizer(("approve", scope)))
    assert is_asked(plugin, a)
    await plugin.validate(a)
    with pytest.raises(errors.Forbidden) as refused:
        await CertificateApproval(Authorizer(("sign", scope))).validate(a)
    assert refused.value.message.endswith(
        'user not permitted to approve requests with signerName "example.com/s"'
    )
    assert not is_asked(plugin, attributes(rig, request(), request(), "status"))


async def test_signing_takes_the_right_for_the_signer(rig: Rig) -> None:
    plugin = CertificateSigning(Authorizer(("sign", "example.com/s")))
    signed = request() | {"status": {"certificate": "eA=="}}
    a = attributes(rig, signed, request(), "status")
    assert is_asked(plugin, a)
    await plugin.validate(a)
    with pytest.raises(errors.Forbidden, match="not permitted to sign"):
        await CertificateSigning(Authorizer()).validate(a)
    a = attributes(rig, signed, signed, "status")  # nothing of it changed
    assert plugin.validate(a) is None


async def test_no_client_certificate_for_masters(rig: Rig) -> None:
    plugin = CertificateSubjectRestriction()
    bad = rig.attributes(request(CLIENT_SIGNER, "dev", "system:masters"), resource=RESOURCE)
    assert is_asked(plugin, bad)
    with pytest.raises(errors.Forbidden, match="with system:masters group is not allowed"):
        plugin.validate(bad)
    plugin.validate(rig.attributes(request(CLIENT_SIGNER, "dev"), resource=RESOURCE))
    plugin.validate(rig.attributes(request("example.com/s", "system:masters"), resource=RESOURCE))


def bundle(signer: Any, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "b", **metadata}, "spec": {"signerName": signer} if signer else {}}


@pytest.mark.parametrize(
    ("new", "old", "allowed", "passes"),
    [
        (bundle(""), None, (), True),
        (bundle("a.b/c"), None, (), False),
        (bundle("a.b/c"), None, [("attest", "a.b/c")], True),
        (bundle("a.b/c"), None, [("attest", "a.b/*")], True),
        (bundle("a.b/c"), None, [("sign", "a.b/c")], False),
        (bundle("a.b/c"), bundle("a.b/c", labels={"a": "b"}), (), False),
        (bundle("a.b/c", finalizers=["a.b/c"]), bundle("a.b/c", ownerReferences=[{"uid": "u"}]), (), True),
    ],
)
async def test_who_attests(
    rig: Rig, new: Any, old: Any, allowed: list[tuple[str, str]] | tuple[Any, ...], passes: bool
) -> None:
    asked = attributes(rig, new, old, "")
    asked.resource = replace(
        asked.resource, plural="clustertrustbundles"
    )  # which this server does not have yet
    assert ClusterTrustBundleAttest(Authorizer()).wants(asked)
    waiting = ClusterTrustBundleAttest(Authorizer(*allowed)).validate(asked)
    try:
        if waiting is not None:
            await waiting
        assert passes
    except errors.Forbidden as err:
        assert not passes and err.message.endswith('user not permitted to attest for signerName "a.b/c"')
