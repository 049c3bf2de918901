import asyncio
import subprocess

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_samples import samples
from virtual_time import VirtualLoop

from pilothouse.storage.encryption.backend import (
    AesCbc,
    AesGcm,
    EncryptedStorage,
    Encryption,
    EncryptionProvider,
    PlainText,
    Remote,
    SecretBox,
)
from pilothouse.storage.encryption.errors import DecryptionError
from pilothouse.storage.encryption.metrics import EncryptionMetrics
from pilothouse.storage.interface import (
    Behind,
    KeyValue,
    Op,
    RevisionConflict,
    StorageError,
    StorageEvent,
    Unavailable,
)
from pilothouse.storage.memory import MemoryStorage

KEY = "/registry/secrets/default/a"
PROVIDERS: list[EncryptionProvider] = [
    AesGcm("one", b"1" * 32),
    AesGcm("short", b"1" * 16),
    AesCbc("two", b"2" * 32),
    SecretBox("three", b"3" * 32),
]


class Vault(Remote):
    """Keys are the first byte of a value, and there when `gate` is open; b"!" is never."""

    prefix = b"k8s:enc:vault:"
    timeout = 0.01

    def __init__(self) -> None:
        self.problem = ""
        self.known: set[bytes] = set()
        self.asked: list[bytes] = []
        self.gate = asyncio.Event()
        self.opened: list[float] = []
        self.closed = 0
        self.current = b"a"

    async def open(self, within: float = 0.0) -> None:
        self.opened.append(within)

    async def close(self) -> None:
        self.closed += 1

    def unknown(self, data: bytes) -> bytes | None:
        return data[:1] if data[:1] not in self.known else None

    async def fetch(self, source: bytes) -> None:
        self.asked.append(source)
        await self.gate.wait()
        if source != b"!":
            self.known.add(source)

    def encrypt(self, data: bytes, context: bytes) -> bytes:
        self.known.add(self.current)
        return self.current + data[::-1]

    def decrypt(self, data: bytes, context: bytes) -> bytes:
        if data[:1] not in self.known:
            raise ValueError("no key")
        return data[:0:-1]

    def stale(self, data: bytes) -> bool:
        return data[:1] != self.current


def resource_of(key: str) -> str:
    return {"secrets": "secrets", "deployments": "deployments.apps"}.get(key.split("/")[2], "")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.prefix.decode())
@given(data=st.binary(max_size=100))
@settings(max_examples=10 * SCALE)
def test_round_trip(provider: EncryptionProvider, data: bytes) -> None:
    sealed = provider.encrypt(data, b"k")
    assert provider.decrypt(sealed, b"k") == data
    assert provider.encrypt(data, b"k") != sealed


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.prefix.decode())
@given(data=st.binary(max_size=60))
@settings(max_examples=15 * SCALE)
def test_what_was_not_written_so_is_refused(provider: EncryptionProvider, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):  # noqa: PT012 -- either of two
        provider.decrypt(data, b"k")
        raise ValueError("padding that happens to be right")


def test_a_value_belongs_to_its_key() -> None:
    gcm = PROVIDERS[0]
    with pytest.raises(ValueError, match="authentication failed"):
        gcm.decrypt(gcm.encrypt(b"x", b"/registry/secrets/default/a"), b"/registry/secrets/default/b")


def test_transformations_are_counted() -> None:
    metrics = EncryptionMetrics()
    encryption = Encryption([(("secrets",), [PROVIDERS[0]])], resource_of, metrics=metrics)
    key = "/registry/secrets/default/a"
    sealed = encryption.encrypt(key, b"x")
    assert encryption.decrypt(key, sealed) == b"x"
    with pytest.raises(DecryptionError):
        encryption.decrypt("/registry/secrets/default/b", sealed)
    encryption.encrypt("/registry/pods/default/a", b"x")  # stays as it is
    prefix = PROVIDERS[0].prefix.decode()
    counts = {name: value for name, value in samples(metrics).items() if "operations_total" in name}
    name = "apiserver_storage_transformation_operations_total"
    assert counts == {
        f'{name}{{resource="secrets",status="{status}",transformation_type="{way}_storage",'
        f'transformer_prefix="{prefix}"}}': "1"
        for status, way in (("OK", "to"), ("OK", "from"), ("Unknown", "from"))
    }


