import asyncio
import base64
import datetime
import logging
import pathlib
import tempfile
from typing import Any

import pytest
import yaml
from eventually import aeventually
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import VirtualLoop

from pilothouse.metrics.instruments import digest
from pilothouse.reload import POLL, Followed, Reloads
from pilothouse.storage.encryption.backend import Encryption
from pilothouse.storage.encryption.config import EncryptionConfigError, EncryptionReload, load
from pilothouse.storage.encryption.kms.provider import KMS, KMSSettings
from pilothouse.storage.encryption.metrics import EncryptionMetrics
from pilothouse.storage.interface import Unavailable
from pilothouse.testing.kms import KMSPluginServer

SECRET = base64.b64encode(b"0" * 32).decode()
KEY = "/registry/secrets/a"


def write(path: pathlib.Path, *resources: Any, **members: Any) -> str:
    config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
    path.write_text(yaml.safe_dump({**config, "resources": list(resources), **members}))
    return str(path)


def entry(provider: Any, *resources: str) -> dict[str, Any]:
    return {"resources": list(resources or ("secrets",)), "providers": [provider]}


def aes(name: str = "k", secret: str = SECRET, kind: str = "aesgcm") -> dict[str, Any]:
    return {kind: {"keys": [{"name": name, "secret": secret}]}}


def kms(**members: Any) -> dict[str, Any]:
    return {"kms": {"apiVersion": "v2", "name": "one", "endpoint": "unix:///run/kms.sock", **members}}


def test_providers_in_their_order(tmp_path: pathlib.Path) -> None:
    both = {"aescbc": {"keys": [{"name": "a", "secret": SECRET}, {"name": "b", "secret": SECRET}]}}
    providers = [both, aes(kind="secretbox"), aes(), kms(), {"identity": {}}]
    path = write(tmp_path / "c", {"resources": ["secrets", "configmaps."], "providers": providers})
    rules = load(path)
    assert [names for names, _ in rules] == [("secrets.",), ("configmaps.",)]
    for _, found in rules:
        assert [p.prefix for p in found] == [
            b"k8s:enc:aescbc:v1:a:",
            b"k8s:enc:aescbc:v1:b:",
            b"k8s:enc:secretbox:v1:k:",
            b"k8s:enc:aesgcm:v1:k:",
            b"k8s:enc:kms:v2:one:",
            b"",
        ]


def test_a_resource_in_two_entries_has_the_providers_of_both(tmp_path: pathlib.Path) -> None:
    [(names, found)] = load(write(tmp_path / "c", entry(aes("new")), entry(aes("old"))))
    assert names == ("secrets.",)
    assert [p.prefix for p in found] == [b"k8s:enc:aesgcm:v1:new:", b"k8s:enc:aesgcm:v1:old:"]


