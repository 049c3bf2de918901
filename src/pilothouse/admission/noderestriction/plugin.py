"""NodeRestriction: limits the writes of a kubelet to its own node and the objects that belong to it."""

from collections.abc import Awaitable, Callable

from pilothouse import errors
from pilothouse.admission.about import CREATE, DELETE, UPDATE, About
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.noderestriction.pods import api_reference, same_claim_statuses
from pilothouse.admission.noderestriction.tokens import check_audience
from pilothouse.api.validate.common import equal
from pilothouse.api.validate.diff import diff
from pilothouse.api.validate.shown import go, object_meta
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import NODE_PREFIX, User, node_name
from pilothouse.gotext import quote
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource

MIRROR = "kubernetes.io/config.mirror"
LEASES = "kube-node-lease"
KUBELET_SIGNERS = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")

KUBELET_LABELS = frozenset(
    (
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)
"""Labels in the domains kubernetes.io and k8s.io that a kubelet may set on its node."""
KUBELET_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
"""Domains in which, and in whose subdomains, a kubelet may set any label."""
KUBERNETES_DOMAINS = ("kubernetes.io", "k8s.io")
RESTRICTED = "node-restriction.kubernetes.io"
"""The domain reserved for administrators: kubelets may not set labels in it."""

_NOT_COMPARED = ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources")
"""Members of a claim's status that kubelets may write."""


class NodeRestriction(AdmissionPlugin):
    """Judges the writes of kubelets and ignores those of other users."""

    name = "NodeRestriction"
    replaces = True

    def __init__(self, authorizer: AccessAuthorizer) -> None:
        self._authorizer = authorizer

    def wants(self, a: AdmissionAttributes) -> bool:
        return node_name(a.user) is not None

    def mutate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        node = node_name(a.user)
        if not node:
            raise a.refuse(f"could not determine node from user {quote(a.user.name)}")
        if a.resource.group_resource == "serviceaccounts":
            return self._token(node, a)
        _CHECKS[a.resource.group_resource](node, a)
        return None

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        node = node_name(user)
        if node is None:
            return None
        return bool(node) and resource.plural == "leases" and namespace == LEASES and name == node

    def _token(self, node: str, a: AdmissionAttributes) -> Awaitable[None] | None:
        """Allow tokens only for a pod that runs on the node, bound to that pod, with a permitted audience."""
        if a.operation != "CREATE" or a.subresource != "token":
            return None
        assert a.obj is not None
        spec = a.obj.get("spec") or {}
        pod = _pod_of_token(node, a, spec)
        return check_audience(self._authorizer, a, spec.get("audiences") or [], pod)


# Pods


def _pod(node: str, a: AdmissionAttributes) -> None:
    if a.subresource:
        check = _POD_PARTS.get(a.subresource)
        if check is None:
            raise a.refuse(
                f"unexpected pod subresource {quote(a.subresource)}, only 'status' and 'eviction' are allowed"
            )
        check(node, a)
    elif a.operation == "CREATE":
        _pod_create(node, a)
    elif a.operation == "DELETE":
        if _node_of(a.old) != node:
            raise a.refuse(f"node {quote(node)} can only delete pods with spec.nodeName set to itself")
    else:
        raise a.refuse(
            f"unexpected operation {quote(a.operation)}, node {quote(node)} can only create and delete "
            "mirror pods"
        )


def _pod_create(node: str, a: AdmissionAttributes) -> None:
    assert a.obj is not None
    quoted, metadata = quote(node), a.obj["metadata"]
    if MIRROR not in (metadata.get("annotations") or {}):
        raise a.refuse(
            f"pod does not have {quote(MIRROR)} annotation, node {quoted} can only create mirror pods"
        )
    if _node_of(a.obj) != node:
        raise a.refuse(f"node {quoted} can only create pods with spec.nodeName set to itself")
    _check_owner(node, a, metadata.get("ownerReferences") or [])
    kind, fault = api_reference(a.obj)
    if fault:
        raise a.refuse(f"error checking mirror pod for API references: {fault}")
    if kind:
        raise a.refuse(f"node {quoted} can not create pods that reference {kind}")


def _check_owner(node: str, a: AdmissionAttributes, owners: list[Object]) -> None:
    """Require the node as the only owner of a mirror pod."""
    quoted = quote(node)
    if len(owners) > 1:
        raise a.refuse(f"node {quoted} can only create pods with a single owner reference set to itself")
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        raise a.refuse(f"node {quoted} can only create pods with an owner reference set to itself")
    if not owner.get("controller"):
        raise a.refuse(f"node {quoted} can only create pods with a controller owner reference set to itself")
    if owner.get("blockOwnerDeletion"):
        raise a.refuse(f"node {quoted} must not set blockOwnerDeletion on an owner reference")
    found = a.readers.get("nodes", "", node)
    if found is None:
        raise errors.not_found("", "node", node)
    uid, has = owner.get("uid", ""), found["metadata"].get("uid", "")
    if uid != has:
        raise a.refuse(f"node {node} UID mismatch: expected {uid} got {has}")


def _pod_status(node: str, a: AdmissionAttributes) -> None:
    quoted = quote(node)
    if a.operation != "UPDATE" or a.obj is None or a.old is None:
        raise a.refuse(f"unexpected operation {quote(a.operation)}")
    if _node_of(a.old) != node:
        raise a.refuse(f"node {quoted} can only update pod status for pods with spec.nodeName set to itself")  # noqa: S608 -- no SQL
    if (a.old["metadata"].get("labels") or {}) != (a.obj["metadata"].get("labels") or {}):
        raise a.refuse(f"node {quoted} cannot update labels through pod status")
    before, now = a.old.get("status") or {}, a.obj.get("status") or {}
    if not same_claim_statuses(before.get("resourceClaimStatuses"), now.get("resourceClaimStatuses")):
        raise a.refuse(f"node {quoted} cannot update resource claim statues")
    if not _same_extended(before.get("extendedResourceClaimStatus"), now.get("extendedResourceClaimStatus")):
        raise a.refuse(f"node {quoted} cannot update extended resource claim status")


def _same_extended(old: Object | None, new: Object | None) -> bool:
    return (old is None) == (new is None) and equal(old, new)


def _pod_eviction(node: str, a: AdmissionAttributes) -> None:
    if a.operation != "CREATE":
        raise a.refuse(f"unexpected operation {a.operation}")
    name = a.name or ((a.obj or {}).get("metadata") or {}).get("name", "")
    if not name:
        raise a.refuse("could not determine pod from request data")
    pod = a.readers.get("pods", a.namespace, name)
    if pod is None:
        raise errors.not_found("", "pod", name)
    if _node_of(pod) != node:
        raise a.refuse(f"node {node} can only evict pods with spec.nodeName set to itself")


_POD_PARTS: dict[str, Callable[[str, AdmissionAttributes], None]] = {
    "status": _pod_status,
    "eviction": _pod_eviction,
}


# Nodes


def _node(node: str, a: AdmissionAttributes) -> None:
    me = quote(node)
    if a.name != node:
        raise a.refuse(f"node {me} is not allowed to modify node {quote(a.name)}")
    if a.obj is None or a.operation not in ("CREATE", "UPDATE"):
        return
    spec, labels = a.obj.get("spec") or {}, a.obj["metadata"].get("labels") or {}
    if a.operation == "CREATE":
        if spec.get("configSource") is not None:
            raise a.refuse(f"node {me} is not allowed to create pods with a non-nil configSource")
        if names := forbidden_labels(labels, {}):
            raise a.refuse(f"node {me} is not allowed to set the following labels: {', '.join(names)}")
        return
    assert a.old is not None
    before = a.old.get("spec") or {}
    source = spec.get("configSource")
    if source is not None and not equal(source, before.get("configSource")):
        raise a.refuse(f"node {me} is not allowed to update configSource to a new non-nil configSource")
    if not equal(spec.get("taints"), before.get("taints")):
        raise a.refuse(f"node {me} is not allowed to modify taints")
    if names := forbidden_labels(labels, a.old["metadata"].get("labels") or {}):
        raise a.refuse(f"is not allowed to modify labels: {', '.join(names)}")


def forbidden_labels(new: dict[str, str], old: dict[str, str]) -> list[str]:
    """The added, changed and removed labels that kubelets may not touch, sorted."""
    changed = [key for key in new.keys() | old.keys() if new.get(key) != old.get(key)]
    return sorted(key for key in changed if not _may_label(key))


def _may_label(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if _within(domain, (RESTRICTED,)):
        return False
    if not _within(domain, KUBERNETES_DOMAINS):
        return True
    return key in KUBELET_LABELS or _within(domain, KUBELET_DOMAINS)


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


# What belongs to a node


def _claim(node: str, a: AdmissionAttributes) -> None:
    if a.subresource != "status":
        raise a.refuse("may only update PVC status")
    if a.operation != "UPDATE" or a.obj is None or a.old is None:
        raise a.refuse(f"unexpected operation {quote(a.operation)}")
    old, new = _comparable(a.old), _comparable(a.obj)
    if not equal(new, old):
        raise a.refuse(
            f"node {quote(node)} is not allowed to update fields other than status.quantity and "
            f"status.conditions: {diff(_shown(old), _shown(new))}"
        )


def _shown(claim: Object) -> Object:
    """A PersistentVolumeClaim as messages show it."""
    parts = {
        name: go(claim.get(name) or {}, f"api.core.v1.PersistentVolumeClaim{name.title()}")
        for name in ("spec", "status")
    }
    return {**object_meta(claim["metadata"]), "Spec": parts["spec"], "Status": parts["status"]}


def _comparable(claim: Object) -> Object:
    """The claim without the fields that a kubelet may write or that every write changes."""
    metadata, status = dict(claim["metadata"]), dict(claim.get("status") or {})
    for member in ("resourceVersion", "managedFields"):
        metadata.pop(member, None)
    for member in _NOT_COMPARED:
        status.pop(member, None)
    rest = {k: v for k, v in claim.items() if k not in ("metadata", "status", "kind", "apiVersion")}
    return {**rest, "metadata": metadata, "status": status}


def _pod_of_token(node: str, a: AdmissionAttributes, spec: Object) -> Object:
    """The pod to which a requested token is bound; refuses pods of other nodes."""
    ref = spec.get("boundObjectRef") or {}
    if ref.get("apiVersion") != "v1" or ref.get("kind") != "Pod" or not ref.get("name"):
        raise a.refuse("node requested token not bound to a pod")
    uid = ref.get("uid", "")
    if not uid:
        raise a.refuse("node requested token with a pod binding without a uid")
    pod = a.readers.get("pods", a.namespace, ref["name"])
    if pod is None:
        raise errors.not_found("", "pod", ref["name"])
    if uid != pod["metadata"].get("uid"):
        raise a.refuse(
            f"the UID in the bound object reference ({uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
    if _node_of(pod) != node:
        raise a.refuse("node requested token bound to a pod scheduled on a different node")
    return pod


def _pod_certificate(node: str, a: AdmissionAttributes) -> None:
    # The feature is disabled in 1.36; with it, upstream compares node, pod and service account.
    raise a.refuse("PodCertificateRequest feature gate is disabled")


def _lease(node: str, a: AdmissionAttributes) -> None:
    if a.namespace != LEASES:
        raise a.refuse(f"can only access leases in the {quote(LEASES)} system namespace")
    if _own_name(a) != node:
        raise a.refuse("can only access node lease with the same name as the requesting node")


def _csi_node(node: str, a: AdmissionAttributes) -> None:
    if _own_name(a) != node:
        raise a.refuse("can only access CSINode with the same name as the requesting node")


def _own_name(a: AdmissionAttributes) -> str:
    """The object's name: from the body of a create, else from the path."""
    if a.operation == "CREATE" and a.obj is not None:
        return str(a.obj["metadata"].get("name", ""))
    return a.name


def _slice(node: str, a: AdmissionAttributes) -> None:
    for operation, obj in (("CREATE", a.obj), ("DELETE", a.old)):
        if a.operation == operation and _node_of(obj) != node:
            raise a.refuse(
                f"can only {operation.lower()} ResourceSlice with the same NodeName as the requesting node"
            )


def _certificate(node: str, a: AdmissionAttributes) -> None:
    """Refuse a certificate request for a kubelet other than this node's."""
    if a.operation != "CREATE" or a.obj is None:
        return
    spec = a.obj.get("spec") or {}
    if spec.get("signerName") not in KUBELET_SIGNERS:
        return
    from pilothouse.api.validate.certificates import common_name  # and with it what reads requests

    try:
        name = common_name(spec.get("request"))
    except ValueError as error:
        raise a.refuse(f"unable to parse csr: {error}") from None
    if name != NODE_PREFIX + node:
        raise a.refuse(f"can only create a node CSR with CN={NODE_PREFIX}{node}")


def _node_of(obj: Object | None) -> str:
    return str(((obj or {}).get("spec") or {}).get("nodeName") or "")


_CHECKS: dict[str, Callable[[str, AdmissionAttributes], None]] = {
    "pods": _pod,
    "nodes": _node,
    "persistentvolumeclaims": _claim,
    "podcertificaterequests.certificates.k8s.io": _pod_certificate,
    "leases.coordination.k8s.io": _lease,
    "csinodes.storage.k8s.io": _csi_node,
    "resourceslices.resource.k8s.io": _slice,
    "certificatesigningrequests.certificates.k8s.io": _certificate,
}
NodeRestriction.about = (
    About((CREATE, UPDATE, DELETE), (f"{name}/*" for name in (*_CHECKS, "serviceaccounts"))),
)
