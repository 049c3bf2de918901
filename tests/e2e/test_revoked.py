"""A server that ends what its users may no longer have:
every kind of credential, every kind of stream, and thousands."""

import asyncio
import base64
import datetime
import pathlib
import ssl
import time
from collections.abc import Iterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from certificates import name, new_key, private
from clients.cluster_streams import PODS, fill
from clients.drivers import Raw
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from e2e.http_client import Connection, Watch, chunk
from eventually import aeventually, eventually
from fuzz.watching import Stopwatch
from rbac_objects import RBAC, binding, rule
from streaming_kubelet import StreamingKubelet
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pilothouse.testing.server import Subprocess

pytestmark = pytest.mark.slow

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
FLAGS = ("--end-revoked-requests", "--list-permitted-namespaces", "--enable-bootstrap-token-auth")


class Site:
    """A server, and what an administrator does there."""

    def __init__(self, server: Subprocess) -> None:
        self.server = server
        self.raw = Raw(server)
        self.tls = ssl.create_default_context(cafile=str(server.ca_file))
        self.connections: list[Connection] = []

    def role(self, name: str, *rules: Any) -> None:
        self.raw.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": list(rules)})

    def bind(self, role: str, subject: Any, namespace: str = "default") -> None:
        path = f"{RBAC}/namespaces/{namespace}/rolebindings"
        self.raw.ok("POST", path, binding(role, role, subject))

    def delete(self, path: str) -> None:
        self.raw.ok("DELETE", path)

    def account(self, name: str, **spec: Any) -> str:
        """A token of a new service account."""
        path = "/api/v1/namespaces/default/serviceaccounts"
        self.raw.ok("POST", path, {"metadata": {"name": name}})
        return str(self.raw.ok("POST", f"{path}/{name}/token", {"spec": spec})["status"]["token"])

    def secret(self, name: str, namespace: str = "default", **members: Any) -> None:
        path = f"/api/v1/namespaces/{namespace}/secrets"
        self.raw.ok("POST", path, {"metadata": {"name": name}, **members})

    async def watch(self, path: str, token: str = "", tls: ssl.SSLContext | None = None) -> Watch:
        self.connections.append(Connection(self.server.port, tls or self.tls, token=token))
        return await self.connections[-1].watch(path)

    async def leave(self) -> None:
        for one in self.connections:
            await one.end()


@pytest.fixture
def site() -> Iterator[Site]:
    with Subprocess(FLAGS) as server:
        site = Site(server)
        yield site
        site.raw.connection.close()


def subject(account: str) -> Any:
    return {"kind": "ServiceAccount", "name": account, "namespace": "default"}


def short_lived(server: Subprocess, folder: pathlib.Path, common: str, seconds: float) -> ssl.SSLContext:
    """A client whose certificate expires soon."""
    issuer = x509.load_pem_x509_certificate(server.ca_file.read_bytes())
    issuer_key: Any = serialization.load_pem_private_key((server.directory / "ca.key").read_bytes(), None)
    now, key = datetime.datetime.now(datetime.UTC), new_key()
    builder = x509.CertificateBuilder().subject_name(name(common)).issuer_name(issuer.subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(minutes=1))
    builder = builder.not_valid_after(now + datetime.timedelta(seconds=seconds))
    signed = builder.sign(issuer_key, hashes.SHA256())
    file = folder / f"{common}.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private(key))
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    tls.load_cert_chain(file)
    return tls


async def verdict(watch: Watch, seconds: float = 16) -> int:
    """The code of the ERROR event that ends a watch."""
    async with asyncio.timeout(seconds):
        event = await watch.next()
        assert event is not None and event["type"] == "ERROR", event
        assert await watch.next() is None
    code: int = event["object"]["code"]
    return code


def test_credentials_that_are_gone(site: Site, tmp_path: pathlib.Path) -> None:
    site.role("watch", rule("watch", "configmaps"))
    site.bind("watch", {"kind": "Group", "name": "system:authenticated"})
    site.secret("bound")
    ref = {"kind": "Secret", "apiVersion": "v1", "name": "bound"}
    tokens = {
        "of an account": site.account("gone"),
        "bound to a secret": site.account("bound", boundObjectRef=ref),
        "a bootstrap token": "abcdef.0123456789abcdef",
    }
    data = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
    }
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    kind = "bootstrap.kubernetes.io/token"
    site.secret("bootstrap-token-abcdef", "kube-system", type=kind, data=encoded)
    stays = site.account("stays")

    async def run() -> None:
        revision = site.raw.ok("GET", CONFIG_MAPS)["metadata"]["resourceVersion"]
        path = f"{CONFIG_MAPS}?watch=1&resourceVersion={revision}"
        watches = {what: await site.watch(path, token) for what, token in tokens.items()}
        watches["a certificate"] = await site.watch(path, tls=short_lived(site.server, tmp_path, "short", 4))
        control = await site.watch(path, stays)
        site.delete("/api/v1/namespaces/default/serviceaccounts/gone")
        site.delete("/api/v1/namespaces/default/secrets/bound")
        site.delete("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef")
        codes = await asyncio.gather(*(verdict(watch) for watch in watches.values()))
        assert dict(zip(watches, codes, strict=True)) == dict.fromkeys(watches, 401)
        site.raw.ok("POST", CONFIG_MAPS, {"metadata": {"name": "after"}})
        event = await control.next()
        assert event is not None and event["object"]["metadata"]["name"] == "after"
        await site.leave()

    asyncio.run(run())
    log = site.server.log.read_text()
    assert not [token for token in tokens.values() if token in log]


