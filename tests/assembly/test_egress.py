"""Proxies and kubelets' CAs that change while the server runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from backend import Backend
from connect_proxy import ConnectProxy, egress_file

from pilothouse.assembly.egress import Ways, follow_kubelet_ca
from pilothouse.configuration import options
from pilothouse.endpoints.streams.kubelet import Kubelets, trust_of
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.http import Trust
from pilothouse.pki import CertificateAuthority, pem
from pilothouse.reload import Follower, Reloads

DIRECT = {"proxyProtocol": "Direct"}


class Streams:
    """Answers requests for /stream with a beginning, and with the end once it is to come."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def __call__(self, request: Any) -> Any:
        if request.path != "/stream":
            return web.Response(text="ok")
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"begin ")
        await self.end.wait()
        await answer.write(b"end")
        return answer


def rename(path: str, old: str, new: str) -> None:
    """Have a file say something else."""
    file = Path(path)
    file.write_text(file.read_text().replace(old, new))


async def test_connections_go_through_another_proxy(runner: asyncio.Runner, tmp_path: Path) -> None:
    """Open connections stay where they are;
    connections that are kept for later requests are not used again."""
    streams = Streams()
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    async with (
        Backend(tmp_path, streams) as backend,
        ConnectProxy(folders[0]) as one,
        ConnectProxy(folders[1]) as two,
    ):
        path = egress_file(tmp_path, cluster=one.connection)
        ways, reloads = Ways(path, MetricsRegistry()), Reloads()
        clients = Clients(ways.egress)
        ways.follow(clients, reloads)
        [follower] = reloads._followers
        url, trust = f"https://127.0.0.1:{backend.port}", Trust(backend.ca)

        async def ask() -> None:
            answer = await clients.cluster.open("GET", url, trust=trust)
            assert await answer.read(10) == b"ok"

        opened = await clients.cluster.open("GET", f"{url}/stream", trust=trust)
        pieces = opened.pieces()
        assert await anext(pieces) == b"begin "
        await ask()
        await ask()
        assert len(one.targets) == 2, "a connection is kept"
        egress_file(tmp_path, cluster=two.connection)
        await follower.look(force=True)
        await ask()
        assert (len(one.targets), len(two.targets)) == (2, 1)
        rename(path, "HTTPConnect", "Pigeon")
        await follower.look(force=True)
        await ask()
        assert reloads.total.values[("egress", "failure")] == 1 and len(two.targets) == 1
        egress_file(tmp_path, cluster=DIRECT)
        await follower.look(force=True)
        await ask()
        assert (len(one.targets), len(two.targets)) == (2, 1)
        egress_file(tmp_path, etcd=one.connection)
        await follower.look(force=True)
        assert reloads.total.values[("egress", "failure")] == 2, "etcd was reached directly at the start"
        streams.end.set()
        assert b"".join([piece async for piece in pieces]) == b"end"
        await clients.close()
        await ways.egress.close()


async def test_certificates_of_a_proxy_are_followed(runner: asyncio.Runner, tmp_path: Path) -> None:
    async with ConnectProxy(tmp_path, "tls") as proxy:
        reloads, clients = Reloads(), Clients()
        Ways(egress_file(tmp_path, cluster=proxy.connection), MetricsRegistry()).follow(clients, reloads)
        names = {Path(path).name for path in reloads.followed["egress"]}
        assert names == {"egress.json", "proxy-ca.crt", "client.crt", "client.key"}


def test_without_a_file_nothing_is_followed() -> None:
    reloads = Reloads()
    Ways("", MetricsRegistry()).follow(Clients(), reloads)
    follow_kubelet_ca(options.parse([]).outbound, Kubelets(None, [], Trust()), reloads)
    assert reloads.followed == {}


def kubelet_trust(kubelets: Kubelets) -> bytes:
    """The CAs by which a kubelet is known."""
    status = {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}

    class Readers:
        def get(self, *path: str) -> Any:
            return {"metadata": {"name": "n"}, "status": status}

    kubelets._readers = Readers()  # type: ignore[assignment]
    return kubelets.of("n").trust.ca


@pytest.mark.parametrize("broken", ["none", json.dumps({})])
async def test_kubelets_are_known_by_other_authorities(
    runner: asyncio.Runner, tmp_path: Path, broken: str
) -> None:
    path = tmp_path / "ca.crt"
    first, second = (pem(CertificateAuthority.create("kubelets").certificate) for _ in range(2))
    path.write_bytes(first)
    kubelets, reloads = Kubelets(None, ["InternalIP"], trust_of(str(path), "", "")), Reloads()
    follow_kubelet_ca(options.parse([f"--kubelet-certificate-authority={path}"]).outbound, kubelets, reloads)
    follower: Follower[Any] = reloads._followers[0]
    assert kubelet_trust(kubelets) == first
    path.write_bytes(second)
    await follower.look(force=True)
    assert kubelet_trust(kubelets) == second
    path.write_text(broken)
    await follower.look(force=True)
    assert kubelet_trust(kubelets) == second and reloads.total.values[("kubelet-ca", "failure")] == 1
