"""The static pods in deploy/, and of kubeadm, under a kubelet that knows no API server.

PILOTHOUSE_NODE_BIN=/folder/with/kubelet make test-node
"""

import json
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from clients.drivers import BINARY
from node.rig import kubelet, server_image
from node.rig.conftest import FOLDER
from node.rig.daemons import Daemon, Namespace, unmount_below
from node.rig.node import ADDRESS, wanting
from node.rig.runtime import Runtime

from deploy import kubeadm_pod
from pilothouse import pki
from pilothouse.api.changes.strategic import apply
from pilothouse.api.types import schema
from pilothouse.configuration import options

DEPLOY = pathlib.Path(__file__).parents[3] / "deploy"

pytestmark = pytest.mark.slow


class Standalone:
    """A kubelet that starts what lies in a folder, with the image of the server."""

    def __init__(self, binaries: pathlib.Path, directory: pathlib.Path) -> None:
        self.directory = directory
        self.manifests = directory / "manifests"
        self.namespace = Namespace(ADDRESS)
        self.runtime = Runtime(directory / "containerd", self.namespace)
        self.manifests.mkdir()
        config = {
            "staticPodPath": str(self.manifests),
            "fileCheckFrequency": "1s",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
        }
        flags = kubelet.flags(directory, self.runtime.socket, ADDRESS, config)
        command = self.namespace.enter(str(binaries / "kubelet"), *flags)
        self.kubelet = Daemon("kubelet", command, directory)

    def start(self) -> None:
        self.namespace.open()
        self.runtime.start()
        archive = self.directory / "server.tar"
        server_image.archive(archive)
        self.runtime.load(archive)
        self.kubelet.start()
        self.kubelet.wait_for(lambda: self.pods() == {}, "a kubelet without pods")

    def stop(self) -> None:
        self.kubelet.stop()
        self.runtime.stop()
        unmount_below(self.directory)
        self.namespace.close()
        kubelet.forget_logs(self.directory)

    def get(self, url: str) -> str:
        """The body of an answer; "" where there is none."""
        try:
            return self.namespace.run("busybox", "wget", "-T5", "-qO-", "--no-check-certificate", url)
        except AssertionError:
            return ""

    def pods(self) -> dict[str, Any] | None:
        """The pods that the kubelet runs, by name; None before it serves."""
        said = self.get("https://127.0.0.1:10250/pods")
        return {pod["metadata"]["name"]: pod for pod in json.loads(said)["items"] or ()} if said else None

    def ready(self, name: str) -> dict[str, Any] | None:
        """The status of a pod's container, once it is ready."""
        pod = (self.pods() or {}).get(name, {})
        statuses = pod.get("status", {}).get("containerStatuses") or [{}]
        return statuses[0] if statuses[0].get("ready") else None

    def until(self, check: Callable[[], Any], what: str, seconds: float = 120) -> Any:
        end = time.monotonic() + seconds
        while not (found := check()):
            assert time.monotonic() < end, (
                f"waited {seconds} s for {what}\n{self.kubelet.tail()}{self.logs()}"
            )
            time.sleep(0.01)
        return found

    def logs(self) -> str:
        """The logs of the containers."""
        paths = sorted((self.directory / "pods").rglob("*.log"))
        return "".join(f"\n--- {path}\n{path.read_text()[-3000:]}" for path in paths)

    def kubectl(self, *arguments: str) -> str:
        return self.namespace.run(str(BINARY), *arguments)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Standalone]:
    why = wanting(FOLDER, ("kubelet",))
    if why:
        pytest.skip(why)
    made = Standalone(pathlib.Path(FOLDER).absolute(), tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_the_static_pod_serves_and_is_started_anew(host: Standalone) -> None:
    """The manifest is that of deploy/, with another folder for the data."""
    data = host.directory / "data"
    data.mkdir(mode=0o700)
    os.chown(data, server_image.USER, server_image.USER)
    pod = yaml.safe_load((DEPLOY / "static-pod" / "pilothouse.yaml").read_text())
    [volume] = (v for v in pod["spec"]["volumes"] if "hostPath" in v)
    volume["hostPath"]["path"] = str(data)
    name = f"pilothouse-{kubelet.NODE}"
    manifest = host.manifests / "pilothouse.yaml"

    manifest.write_text(yaml.safe_dump(pod))
    first = host.until(lambda: host.ready(name), "a server that is ready")
    config = f"--kubeconfig={data}/admin.kubeconfig"
    host.kubectl(config, "create", "configmap", "kept")
    assert first["restartCount"] == 0

    task = first["containerID"].removeprefix("containerd://")
    tasks = dict(line.split()[:2] for line in host.runtime.ctr("tasks", "list").splitlines()[1:])
    os.kill(int(tasks[task]), signal.SIGKILL)
    host.until(lambda: (host.ready(name) or {}).get("restartCount") == 1, "a server that was started anew")
    assert host.kubectl(config, "get", "configmap", "kept", "--output=name") == "configmap/kept\n"

    manifest.unlink()
    host.until(
        lambda: not host.get("https://127.0.0.1:6443/livez"),
        "the end of the server",
        pod["spec"]["terminationGracePeriodSeconds"],
    )


@pytest.mark.skipif(shutil.which("etcd") is None, reason="no etcd; apt-get install etcd-server")
def test_kubeadms_pod_serves(host: Standalone) -> None:
    cluster = next(
        one
        for one in yaml.safe_load_all((DEPLOY / "kubeadm" / "kubeadm.yaml").read_text())
        if one["kind"] == "ClusterConfiguration"
    )
    [patch] = (DEPLOY / "kubeadm" / "patches").iterdir()
    pod = apply(
        kubeadm_pod.pod(cluster, etcd="http://127.0.0.1:2379"),
        yaml.safe_load(patch.read_text()),
        schema.for_kind("", "v1", "Pod"),
    )
    keys = host.directory / "pki"
    pki.prepare(options.parse([f"--data-dir={keys}", "--advertise-address=127.0.0.1"]))
    [volume] = (v for v in pod["spec"]["volumes"] if "hostPath" in v)
    volume["hostPath"]["path"] = str(keys)
    etcd = Daemon("etcd", host.namespace.enter("etcd", f"--data-dir={host.directory}/etcd"), host.directory)
    etcd.start()
    try:
        (host.manifests / "kube-apiserver.yaml").write_text(yaml.safe_dump(pod))
        status = host.until(lambda: host.ready(f"kube-apiserver-{kubelet.NODE}"), "a server that is ready")
        assert status["restartCount"] == 0
        trust, cert, key = keys / "ca.crt", keys / "admin.crt", keys / "admin.key"
        names = host.kubectl(
            "--server=https://127.0.0.1:6443",
            f"--certificate-authority={trust}",
            f"--client-certificate={cert}",
            f"--client-key={key}",
            "get",
            "namespaces",
            "--output=name",
        )
        assert "namespace/kube-system" in names.split()
    finally:
        etcd.stop()
