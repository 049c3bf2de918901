"""A kubelet's credential and a whole server:
its usual requests work, and it cannot become an administrator."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pilothouse.pki import CertificateAuthority
from pilothouse.testing.server import InProcess

PODS = "/api/v1/namespaces/default/pods"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
MERGE = "application/merge-patch+json"


class User:
    """The user for whom a TLS context stands."""

    def __init__(self, server: InProcess, context: ssl.SSLContext) -> None:
        self.server, self.context = server, context

    def __call__(
        self, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server.url + path, data, {"Content-Type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def ok(self, *request: Any) -> Any:
        status, body = self(*request)
        assert status < 300, body
        return body

    def refused(self, *request: Any) -> str:
        status, body = self(*request)
        assert status == 403, (status, body)
        return str(body["message"])


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--allow-privileged"]) as started:
        yield started


@pytest.fixture(scope="module")
def admin(server: InProcess) -> User:
    user = User(server, server.context())
    user.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n2"}})
    for name, node in (("mine", "n1"), ("other", "n2")):
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
        user.ok("POST", PODS, {"metadata": {"name": name}, "spec": spec})
    user.ok("POST", ACCOUNTS, {"metadata": {"name": "boss"}})
    return user


@pytest.fixture(scope="module")
def kubelet(server: InProcess, admin: User) -> User:
    authority = CertificateAuthority.load(server.directory / "ca.crt", server.directory / "ca.key")
    assert authority is not None
    cert, key = authority.issue("system:node:n1", ["system:nodes"], server=False)
    files = server.directory / "kubelet.crt", server.directory / "kubelet.key"
    files[0].write_bytes(cert)
    files[1].write_bytes(key)
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.load_cert_chain(*files)
    user = User(server, context)
    user.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}}})
    return user


def mirror(kubelet: User, **spec: Any) -> dict[str, Any]:
    uid = kubelet.ok("GET", "/api/v1/nodes/n1")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    metadata = {
        "name": "mirror-n1",
        "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [owner],
    }
    base = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
    return {"metadata": metadata, "spec": {**base, **spec}}


def token(pod: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = pod["metadata"]
    ref = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return {"spec": {"boundObjectRef": ref, **spec}}


def test_the_way_to_cluster_admin_is_closed(admin: User, kubelet: User) -> None:
    account = {"serviceAccountName": "boss"}
    plain = {"metadata": {"name": "evil"}, "spec": mirror(kubelet, **account)["spec"]}
    assert "can only create mirror pods" in kubelet.refused("POST", PODS, plain)
    assert "can only create mirror pods" in kubelet.refused("POST", f"{PODS}?dryRun=All", plain)
    assert "may not reference service accounts" in kubelet.refused("POST", PODS, mirror(kubelet, **account))
    secret = {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
    assert "reference secrets" in kubelet.refused("POST", PODS, mirror(kubelet, **secret))
    away = mirror(kubelet, nodeName="n2")
    assert "spec.nodeName set to itself" in kubelet.refused("POST", PODS, away)
    assert kubelet.refused("GET", "/api/v1/secrets")


def test_tokens_only_for_its_own_pods(admin: User, kubelet: User) -> None:
    other, mine = (admin.ok("GET", f"{PODS}/{name}") for name in ("other", "mine"))
    default = f"{ACCOUNTS}/default/token"
    assert kubelet.refused("POST", f"{ACCOUNTS}/boss/token", token(mine))
    assert "not bound to a pod" in kubelet.refused("POST", default, {"spec": {}})
    assert "different node" in kubelet.refused("POST", default, token(other))
    assert "not found in pod spec volume" in kubelet.refused("POST", default, token(mine, audiences=["x"]))
    two = token(mine, audiences=["a", "b"])
    assert "node may only request 0 or 1 audiences" in kubelet.refused("POST", default, two)
    made = kubelet.ok("POST", default, token(mine))
    assert made["status"]["token"] and made["spec"]["audiences"] == ["https://kubernetes.default.svc"]
    expected = token(mine, audiences=["https://kubernetes.default.svc"])
    assert admin.ok("POST", default, expected)["status"]["token"]


def test_nothing_of_others_is_touched(admin: User, kubelet: User) -> None:
    status = {"status": {"phase": "Failed"}}
    labels = {"metadata": {"labels": {"a": "b"}}}
    for path in ("/api/v1/nodes/n2", "/api/v1/nodes/n2/status"):
        assert 'not allowed to modify node "n2"' in kubelet.refused("PATCH", path, labels, MERGE)
    assert "pod status for pods" in kubelet.refused("PATCH", f"{PODS}/other/status", status, MERGE)
    assert "only delete pods" in kubelet.refused("DELETE", f"{PODS}/other")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "other"}}
    assert "only evict pods" in kubelet.refused("POST", f"{PODS}/other/eviction", eviction)
    lease = {"metadata": {"name": "n2"}}
    assert "same name as the requesting node" in kubelet.refused("POST", LEASES, lease)
    assert "same name" in kubelet.refused("POST", "/apis/storage.k8s.io/v1/csinodes", lease | {"spec": {}})
    assert kubelet.refused("PUT", f"{LEASES}/n2", lease)


def test_its_own_node_within_limits(admin: User, kubelet: User) -> None:
    own = "/api/v1/nodes/n1"
    for label in ("node-restriction.kubernetes.io/a", "node-role.kubernetes.io/control-plane"):
        patch = {"metadata": {"labels": {label: "x"}}}
        for path in (own, f"{own}/status"):
            assert f"is not allowed to modify labels: {label}" in kubelet.refused("PATCH", path, patch, MERGE)
    taints: dict[str, Any] = {"spec": {"taints": []}}
    assert "not allowed to modify taints" in kubelet.refused("PATCH", own, taints, MERGE)
    kubelet.ok("PATCH", own, {"metadata": {"labels": {"node.kubernetes.io/x": "y", "a": "b"}}}, MERGE)
    ready = {"type": "Ready", "status": "True", "reason": "r", "message": "m"}
    kubelet.ok("PATCH", f"{own}/status", {"status": {"conditions": [ready]}}, MERGE)
    assert kubelet.refused("DELETE", own)


def test_what_a_kubelet_does_all_day_works(admin: User, kubelet: User) -> None:
    lease = kubelet.ok("POST", LEASES, {"metadata": {"name": "n1"}, "spec": {"holderIdentity": "n1"}})
    kubelet.ok("PUT", f"{LEASES}/n1", lease)
    made = kubelet.ok("POST", PODS, mirror(kubelet))
    status = {"status": {"phase": "Running"}}
    kubelet.ok("PATCH", f"{PODS}/mirror-n1/status", status, MERGE)
    kubelet.ok("PATCH", f"{PODS}/mine/status", status, MERGE)
    csi = {"metadata": {"name": "n1"}, "spec": {"drivers": []}}
    kubelet.ok("POST", "/apis/storage.k8s.io/v1/csinodes", csi)
    about = {"kind": "Pod", "namespace": "default", "name": "mirror-n1", "uid": made["metadata"]["uid"]}
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Started", "type": "Normal"}
    kubelet.ok("POST", "/api/v1/namespaces/default/events", event)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "mine"}}
    kubelet.ok("POST", f"{PODS}/mine/eviction?dryRun=All", eviction)
    kubelet.ok("DELETE", f"{PODS}/mirror-n1?gracePeriodSeconds=0")
