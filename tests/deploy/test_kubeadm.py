"""kubeadm's configuration and patch in deploy/kubeadm."""

import json
import os
import pathlib
from typing import Any

import pytest
import yaml
from clients.drivers import Kubectl
from deploy.processes import running, wait_for_namespaces

from deploy import kubeadm_pod
from pilothouse import pki
from pilothouse.api.changes.strategic import apply
from pilothouse.api.types import schema
from pilothouse.configuration import options
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import free_ports


@pytest.fixture
def cluster(deploy: pathlib.Path) -> dict[str, Any]:
    documents = yaml.safe_load_all((deploy / "kubeadm" / "kubeadm.yaml").read_text())
    return next(one for one in documents if one["kind"] == "ClusterConfiguration")


@pytest.fixture
def patched(deploy: pathlib.Path, cluster: dict[str, Any]) -> dict[str, Any]:
    [patch] = (deploy / "kubeadm" / "patches").iterdir()
    assert patch.name == "kube-apiserver0+strategic.yaml", "component, order, kind of patch: kubeadm's rule"
    return apply(
        kubeadm_pod.pod(cluster), yaml.safe_load(patch.read_text()), schema.for_kind("", "v1", "Pod")
    )


def test_the_patch_changes_the_image_and_keeps_the_flags(
    patched: dict[str, Any], cluster: dict[str, Any]
) -> None:
    [container] = patched["spec"]["containers"]
    assert container["image"] == f"localhost/pilothouse:{cluster['kubernetesVersion']}", (
        "upgrades read the tag"
    )
    assert container["command"] == ["kube-apiserver", *kubeadm_pod.flags(cluster)]
    assert {mount["name"] for mount in container["volumeMounts"]} == {"k8s-certs", "data", "tmp"}
    assert {volume["name"] for volume in patched["spec"]["volumes"]} == {"k8s-certs", "data", "tmp"}


@pytest.mark.kubectl
def test_a_server_takes_the_patched_pod(kubectl: Kubectl, patched: dict[str, Any]) -> None:
    line = "apply --server-side --dry-run=server --validate=strict -f -"
    said = kubectl(line, stdin=json.dumps(patched))
    assert said == "pod/kube-apiserver serverside-applied (server dry run)\n"


@pytest.mark.slow
@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_the_server_starts_with_kubeadms_flags(tmp_path: pathlib.Path, cluster: dict[str, Any]) -> None:
    """Keys and certificates are those of kubeadm's folder;
    what the server writes is below HOME, which is /data there."""
    keys, home = tmp_path / "pki", tmp_path / "home"
    files = pki.prepare(options.parse([f"--data-dir={keys}", "--advertise-address=127.0.0.1"]))
    made = {path: path.read_bytes() for path in keys.iterdir()}
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "XDG_STATE_HOME"}
    [port] = free_ports(1)
    with EtcdCluster(tmp_path) as etcd:
        flags = kubeadm_pod.flags(cluster, str(keys), etcd.urls[0])
        flags += [f"--secure-port={port}", "--bind-address=127.0.0.1"]
        with running(["kube-apiserver", *flags], tmp_path, environment | {"HOME": str(home)}) as server:
            names = wait_for_namespaces(server, port, pathlib.Path(files.ca_cert), keys / "admin")
    assert "kube-system" in names
    assert {path: path.read_bytes() for path in keys.iterdir()} == made
