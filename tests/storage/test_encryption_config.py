import asyncio
import base64
import pathlib
from typing import Any

import pytest
import yaml

from pilothouse.storage.encryption import Encryption
from pilothouse.storage.encryption_config import EncryptionConfigError, Reload, load

SECRET = base64.b64encode(b"0" * 32).decode()


def write(path: pathlib.Path, *resources: Any, **members: Any) -> str:
    config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
    path.write_text(yaml.safe_dump({**config, "resources": list(resources), **members}))
    return str(path)


def entry(provider: Any, *resources: str) -> dict[str, Any]:
    return {"resources": list(resources or ("secrets",)), "providers": [provider]}


def aes(name: str = "k", secret: str = SECRET, kind: str = "aesgcm") -> dict[str, Any]:
    return {kind: {"keys": [{"name": name, "secret": secret}]}}


def test_providers_in_their_order(tmp_path: pathlib.Path) -> None:
    both = {"aescbc": {"keys": [{"name": "a", "secret": SECRET}, {"name": "b", "secret": SECRET}]}}
    providers = [both, aes(kind="secretbox"), aes(), {"identity": {}}]
    path = write(tmp_path / "c", {"resources": ["secrets", "configmaps."], "providers": providers})
    [(names, found)], digest = load(path)
    assert names == ("secrets", "configmaps")
    assert [p.prefix for p in found] == [
        b"k8s:enc:aescbc:v1:a:",
        b"k8s:enc:aescbc:v1:b:",
        b"k8s:enc:secretbox:v1:k:",
        b"k8s:enc:aesgcm:v1:k:",
        b"",
    ]
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ([], "at least one resources is required"),
        ([entry(aes(secret="%%"))], "secrets must be base64 encoded"),
        ([entry(aes(secret="AAAA"))], "got 3, expected one of [16, 24, 32]"),
        ([entry(aes(name="a:b"))], "keys[0].name"),
        ([entry(aes(), "Secrets")], "capital letters"),
        ([entry(aes(), "*")], "use '*.' to encrypt"),
        ([entry(aes(), "secrets", "*.")], "masked"),
        ([entry(aes(), "secrets", "*.*")], "masked"),
        ([entry(aes(), "secrets", "secrets")], "cannot be specified multiple times"),
        ([entry({"rot13": {}})], "Unsupported value"),
        ([entry({"aesgcm": {}})], "at least one keys is required"),
        ([entry({})], "exactly one"),
        ([{"resources": ["secrets"]}], "at least one providers is required"),
        (["x"], "at least one resources is required"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: pathlib.Path, resources: list[Any], why: str) -> None:
    with pytest.raises(EncryptionConfigError) as caught:
        load(write(tmp_path / "c", *resources))
    assert why in str(caught.value)


def test_no_configuration_at_all(tmp_path: pathlib.Path) -> None:
    (tmp_path / "c").write_text("[]")
    with pytest.raises(EncryptionConfigError, match="kind must be"):
        load(str(tmp_path / "c"))
    (tmp_path / "c").write_text("a: [")
    with pytest.raises(EncryptionConfigError, match="error reading"):
        load(str(tmp_path / "c"))
    with pytest.raises(EncryptionConfigError, match="error reading"):
        load(str(tmp_path / "none"))


def test_reload(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "c", entry(aes("one")))
    rules, digest = load(path)
    encryption = Encryption(rules, lambda key: "secrets")
    key = "/registry/secrets/a"

    async def main() -> None:
        reload = Reload(path, digest, encryption, poll=0.01)
        reload.start()
        (tmp_path / "c").write_text("broken: [")
        await asyncio.sleep(0.1)
        assert encryption.encrypt(key, b"x").startswith(b"k8s:enc:aesgcm:v1:one:")
        write(tmp_path / "c", entry(aes("two")))
        for _ in range(200):
            if encryption.encrypt(key, b"x").startswith(b"k8s:enc:aesgcm:v1:two:"):
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("not reloaded")
        await reload.close()

    asyncio.run(main())
