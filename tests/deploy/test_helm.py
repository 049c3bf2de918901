"""The chart in deploy/helm."""

import importlib.util
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import yaml
from clients.drivers import BINARY as KUBECTL
from clients.drivers import Kubectl
from deploy.page import scripts
from deploy.processes import get, running, wait_for_namespaces

from deploy import render_chart
from pilothouse import pki
from pilothouse.configuration import options
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import free_ports

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("helm_python") is None, reason="no helm; pip install helm-python-sdk"
)

SHARED = ("ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key")
"""The files that docs/install.md puts into the secret of the CA and keys."""
SEVERAL = {
    "replicas": 3,
    "etcd": {"servers": ["https://etcd-0:2379", "https://etcd-1:2379"], "secretName": "etcd"},
    "pki": {"secretName": "keys"},
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    "flags": ["--controllers=*"],
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"operator": "Exists"}],
}
RECOMMENDED = 1
"""Helm's severity of advice; above it are warnings and errors."""


def helm(deploy: pathlib.Path, values: dict[str, Any]) -> dict[str, Any]:
    command = [
        sys.executable,
        str(render_chart.__file__),
        "install",
        "one",
        str(deploy / "helm" / "pilothouse"),
    ]
    command += ["--namespace=control", f"--values={json.dumps(values)}"]
    answer: dict[str, Any] = json.loads(subprocess.check_output(command))
    return answer


def manifests(deploy: pathlib.Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    return objects_of(helm(deploy, values)["manifests"])


def objects_of(texts: dict[str, str]) -> list[dict[str, Any]]:
    """The objects in what a chart was rendered to; its notes are none."""
    parts = [
        part for path, text in texts.items() if path.endswith(".yaml") for part in yaml.safe_load_all(text)
    ]
    return [part for part in parts if part]


def pod_of(deploy: pathlib.Path, values: dict[str, Any]) -> dict[str, Any]:
    [found] = [one for one in manifests(deploy, values) if one["kind"] == "StatefulSet"]
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("values", [{}, SEVERAL], ids=["lone", "several"])
def test_it_lints(deploy: pathlib.Path, values: dict[str, Any]) -> None:
    assert [one for one in helm(deploy, values)["found"] if one["severity"] > RECOMMENDED] == []


def test_it_is_of_the_version_of_the_image(deploy: pathlib.Path) -> None:
    """`make release` writes both."""
    chart = yaml.safe_load((deploy / "helm/pilothouse/Chart.yaml").read_text())
    pushed = re.findall(r"podman push .*:(\S+)", (deploy.parent / "docs/install.md").read_text())
    assert [chart["appVersion"]] == [chart["version"]] == pushed


@pytest.mark.kubectl
@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({}, ["Service", "Service", "StatefulSet"]),
        (SEVERAL, ["PodDisruptionBudget", "Service", "Service", "StatefulSet"]),
    ],
    ids=["lone", "several"],
)
def test_a_server_takes_it(
    kubectl: Kubectl, deploy: pathlib.Path, values: dict[str, Any], kinds: list[str]
) -> None:
    """The server has no warning, also in a namespace where pods have to be restricted."""
    namespace = f"control-{len(kinds)}"
    kubectl(f"create namespace {namespace}")
    kubectl(f"label namespace {namespace} pod-security.kubernetes.io/warn=restricted")
    objects = manifests(deploy, values)
    assert sorted(one["kind"] for one in objects) == kinds
    done = kubectl.run(
        *f"-n {namespace} apply --server-side --dry-run=server --validate=strict -f -".split(),
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(kinds)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"replicas": 2}, "several servers need etcd"),
        ({"etcd": {"servers": ["http://a:2379"]}}, "pki.secretName"),
        ({"replica": 1}, "additional properties 'replica' not allowed"),
        ({"flags": ["v=2"]}, "does not match pattern"),
    ],
)
def test_what_would_not_work_is_refused(deploy: pathlib.Path, values: dict[str, Any], error: str) -> None:
    assert error in helm(deploy, values)["error"]


