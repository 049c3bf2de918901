"""The KMS provider with a plugin: a gRPC server on a unix socket."""

import asyncio
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from eventually import aeventually

from pilothouse.metrics.instruments import digest
from pilothouse.storage.encryption.errors import EncryptionError
from pilothouse.storage.encryption.kms import wire as kms_wire
from pilothouse.storage.encryption.kms.intervals import DEFAULT_INTERVALS, KMSIntervals
from pilothouse.storage.encryption.kms.metrics import EnvelopeMetrics
from pilothouse.storage.encryption.kms.provider import (
    KMS,
    PAUSE,
    AESGCMKey,
    KMSSettings,
    Seed,
)
from pilothouse.storage.encryption.kms.wire import AES_GCM_KEY
from pilothouse.testing.kms import KMSPluginServer
from pilothouse.wire import message

CONTEXT = b"/registry/secrets/default/a"

pytestmark = pytest.mark.usefixtures("runner")


class Bent(KMSPluginServer):
    """One whose status names another key than it uses (`named`),
    or that answers Encrypt with these bytes (`made`)."""

    named: str | None = None
    made: bytes | None = None

    @property
    def current(self) -> str:
        return super().current if self.named is None else self.named

    def _encrypt(self, request: dict[int, Any], context: Any) -> bytes:
        return super()._encrypt(request, context) if self.made is None else self.made


@pytest.fixture
def plugin(tmp_path: pathlib.Path) -> Iterator[Bent]:
    with Bent(tmp_path / "kms.sock", tmp_path / "keys") as plugin:
        yield plugin


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    plugin: KMSPluginServer,
    seconds: float = 3.0,
    clock: Callable[[], float] = time.monotonic,
    intervals: KMSIntervals = DEFAULT_INTERVALS,
) -> AsyncIterator[KMS]:
    settings = KMSSettings("one", plugin.endpoint, seconds)
    provider = KMS(settings, intervals=intervals, clock=clock, monotonic=clock)
    await provider.open()
    try:
        yield provider
    finally:
        await provider.close()


async def read(provider: KMS, data: bytes, context: bytes = CONTEXT) -> bytes:
    source = provider.unknown(data)
    if source is not None:
        await provider.fetch(source)
    return provider.decrypt(data, context)


# Ciphers


def test_keys_are_derived_as_rfc_5869_says() -> None:
    secret = bytes(range(32))
    sealed = Seed(secret, "").seal(b"hello", CONTEXT)
    info, nonce, rest = sealed[:32], sealed[32:44], sealed[44:]
    key = HKDFExpand(SHA256(), 32, info).derive(secret)
    assert AESGCM(key).decrypt(nonce, rest, CONTEXT) == b"hello"
    assert Seed(secret, "").unseal(sealed, CONTEXT) == b"hello"


def test_a_value_that_kube_apiserver_wrote() -> None:
    """The value is the one by which upstream's aes_test.go holds itself to its own format."""
    secret = bytes.fromhex("5d40323a820ff95561675e3b95e81867c5fdd561d35a88a2d08b08aa9d4fcf5c")
    sealed = bytes.fromhex(
        "2442759e33945fbad709db577a0f037fd8a709fc76979b8942209debcecb9d57efe3d6ff6a1ef6ee"
        "9a5003b9833b3043cec1e47b35175b151107a8d2416b0e296bbf66b5d102fcefdf9a78f293d271"
    )
    assert Seed(secret, "").unseal(sealed, b"bamboo") == b"pandas are the best"


@pytest.mark.parametrize("size", [0, 31, 32, 43, 44, 59])
def test_short_values_are_refused(size: int) -> None:
    why = "shorter than the required size" if size < 44 else "message authentication failed"
    with pytest.raises(ValueError, match=why):
        Seed(b"s" * 32, "").unseal(bytes(size), CONTEXT)


def test_seeds_and_keys_have_sizes() -> None:
    with pytest.raises(ValueError, match="invalid seed length 31"):
        Seed(b"s" * 31, "")
    with pytest.raises(ValueError, match="invalid seed length 1025"):
        Seed(b"s" * 1025, "")
    with pytest.raises(ValueError, match="invalid key size 31"):
        AESGCMKey(b"s" * 31, "")


# The provider