def test_other_tools_read_it() -> None:
    key = bytes(range(32))
    sealed = AesCbc("k", key).encrypt(b"hello", b"")
    done = subprocess.run(
        ["openssl", "enc", "-d", "-aes-256-cbc", "-K", key.hex(), "-iv", sealed[:16].hex()],
        input=sealed[16:],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"hello"


def test_first_rule_and_first_provider_count() -> None:
    rules = [
        (("secrets",), [PROVIDERS[0], PROVIDERS[2], PlainText()]),
        (("*.apps",), [PROVIDERS[2]]),
    ]
    encryption = Encryption(rules, resource_of)
    sealed = encryption.encrypt(KEY, b"x")
    assert sealed.startswith(b"k8s:enc:aesgcm:v1:one:")
    assert encryption.decrypt(KEY, sealed) == b"x"
    assert encryption.decrypt(KEY, b"plain") == b"plain"
    older = b"k8s:enc:aescbc:v1:two:" + PROVIDERS[2].encrypt(b"y", b"")
    assert encryption.decrypt(KEY, older) == b"y"
    assert [encryption.stale(KEY, data) for data in (sealed, older, b"plain")] == [False, True, True]
    app = "/registry/deployments/default/a"
    assert encryption.encrypt(app, b"x").startswith(b"k8s:enc:aescbc:v1:two:")
    with pytest.raises(DecryptionError, match=r"^no matching prefix found$"):
        encryption.decrypt(app, b"plain")
    strange = b"k8s:enc:secretbox:v1:other:x"
    with pytest.raises(DecryptionError, match=r"^no matching prefix found$"):  # identity does not count
        encryption.decrypt(KEY, strange)
    assert encryption.encrypt("/registry/pods/a", b"x") == b"x"
    with pytest.raises(DecryptionError, match="identity transformer tried to read encrypted data"):
        encryption.decrypt("/registry/pods/a", sealed)
    encryption.use([])
    assert encryption.encrypt(KEY, b"x") == b"x"
    assert encryption.stale(KEY, sealed) and not encryption.stale(KEY, b"x")


@pytest.mark.parametrize(
    ("names", "fits"),
    [(("*.*",), True), (("*.",), True), (("secrets.",), True), (("*.apps",), False), (("pods",), False)],
)
def test_wildcards(names: tuple[str, ...], fits: bool) -> None:
    encryption = Encryption([(names, [PROVIDERS[0]])], resource_of)
    assert (encryption.encrypt(KEY, b"x") != b"x") is fits


def test_context_is_the_key_in_etcd() -> None:
    moved = Encryption([(("*.*",), [PROVIDERS[0]])], resource_of, "/other")
    sealed = moved.encrypt(KEY, b"x").removeprefix(PROVIDERS[0].prefix)
    assert PROVIDERS[0].decrypt(sealed, b"/other/secrets/default/a") == b"x"


def test_store_keeps_sealed_and_gives_plain() -> None:
    async def main() -> None:
        inner = MemoryStorage()
        store = EncryptedStorage(inner, Encryption([(("*.*",), [PROVIDERS[0]])], resource_of))
        await store.start()
        made = await store.create(KEY, b"1")
        assert made.value == b"1"
        changed = await store.update(KEY, b"2", made.mod)
        assert changed.value == b"2"
        raw = await store.get(KEY)
        assert raw is not None and raw.value.startswith(b"k8s:enc:aesgcm:v1:one:")
        assert not await store.stale(KEY)
        assert not await store.stale("/registry/secrets/default/none")
        store.encryption.use([(("*.*",), [PROVIDERS[2], PROVIDERS[0]])])
        assert await store.stale(KEY)
        with pytest.raises(RevisionConflict):
            await store.delete(KEY, made.mod)
        assert (await store.delete(KEY, changed.mod)).value == b"2"
        await store.txn([Op(KEY, b"3", 0), Op("/registry/pods/x", b"4")])
        assert [kv.value[:8] for kv in (await store.range("/registry/")).items] == [b"4", b"k8s:enc:"]
        await store.txn([Op(KEY, None)])
        await store.close()

    asyncio.run(main())


def sealed(source: str, value: bytes) -> bytes:
    return Vault.prefix + source.encode() + value[::-1]


def vaulted(*vaults: Vault) -> Encryption:
    return Encryption([(("secrets",), [*vaults, PlainText()])], resource_of)


async def test_keys_are_fetched_once_before_values_are_given(runner: asyncio.Runner) -> None:
    vault = Vault()
    vault.gate.set()
    inner = MemoryStorage()
    store = EncryptedStorage(inner, vaulted(vault))
    await store.start()
    assert vault.opened == [0.0]
    for n in range(100):
        await inner.create(f"{KEY}{n}", sealed("xy"[n % 2], b"%d" % n))
    await inner.create("/registry/secrets/default/broken", sealed("!", b"x"))
    page = await store.range("/registry/secrets/")
    assert sorted(vault.asked) == [b"!", b"x", b"y"]
    plain = {
        kv.key: store.encryption.decrypt(kv.key, kv.value) for kv in page.items if kv.key.startswith(KEY)
    }
    assert plain == {f"{KEY}{n}": b"%d" % n for n in range(100)}
    with pytest.raises(DecryptionError, match=r"^no key$"):
        store.encryption.decrypt(KEY, sealed("!", b"x"))
    await inner.create(KEY, sealed("z", b"1"))
    kv = await store.get(KEY)
    assert kv is not None and store.encryption.decrypt(KEY, kv.value) == b"1"
    await store.close()
    assert vault.closed == 1


async def test_a_deleted_value_is_given_back_readable(runner: asyncio.Runner) -> None:
    vault = Vault()
    vault.gate.set()
    inner = MemoryStorage()
    store = EncryptedStorage(inner, vaulted(vault))
    await store.start()
    made = await inner.create(KEY, sealed("x", b"1"))
    assert (await store.delete(KEY, made.mod)).value == b"1"
    await store.close()


class Watcher:
    """The log of a watch, in order: ("key", value) pairs, revisions, errors."""

    def __init__(self, store: EncryptedStorage) -> None:
        self.told: list[tuple[str, bytes] | int | str] = []
        self.encryption = store.encryption
        self.fail = False
        self.subscription = store.watch("", 1, self.events, self.error, on_progress=self.told.append)

    def events(self, events: list[StorageEvent]) -> None:
        if self.fail:
            raise RuntimeError("a bug")
        for event in events:
            value = b"" if event.deleted else self.encryption.decrypt(event.kv.key, event.kv.value)
            self.told.append((event.kv.key.rpartition("/")[2], value))

    def error(self, error: StorageError) -> None:
        self.told.append(str(error))


async def test_events_wait_in_order_for_keys(runner: asyncio.Runner) -> None:
    vault = Vault()
    inner = MemoryStorage()
    store = EncryptedStorage(inner, vaulted(vault))
    await store.start()
    watcher = Watcher(store)
    await store.create(KEY, b"1")  # with a key that is known: told at once, before the writer is answered
    assert watcher.told == [("a", b"1")]
    await inner.create("/registry/secrets/default/b", sealed("x", b"2"))
    (gate,) = store._gates
    gate.progress(7)
    made = await inner.create("/registry/pods/c", b"3")
    await inner.delete("/registry/pods/c", made.mod)
    await inner.create("/registry/secrets/default/d", sealed("x", b"4"))
    later = asyncio.create_task(store.create("/registry/pods/e", b"5"))
    newest = asyncio.create_task(store.current_revision())
    for _ in range(20):
        await asyncio.sleep(0)
    assert watcher.told == [("a", b"1")] and not later.done() and not newest.done()
    vault.gate.set()
    await asyncio.gather(later, newest)
    assert watcher.told[1:] == [("b", b"2"), 7, ("c", b"3"), ("c", b""), ("d", b"4"), ("e", b"5")]
    assert vault.asked == [b"x"]
    await inner.create("/registry/pods/f", b"6")
    assert watcher.told[-1] == ("f", b"6") and gate.task is None
    await store.close()


async def test_nobody_waits_for_ever(virtual: VirtualLoop) -> None:
    inner = MemoryStorage()
    store = EncryptedStorage(inner, vaulted(Vault()))
    await store.start()
    watcher = Watcher(store)
    await inner.create(KEY, sealed("x", b"1"))
    with pytest.raises(Behind):
        await store.current_revision()
    await store.create("/registry/pods/b", b"2")  # is written, and told of later
    assert watcher.told == []
    watcher.subscription.close()
    await store.close()


async def test_a_watch_that_ends_while_events_wait(runner: asyncio.Runner) -> None:
    vault = Vault()
    inner = MemoryStorage()
    store = EncryptedStorage(inner, vaulted(vault))
    await store.start()
    first, second = Watcher(store), Watcher(store)
    await inner.create(KEY, sealed("x", b"1"))
    first.subscription.close()
    await asyncio.sleep(0)
    vault.gate.set()
    await store.current_revision()
    assert (first.told, second.told) == ([], [("a", b"1")])
    vault.gate.clear()
    await inner.create("/registry/secrets/default/b", sealed("y", b"1"))
    await inner.close()  # the end of the store: what waits is not told
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(second.told) == 2 and isinstance(second.told[1], str) and not store._gates


async def test_a_watcher_that_fails_behind_the_gate_hears_of_the_end(runner: asyncio.Runner) -> None:
    vault = Vault()
    inner = MemoryStorage()
    store = EncryptedStorage(inner, vaulted(vault))
    await store.start()
    watcher = Watcher(store)
    watcher.fail = True
    await inner.create(KEY, sealed("x", b"1"))
    vault.gate.set()
    await store.current_revision()
    assert watcher.told == ["watcher failed: a bug"] and not store._gates
    watcher.fail = False
    await inner.create("/registry/pods/b", b"2")
    assert len(watcher.told) == 1
    await store.close()
    assert len(watcher.told) == 1


async def test_stale_is_what_has_another_key_of_the_same_provider(runner: asyncio.Runner) -> None:
    vault = Vault()
    store = EncryptedStorage(MemoryStorage(), vaulted(vault))
    await store.start()
    await store.create(KEY, b"1")
    assert not await store.stale(KEY)
    vault.current = b"b"
    assert await store.stale(KEY)
    await store.close()


async def test_new_rules_wait_for_their_providers(runner: asyncio.Runner) -> None:
    old, new, bad = Vault(), Vault(), Vault()
    encryption = vaulted(old)
    bad.problem = "down"
    with pytest.raises(Unavailable, match=r"^down$"):
        await encryption.replace([(("secrets",), [bad, new])])
    assert encryption.remotes == [old]
    assert (old.closed, new.closed, bad.closed) == (0, 1, 1)
    assert bad.opened == [10.0]
    await encryption.replace([(("secrets",), [new, old])])
    assert encryption.remotes == [new, old] and old.opened == [] and old.closed == 0
    await encryption.replace([(("secrets",), [new])])
    assert encryption.remotes == [new] and old.closed == 1


def test_the_health_check_names_who_is_not_well() -> None:
    one, two, three = Vault(), Vault(), Vault()
    encryption = vaulted(one, two, three)
    encryption.check()
    two.problem = "down"
    with pytest.raises(RuntimeError, match=r"^kms-provider-1: down$"):
        encryption.check()
    three.problem = "slow"
    with pytest.raises(RuntimeError, match=r"^\[kms-provider-1: down, kms-provider-2: slow\]$"):
        encryption.check()


def test_nothing_is_looked_for_without_remote_keys() -> None:
    encryption = Encryption([(("*.*",), [PROVIDERS[0]])], resource_of)
    assert encryption.remotes == [] and not encryption.unknown([KeyValue(KEY, b"k8s:enc:vault:x", 1)])
