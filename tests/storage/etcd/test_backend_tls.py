"""Connections to an etcd that requires client certificates."""

import asyncio
import pathlib
import subprocess

import pytest

from pilothouse import cli
from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.tunnel import Tunnels
from pilothouse.storage.etcd.backend import EtcdStorage
from pilothouse.storage.etcd.rpc import RANGE, TLS, Rpc
from pilothouse.storage.etcd.wire import range_request
from pilothouse.storage.interface import Unavailable
from pilothouse.testing.etcd import BINARY, EtcdCluster

pytestmark = pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")


def openssl(*arguments: str, directory: pathlib.Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """ca, server and client: .crt and .key."""
    directory = tmp_path_factory.mktemp("certs")
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl(*new, "-subj", "/CN=etcd-ca", "-keyout", "ca.key", "-out", "ca.crt", directory=directory)
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        usage = ("-addext", "extendedKeyUsage=serverAuth,clientAuth", "-addext", "basicConstraints=CA:FALSE")
        openssl(*new, "-subj", f"/CN={name}", *files, *signed, *usage, directory=directory)
    return directory


def test_client_certificate(certificates: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ca, cert, key = (str(certificates / name) for name in ("ca.crt", "client.crt", "client.key"))
    flags = (
        f"--cert-file={certificates}/server.crt",
        f"--key-file={certificates}/server.key",
        f"--trusted-ca-file={ca}",
        "--client-cert-auth",
    )

    async def write(tls: TLS) -> None:
        store = EtcdStorage(cluster.urls, tls)
        await store.start()
        try:
            await store.create("/registry/pods/a", b"1")
        finally:
            await store.close()

    async def write_through_a_socket(tls: TLS) -> None:
        """The certificate is checked for the member's name, though the connection goes to a Unix socket."""
        url = cluster.urls[0]
        target = "127.0.0.1", int(url.rpartition(":")[2])
        tunnels = Tunnels(Dialer(), [target])
        await tunnels.start()
        store = EtcdStorage(cluster.urls, tls, routes={url: tunnels.path(*target)})
        await store.start()
        try:
            await store.create("/registry/pods/b", b"1")
        finally:
            await store.close()
            await tunnels.close()

    async def refused(tls: TLS) -> None:
        rpc = Rpc(cluster.urls, tls)
        rpc.open()
        with pytest.raises(Unavailable, match="can not be reached"):
            await rpc.read(RANGE, range_request(b"/a"), 0.5)
        await rpc.close()

    with EtcdCluster(tmp_path, 1, *flags, scheme="https") as cluster:
        asyncio.run(write(TLS(ca, cert, key)))
        asyncio.run(write_through_a_socket(TLS(ca, cert, key)))
        asyncio.run(refused(TLS(ca)))
        asyncio.run(refused(TLS("", cert, key)))
        files = (f"--etcd-cafile={ca}", f"--etcd-certfile={cert}", f"--etcd-keyfile={key}")
        assert cli.main(["etcd", "status", f"--etcd-servers={cluster.urls[0]}", *files]) == 0
