"""Whole servers that encrypt secrets with a KMS plugin, with the embedded store and with etcd."""

import asyncio
import base64
import contextlib
import logging
import pathlib
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import yaml
from e2e.http_client import Connection, Lost
from eventually import aeventually

from pilothouse.assembly.intervals import Intervals
from pilothouse.assembly.server import Server
from pilothouse.configuration import options
from pilothouse.storage.encryption.kms import wire as kms_wire
from pilothouse.storage.encryption.kms.intervals import KMSIntervals
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.kms import KMSPluginServer

SECRETS = "/api/v1/namespaces/default/secrets"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
KEY = "/registry/secrets/default/a"
MARK = "open-sesame-7f3a"
PREFIX = b"k8s:enc:kms:v2:one:"

SQLITE = ["--storage-backend=sqlite"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


KMS = KMSIntervals(healthy_poll=0.05, failing_poll=0.05, retry=0.05)
QUICK = Intervals(kms=KMS, files=0.05, unreadable=(0.05, 0.2), missing=0.1)


@pytest.fixture
def plugin(tmp_path: pathlib.Path) -> Iterator[KMSPluginServer]:
    with KMSPluginServer(tmp_path / "kms.sock", tmp_path / "keys") as plugin:
        yield plugin


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture(
    params=["sqlite", pytest.param("etcd", marks=pytest.mark.skipif(BINARY is None, reason="no etcd"))]
)
def store(request: pytest.FixtureRequest) -> list[str]:
    """Flags for one store, which servers of a test share."""
    if request.param == "sqlite":
        return SQLITE
    urls = request.getfixturevalue("cluster").urls
    return ["--storage-backend=etcd3", f"--etcd-servers={urls[0]}", f"--etcd-prefix=/{uuid.uuid4()}"]


class Rig:
    """A server in this process and one connection to it."""

    def __init__(
        self, directory: pathlib.Path, plugin: KMSPluginServer, flags: list[str], intervals: Intervals = QUICK
    ) -> None:
        self.intervals = intervals
        self.directory = directory
        self.plugin = plugin
        self.flags = flags
        self.config = directory / "encryption.yaml"
        directory.mkdir(exist_ok=True)
        if not self.config.exists():
            self.configure(self.kms(), {"identity": {}})

    def kms(self, seconds: float = 0.5) -> dict[str, Any]:
        settings = {"apiVersion": "v2", "name": "one", "endpoint": self.plugin.endpoint}
        return {"kms": {**settings, "timeout": f"{seconds}s"}}

    def configure(self, *providers: dict[str, Any], resources: tuple[str, ...] = ("secrets",)) -> None:
        entry = {"resources": list(resources), "providers": list(providers)}
        config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
        new = self.config.with_suffix(".new")
        new.write_text(yaml.safe_dump({**config, "resources": [entry]}))
        new.rename(self.config)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        arguments = [
            f"--data-dir={self.directory}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--write-kubeconfig={self.directory}/admin.kubeconfig",
            f"--encryption-provider-config={self.config}",
            *self.flags,
        ]
        self.server = Server(options.parse(arguments), sockets=[sock], intervals=self.intervals)
        await self.server.start()
        tls = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        tls.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        self.connection = Connection(port, tls)
        self.other = Connection(port, tls)
        try:
            yield self
        finally:
            await self.connection.end()
            await self.other.end()
            await self.server.stop(drain=1.0)

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await self.connection.request(method, path, body)

    async def create(self, name: str = "a", path: str = SECRETS, value: str = MARK) -> Any:
        member = "stringData" if path == SECRETS else "data"
        status, made = await self.call("POST", path, {"metadata": {"name": name}, member: {"k": value}})
        assert status == 201, made
        return made

    async def raw(self, key: str = KEY) -> bytes:
        inner: Any = self.server.cluster.registry.storage
        kv = await inner.inner.get(key)
        assert kv is not None
        value: bytes = kv.value
        return value

    async def key_id(self) -> str:
        value = await self.raw()
        assert value.startswith(PREFIX), value[:40]
        return kms_wire.source(kms_wire.split(value[len(PREFIX) :])[1]).key_id

    async def until(self, what: Callable[[tuple[int, Any]], bool], path: str, method: str = "GET") -> Any:
        async def reached() -> Any:
            answer = await self.call(method, path)
            return answer if what(answer) else None

        return await aeventually(reached, f"the wanted answer to {method} {path}")


def on_disk(*directories: pathlib.Path, needle: str = MARK) -> list[pathlib.Path]:
    """Files that hold a text, plain or in base64."""
    needles = needle.encode(), base64.b64encode(needle.encode())
    files = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    return [path for path in files if any(needle in path.read_bytes() for needle in needles)]


async def test_rotation(
    runner: asyncio.Runner,
    tmp_path: pathlib.Path,
    plugin: KMSPluginServer,
    store: list[str],
    request: pytest.FixtureRequest,
) -> None:
    rig = Rig(tmp_path / "server", plugin, store)
    async with rig.running():
        assert await rig.call("GET", "/readyz/kms-providers") == (200, "ok")
        assert (await rig.call("GET", "/livez/kms-providers"))[0] == 404
        made = await rig.create()
        assert MARK.encode() not in await rig.raw() and await rig.key_id() == "key-1"
        status, same = await rig.call("PUT", f"{SECRETS}/a", made)
        assert (status, same) == (200, made)  # nothing has changed, so nothing is written
        plugin.rotate()
        await aeventually(lambda: plugin.calls["Encrypt"] == 2, "the new key is in use")
        await rig.create("b")
        assert await rig.key_id() == "key-1" and await rig.call("GET", f"{SECRETS}/a") == (200, made)
        status, rewritten = await rig.call("PUT", f"{SECRETS}/a", made)  # get | replace
        assert status == 200 and rewritten["data"] == made["data"]
        assert rewritten["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
        assert await rig.key_id() == "key-2"
        assert await rig.call("PUT", f"{SECRETS}/a", rewritten) == (200, rewritten)
        _, metrics = await rig.call("GET", "/metrics")
        assert 'apiserver_envelope_encryption_key_id_hash_total{apiserver_id_hash="sha256:' in metrics
        assert 'kms_operations_latency_seconds_count{grpc_status_code="OK",' in metrics
        calls = dict(plugin.calls)
    async with rig.running():  # again: seeds of the past are fetched, one call for each
        assert await rig.call("GET", f"{SECRETS}/a") == (200, rewritten)
        _, listing = await rig.call("GET", SECRETS)
        assert [item["metadata"]["name"] for item in listing["items"]] == ["a", "b"]
        assert plugin.calls["Decrypt"] - calls["Decrypt"] <= 2
        status, _ = await rig.call("DELETE", f"{SECRETS}/b")
        assert status == 200
        await rig.create("c", CONFIG_MAPS, "not-a-secret-1c2d")
        places = [tmp_path, *([] if store == SQLITE else [request.getfixturevalue("cluster").directory])]
        assert on_disk(*places) == []
        assert on_disk(*places, needle="not-a-secret-1c2d") != [], "the places are the right ones"
    assert on_disk(*places) == []


async def test_the_plugin_is_away_at_the_start(
    runner: asyncio.Runner, tmp_path: pathlib.Path, plugin: KMSPluginServer, store: list[str]
) -> None:
    rig = Rig(tmp_path / "server", plugin, store)
    async with rig.running():
        made = await rig.create()
    plugin.stop()
    async with rig.running():
        status, text = await rig.call("GET", "/readyz?verbose")
        assert status == 500 and "[-]kms-providers failed: reason withheld" in text
        assert (await rig.call("GET", "/livez"))[0] == 200
        status, text = await rig.call("GET", "/healthz/kms-providers")
        assert status == 500 and "kms-provider-0: failed to perform status section" in text
        why = "Internal error occurred: failed to decrypt DEK, error: rpc error: code = "
        status, failure = await rig.call("GET", f"{SECRETS}/a")
        assert (status, failure["reason"]) == (500, "InternalError") and failure["message"].startswith(why)
        for path in (SECRETS, "/api/v1/secrets?resourceVersion=0", f"{SECRETS}?watch=1&timeoutSeconds=1"):
            status, failure = await rig.call("GET", path)
            assert (status, failure["reason"]) == (500, "InternalError")
            assert f'unable to transform key "{KEY}": failed to decrypt DEK' in failure["message"]
        assert (await rig.call("GET", "/api/v1/namespaces/kube-system/secrets"))[0] == 200
        for method, path, body in (
            ("PUT", f"{SECRETS}/a", made),
            ("DELETE", f"{SECRETS}/a", None),
        ):
            status, failure = await rig.call(method, path, body)
            assert (status, failure["reason"]) == (500, "InternalError")
        status, failure = await rig.call("POST", SECRETS, {"metadata": {"name": "n"}})
        assert (status, failure["message"]) == (
            500,
            "Internal error occurred: got unexpected nil transformer",
        )
        await rig.create("c", CONFIG_MAPS, "plain")
        plugin.start()
        await rig.until(lambda answer: answer[0] == 200, "/readyz")
        assert (await rig.until(lambda answer: answer[0] == 200, f"{SECRETS}/a"))[1] == made
        await rig.create("d")
        status, listing = await rig.call("GET", SECRETS)
        assert [item["metadata"]["name"] for item in listing["items"]] == ["a", "d"]


async def test_the_plugin_goes_away(
    runner: asyncio.Runner, tmp_path: pathlib.Path, plugin: KMSPluginServer, store: list[str]
) -> None:
    rig = Rig(tmp_path / "server", plugin, store, replace(QUICK, kms=replace(KMS, write_ttl=2.0)))
    async with rig.running():
        made = await rig.create()
        plugin.stop()
        await rig.create("b")

        async def refused() -> Any:
            answer = await rig.call("POST", SECRETS, {"metadata": {"generateName": "x"}})
            return answer if answer[0] != 201 else None

        answer = await aeventually(refused, "the seed expires")
        assert answer[0] == 500 and answer[1]["reason"] == "InternalError"
        assert answer[1]["message"].startswith(
            'Internal error occurred: encryptedDEKSource with keyID hash "sha256:'
        )
        assert await rig.call("GET", f"{SECRETS}/a") == (200, made)
        assert (await rig.call("GET", SECRETS))[0] == 200
        assert (await rig.call("DELETE", f"{SECRETS}/b"))[0] == 200
        plugin.start()
        await rig.until(lambda answer: answer[0] == 200, "/readyz")
        await rig.create("c")


async def test_what_was_damaged(
    runner: asyncio.Runner, tmp_path: pathlib.Path, plugin: KMSPluginServer, store: list[str]
) -> None:
    rig = Rig(tmp_path / "server", plugin, store)
    async with rig.running():
        made = await rig.create()
        other = await rig.create("b")
        good = await rig.raw()
        inner: Any = rig.server.cluster.registry.storage
        watch = await rig.other.watch(
            f"{SECRETS}?watch=1&resourceVersion={other['metadata']['resourceVersion']}"
        )
        for bad in (b"", b"\xff\xff", b"\x0a\x03abc", good[len(PREFIX) : -1], good[len(PREFIX) : 60]):
            kv = await inner.inner.get(KEY)
            await inner.inner.update(KEY, PREFIX + bad, kv.mod)
            _, failure = await rig.until(lambda answer: answer[0] == 500, f"{SECRETS}/a")
            assert failure["reason"] == "InternalError"
            assert (await rig.call("GET", SECRETS))[0] == 500
            assert await rig.call("GET", f"{SECRETS}/b") == (200, other)
            assert (await rig.call("PUT", f"{SECRETS}/a", made))[0] == 500
        assert await watch.next() is None  # ended, and no delete was told
        await rig.other.end()
        kv = await inner.inner.get(KEY)
        await inner.inner.update(KEY, good, kv.mod)
        _, repaired = await rig.until(lambda answer: answer[0] == 200, f"{SECRETS}/a")
        assert repaired["data"] == made["data"]
        version = other["metadata"]["resourceVersion"]
        watch = await rig.other.watch(f"{SECRETS}?watch=1&resourceVersion={version}")
        event = await watch.next()
        assert event is not None and (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_a_plugin_that_lost_its_keys(
    runner: asyncio.Runner, tmp_path: pathlib.Path, plugin: KMSPluginServer, store: list[str]
) -> None:
    rig = Rig(tmp_path / "server", plugin, store)
    async with rig.running():
        await rig.create()
    plugin.keys.unlink()
    plugin.rotate()
    async with rig.running():
        status, failure = await rig.call("GET", f"{SECRETS}/a")
        assert (
            status == 500
            and "code = InvalidArgument desc = not encrypted with this key" in failure["message"]
        )
        await rig.create("b")


async def test_reload_from_a_local_key_to_a_plugin(
    runner: asyncio.Runner,
    tmp_path: pathlib.Path,
    plugin: KMSPluginServer,
    store: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(tmp_path / "server", plugin, [*store, "--encryption-provider-config-automatic-reload"])
    cbc = {"aescbc": {"keys": [{"name": "k", "secret": base64.b64encode(b"0" * 32).decode()}]}}
    rig.configure(cbc)
    async with rig.running():
        assert await rig.call("GET", "/readyz/kms-providers") == (200, "ok")
        made = await rig.create()
        assert (await rig.raw()).startswith(b"k8s:enc:aescbc:v1:k:")
        rig.configure(rig.kms(), cbc)
        await aeventually(lambda: caplog.text.count("A configuration was reloaded") == 1, "a reload")
        status, rewritten = await rig.call("PUT", f"{SECRETS}/a", made)
        assert status == 200 and await rig.key_id() == "key-1"
        rig.configure(rig.kms())
        await aeventually(lambda: caplog.text.count("A configuration was reloaded") == 2, "a reload")
        assert await rig.call("GET", f"{SECRETS}/a") == (200, rewritten)
    assert on_disk(tmp_path) == []


async def test_everything_is_encrypted_and_the_plugin_comes_late(
    runner: asyncio.Runner, tmp_path: pathlib.Path, plugin: KMSPluginServer, store: list[str]
) -> None:
    rig = Rig(tmp_path / "server", plugin, store)
    rig.configure(rig.kms(), {"identity": {}}, resources=("*.*",))
    plugin.stop()
    async with rig.running():  # a fresh cluster
        assert (await rig.call("GET", "/readyz"))[0] == 500
        plugin.start()
        await rig.until(lambda answer: answer[0] == 200, "/readyz")
        await rig.until(lambda answer: answer[0] == 200, "/api/v1/namespaces/default")
        await rig.create()
        await rig.create("c", CONFIG_MAPS)
    plugin.stop()
    async with rig.running():  # one that is there
        status, failure = await rig.call("GET", "/api/v1/namespaces/default")
        assert (status, failure["reason"]) == (500, "InternalError")
        plugin.start()
        await rig.until(lambda answer: answer[0] == 200, f"{CONFIG_MAPS}/c")
        await rig.until(lambda answer: answer[0] == 200, "/readyz")
        await rig.create("d", CONFIG_MAPS)
    assert on_disk(tmp_path) == []


@pytest.mark.skipif(BINARY is None, reason="no etcd")
async def test_two_servers_with_seeds_of_their_own(
    runner: asyncio.Runner, tmp_path: pathlib.Path, plugin: KMSPluginServer, cluster: EtcdCluster
) -> None:
    flags = ["--storage-backend=etcd3", f"--etcd-servers={cluster.urls[0]}", f"--etcd-prefix=/{uuid.uuid4()}"]
    first, second = (Rig(tmp_path / name, plugin, flags) for name in ("first", "second"))
    async with first.running(), second.running():
        watch = await second.other.watch(f"{SECRETS}?watch=1")
        made = await first.create()
        event = await asyncio.wait_for(watch.next(), 30)
        assert event is not None and (event["type"], event["object"]) == ("ADDED", made)
        assert await second.call("GET", f"{SECRETS}/a") == (200, made)
        changed = await second.call("PUT", f"{SECRETS}/a", {**made, "data": {}})
        assert changed[0] == 200 and await first.call("GET", f"{SECRETS}/a") == changed
        assert plugin.calls["Encrypt"] == 2
        plugin.answering.clear()  # one that hangs: what is known goes on, at both
        for n in range(20):
            await first.create(f"s-{n}")
            status, listing = await second.call("GET", SECRETS)
            assert status == 200 and len(listing["items"]) == n + 2
        plugin.answering.set()
        with contextlib.suppress(Lost):
            await second.other.end()
