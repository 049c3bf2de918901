"""Programs that are started with kube-apiserver's flags:
ours, and kube-apiserver where PILOTHOUSE_REFERENCE names it."""

import os
import pathlib
import sys
from collections.abc import Sequence

import pytest

REFERENCE = [path] if (path := os.environ.get("PILOTHOUSE_REFERENCE", "")) else []
"""The command of a real kube-apiserver; empty without one."""
OURS = [
    sys.executable,
    "-c",
    "import sys; from pilothouse.cli import kube_apiserver; sys.exit(kube_apiserver())",
]
EITHER = [
    pytest.param(OURS, id="ours"),
    pytest.param(
        REFERENCE,
        id="reference",
        marks=pytest.mark.skipif(
            not REFERENCE, reason="on request: PILOTHOUSE_REFERENCE names a kube-apiserver"
        ),
    ),
]
"""Parameters of a test that runs with each of both."""
COMMON = [
    "--service-cluster-ip-range=10.0.0.0/16",
    "--disable-admission-plugins=ServiceAccount",
    "--allow-privileged=true",
]


def flags(
    files: pathlib.Path, etcd: Sequence[str], port: int, directory: pathlib.Path, serving: str = "apiserver"
) -> list[str]:
    """Only flags that kube-apiserver v1.36 has.

    `files` is a data directory of ours with its certificates,
    `serving` the name of the one that the server has.
    """
    return [
        f"--etcd-servers={','.join(etcd)}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={directory}",
        f"--tls-cert-file={files / f'{serving}.crt'}",
        f"--tls-private-key-file={files / f'{serving}.key'}",
        f"--client-ca-file={files / 'ca.crt'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={files / 'sa.key'}",
        f"--service-account-key-file={files / 'sa.key'}",
        "--authorization-mode=RBAC",
        *COMMON,
    ]