def test_a_lone_server_keeps_its_data_in_the_volume(deploy: pathlib.Path) -> None:
    pod = pod_of(deploy, {"flags": ["--v=2"]})
    [container] = pod["containers"]
    command, *flags = container["args"]
    config = options.parse([flag.replace("$(POD_IP)", "10.1.2.3") for flag in flags])
    assert command == "serve" and config.logs.v == 2
    assert config.serving.external_hostname == "one-pilothouse.control.svc"
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts[str(config.data.directory.parent)] == "data"
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"], "data is a claim"


@pytest.mark.slow
@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
def test_several_servers_agree(tmp_path: pathlib.Path, deploy: pathlib.Path) -> None:
    """Two pods of the chart as processes:
    the CA of the secret is theirs, and each knows the other's administrator."""
    made, secret = tmp_path / "made", tmp_path / "secret"
    pki.prepare(options.parse([f"--data-dir={made}"]), serving=False)
    secret.mkdir()
    for name in SHARED:
        (secret / name).write_bytes((made / name).read_bytes())
    ports = free_ports(2)
    with EtcdCluster(tmp_path) as etcd:
        pod = pod_of(
            deploy, {"replicas": 2, "etcd": {"servers": [etcd.urls[0]]}, "pki": {"secretName": "keys"}}
        )
        data = [tmp_path / "a", tmp_path / "b"]
        commands = [prepared(pod, secret, *pair) for pair in zip(data, ports, strict=True)]
        with (
            running(commands[0], tmp_path, os.environ) as first,
            running(commands[1], tmp_path, os.environ) as second,
        ):
            for server, port, other in zip((first, second), ports, reversed(data), strict=True):
                user = other / "pilothouse" / "admin"
                assert "kube-system" in wait_for_namespaces(server, port, secret / "ca.crt", user)
                assert get(f"https://127.0.0.1:{port}/readyz", secret / "ca.crt", user) == b"ok"


@pytest.mark.kubectl
def test_the_page_can_be_followed(kubectl: Kubectl, deploy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The commands of the page are run one after another;
    only the image is not pushed, and the chart is rendered, not installed."""
    script = "".join(scripts("With Helm"))
    cli = "import sys; from pilothouse import cli; sys.exit(cli.main(sys.argv[1:]))"
    render = f"{shlex.quote(sys.executable)} {shlex.quote(str(render_chart.__file__))}"
    programs = {
        "podman": "exit 0",
        "pilothouse": f'exec {shlex.quote(sys.executable)} -c {shlex.quote(cli)} "$@"',
        "helm": f'{render} "$@"',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "kubectl").symlink_to(KUBECTL)
    (tmp_path / "deploy").symlink_to(deploy)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=tmp_path,
        env=kubectl.environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lone, *_, several = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    replicas = [
        one["spec"]["replicas"]
        for answer in (lone, several)
        for one in objects_of(answer["manifests"])
        if one["kind"] == "StatefulSet"
    ]
    assert replicas == [1, 3]
    secret = json.loads(kubectl("get secret keys -o json"))
    assert sorted(secret["data"]) == sorted(SHARED)


def prepared(pod: dict[str, Any], secret: pathlib.Path, data: pathlib.Path, port: int) -> list[str]:
    """The command of a pod, after its init container,
    with folders of the host in place of the mounted ones."""
    data.mkdir()
    [keys], [container] = pod["initContainers"], pod["containers"]
    program, option, script = keys["command"]
    subprocess.run(
        [program, option, script.replace("/pki/", f"{secret}/").replace("/data/", f"{data}/")], check=True
    )
    args = [
        one.replace("$(POD_IP)", "127.0.0.1").replace("=/data/", f"={data}/") for one in container["args"]
    ]
    return ["pilothouse", *args, f"--secure-port={port}", "--bind-address=127.0.0.1"]
