"""kube-apiserver as controller-runtime's envtest starts it, over an etcd and from the folder without one:
its flags, its files, its health check, its administrator."""

import json
import pathlib
import re
import shutil
import ssl
import subprocess
import sysconfig
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from eventually import eventually

from pilothouse.commands import envtest_assets
from pilothouse.pki import CertificateAuthority, key_pem, pem
from pilothouse.testing import etcd
from pilothouse.testing.ports import free_ports

PROGRAM = shutil.which("kube-apiserver", path=sysconfig.get_path("scripts"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(etcd.BINARY is None, reason="etcd is not installed"),
    pytest.mark.skipif(PROGRAM is None, reason="the package is not installed"),
]


def files(directory: pathlib.Path) -> ssl.SSLContext:
    """Write the files that envtest writes into --cert-dir; return the TLS settings of its administrator.

    Three CAs that know nothing of each other: of the server, of clients, and for tokens of service accounts,
    where the certificate takes the place of a public key.
    """
    server, clients, tokens = (CertificateAuthority.create(name) for name in ("server", "clients", "tokens"))
    certificate, key = server.issue("localhost", hosts=["localhost", "127.0.0.1"], server=True)
    admin, admin_key = clients.issue("default", ["system:masters"], server=False)
    contents = {
        "apiserver.crt": certificate,
        "apiserver.key": key,
        "client-cert-auth-ca.crt": pem(clients.certificate),
        "sa-signer.crt": pem(tokens.certificate),
        "sa-signer.key": key_pem(tokens.key),
        "admin.pem": admin + admin_key,
    }
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    context = ssl.create_default_context(cadata=pem(server.certificate).decode())
    context.load_cert_chain(directory / "admin.pem")
    return context


def flags(directory: pathlib.Path, etcd_url: str, port: int) -> list[str]:
    return [
        "--allow-privileged=true",
        "--authorization-mode=RBAC",
        "--bind-address=127.0.0.1",
        f"--cert-dir={directory}",
        f"--client-ca-file={directory / 'client-cert-auth-ca.crt'}",
        "--disable-admission-plugins=ServiceAccount",
        f"--etcd-servers={etcd_url}",
        f"--secure-port={port}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--service-account-issuer=https://127.0.0.1:{port}/",
        f"--service-account-key-file={directory / 'sa-signer.crt'}",
        f"--service-account-signing-key-file={directory / 'sa-signer.key'}",
    ]


@contextmanager
def stand_in(assets: pathlib.Path) -> Iterator[str]:
    """The URL of what is called etcd in the folder, while it runs."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    process = subprocess.Popen([assets / "etcd", f"--listen-client-urls={url}", f"--data-dir={assets}"])

    def healthy() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    try:
        eventually(healthy, "the health of what is called etcd")
        yield url
    finally:
        process.terminate()
        process.wait()


def test_help_tells_which_flags_there_are() -> None:
    """envtest looks for insecure-port, and passes it where the program has it."""
    printed = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"(?m)^\s+--secure-port\s", printed) and "--insecure-port" not in printed


@pytest.mark.parametrize("assets", [False, True], ids=["over an etcd", "of the folder"])
def test_it_serves_and_ends(tmp_path: pathlib.Path, assets: bool) -> None:
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    context = files(certificates)
    [port] = free_ports(1)

    def call(path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", data, headers)
        with urllib.request.urlopen(request, context=context, timeout=5) as answer:
            content: bytes = answer.read()
            return content

    def healthy() -> bool:
        try:
            return call("/healthz") == b"ok"
        except OSError:
            return False

    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("wb"))
        if assets:
            envtest_assets.write(tmp_path / "assets")
            etcd_url = stack.enter_context(stand_in(tmp_path / "assets"))
        else:
            etcd_url = stack.enter_context(etcd.EtcdCluster(tmp_path)).urls[0]
        program = str(tmp_path / "assets/kube-apiserver") if assets else str(PROGRAM)
        command = [program, *flags(certificates, etcd_url, port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(healthy, "healthz", 30)
            accounts = "/api/v1/namespaces/default/serviceaccounts"
            call(accounts, {"metadata": {"name": "tester"}})
            made = json.loads(call(f"{accounts}/tester/token", {"spec": {}}))
            review = {"apiVersion": "authentication.k8s.io/v1", "spec": {"token": made["status"]["token"]}}
            told = json.loads(call("/apis/authentication.k8s.io/v1/tokenreviews", review))
            assert told["status"]["user"]["username"] == "system:serviceaccount:default:tester"
            server.terminate()
            assert server.wait(20) == 0
        finally:
            server.kill()
            server.wait()
