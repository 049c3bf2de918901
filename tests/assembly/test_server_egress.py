"""A whole server whose connections go through CONNECT proxies."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import Backend
from connect_proxy import ConnectProxy, egress_file
from e2e.http_client import Connection

from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.egress_config import EgressConfigError, load
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import InProcess

DIRECT = {"proxyProtocol": "Direct"}


async def judge(request: Any) -> Any:
    review = await request.json()
    review["status"] = {"authenticated": False, "allowed": True}
    return web.json_response(review)


@asynccontextmanager
async def running(server: InProcess) -> AsyncIterator[None]:
    """The server runs on a thread, and the proxies on the loop of the test."""
    try:
        await asyncio.to_thread(server.start)
        yield
    finally:
        await asyncio.to_thread(server.stop)


def kubeconfig(folder: Path, backend: Backend) -> Path:
    path = folder / "kubeconfig"
    ca = base64.b64encode(backend.ca).decode()
    cluster = {"server": f"https://127.0.0.1:{backend.port}/", "certificate-authority-data": ca}
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}],
        "clusters": [{"name": "s", "cluster": cluster}],
        "users": [{"name": "u", "user": {}}],
    }
    path.write_text(json.dumps(config))
    return path


async def test_each_destination_has_its_proxy(runner: asyncio.Runner, tmp_path: Path) -> None:
    """The webhook of authorization is reached as part of the control plane,
    a kubelet as part of the cluster."""
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    gateway = b"HTTP/1.1 504 Gateway Timeout\r\n\r\n"
    async with (
        Backend(tmp_path, judge) as backend,
        ConnectProxy(folders[0]) as near,
        ConnectProxy(folders[1], "uds", answer=gateway) as far,
    ):
        (tmp_path / "tokens.csv").write_text("t,jane,1\n")
        egress = egress_file(tmp_path, controlplane=near.connection, cluster=far.connection)
        server = InProcess(
            [
                f"--egress-selector-config-file={egress}",
                f"--authentication-token-webhook-config-file={kubeconfig(tmp_path, backend)}",
                "--authorization-mode=RBAC,Webhook",
                f"--authorization-webhook-config-file={kubeconfig(tmp_path, backend)}",
            ]
        )
        async with running(server):
            admin = Connection(server.port, server.context())
            addresses = [{"type": "InternalIP", "address": "192.0.2.1"}]
            node = {"metadata": {"name": "n"}, "status": {"addresses": addresses}}
            assert (await admin.request("POST", "/api/v1/nodes", node))[0] == 201
            status, answer = await admin.request("GET", "/api/v1/nodes/n/proxy/healthz")
            assert (status, far.targets) == (503, ["192.0.2.1:10250"])
            assert answer["message"] == (
                f"error trying to reach service: proxy error from {far.path} while dialing 192.0.2.1:10250, "
                "code 504: 504 Gateway Timeout"
            )
            assert near.targets == []
            nobody = Connection(server.port, ssl.create_default_context(cafile=server.ca_file))
            assert (await nobody.request("GET", "/api/v1/nodes"))[0] == 200
            assert near.targets == [f"127.0.0.1:{backend.port}"]
            metrics = (await admin.request("GET", "/metrics"))[1]
            assert (
                "apiserver_egress_dialer_dial_failure_count"
                '{protocol="http_connect",stage="proxy",transport="uds"} 1' in metrics
            )
            admin.close()
            nobody.close()


def test_clients_that_share_a_way_are_one() -> None:
    clients = Clients(load("", EgressMetrics()))
    assert clients.cluster is clients.controlplane is clients.direct


def test_clients_of_each_way(tmp_path: Path) -> None:
    clients = Clients(load(egress_file(tmp_path, cluster=ConnectProxy(tmp_path).connection), EgressMetrics()))
    assert clients.cluster is not clients.controlplane
    assert clients.controlplane is clients.direct


async def test_a_file_that_cannot_be_used_ends_the_start(runner: asyncio.Runner, tmp_path: Path) -> None:
    flags = [
        f"--data-dir={tmp_path}",
        "--storage-backend=memory",
        f"--egress-selector-config-file={egress_file(tmp_path, other=DIRECT)}",
    ]
    with pytest.raises(EgressConfigError, match="failed to validate egress selector configuration"):
        await Server(options.parse(flags)).start()


@pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server")
async def test_etcd_behind_a_proxy(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Objects are written and watched through it."""
    (tmp_path / "etcd").mkdir()
    cluster = await asyncio.to_thread(EtcdCluster(tmp_path / "etcd").__enter__)
    try:
        async with ConnectProxy(tmp_path, "tls") as proxy:
            egress = egress_file(tmp_path, etcd=proxy.connection)
            flags = [f"--etcd-servers={','.join(cluster.urls)}", f"--egress-selector-config-file={egress}"]
            server = InProcess(["--storage-backend=etcd3", *flags])
            async with running(server):
                admin = Connection(server.port, server.context())
                body = {"metadata": {"name": "a"}}
                maps = "/api/v1/namespaces/default/configmaps"
                assert (await admin.request("POST", maps, body))[0] == 201
                assert (await admin.request("GET", f"{maps}/a"))[0] == 200
                admin.close()
            assert set(proxy.targets) == {url.removeprefix("http://") for url in cluster.urls}
    finally:
        await asyncio.to_thread(cluster.stop)