def test_settings_of_a_plugin(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "c", entry(kms()), entry(kms(name="two", timeout="1m0.5s"), "configmaps"))
    made: list[KMSSettings] = []

    def make(settings: KMSSettings) -> KMS:
        made.append(settings)
        return KMS(settings)

    load(path, make)
    assert made == [
        KMSSettings("one", "unix:///run/kms.sock", 3.0),
        KMSSettings("two", "unix:///run/kms.sock", 60.5),
    ]


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ([], "resources: Required value: at least one resources is required"),
        ([entry(aes(secret="%%"))], 'Invalid value: "REDACTED": secrets must be base64 encoded'),
        ([entry(aes(secret="AAAA"))], "got 3, expected one of [16 24 32]"),
        ([entry(aes(name=""))], "keys[0].name: Required value: name is a mandatory field for a key"),
        ([entry(aes(secret=""))], "keys[0].secret: Required value: secret is a mandatory field for a key"),
        ([entry(aes(), "Secrets")], "capital letters"),
        ([entry(aes(), "*")], "use '*.' to encrypt"),
        ([entry(aes(), "secrets", "*.")], "masked"),
        ([entry(aes(), "secrets", "*.*")], "masked"),
        ([entry(aes(), "*."), entry(aes())], 'resource "secrets" is masked by earlier rule "*."'),
        ([entry(aes(), "secrets", "secrets")], "cannot be specified multiple times"),
        ([entry(aes(), "events.events.k8s.io")], "Use 'events' instead"),
        ([entry(aes(), "deployments.extensions")], "'extensions' group has been removed"),
        ([entry(aes(), "secrets.*")], "encrypting the same resource across groups is not supported"),
        ([entry(aes(), "serviceipallocations")], "resources which do not have REST API/s"),
        ([entry({"rot13": {}})], "does not contain any of the expected providers"),
        ([entry({"aesgcm": {}})], "at least one keys is required"),
        ([entry({})], "does not contain any of the expected providers"),
        ([entry({**aes(), "identity": {}})], "more than one provider specified in a single element"),
        ([{"resources": ["secrets"]}], "at least one resources[0].providers is required"),
        (["x"], "at least one resources[0].resources is required"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: pathlib.Path, resources: list[Any], why: str) -> None:
    with pytest.raises(EncryptionConfigError) as caught:
        load(write(tmp_path / "c", *resources))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"name": ""}, "kms.name: Required value: name is a mandatory field for a provider"),
        ({"name": "a:b"}, "\"a:b\": invalid KMS provider name a:b, must not contain ':'"),
        ({"endpoint": ""}, 'kms.endpoint: Invalid value: "": endpoint is a mandatory field for a kms'),
        ({"endpoint": "http://x"}, 'unsupported scheme "http" for KMS provider, only unix is supported'),
        ({"endpoint": "unix://[x"}, "invalid endpoint for kms provider, error: "),
        ({"timeout": "0s"}, 'kms.timeout: Invalid value: "0s": timeout should be a positive value'),
        ({"timeout": "-1m"}, 'kms.timeout: Invalid value: "-1m0s": timeout should be a positive value'),
        ({"timeout": "3"}, "time: missing unit in duration"),
        ({"cachesize": 5}, "kms.cachesize: Invalid value: 5: cachesize is not supported in v2"),
        ({"apiVersion": "v3"}, '"v3": unsupported apiVersion apiVersion for KMS provider, only v1 and v2'),
        ({"apiVersion": "v1"}, "KMSv1 is deprecated and not served here, use KMSv2 instead"),
        ({"apiVersion": None}, "KMSv1 is deprecated"),
        ({"endpont": "x"}, "kms.endpont: Invalid value: unknown field"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_named(
    tmp_path: pathlib.Path, members: dict[str, Any], why: str
) -> None:
    with pytest.raises(EncryptionConfigError) as caught:
        load(write(tmp_path / "c", entry(kms(**members))))
    assert why in str(caught.value)


def test_plugins_have_names_of_their_own(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "c", entry(kms()), entry(kms(), "configmaps"))
    with pytest.raises(EncryptionConfigError, match="duplicate KMS provider name one, names must be unique"):
        load(path)


def test_no_configuration_at_all(tmp_path: pathlib.Path) -> None:
    (tmp_path / "c").write_text("[]")
    with pytest.raises(EncryptionConfigError, match="must be EncryptionConfiguration"):
        load(str(tmp_path / "c"))
    with pytest.raises(EncryptionConfigError, match="error reading"):
        load(str(tmp_path / "none"))


SCALARS = st.sampled_from(
    [None, True, 0, 1.5, "", "a", "v2", "1s", datetime.date(2026, 1, 1), b"x", "unix:///x"]
)
NAMES = st.sampled_from(
    [
        "kind",
        "resources",
        "providers",
        "kms",
        "aesgcm",
        "identity",
        "keys",
        "name",
        "secret",
        "apiVersion",
        "endpoint",
        "timeout",
        "cachesize",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES | st.just(5), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([(), ("resources",), ("providers",), ("kms",), ("keys",)]))
@settings(max_examples=100 * SCALE)
def test_whatever_stands_in_the_file_is_read_or_refused(value: Any, place: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "c"
        config: Any = entry(aes())
        match place:
            case ("resources",):
                config["resources"] = value
            case ("providers",):
                config["providers"] = value
            case ("kms",):
                config["providers"] = [{"kms": value}]
            case ("keys",):
                config["providers"] = [{"aescbc": {"keys": value}}]
            case _:
                config = value
        try:
            load(write(path, config))
        except EncryptionConfigError:
            pass


def test_no_error_shows_a_key(tmp_path: pathlib.Path) -> None:
    for text in (f"secret: {SECRET}: [", f"a:\n  secret: {SECRET}\n b: c"):
        (tmp_path / "c").write_text(text)
        with pytest.raises(EncryptionConfigError, match=r"error decoding.*line") as caught:
            load(str(tmp_path / "c"))
        assert SECRET not in str(caught.value)
    with pytest.raises(EncryptionConfigError) as caught:
        load(write(tmp_path / "c", entry({"aesgmc": aes()["aesgcm"]})))
    assert SECRET not in str(caught.value)


def written(encryption: Encryption) -> bytes:
    return encryption.encrypt(KEY, b"x")


def following(path: str, encryption: Encryption, metrics: EncryptionMetrics, poll: float = POLL) -> Reloads:
    reload, reloads = EncryptionReload(path, encryption), Reloads(poll)
    reloads.follow(
        Followed(
            kind="encryption",
            paths=lambda: (path,),
            read=reload.read,
            use=reload.use,
            metrics=metrics,
            faults=(Unavailable,),
        )
    )
    reloads.start()
    return reloads


async def test_reload(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "c", entry(aes("one")))
    encryption = Encryption(load(path), lambda key: "secrets")
    metrics = EncryptionMetrics()
    reloads = following(path, encryption, metrics)
    (tmp_path / "c").write_text("broken: [")
    await virtual.advance(2.5 * POLL)
    assert written(encryption).startswith(b"k8s:enc:aesgcm:v1:one:")
    write(tmp_path / "c", entry(aes("two")))
    await virtual.advance(2 * POLL)
    assert written(encryption).startswith(b"k8s:enc:aesgcm:v1:two:")
    assert metrics.reloads.values == {("", "failure"): 1, ("", "success"): 1}
    assert all(now > 0 for now in metrics.last_reload.values.values())
    [(_, known)] = metrics.configuration.source()
    assert known == digest((tmp_path / "c").read_bytes())
    await reloads.close()


async def test_reload_takes_a_plugin_once_it_is_well(
    runner: asyncio.Runner, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told(text: str) -> int:
        return caplog.text.count(text)

    caplog.set_level(logging.INFO)
    plugin = KMSPluginServer(tmp_path / "kms", tmp_path / "keys")
    path = write(tmp_path / "c", entry(aes("one")))
    encryption = Encryption(load(path), lambda key: "secrets", ready=0.2)
    old = written(encryption)
    reloads = following(path, encryption, EncryptionMetrics(), 0.01)
    both = [kms(endpoint=plugin.endpoint, timeout="100ms"), aes("one")]
    write(tmp_path / "c", {"resources": ["secrets"], "providers": both})
    await aeventually(lambda: told("the old one stays in force"), "a refusal")
    assert written(encryption).startswith(b"k8s:enc:aesgcm:v1:one:")
    with plugin:
        await aeventually(lambda: told("A configuration was reloaded"), "the new configuration")
        assert written(encryption).startswith(b"k8s:enc:kms:v2:one:")
        encryption.check()
        assert encryption.decrypt(KEY, old) == b"x" and encryption.stale(KEY, old)
        [remote] = encryption.remotes
        sealed = written(encryption)
        write(tmp_path / "c", entry(both[0], "secrets", "configmaps"))  # the plugin stays as it is
        await aeventually(lambda: told("A configuration was reloaded") == 2, "the next one")
        assert encryption.remotes == [remote] and plugin.calls["Encrypt"] == 1
        assert not encryption.stale(KEY, sealed)
        write(tmp_path / "c", entry(aes("one")))
        await aeventually(lambda: not encryption.remotes, "the end of the plugin")
    await reloads.close()
    await encryption.close()


async def test_a_server_that_stops_meanwhile_closes_what_it_tried(
    runner: asyncio.Runner, tmp_path: pathlib.Path
) -> None:
    path = write(tmp_path / "c", entry(aes("one")))
    encryption = Encryption(load(path), lambda key: "secrets")
    before = asyncio.all_tasks()
    rules = load(write(tmp_path / "c", entry(kms(endpoint=f"unix://{tmp_path}/none", timeout="100ms"))))
    trying = asyncio.create_task(encryption.replace(rules))
    await asyncio.sleep(0.01)
    trying.cancel()
    await asyncio.wait((trying,))
    assert trying.cancelled() and asyncio.all_tasks() == before
    assert written(encryption).startswith(b"k8s:enc:aesgcm:v1:one:")
