"""kube-apiserver, controller manager and scheduler of a folder with an etcd of their own,
and a node that runs nothing."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from typing import Any, Self

import kubernetes
from startup import free_port

from pilothouse import pki
from pilothouse.api.yaml import kubeconfigs

SECONDS = 120.0
NODE: Any = {
    "metadata": {"name": "node-0"},
    "status": {
        "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}

RUNNING: Any = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


class StockCluster:
    """Runs for one test."""

    def __init__(self) -> None:
        self._bin = pathlib.Path(os.environ["STOCK_BIN"])
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="stock-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ended = threading.Event()
        self.kubeconfig = self._folder / "kubeconfig"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        client, peer, port = free_port(), free_port(), free_port()
        etcd, url, folder = f"http://127.0.0.1:{client}", f"https://127.0.0.1:{port}", self._folder
        self._run(
            "etcd",
            "--unsafe-no-fsync",
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )
        self._write_keys(url)
        self._run(
            "kube-apiserver",
            "--allow-privileged",
            "--authorization-mode=RBAC",
            "--bind-address=127.0.0.1",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--etcd-servers={etcd}",
            f"--secure-port={port}",
            f"--cert-dir={folder}",
            f"--tls-cert-file={folder}/tls.crt",
            f"--tls-private-key-file={folder}/tls.key",
            f"--client-ca-file={folder}/ca.crt",
            f"--service-account-issuer={url}",
            f"--service-account-key-file={folder}/tls.crt",
            f"--service-account-signing-key-file={folder}/tls.key",
        )
        config: Any = kubernetes.config
        core = kubernetes.client.CoreV1Api(config.new_client_from_config(str(self.kubeconfig)))
        ends = time.monotonic() + SECONDS
        while not _ready(core):
            assert time.monotonic() < ends, "kube-apiserver is not ready"
            time.sleep(0.02)
        common = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0")
        keys = (f"--root-ca-file={folder}/ca.crt", f"--service-account-private-key-file={folder}/tls.key")
        self._run("kube-controller-manager", *common, *keys)
        self._run("kube-scheduler", *common)
        core.create_node(NODE)
        threading.Thread(target=self._play_node, args=(core,), daemon=True).start()

    def _write_keys(self, url: str) -> None:
        """Write a CA, the server's certificate, and the administrator's kubeconfig."""
        authority = pki.CertificateAuthority.create("stock")
        cert, key = authority.issue("localhost", hosts=["localhost", "127.0.0.1"], server=True)
        admin, admin_key = authority.issue("admin", ["system:masters"], server=False)
        ca = pki.pem(authority.certificate)
        for name, content in {"ca.crt": ca, "tls.crt": cert, "tls.key": key}.items():
            (self._folder / name).write_bytes(content)
        self.kubeconfig.write_bytes(kubeconfigs.of_user(url, ca, cert=admin, key=admin_key))

    def _run(self, program: str, *flags: str) -> None:
        path = shutil.which(program, path=f"{self._bin}:{os.environ['PATH']}")
        assert path, f"no {program}"
        with open(self._folder / f"{program}.log", "wb") as log:
            self._processes.append(subprocess.Popen([path, *flags], stdout=log, stderr=log))

    def _play_node(self, core: kubernetes.client.CoreV1Api) -> None:
        """Have pods of the node run as soon as they are there."""
        library: Any = kubernetes.watch
        watch = library.Watch()
        with contextlib.suppress(Exception):  # the end of the server
            for event in watch.stream(core.list_pod_for_all_namespaces):
                pod = event["object"]
                if self._ended.is_set():
                    return
                if pod.spec.node_name and pod.status.phase == "Pending":
                    core.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, RUNNING)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _ready(core: kubernetes.client.CoreV1Api) -> bool:
    with contextlib.suppress(Exception):  # whatever the client makes of a server that is not there
        version = kubernetes.client.VersionApi(core.api_client)
        return bool(version.get_code() and core.read_namespace("default"))
    return False
