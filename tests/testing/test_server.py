"""Servers for tests: both kinds, reset, and a durable one that is restarted."""

import base64
import json
import pathlib
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import MAKERS, APIServer, InProcess, Subprocess, environment


def call(server: APIServer, path: str, method: str = "GET", body: object = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10, context=server.context()) as answer:
        return json.loads(answer.read())


def names(server: APIServer, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in call(server, path)["items"]}


MERGE = "application/merge-patch+json"
MAPS = "/api/v1/namespaces/default/configmaps"


def create(server: APIServer, name: str) -> None:
    call(server, MAPS, "POST", {"metadata": {"name": name}})


@pytest.mark.parametrize("where", MAKERS)
def test_reset_brings_the_fresh_cluster_back(where: str) -> None:
    with MAKERS[where](()) as server:
        create(server, "a")
        call(server, "/api/v1/namespaces", "POST", {"metadata": {"name": "more"}})
        call(server, "/api/v1/namespaces/default/serviceaccounts/default", "DELETE")
        server.reset()
        assert names(server, MAPS) == {"kube-root-ca.crt"}
        assert "more" not in names(server, "/api/v1/namespaces")
        assert names(server, "/api/v1/namespaces/default/serviceaccounts") == {"default"}
        create(server, "a")
        assert environment(server)["KUBECONFIG"] == str(server.kubeconfig)
    assert not server.directory.exists()


def test_reset_of_what_is_encrypted(tmp_path: pathlib.Path) -> None:
    provider = {"aesgcm": {"keys": [{"name": "k", "secret": base64.b64encode(b"0" * 32).decode()}]}}
    config = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["*.*"], "providers": [provider]}],
    }
    (tmp_path / "c").write_text(json.dumps(config))
    with InProcess([f"--encryption-provider-config={tmp_path / 'c'}"]) as server:
        before = names(server, "/api/v1/namespaces")
        call(
            server,
            "/api/v1/namespaces/kube-public",
            "PATCH",
            {"metadata": {"labels": {"a": "b"}}},
            Content_Type=MERGE,
        )
        create(server, "a")
        server.reset()
        assert names(server, "/api/v1/namespaces") == before
        assert names(server, MAPS) == {"kube-root-ca.crt"}
        assert "a" not in call(server, "/api/v1/namespaces/kube-public")["metadata"]["labels"]


def test_reset_gives_addresses_back() -> None:
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}], "clusterIP": "10.0.0.77"}}
    with InProcess() as server:
        for _ in range(2):
            call(server, "/api/v1/namespaces/default/services", "POST", service)
            server.reset()


def test_starts_and_stops_in_no_time() -> None:
    """The best of three counts: the machine may be busy with something else."""
    times = []
    for _ in range(3):
        begun = time.monotonic()
        with InProcess() as server:
            port = server.port
        times.append(time.monotonic() - begun)
    assert min(times) < 2, times
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_without_controllers() -> None:
    with InProcess(["--controllers=-*"]) as server:
        assert names(server, MAPS) == set()


def test_a_server_that_cannot_start_says_why() -> None:
    server = Subprocess(["--secure-port=1", "--no-such-flag"])
    with pytest.raises(RuntimeError, match="unknown flag: --no-such-flag"):
        server.start()
    server.stop()


@pytest.mark.slow
def test_comes_back_with_everything(tmp_path: pathlib.Path) -> None:
    """A restart brings back the objects, who may do what, and what was being deleted."""
    flags = [f"--data-dir={tmp_path}/data", "--storage-backend=sqlite"]
    role = {
        "metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    }
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1/"
    server = Subprocess(flags)
    server.directory = tmp_path / "data"
    server.directory.mkdir()
    with server:
        create(server, "kept")
        call(server, rbac + "clusterroles", "POST", role)
        call(server, rbac + "clusterrolebindings", "POST", binding)
        version = int(call(server, MAPS)["metadata"]["resourceVersion"])
        server.reset()
        assert "kept" in names(server, MAPS)
        assert int(call(server, MAPS)["metadata"]["resourceVersion"]) >= version
        assert call(server, f"{MAPS}/kept", Impersonate_User="jane")["metadata"]["name"] == "kept"
        with pytest.raises(urllib.error.HTTPError) as denied:
            call(server, MAPS, Impersonate_User="jane")
        assert denied.value.code == 403
        denied.value.close()


@pytest.mark.slow
def test_another_port_is_used_when_one_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = [[taken], free_ports(1)]
        with Subprocess(choose=lambda count: ports.pop(0)) as server:
            assert server.port != taken and not ports
            assert names(server, MAPS) == {"kube-root-ca.crt"}
