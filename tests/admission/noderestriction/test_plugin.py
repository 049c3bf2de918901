"""NodeRestriction: the writes that kubelets may and may not make."""

import base64
import copy
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness import Rig, is_asked

from pilothouse import errors
from pilothouse.admission.noderestriction.plugin import NodeRestriction, forbidden_labels
from pilothouse.admission.noderestriction.pods import api_reference, same_claim_statuses
from pilothouse.api.values.identity import User
from pilothouse.authz.authorizer import ALLOW, Decision

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))
UID = "11111111-1111-1111-1111-111111111111"
MIRROR = "kubernetes.io/config.mirror"


class Readers:
    """Objects by resource, namespace and name."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        for obj in self.objects.get(resource.partition(".")[0], ()):
            metadata = obj["metadata"]
            if (metadata.get("namespace", ""), metadata["name"]) == (namespace, name):
                return obj
        return None


class Authorizer:
    """Allows one audience, and keeps what was asked."""

    def __init__(self, *audiences: Any) -> None:
        self.audiences = audiences
        self.asked: list[Any] = []

    async def authorize(self, attributes: Any) -> Any:
        self.asked.append(attributes)
        return ALLOW if attributes.resource in self.audiences else Decision(False)


def pod(name: str = "p", node: str = "n1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {"nodeName": node, "containers": [{"name": "c"}], **spec},
    }


def mirror(node: str = "n1", **spec: Any) -> Any:
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": UID, "controller": True}
    out = pod("m", node, **spec)
    out["metadata"] |= {"annotations": {MIRROR: "x"}, "ownerReferences": [owner]}
    return out


OBJECTS = {
    "nodes": [{"metadata": {"name": "n1", "uid": UID}}],
    "pods": [pod("mine"), pod("other", "n2")],
    "persistentvolumeclaims": [
        {"metadata": {"name": name, "namespace": "default"}, "spec": {"volumeName": volume}}
        for name, volume in (("claim", "v"), ("old", "in-tree"), ("unbound", ""))
    ],
    "persistentvolumes": [
        {"metadata": {"name": "v"}, "spec": {"csi": {"driver": "csi.example"}}},
        {"metadata": {"name": "in-tree"}, "spec": {"awsElasticBlockStore": {"volumeID": "a"}}},
    ],
    "csidrivers": [
        {"metadata": {"name": "csi.example"}, "spec": {"tokenRequests": [{"audience": "vault"}]}},
        {"metadata": {"name": "ebs.csi.aws.com"}, "spec": {"tokenRequests": [{"audience": "aws"}]}},
    ],
}


@pytest.fixture
def ask(rig: Rig) -> Any:
    """Let the plugin judge a write; the message of its refusal, "" when it has none."""

    async def run(
        resource: Any,
        obj: Any = None,
        old: Any = None,
        operation: str = "",
        subresource: str = "",
        namespace: str = "default",
        name: str = "",
        user: Any = NODE,
        objects: Any = OBJECTS,
        authorizer: Any = None,
        **more: Any,
    ) -> Any:
        group, version, plural = RESOURCES[resource]
        a = rig.attributes(
            obj,
            old,
            resource=(group, version, plural),
            operation=operation,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )
        known: Any = Readers(**{**objects, **more})
        a.user, a.readers = user, known
        plugin = NodeRestriction(authorizer or Authorizer())
        if not is_asked(plugin, a):
            return ""
        try:
            waiting = plugin.mutate(a)
            if waiting is not None:
                await waiting
        except errors.StatusError as error:
            return error.message.partition(" is forbidden: ")[2] or f"{error.code} {error.message}"
        return ""

    return run


RESOURCES = {
    "pods": ("", "v1", "pods"),
    "nodes": ("", "v1", "nodes"),
    "claims": ("", "v1", "persistentvolumeclaims"),
    "accounts": ("", "v1", "serviceaccounts"),
    "leases": ("coordination.k8s.io", "v1", "leases"),
    "csinodes": ("storage.k8s.io", "v1", "csinodes"),
    "slices": ("resource.k8s.io", "v1", "resourceslices"),
    "requests": ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    "secrets": ("", "v1", "secrets"),
}


async def test_only_nodes_are_judged(ask: Any) -> None:
    for user in (
        User("jane"),
        User("system:node:n1"),
        User("jane", groups=("system:nodes",)),
        User("system:nodes", groups=("system:nodes",)),
    ):
        assert await ask("nodes", {"metadata": {"name": "n2"}}, user=user) == ""
    nameless = User("system:node:", groups=("system:nodes",))
    why = 'could not determine node from user "system:node:"'
    assert await ask("nodes", {"metadata": {"name": "n2"}}, user=nameless) == why
    assert await ask("secrets", {"metadata": {"name": "s"}}) == ""
    assert await ask("pods", pod(), operation="CONNECT", subresource="exec") == ""


async def test_a_mirror_pod_of_its_own_is_created(ask: Any) -> None:
    assert await ask("pods", mirror()) == ""
    volumes = [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "emptyDir": {}}]
    down = {"name": "c", "projected": {"sources": [{"downwardAPI": {}}]}}
    assert await ask("pods", mirror(volumes=[*volumes, down])) == ""


OWNER = 'node "n1" can only create pods with '


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"annotations": {}},
            f'pod does not have "{MIRROR}" annotation, node "n1" can only create mirror pods',
        ),
        ({"ownerReferences": []}, OWNER + "an owner reference set to itself"),
        ({"ownerReferences": [{}, {}]}, OWNER + "a single owner reference set to itself"),
        ({"ownerReferences": [{"name": "n2"}]}, OWNER + "an owner reference set to itself"),
        ({"ownerReferences": [{"kind": "Pod"}]}, OWNER + "an owner reference set to itself"),
        ({"ownerReferences": [{"apiVersion": "v2"}]}, OWNER + "an owner reference set to itself"),
        ({"ownerReferences": [{"controller": False}]}, OWNER + "a controller owner reference set to itself"),
        (
            {"ownerReferences": [{"blockOwnerDeletion": True}]},
            'node "n1" must not set blockOwnerDeletion on an owner reference',
        ),
        ({"ownerReferences": [{"uid": "x"}]}, f"node n1 UID mismatch: expected x got {UID}"),
    ],
)
async def test_what_a_mirror_pod_must_have(ask: Any, change: dict[str, Any], why: Any) -> None:
    made = mirror()
    [owner] = made["metadata"]["ownerReferences"]
    for key, value in change.items():
        refs = [owner | ref for ref in value] if key == "ownerReferences" else value
        made["metadata"][key] = refs
    assert await ask("pods", made) == why


async def test_a_mirror_pod_elsewhere_or_of_a_node_that_is_not_there(ask: Any) -> None:
    assert await ask("pods", mirror("n2")) == OWNER + "spec.nodeName set to itself"
    assert await ask("pods", mirror(), nodes=[]) == '404 node "n1" not found'


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


def projected(**source: Any) -> Any:
    return volume(projected={"sources": [source]})


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"serviceAccountName": "default"}, "serviceaccounts"),
        ({"imagePullSecrets": [{"name": "a"}]}, "secrets"),
        ({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "a"}}}]}]}, "secrets"),
        ({"initContainers": [{"envFrom": [{"secretRef": {"name": "a"}}]}]}, "secrets"),
        ({"ephemeralContainers": [{"envFrom": [{"configMapRef": {"name": "a"}}]}]}, "configmaps"),
        ({"containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "a"}}}]}]}, "configmaps"),
        (volume(secret={"secretName": "a"}), "secrets"),
        (volume(configMap={"name": "a"}), "configmaps"),
        (volume(azureFile={"secretName": "a"}), "secrets"),
        (volume(azureFile={}), "secrets (via azureFile volumes)"),
        (volume(csi={"driver": "a", "nodePublishSecretRef": {}}), "secrets"),
        (volume(csi={"driver": "a"}), "csidrivers (via CSI volumes)"),
        (volume(rbd={"secretRef": {"name": "a"}}), "secrets"),
        (volume(glusterfs={}), "endpoints (via glusterFS volumes)"),
        (volume(persistentVolumeClaim={"claimName": "a"}), "persistentvolumeclaims"),
        (volume(ephemeral={}), "persistentvolumeclaims (via ephemeral volumes)"),
        (projected(secret={"name": "a"}), "secrets"),
        (projected(configMap={"name": "a"}), "configmaps"),
        (projected(serviceAccountToken={"path": "a"}), "serviceaccounts (via projected volumes)"),
        (projected(clusterTrustBundle={"path": "a"}), "clustertrustbundles"),
        (projected(podCertificate={}), "podcertificates"),
        ({"resourceClaims": [{"name": "a"}]}, "resourceclaims"),
    ],
)
async def test_a_mirror_pod_refers_to_nothing(ask: Any, spec: Any, kind: str) -> None:
    assert await ask("pods", mirror(**spec)) == f'node "n1" can not create pods that reference {kind}'
    assert api_reference(mirror(**spec)) == (kind, "")


async def test_sources_that_are_not_known_are_refused(ask: Any) -> None:
    why = "error checking mirror pod for API references: "
    found = await ask("pods", mirror(**volume(new={})))
    assert found == why + 'unknown volume type for volume  "v"'
    assert await ask("pods", mirror(**projected(new={}))) == why + 'unknown source for projected volume "v"'


async def test_only_pods_of_its_own_are_deleted_and_evicted(ask: Any) -> None:
    assert await ask("pods", None, pod("mine"), "DELETE") == ""
    why = 'node "n1" can only delete pods with spec.nodeName set to itself'
    assert await ask("pods", None, pod("other", "n2"), "DELETE") == why
    assert await ask("pods", None, pod("none", ""), "DELETE") == why
    evict = {"subresource": "eviction", "operation": "CREATE"}
    assert await ask("pods", {"metadata": {"name": "mine"}}, **evict) == ""
    why = "node n1 can only evict pods with spec.nodeName set to itself"
    assert await ask("pods", {"metadata": {"name": "mine"}}, name="other", **evict) == why
    assert await ask("pods", {"metadata": {"name": "gone"}}, **evict) == '404 pod "gone" not found'
    assert await ask("pods", {"metadata": {}}, **evict) == "could not determine pod from request data"


async def test_a_pod_itself_is_never_changed(ask: Any) -> None:
    why = 'unexpected operation "UPDATE", node "n1" can only create and delete mirror pods'
    assert await ask("pods", pod("mine"), pod("mine")) == why
    for part in ("binding", "ephemeralcontainers", "resize"):
        why = f"unexpected pod subresource \"{part}\", only 'status' and 'eviction' are allowed"
        assert await ask("pods", pod("mine"), pod("mine"), subresource=part) == why


@pytest.mark.parametrize(
    ("node", "labels", "status", "why"),
    [
        ("n1", {}, {"phase": "Running"}, ""),
        ("n2", {}, {}, 'node "n1" can only update pod status for pods with spec.nodeName set to itself'),
        ("n1", {"a": "b"}, {}, 'node "n1" cannot update labels through pod status'),
        (
            "n1",
            {},
            {"resourceClaimStatuses": [{"name": "a"}]},
            'node "n1" cannot update resource claim statues',
        ),
        (
            "n1",
            {},
            {"extendedResourceClaimStatus": {"resourceClaimName": "a"}},
            'node "n1" cannot update extended resource claim status',
        ),
    ],
)
async def test_the_status_of_its_pods(
    ask: Any, node: str, labels: dict[str, Any], status: dict[str, Any], why: str
) -> None:
    old = pod("mine", node)
    new = copy.deepcopy(old)
    new["metadata"]["labels"] = labels
    new["status"] = status
    assert await ask("pods", new, old, subresource="status") == why


def test_claims_are_compared_by_name_and_order() -> None:
    a, b = {"name": "a", "resourceClaimName": "x"}, {"name": "b"}
    assert same_claim_statuses([a, b], [dict(a), dict(b)]) and same_claim_statuses(None, [])
    assert not same_claim_statuses([a, b], [b, a]) and not same_claim_statuses([a], [{"name": "a"}])


def node(name: str = "n1", labels: Any = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


async def test_only_its_own_node(ask: Any) -> None:
    assert await ask("nodes", node(taints=[{"key": "a"}])) == ""
    for operation, obj, old in (("CREATE", node("n2"), None), ("UPDATE", node("n2"), node("n2"))):
        why = 'node "n1" is not allowed to modify node "n2"'
        assert await ask("nodes", obj, old, operation) == why
        assert await ask("nodes", obj, old, operation, "status") == why
    assert await ask("nodes", None, node("n2"), "DELETE") == why
    assert await ask("nodes", None, node(), "DELETE") == ""


async def test_taints_and_configuration_stay(ask: Any) -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    assert await ask("nodes", node(taints=[taint]), node(taints=[taint])) == ""
    assert await ask("nodes", node(taints=[]), node()) == ""
    for new, old in (([], [taint]), ([taint], []), ([taint | {"effect": "NoExecute"}], [taint])):
        why = 'node "n1" is not allowed to modify taints'
        assert await ask("nodes", node(taints=new), node(taints=old), subresource="status") == why
    source = {"configMap": {"name": "a"}}
    assert (
        await ask("nodes", node(configSource=source))
        == 'node "n1" is not allowed to create pods with a non-nil configSource'
    )
    why = 'node "n1" is not allowed to update configSource to a new non-nil configSource'
    assert await ask("nodes", node(configSource=source), node()) == why
    assert await ask("nodes", node(), node(configSource=source)) == ""


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("a", True),
        ("example.com/a", True),
        ("kubernetes.io.example.com/a", True),
        ("kubernetes.io/hostname", True),
        ("kubernetes.io/arch", True),
        ("beta.kubernetes.io/os", True),
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/anything", True),
        ("kubelet.kubernetes.io/anything", True),
        ("x.node.kubernetes.io/anything", True),
        ("node-restriction.kubernetes.io/a", False),
        ("x.node-restriction.kubernetes.io/a", False),
        ("node-role.kubernetes.io/control-plane", False),
        ("kubernetes.io/anything", False),
        ("k8s.io/a", False),
        ("x.k8s.io/a", False),
        ("notnode.kubernetes.io/a", False),
    ],
)
async def test_labels(ask: Any, label: str, allowed: bool) -> None:
    assert (forbidden_labels({label: "a"}, {}) == []) is allowed
    assert (forbidden_labels({label: "a"}, {label: "b"}) == []) is allowed
    assert (forbidden_labels({}, {label: "b"}) == []) is allowed
    assert forbidden_labels({label: "a"}, {label: "a"}) == []
    made = await ask("nodes", node(labels={label: "a"}))
    assert made == ("" if allowed else f'node "n1" is not allowed to set the following labels: {label}')
    changed = await ask("nodes", node(labels={label: "a"}), node())
    assert changed == ("" if allowed else f"is not allowed to modify labels: {label}")


async def test_claims_only_by_their_status(ask: Any) -> None:
    old: dict[str, Any] = {
        "metadata": {"name": "c", "resourceVersion": "1"},
        "spec": {"volumeName": "v"},
        "status": {},
    }
    new = copy.deepcopy(old)
    new["metadata"] |= {"resourceVersion": "", "managedFields": [{}]}
    new["status"] = {"capacity": {"storage": "1Gi"}, "conditions": [{}], "allocatedResources": {"a": "1"}}
    assert await ask("claims", new, old, subresource="status") == ""
    for change in ({"phase": "Bound"}, {"accessModes": ["a"]}):
        found = await ask("claims", {**new, "status": {**new["status"], **change}}, old, subresource="status")
        assert found.startswith(
            'node "n1" is not allowed to update fields other than status.quantity and status.conditions: '
        )
    new["metadata"]["finalizers"] = ["a"]
    assert "status.quantity" in await ask("claims", new, old, subresource="status")
    assert await ask("claims", old, old) == "may only update PVC status"
    assert await ask("claims", None, old, "DELETE") == "may only update PVC status"


async def test_leases_and_csi_nodes_of_its_own_name(ask: Any) -> None:
    own, other = {"metadata": {"name": "n1"}}, {"metadata": {"name": "n2"}}
    for resource, what, namespace in (
        ("leases", "node lease", "kube-node-lease"),
        ("csinodes", "CSINode", ""),
    ):
        why = f"can only access {what} with the same name as the requesting node"
        for old, operation in ((None, "CREATE"), (own, "UPDATE"), (own, "DELETE")):
            assert await ask(resource, own, old, operation, namespace=namespace) == ""
        for old, operation in ((None, "CREATE"), (other, "UPDATE"), (other, "DELETE")):
            assert await ask(resource, other, old, operation, namespace=namespace) == why
    why = 'can only access leases in the "kube-node-lease" system namespace'
    assert await ask("leases", own, namespace="kube-system") == why


@pytest.mark.parametrize(
    ("user", "namespace", "name", "passes"),
    [
        ("system:node:n1", "kube-node-lease", "n1", True),
        ("system:node:n1", "kube-node-lease", "n2", False),
        ("system:node:n1", "kube-system", "n1", False),
        ("system:node:", "kube-node-lease", "", False),
        ("jane", "kube-system", "n1", None),
    ],
)
def test_renewals(rig: Rig, user: str, namespace: str, name: str, passes: bool | None) -> None:
    leases = rig.catalog.get("coordination.k8s.io", "v1", "leases")
    assert leases is not None
    node = User(user, groups=("system:nodes",))
    assert NodeRestriction(Authorizer()).passes_renewal(leases, node, namespace, name) is passes


async def test_slices_of_its_own(ask: Any) -> None:
    own, other = ({"metadata": {"name": "s"}, "spec": {"nodeName": n}} for n in ("n1", "n2"))
    shared = {"metadata": {"name": "s"}, "spec": {"allNodes": True}}
    assert await ask("slices", own) == await ask("slices", None, own, "DELETE") == ""
    for obj in (other, shared):
        tail = "ResourceSlice with the same NodeName as the requesting node"
        assert await ask("slices", obj) == f"can only create {tail}"
        assert await ask("slices", None, obj, "DELETE") == f"can only delete {tail}"
    assert await ask("slices", other, own) == ""  # the authorizer has looked at it


def request_for(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


async def test_certificates_of_its_own(ask: Any) -> None:
    def csr(request: Any, signer: str = "kubernetes.io/kubelet-serving") -> dict[str, Any]:
        return {"metadata": {"name": "r"}, "spec": {"request": request, "signerName": signer}}

    assert await ask("requests", csr(request_for("system:node:n1"))) == ""
    why = "can only create a node CSR with CN=system:node:n1"
    for signer in ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"):
        assert await ask("requests", csr(request_for("system:node:n2"), signer)) == why
    assert await ask("requests", csr(request_for("x"), "example.com/x")) == ""
    assert await ask("requests", csr("bm8=")) == (
        "unable to parse csr: PEM block type must be CERTIFICATE REQUEST"
    )


def token(name: str = "mine", uid: str = "uid-mine", audiences: Any = (), **ref: Any) -> dict[str, Any]:
    bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid} | ref
    return {"metadata": {"name": "sa"}, "spec": {"audiences": list(audiences), "boundObjectRef": bound}}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"metadata": {}, "spec": {}}, "node requested token not bound to a pod"),
        (token(kind="Secret"), "node requested token not bound to a pod"),
        (token(kind="Node"), "node requested token not bound to a pod"),
        (token(apiVersion=""), "node requested token not bound to a pod"),
        (token(name=""), "node requested token not bound to a pod"),
        (token(uid=""), "node requested token with a pod binding without a uid"),
        (token(name="gone"), '404 pod "gone" not found'),
        (
            token(uid="x"),
            "the UID in the bound object reference (x) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        ),
        (token("other", "uid-other"), "node requested token bound to a pod scheduled on a different node"),
        (token(audiences=["a", "b"]), "node may only request 0 or 1 audiences"),
        (
            token(audiences=["a"]),
            'audience "a" not found in pod spec volume, system:node:n1 is not authorized to request tokens '
            "for this audience",
        ),
    ],
)
async def test_tokens_for_pods_of_its_own(ask: Any, body: Any, why: str) -> None:
    assert await ask("accounts", body, operation="CREATE", subresource="token", name="sa") == why


CLAIM = {"persistentVolumeClaim": {"claimName": "claim"}}


@pytest.mark.parametrize(
    ("source", "audience", "why"),
    [
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, "", ""),
        ({"projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}]}}, "a", ""),
        ({"projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}]}}, "", "not found in pod"),
        ({"csi": {"driver": "csi.example"}}, "vault", ""),
        ({"csi": {"driver": "csi.example"}}, "other", "not found in pod spec volume"),
        ({"csi": {"driver": "gone"}}, "a", 'audience "a": csidriver.storage.k8s.io "gone" not found'),
        (CLAIM, "vault", ""),
        ({"persistentVolumeClaim": {"claimName": "old"}}, "aws", ""),
        (
            {"persistentVolumeClaim": {"claimName": "x"}},
            "a",
            'error validating audience "a": persistentvolumeclaim "x" not found',
        ),
        ({"persistentVolumeClaim": {"claimName": "unbound"}}, "a", 'persistentvolume "" not found'),
        ({"awsElasticBlockStore": {"volumeID": "x"}}, "aws", ""),
        ({"ephemeral": {"volumeClaimTemplate": {}}}, "a", 'persistentvolumeclaim "mine-v" not found'),
        ({"hostPath": {"path": "/"}}, "a", "not found in pod spec volume"),
    ],
)
async def test_audiences_that_the_pod_names(ask: Any, source: Any, audience: str, why: str) -> None:
    body = token(audiences=[audience] if audience else [])
    pods = [pod("mine", volumes=[{"name": "v", **source}])]
    found = await ask("accounts", body, operation="CREATE", subresource="token", name="sa", pods=pods)
    assert found == why if not why else why in found


async def test_an_audience_may_be_granted(ask: Any) -> None:
    authorizer = Authorizer("registry")
    asked = {"operation": "CREATE", "subresource": "token", "name": "sa", "authorizer": authorizer}
    assert await ask("accounts", token(audiences=["registry"]), **asked) == ""
    [found] = authorizer.asked
    assert (found.verb, found.resource, found.namespace, found.name) == (
        "request-serviceaccounts-token-audience",
        "registry",
        "default",
        "sa",
    )
    assert found.is_resource and (found.group, found.version, found.subresource) == ("", "v1", "")
