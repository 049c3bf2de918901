"""Every kind of credential, of a cluster or of the root."""

from typing import Any, NamedTuple

from clusters.rig import ClusterRig, Identity, bearer, cluster_of, encoded, identity_of

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
STATIC = "static-token-of-root"
SECRETS = "/api/v1/namespaces/kube-system/secrets"


class Credential(NamedTuple):
    """The headers and the client certificate of a request. `user` is whom its own cluster takes it for."""

    kind: str
    user: str
    headers: dict[str, Any]
    identity: Identity | None = None


async def all_of(rig: ClusterRig, cluster: str) -> list[Credential]:
    """Every credential that is good in a cluster; the root's front proxy and static token among its own."""
    admin, jane = rig.identity(cluster), rig.identity(cluster, "jane", ())
    token = await rig.token(cluster)
    acting = {"impersonate-user": "admin", "impersonate-group": "system:masters"}
    out = [
        Credential("administrator", "admin", {}, admin),
        Credential("certificate", "jane", {}, jane),
        Credential("token", "system:serviceaccount:default:default", {"authorization": bearer(token)}),
        Credential("impersonation", "admin", acting, admin),
        Credential("bound token", "system:serviceaccount:default:default", await bound(rig, cluster)),
        Credential("bootstrap token", "system:bootstrap:abcdef", await bootstrap(rig, cluster)),
    ]
    if not cluster:
        data = rig.data
        cert, key = (data / f"front-proxy-client.{end}" for end in ("crt", "key"))
        proxy = identity_of(cert.read_bytes(), key.read_bytes())
        named = {"x-remote-user": "admin", "x-remote-group": "system:masters"}
        out.append(Credential("front proxy", "admin", named, proxy))
        out.append(Credential("static token", "root-user", {"authorization": bearer(STATIC)}))
    return out


async def bound(rig: ClusterRig, cluster: str) -> dict[str, str]:
    """The header with a token that is bound to a Secret."""
    secret = await rig.ok(
        "POST", SECRETS.replace("kube-system", "default"), _secret("bound", {}), cluster=cluster
    )
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "bound", "uid": secret["metadata"]["uid"]}
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    made = await rig.ok("POST", path, {"spec": {"boundObjectRef": reference}}, cluster=cluster)
    return {"authorization": bearer(made["status"]["token"])}


async def bootstrap(rig: ClusterRig, cluster: str) -> dict[str, str]:
    """The header with a bootstrap token whose secret half is the cluster's own."""
    half = f"{(cluster or 'root').replace('-', ''):x<16}"[:16]
    data = {"token-id": "abcdef", "token-secret": half, "usage-bootstrap-authentication": "true"}
    secret = _secret("bootstrap-token-abcdef", data) | {"type": "bootstrap.kubernetes.io/token"}
    await rig.ok("POST", SECRETS, secret, cluster=cluster)
    return {"authorization": bearer(f"abcdef.{half}")}


def _secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {key: encoded(value) for key, value in data.items()}}


async def made(rig: ClusterRig, *names: str) -> None:
    """Clusters with the service account `default` in the namespace `default`."""
    for name in names:
        await rig.ok("POST", "/apis/pilothouse.dev/v1alpha1/clusters", cluster_of(name))
        await rig.ready(name)
