"""Certificates that clusters sign by the server's one CA are good in the cluster that signed them only."""

import base64
from typing import Any

import pytest
from clusters.rig import MAPS, ClusterRig, Identity, encoded, identity_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from eventually import aeventually

from pilothouse.authn.x509 import scope_unit

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"

FLAGS = ("--controllers=*,csrsigning,csrapproving",)


def asked(user: str, group: str, *units: str, host: str = "") -> tuple[str, bytes]:
    """A request for a certificate as the API has it, and the key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)]
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
    made = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return encoded(made.decode()), pem


async def signed(
    rig: ClusterRig, cluster: str, name: str, signer: str, request: str, usage: str = "client auth"
) -> Any:
    """The status of a request that its cluster's administrator approves, once the signer has seen it."""
    spec = {"signerName": signer, "request": request, "usages": ["digital signature", usage]}
    await rig.ok("POST", REQUESTS, {"metadata": {"name": name}, "spec": spec}, cluster=cluster)
    live = await rig.ok("GET", f"{REQUESTS}/{name}", cluster=cluster)
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "for a test"}
    live["status"] = {"conditions": [approved]}
    await rig.ok("PUT", f"{REQUESTS}/{name}/approval", live, cluster=cluster)

    async def found() -> Any:
        status = (await rig.ok("GET", f"{REQUESTS}/{name}", cluster=cluster)).get("status") or {}
        failed = any(one["type"] == "Failed" for one in status.get("conditions", ()))
        return status if "certificate" in status or failed else None

    return await aeventually(found, "an answer of the signer")


def made(status: Any, key: bytes) -> Identity:
    """The identity that a request's status gives."""
    return identity_of(base64.b64decode(status["certificate"]), key)


async def names(rig: ClusterRig, cluster: str, identity: Identity) -> Any:
    """The name for which a cluster takes a certificate, or the code of the refusal."""
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await rig.call("POST", path, {}, cluster=cluster, identity=identity)
    return answer.body["status"]["userInfo"]["username"] if answer.status == 201 else answer.status


async def test_a_signed_client_is_one_of_its_cluster_only(rig: ClusterRig) -> None:
    await rig.make("signs-a")
    await rig.make("signs-b")
    request, key = asked("system:kube-controller-manager", "team")
    identity = made(await signed(rig, "signs-a", "tenant", CLIENT, request), key)
    assert await names(rig, "signs-a", identity) == "system:kube-controller-manager"
    assert await names(rig, "signs-b", identity) == 401
    assert await names(rig, "", identity) == 401


@pytest.mark.parametrize("unit", ["forged-b", "forged-a\0forged-b"])
async def test_no_request_chooses_its_cluster(rig: ClusterRig, unit: str) -> None:
    for name in ("forged-a", "forged-b"):
        if name not in rig.directory.places:
            await rig.make(name)
    uids = "\0".join(rig.directory.places[name].uid for name in unit.split("\0"))
    request, _ = asked("mallory", "team", scope_unit(uids))
    for cluster in ("forged-a", ""):
        status = await signed(rig, cluster, f"for-{len(unit)}", CLIENT, request)
        assert "certificate" not in status, cluster
        assert status["conditions"][-1]["type"] == "Failed"


async def test_a_bootstrapping_node_is_no_node_of_another_cluster(rig: ClusterRig) -> None:
    await rig.make("nodes-b")
    request, _ = asked("system:node:n1", "system:nodes", scope_unit(rig.directory.places["nodes-b"].uid))
    status = await signed(rig, "", "node", KUBELET, request)
    assert "certificate" not in status


async def test_a_cluster_signs_no_certificates_of_servers(rig: ClusterRig) -> None:
    await rig.make("serves-a")
    request, _ = asked("system:node:n1", "system:nodes", host="kubernetes.default.svc")
    status = await signed(rig, "serves-a", "serving", SERVING, request, "server auth")
    assert "certificate" not in status
    assert "certificate" in await signed(rig, "", "serving", SERVING, request, "server auth")


async def test_a_cluster_signs_again_for_a_client_that_has_its_unit(rig: ClusterRig) -> None:
    await rig.make("renews-a")
    request, key = asked("jane", "team", scope_unit(rig.directory.places["renews-a"].uid))
    identity = made(await signed(rig, "renews-a", "renewal", CLIENT, request), key)
    assert await names(rig, "renews-a", identity) == "jane"
    assert (await rig.call("GET", MAPS, cluster="renews-a", identity=identity)).status == 403


async def test_a_cluster_tells_others_of_no_ca(rig: ClusterRig) -> None:
    """Aggregated servers know clients by the CAs in this map, and cannot tell clusters apart."""
    await rig.make("signs-nothing")
    path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    assert "client-ca-file" in (await rig.ok("GET", path))["data"]
    assert (await rig.ok("GET", path, cluster="signs-nothing")).get("data", {}) == {}
