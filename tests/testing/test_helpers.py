"""States that are kept and put back while a server runs."""

import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pilothouse.testing.client import KubeClient, RefusedError
from pilothouse.testing.clusters import LogicalServer
from pilothouse.testing.server import InProcess, Subprocess

CORE = "/api/v1/namespaces/default"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="module")
def shared() -> Iterator[InProcess]:
    with InProcess(["--test-api", "--clusters"]) as server:
        yield server


@pytest.fixture(params=["server", "cluster"])
def kube(request: pytest.FixtureRequest, shared: InProcess) -> Iterator[Any]:
    if request.param == "server":
        yield shared
        shared.reset()
        return
    with LogicalServer(shared) as cluster:
        yield cluster


def definition(plural: str) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": plural.title(), "plural": plural}
    spec = {
        "group": "example.com",
        "names": names,
        "scope": "Namespaced",
        "versions": [version | {"schema": schema}],
    }
    return {"metadata": {"name": f"{plural}.example.com"}, "spec": spec}


def uids(client: KubeClient, path: str) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in client.call("GET", path)["items"]}


def test_objects_are_those_of_the_state_and_revisions_go_forward(kube: Any) -> None:
    with kube._client() as client:
        kept = client.call("POST", f"{CORE}/configmaps", {"metadata": {"name": "kept"}, "data": {"a": "1"}})
        gone = client.call("POST", f"{CORE}/configmaps", {"metadata": {"name": "gone"}})
        before = uids(client, f"{CORE}/configmaps")
        state = kube.checkpoint()
        kept["data"] = {"a": "2"}
        changed = client.call("PUT", f"{CORE}/configmaps/kept", kept)
        client.call("DELETE", f"{CORE}/configmaps/gone")
        client.call("POST", f"{CORE}/configmaps", {"metadata": {"name": "new"}})
        assert kube.restore(state) == 3
        assert uids(client, f"{CORE}/configmaps") == before
        now = client.call("GET", f"{CORE}/configmaps/kept")
        assert now["data"] == {"a": "1"}
        revisions = [int(one["metadata"]["resourceVersion"]) for one in (gone, changed, now)]
        assert revisions == sorted(revisions) and len(set(revisions)) == 3
        with pytest.raises(RefusedError, match="object has been modified"):
            client.call("PUT", f"{CORE}/configmaps/kept", changed)
        assert kube.restore(state) == 0


def test_watches_tell_of_each_change(kube: Any) -> None:
    with kube._client() as client:
        state = kube.checkpoint()
        client.call("POST", f"{CORE}/configmaps", {"metadata": {"name": "new"}})
        listed = client.call("GET", f"{CORE}/configmaps")
        client.call("DELETE", f"{CORE}/configmaps/kube-root-ca.crt")
        seen: list[tuple[str, str]] = []

        def follow() -> None:
            revision = listed["metadata"]["resourceVersion"]
            with kube._client() as other:
                path = f"{CORE}/configmaps?watch=1&resourceVersion={revision}"
                for event in other.events(path, time.monotonic() + 5):
                    seen.append((event["type"], event["object"]["metadata"]["name"]))
                    if event["object"]["metadata"]["name"] == "new":
                        return

        watch = threading.Thread(target=follow)
        watch.start()
        kube.wait(f"{CORE}/configmaps/kube-root-ca.crt", lambda one: one["metadata"]["uid"])
        kube.restore(state)
        watch.join()
        assert seen[-1] == ("DELETED", "new") and seen[0] == ("DELETED", "kube-root-ca.crt"), seen


def test_definitions_and_addresses_follow(kube: Any) -> None:
    with kube._client() as client:
        port = {"ports": [{"port": 80}], "type": "NodePort"}
        client.call("POST", CRDS, definition("reds"))
        kube.wait(f"{CRDS}/reds.example.com", "Established")
        client.call("POST", f"{CORE}/services", {"metadata": {"name": "one"}, "spec": port})
        state = kube.checkpoint()
        one = client.call("GET", f"{CORE}/services/one")["spec"]
        client.call("DELETE", f"{CORE}/services/one")
        client.call("DELETE", f"{CRDS}/reds.example.com")
        client.call("POST", CRDS, definition("blues"))
        kube.wait(f"{CRDS}/blues.example.com", "Established")
        kube.restore(state)
        assert client.call("GET", f"{CORE}/services/one")["spec"] == one
        taken = port | {"clusterIP": one["clusterIP"]}
        with pytest.raises(RefusedError, match="already allocated"):
            client.call("POST", f"{CORE}/services", {"metadata": {"name": "two"}, "spec": taken})
        ports = {"ports": [{"port": 80, "nodePort": one["ports"][0]["nodePort"]}], "type": "NodePort"}
        with pytest.raises(RefusedError, match="already allocated"):
            client.call("POST", f"{CORE}/services", {"metadata": {"name": "two"}, "spec": ports})
        reds, blues = (f"/apis/example.com/v1/namespaces/default/{plural}" for plural in ("reds", "blues"))
        kube.wait(f"{CRDS}/reds.example.com", "Established")
        assert client.call("GET", reds)["items"] == []
        with pytest.raises(RefusedError, match="404"):
            client.call("GET", blues)


def test_a_state_that_is_not_kept(kube: Any) -> None:
    state = kube.checkpoint()._replace(name="77")
    with pytest.raises(Exception, match='checkpoints "77" not found'):
        kube.restore(state)


def test_a_server_starts_from_the_state_of_another(shared: InProcess, tmp_path: pathlib.Path) -> None:
    client = shared.root
    client.call("POST", CRDS, definition("reds"))
    shared.wait(f"{CRDS}/reds.example.com", "Established")
    client.call("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    spec = {"spec": {"expirationSeconds": 3600}}
    token = client.call("POST", f"{CORE}/serviceaccounts/default/token", spec)["status"]["token"]
    file = tmp_path / "state"
    shared.save_state(file)
    assert file.stat().st_mode & 0o777 == 0o600
    before = uids(client, f"{CORE}/configmaps")
    shared.reset()
    with InProcess([f"--from-state={file}"]) as other:
        assert uids(other.root, f"{CORE}/configmaps") == before
        assert other.root.call("GET", "/apis/example.com/v1/namespaces/default/reds")["items"] == []
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        told = other.root.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
        assert told["user"]["username"] == "system:serviceaccount:default:default"
        assert other.ca_file.read_bytes() == shared.ca_file.read_bytes()
        other.root.call("DELETE", f"{CORE}/configmaps/a")
        other.reset()
        assert uids(other.root, f"{CORE}/configmaps") == before


@pytest.mark.slow
def test_a_process_starts_from_a_state(shared: InProcess, tmp_path: pathlib.Path) -> None:
    shared.root.call("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    shared.save_state(tmp_path / "state")
    with Subprocess([f"--from-state={tmp_path / 'state'}", "--storage-backend=sqlite"]) as other:
        assert "a" in uids(other.root, f"{CORE}/configmaps")
        other.root.call("DELETE", f"{CORE}/configmaps/a")
    shared.reset()