def test_streams_of_pods(site: Site, tmp_path: pathlib.Path) -> None:
    token = site.account("jane")
    site.role("connect", rule("get create", "pods/exec pods/portforward pods/log"))
    site.bind("connect", subject("jane"))
    with StreamingKubelet(tmp_path) as kubelet:
        fill(site.raw, kubelet)
        options: dict[str, Any] = {
            "ssl": site.tls,
            "additional_headers": {"Authorization": f"Bearer {token}"},
            "close_timeout": 0.5,
        }
        url = site.server.url.replace("https", "wss") + PODS
        query = "exec?command=cat&stdin=1&stdout=1"
        follow = Connection(site.server.port, site.tls, token=token)

        async def log() -> float:
            watch = await follow.watch(f"{PODS}/old/log?follow=true")
            with pytest.raises(asyncio.IncompleteReadError):  # noqa: PT012 -- it ends the loop
                while True:
                    await chunk(watch.reader)
            await follow.end()
            return time.monotonic()

        with (
            connect(f"{url}/old/{query}", subprotocols=["v5.channel.k8s.io"], **options) as translated,  # type: ignore[list-item]
            connect(f"{url}/new/{query}", subprotocols=["v5.channel.k8s.io"], **options) as passed,  # type: ignore[list-item]
        ):
            for client in (translated, passed):
                client.send(b"\x00in")
                while client.recv(timeout=10) != b"\x01in":
                    pass

            async def run() -> float:
                following = asyncio.get_running_loop().create_task(log())
                await aeventually(lambda: kubelet.following, "the log", 10)
                began = time.monotonic()
                await asyncio.to_thread(site.delete, f"{RBAC}/namespaces/default/rolebindings/connect")
                return await following - began

            assert asyncio.run(run()) < 5
            for client in (translated, passed):
                with pytest.raises(ConnectionClosed):
                    client.recv(timeout=5)
        eventually(lambda: not kubelet.writers, "the end of what the kubelet runs")


class Streams(asyncio.Protocol):
    """Watches as streams of one HTTP/2 connection."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.answered = 0
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.http.initiate_connection()
        self.flush()

    def open(self, paths: list[str]) -> None:
        for path in paths:
            fields = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "a")]
            stream = self.http.get_next_available_stream_id()
            self.http.send_headers(stream, [*fields, ("authorization", f"Bearer {self.token}")], True)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.http.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                assert dict(event.headers)[b":status"] == b"200"
                self.answered += 1
            elif isinstance(event, h2.events.DataReceived):
                self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
        self.flush()


async def streams(site: Site, token: str, paths: list[str]) -> Streams:
    tls = ssl.create_default_context(cafile=str(site.server.ca_file))
    tls.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(lambda: Streams(token), "127.0.0.1", site.server.port, ssl=tls)
    made.open(paths)
    await aeventually(lambda: made.answered == len(paths), "the watches", 60)
    return made


def test_five_thousand_watches_and_one_binding(site: Site) -> None:
    """The watches end within seconds; those of others go on, and nobody waits for it."""
    token, other = site.account("many"), site.account("other")
    site.role("watch", rule("watch", "configmaps"))
    site.bind("watch", subject("many"))
    site.role("watch-too", rule("watch", "configmaps"))
    site.bind("watch-too", subject("other"))
    admin = Connection(site.server.port, site.server.context())

    async def run() -> tuple[float, float]:
        revision = site.raw.ok("GET", CONFIG_MAPS)["metadata"]["resourceVersion"]
        path = f"{CONFIG_MAPS}?watch=1&resourceVersion={revision}"
        alike = [path] * 500
        unlike = [f"{path}&labelSelector=n%3Dv{i}" for i in range(500)]
        revoked = [await streams(site, token, alike + unlike) for _ in range(5)]
        others = await streams(site, other, [path] * 100)
        await admin.request("GET", CONFIG_MAPS)
        assert site.server.process is not None
        process = site.server.process.pid
        whole = Stopwatch(process)
        await admin.request("DELETE", f"{RBAC}/namespaces/default/rolebindings/watch")
        slowest = 0.0
        while sum(len(one.ended) for one in revoked) < 5000:
            assert whole.seconds() < 20
            watch = Stopwatch(process)
            await admin.request("GET", CONFIG_MAPS)
            slowest = max(slowest, watch.seconds())
        took = whole.seconds()
        for one in revoked:
            assert all(b'"code":403' in data and data.count(b"\n") == 1 for data in one.data.values())
        assert not others.ended
        await admin.request("POST", CONFIG_MAPS, {"metadata": {"name": "after"}})
        await aeventually(lambda: len(others.data) == 100, "the events of the others")
        for one in (*revoked, others):
            one.transport.abort()
        await admin.end()
        return took, slowest

    took, slowest = asyncio.run(run())
    print(f"5,000 watches ended {took:.2f} s after the change; slowest GET meanwhile {slowest * 1000:.0f} ms")
    assert took < 8 and slowest < 2