async def test_one_call_for_a_seed_and_none_for_values(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    async with opened(plugin) as provider:
        assert provider.problem == ""
        sealed = [provider.encrypt(b"value %d" % n, CONTEXT) for n in range(20)]
        assert len(set(sealed)) == 20 and not any(b"value" in data for data in sealed)
        assert [provider.decrypt(data, CONTEXT) for data in sealed] == [b"value %d" % n for n in range(20)]
        assert provider.unknown(sealed[0]) is None and not provider.stale(sealed[0])
    assert plugin.calls == {"Status": 1, "Encrypt": 1, "Decrypt": 0}


async def test_what_another_server_wrote(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    async with opened(plugin) as first, opened(plugin) as second:
        sealed = [first.encrypt(b"x", CONTEXT) for _ in range(50)]
        with pytest.raises(ValueError, match="failed to decrypt DEK, error: the plugin was not asked"):
            second.decrypt(sealed[0], CONTEXT)
        assert {second.unknown(data) for data in sealed} == {kms_wire.split(sealed[0])[1]}
        assert await asyncio.gather(*(read(second, data) for data in sealed)) == [b"x"] * 50
        assert plugin.calls["Decrypt"] == 1
        assert not second.stale(sealed[0])  # another seed, the same key


async def test_many_seeds_are_asked_for_some_at_a_time(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    sealed = []
    for _ in range(40):
        async with opened(plugin) as writer:
            sealed.append(writer.encrypt(b"x", CONTEXT))
    async with opened(plugin) as provider:
        assert await asyncio.gather(*(read(provider, data) for data in sealed)) == [b"x"] * 40
    assert plugin.calls["Decrypt"] == 40


async def test_a_value_belongs_to_its_key_in_the_store(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    async with opened(plugin) as provider:
        with pytest.raises(ValueError, match="cipher: message authentication failed"):
            provider.decrypt(provider.encrypt(b"x", CONTEXT), b"/registry/secrets/default/b")


async def test_values_of_kube_apiserver_before_seeds(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    """v1.28 and before: what the plugin decrypts is the AES key itself, and values are read but stale."""
    key = b"k" * 32
    answer = plugin._encrypt({1: key}, None)
    source = kms_wire.encrypt_answer(answer, AES_GCM_KEY)
    data = kms_wire.join(b"n" * 12 + AESGCM(key).encrypt(b"n" * 12, b"old", CONTEXT), source.encode())
    async with opened(plugin) as provider:
        assert await read(provider, data) == b"old"
        assert provider.stale(data)


async def test_rotation(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    async with opened(plugin) as provider:
        old = provider.encrypt(b"x", CONTEXT)
        name = plugin.rotate()
        assert not provider.stale(old)
        await provider._look()
        new = provider.encrypt(b"x", CONTEXT)
        assert kms_wire.source(kms_wire.split(new)[1]).key_id == name
        assert provider.stale(old) and not provider.stale(new)
        assert provider.decrypt(old, CONTEXT) == provider.decrypt(new, CONTEXT) == b"x"
    assert plugin.calls == {"Status": 2, "Encrypt": 2, "Decrypt": 0}
    async with opened(plugin) as provider:  # a restart: what was written with the old key is still read
        assert await read(provider, old) == b"x" and provider.stale(old)


async def test_a_key_that_changes_between_status_and_encrypt(runner: asyncio.Runner, plugin: Bent) -> None:
    async with opened(plugin) as provider:
        plugin.named = "another"
        await provider._look()
        assert "failed to rotate DEK" in provider.problem
        assert f'statusKeyIDHash="{digest("another")}"' in provider.problem
        assert f'encryptKeyIDHash="{digest("key-1")}"' in provider.problem
        assert provider.encrypt(b"x", CONTEXT)  # goes on with the old one
        plugin.named = None
        await provider._look()
        assert provider.problem == ""


async def test_a_seed_expires_while_the_plugin_is_away(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    clock = Clock()
    async with opened(plugin, 0.3, clock) as provider:
        old = provider.encrypt(b"x", CONTEXT)
        plugin.stop()
        await provider._look()
        assert provider.problem.startswith(
            "failed to perform status section of the healthz check for KMS Provider one, error: rpc error:"
            " code = "
        )
        clock.now += DEFAULT_INTERVALS.write_ttl
        provider.encrypt(b"x", CONTEXT)
        clock.now += 1
        with pytest.raises(
            EncryptionError,
            match=r'encryptedDEKSource with keyID hash "sha256:[0-9a-f]{64}" expired at 1970-01-12T13:49:40Z '
            r"\(current time is 1970-01-12T13:49:41Z\)",
        ):
            provider.encrypt(b"x", CONTEXT)
        assert provider.decrypt(old, CONTEXT) == b"x"
        plugin.start()

        async def well() -> bool:
            await provider._look()
            return provider.problem == ""

        await aeventually(well, "the plugin answers again, within 0.3 s")
        provider.encrypt(b"x", CONTEXT)
    assert plugin.calls["Encrypt"] == 1


async def test_no_plugin_at_the_start(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    plugin.stop()
    async with opened(plugin, 0.1, intervals=KMSIntervals(failing_poll=0.05)) as provider:
        with pytest.raises(EncryptionError, match="got unexpected nil transformer"):
            provider.encrypt(b"x", CONTEXT)
        assert not provider.stale(b"anything")
        plugin.start()
        await aeventually(lambda: not provider.problem, "the plugin is well")
        assert provider.decrypt(provider.encrypt(b"x", CONTEXT), CONTEXT) == b"x"


async def test_reads_while_the_plugin_is_away_and_after(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    clock = Clock()
    async with opened(plugin) as writer:
        data = writer.encrypt(b"x", CONTEXT)
    async with opened(plugin, clock=clock) as provider:
        plugin.stop()
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(ValueError, match="failed to decrypt DEK, error: rpc error: code = Unavailable"):
            await read(provider, data)
        assert loop.time() - start < 1.0
        clock.now += DEFAULT_INTERVALS.retry
        assert provider.unknown(data) is None  # not asked for again at once
        plugin.start()

        async def again() -> bytes:
            clock.now += 0.1 + DEFAULT_INTERVALS.retry
            assert provider.unknown(data) is not None
            try:
                return await read(provider, data)
            except ValueError:
                return b""

        assert await aeventually(again, "the key can be had") == b"x"


async def test_a_plugin_that_hangs(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    """Callers do not wait for a hanging plugin again and again."""
    clock = Clock()
    async with opened(plugin) as writer, opened(plugin) as another:
        data, other = writer.encrypt(b"x", CONTEXT), another.encrypt(b"y", CONTEXT)
    async with opened(plugin, 0.3, clock) as provider:
        plugin.answering.clear()
        reading = asyncio.create_task(read(provider, data))
        await aeventually(lambda: plugin.calls["Decrypt"], "the plugin is asked")
        clock.now += 0.3
        with pytest.raises(ValueError, match="rpc error: code = DeadlineExceeded desc = "):
            await reading
        plugin.answering.set()
        clock.now += PAUSE * 0.3 - 0.01
        assert provider.unknown(data) is None and provider.unknown(other) is None
        with pytest.raises(ValueError, match="the plugin was not asked"):
            await read(provider, other)
        clock.now += 0.02
        assert (await read(provider, data), await read(provider, other)) == (b"x", b"y")


async def test_a_plugin_with_other_keys(
    runner: asyncio.Runner, plugin: KMSPluginServer, tmp_path: pathlib.Path
) -> None:
    async with opened(plugin) as writer:
        data = writer.encrypt(b"x", CONTEXT)
    with KMSPluginServer(tmp_path / "other.sock", tmp_path / "other") as other:
        async with opened(other) as provider:
            with pytest.raises(ValueError, match="code = InvalidArgument desc = not encrypted with this key"):
                await read(provider, data)
    renamed = kms_wire.split(data)[1].replace(b"key-1", b"key-9")
    async with opened(plugin) as provider:
        with pytest.raises(ValueError, match="code = NotFound desc = no such key"):
            await read(provider, kms_wire.join(kms_wire.split(data)[0], renamed))


async def test_malformed_values_do_not_reach_the_plugin(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    async with opened(plugin) as provider:
        good = provider.encrypt(b"x", CONTEXT)
        encrypted, source = kms_wire.split(good)
        bad = [
            b"",
            b"garbage",
            good[:40],
            good[:-1] + b"\x07",
            kms_wire.join(encrypted, b""),
            kms_wire.join(encrypted, message((2, b"key-1"))),
            kms_wire.join(encrypted, source + b"\xff"),
            kms_wire.join(encrypted[:-1], source),
            kms_wire.join(b"short", source),
        ]
        for data in bad:
            with pytest.raises(ValueError, match=r"."):
                await read(provider, data)
            provider.stale(data)
    assert plugin.calls["Decrypt"] == 0


@pytest.mark.parametrize(
    ("healthz", "version", "why"),
    [
        ("down", "v2", "got unexpected healthz status: down"),
        ("ok", "v9", "expected KMSv2 API version v2, got v9"),
        (
            "ok",
            "v2beta1",
            "KMSv2 API version should not change after the initial status response version v2, got",
        ),
        ("", "v1", r"\[got unexpected healthz status: , expected KMSv2 API version v2, got v1\]"),
    ],
)
async def test_what_a_plugin_says_of_itself(
    runner: asyncio.Runner, plugin: KMSPluginServer, healthz: str, version: str, why: str
) -> None:
    async with opened(plugin) as provider:
        plugin.healthz, plugin.version = healthz, version
        await provider._look()
        assert re.match(f"kmsv2 Provider one is not healthy, error: {why}", provider.problem)


async def test_long_answers_are_neither_read_nor_repeated(
    runner: asyncio.Runner, plugin: KMSPluginServer
) -> None:
    """A plugin may say much, or in many small parts that are read one by one."""
    async with opened(plugin) as provider:
        sealed = provider.encrypt(b"x", CONTEXT)
        for healthz, version in (("x" * 50_000, "v2"), ("ok", "y" * 50_000)):
            plugin.healthz, plugin.version = healthz, version
            await provider._look()
            assert "characters left out" in provider.problem and len(provider.problem) < 1000
        plugin.healthz = "x" * 200_000
        await provider._look()
        assert "code = ResourceExhausted" in provider.problem and len(provider.problem) < 1000
        plugin.healthz, plugin.version, plugin.refuse = "ok", "v2", "z" * 6000
        await provider._look()
        assert "characters left out" in provider.problem and len(provider.problem) < 1000
        assert await read(provider, sealed) == b"x"
        plugin.refuse = ""
        await provider._look()
        assert provider.problem == ""


@pytest.mark.parametrize(
    ("key_id", "error", "why"),
    [("", "empty", "keyID is empty"), ("k" * 1025, "too_long", "keyID is 1025 bytes")],
)
async def test_key_ids_that_can_not_be_used(
    runner: asyncio.Runner, plugin: Bent, key_id: str, error: str, why: str
) -> None:
    metrics = EnvelopeMetrics()
    plugin.named = key_id
    provider = KMS(KMSSettings("one", plugin.endpoint, 3.0), metrics)
    await provider.open()
    await provider.close()
    assert "got invalid KMSv2 KeyID hash" in provider.problem and why in provider.problem
    assert metrics.invalid_key_ids.values == {(error, "one"): 1}


async def test_answers_that_must_not_be_stored(runner: asyncio.Runner, plugin: Bent) -> None:
    answers = [
        (message((2, b"key-1")), "encrypted DEK source is empty"),
        (message((1, b"x" * 2000), (2, b"key-1")), "which exceeds the max size of 1024"),
        (message((1, b"x"), (2, b"key-1"), (3, message((1, b"name")))), "failed to validate annotations"),
        (b"\xff", "the plugin's answer can not be read"),
    ]
    for answer, why in answers:
        plugin.made = answer
        async with opened(plugin) as provider:
            assert why in provider.problem
            with pytest.raises(EncryptionError):
                provider.encrypt(b"x", CONTEXT)


async def test_errors_of_a_plugin_are_told(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    plugin.refuse = "out of order"
    async with opened(plugin) as provider:
        assert provider.problem.endswith("error: rpc error: code = Internal desc = out of order")


async def test_nothing_is_asked_after_the_end(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    async with opened(plugin) as writer:
        data = writer.encrypt(b"x", CONTEXT)
    async with opened(plugin) as provider:
        pass
    with pytest.raises(ValueError, match="the connection to the plugin is closed"):
        await read(provider, data)


async def test_closing_ends_calls_under_way(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    async with opened(plugin) as writer:
        data = writer.encrypt(b"x", CONTEXT)
    async with opened(plugin) as provider:
        plugin.answering.clear()
        reading = asyncio.create_task(read(provider, data))
        await aeventually(lambda: plugin.calls["Decrypt"], "the plugin is asked")
    # closed, though the plugin has not answered yet
    with pytest.raises(ValueError, match="failed to decrypt DEK"):
        await reading


async def test_an_abstract_socket(runner: asyncio.Runner, tmp_path: pathlib.Path) -> None:
    with KMSPluginServer(f"@{tmp_path.name}", tmp_path / "keys") as plugin:
        assert plugin.endpoint == f"unix:///@{tmp_path.name}"
        async with opened(plugin) as provider:
            assert provider.problem == ""


async def test_metrics(runner: asyncio.Runner, plugin: KMSPluginServer) -> None:
    metrics = EnvelopeMetrics()
    async with opened(plugin) as writer:
        data = writer.encrypt(b"x", CONTEXT)
    provider = KMS(KMSSettings("one", plugin.endpoint, 3.0), metrics)
    await provider.open()
    for _ in range(3):
        provider.encrypt(b"x", CONTEXT)
    await read(provider, data)
    await provider.close()
    hashed = digest("key-1")
    assert {labels: row[0] for labels, row in metrics._uses.items()} == {
        (hashed, "one", "to_storage"): 3,
        (hashed, "one", "from_storage"): 1,
    }
    assert metrics.misses.values == {(): 1}
    assert {(code, method.rpartition("/")[2]) for code, method, _ in metrics.calls.values} == {
        ("OK", "Status"),
        ("OK", "Encrypt"),
        ("OK", "Decrypt"),
    }


def test_a_server_without_plugins_does_not_load_grpc() -> None:
    code = (
        "import sys, pilothouse.assembly.process, pilothouse.storage.encryption.kms.provider; print('grpc' in"
        " sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
