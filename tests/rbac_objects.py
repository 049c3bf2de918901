"""Roles and bindings of a rig, in short."""

from typing import Any

from harness import Rig

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def rule(verbs: str, resources: str, *names: str) -> Any:
    """A rule for resources of the core group."""
    out = {"verbs": verbs.split(), "apiGroups": [""], "resources": resources.split()}
    return {**out, "resourceNames": list(names)} if names else out


async def cluster_role(rig: Rig, name: str, *rules: Any) -> None:
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": list(rules)})


def binding(name: str, role: str, subject: Any = "jane") -> Any:
    """A binding of a cluster role to a user, or to another subject."""
    if isinstance(subject, str):
        subject = {"kind": "User", "name": subject}
    if subject["kind"] != "ServiceAccount":
        subject = {"apiGroup": "rbac.authorization.k8s.io", **subject}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return {"metadata": {"name": name}, "roleRef": ref, "subjects": [subject]}


async def bind(rig: Rig, *namespaces: str, role: str = "read", subject: Any = "jane") -> None:
    """Bind a cluster role in namespaces, by a binding of the role's name."""
    for namespace in namespaces:
        await rig.ok("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding(role, role, subject))


async def unbind(rig: Rig, namespace: str, role: str = "read") -> None:
    await rig.ok("DELETE", f"{RBAC}/namespaces/{namespace}/rolebindings/{role}")
