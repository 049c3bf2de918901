import asyncio
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.storage.encryption import (
    AesCbc,
    AesGcm,
    DecryptionError,
    EncryptedStorage,
    Encryption,
    Identity,
    Provider,
    SecretBox,
)
from pilothouse.storage.interface import Op, RevisionConflict
from pilothouse.storage.memory import MemoryStorage

KEY = "/registry/secrets/default/a"
PROVIDERS: list[Provider] = [
    AesGcm("one", b"1" * 32),
    AesGcm("short", b"1" * 16),
    AesCbc("two", b"2" * 32),
    SecretBox("three", b"3" * 32),
]


def resource_of(key: str) -> str:
    return {"secrets": "secrets", "deployments": "deployments.apps"}.get(key.split("/")[2], "")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.prefix.decode())
@given(data=st.binary(max_size=100))
@settings(max_examples=20)
def test_round_trip(provider: Provider, data: bytes) -> None:
    sealed = provider.encrypt(data, b"k")
    assert provider.decrypt(sealed, b"k") == data
    assert provider.encrypt(data, b"k") != sealed


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.prefix.decode())
@given(data=st.binary(max_size=60))
@settings(max_examples=30)
def test_what_was_not_written_so_is_refused(provider: Provider, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        provider.decrypt(data, b"k")
        raise ValueError("padding that happens to be right")


def test_a_value_belongs_to_its_key() -> None:
    gcm = PROVIDERS[0]
    with pytest.raises(ValueError, match="authentication failed"):
        gcm.decrypt(gcm.encrypt(b"x", b"/registry/secrets/default/a"), b"/registry/secrets/default/b")


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
        (("secrets",), [PROVIDERS[0], PROVIDERS[2], Identity()]),
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
    with pytest.raises(DecryptionError, match="no matching prefix found"):
        encryption.decrypt(app, b"plain")
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
