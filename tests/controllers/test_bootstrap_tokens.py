"""Tokens that end, and the signatures of cluster-info."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from clocks import Clock
from harness import Rig
from virtual_time import VirtualLoop

from pilothouse.controllers.bootstrap_tokens import (
    TYPE,
    BootstrapSigner,
    TokenCleaner,
    expires_at,
    signature,
    token_text,
)

SECRETS = "/api/v1/namespaces/kube-system/secrets"
INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
START = 1_800_000_000.0
"""2027-01-15T08:00:00Z"""


def secret(token_id: str = "abcdef", kind: str = TYPE, name: str = "", **data: str) -> Any:
    texts = {"token-id": token_id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true"}
    texts |= {key.replace("_", "-"): value for key, value in data.items()}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items() if text}
    return {"metadata": {"name": name or f"bootstrap-token-{token_id}"}, "type": kind, "data": encoded}


@pytest.fixture
def clock(virtual: VirtualLoop) -> Any:
    """Unix time, which moves with the loop's."""
    begun = virtual.time()
    return lambda: START + virtual.time() - begun


async def test_tokens_are_deleted_when_they_end(rig: Rig, virtual: VirtualLoop, clock: Any) -> None:
    await rig.ok("POST", SECRETS, secret("aaaaaa", expiration="2027-01-15T08:01:00Z"))
    cleaner = TokenCleaner(rig.client(), clock)
    cleaner.start()
    await rig.ok("POST", SECRETS, secret("bbbbbb", expiration="2027-01-15T09:02:00+01:00"))
    await rig.ok("POST", SECRETS, secret("cccccc"))
    await rig.ok("POST", SECRETS, secret("dddddd", expiration="soon"))
    await rig.ok("POST", SECRETS, secret("eeeeee", kind="Opaque", expiration="2026-01-01T00:00:00Z"))
    await rig.ok("POST", SECRETS, secret(name="other", expiration="2026-01-01T00:00:00Z"))

    async def there() -> set[str]:
        await rig.settle()
        return {
            s["metadata"]["name"].removeprefix("bootstrap-token-")
            for s in (await rig.ok("GET", SECRETS))["items"]
        }

    assert await there() == {"aaaaaa", "bbbbbb", "cccccc", "eeeeee", "other"}
    await virtual.advance(61)
    assert await there() == {"bbbbbb", "cccccc", "eeeeee", "other"}
    await virtual.advance(61)
    assert await there() == {"cccccc", "eeeeee", "other"}
    await cleaner.close()


async def test_a_token_that_is_prolonged_stays(rig: Rig, virtual: VirtualLoop, clock: Any) -> None:
    cleaner = TokenCleaner(rig.client(), clock)
    cleaner.start()
    await rig.ok("POST", SECRETS, secret(expiration="2027-01-15T08:01:00Z"))
    longer = secret(expiration="2027-01-15T08:10:00Z")
    await rig.ok("PUT", f"{SECRETS}/bootstrap-token-abcdef", longer)
    await virtual.advance(300)
    assert (await rig.call("GET", f"{SECRETS}/bootstrap-token-abcdef")).status == 200
    await virtual.advance(301)
    assert (await rig.call("GET", f"{SECRETS}/bootstrap-token-abcdef")).status == 404
    await cleaner.close()


def test_when_a_token_ends() -> None:
    assert expires_at(secret()) is None
    assert expires_at(secret(expiration="2027-01-15T08:00:00Z")) == START
    assert expires_at(secret(expiration="2027-01-15T08:00:00")) == 0, "a time without zone is none"
    assert expires_at(secret(expiration="x")) == 0
    assert token_text({"data": {"a": "%"}}, "a") == token_text({}, "a") == ""


@pytest.fixture
def signer(rig: Rig, runner: asyncio.Runner) -> Iterator[BootstrapSigner]:
    signer = BootstrapSigner(rig.client("kube-controller-manager"), Clock(START))

    async def start() -> None:
        await rig.namespace("kube-public")
        signer.start()

    runner.run(start())
    yield signer
    runner.run(signer.close())


async def signatures(rig: Rig) -> Any:
    await rig.settle()
    data = (await rig.ok("GET", INFO))["data"]
    return {k.removeprefix("jws-kubeconfig-"): v for k, v in data.items() if k.startswith("jws-kubeconfig-")}


async def info(rig: Rig, **data: str) -> None:
    body = {"metadata": {"name": "cluster-info"}, "data": data}
    await rig.ok("POST", INFO.removesuffix("/cluster-info"), body)


async def test_every_token_signs(rig: Rig, signer: BootstrapSigner) -> None:
    await info(rig, kubeconfig="text")
    await rig.ok("POST", SECRETS, secret())
    await rig.ok("POST", SECRETS, secret("bbbbbb"))
    found = await signatures(rig)
    assert found == {name: signature("text", name, "0123456789abcdef") for name in ("abcdef", "bbbbbb")}
    await rig.ok("DELETE", f"{SECRETS}/bootstrap-token-bbbbbb")
    assert set(await signatures(rig)) == {"abcdef"}
    changed = {
        "metadata": {"name": "cluster-info"},
        "data": {"kubeconfig": "other", "jws-kubeconfig-abcdef": "forged"},
    }
    await rig.ok("PUT", INFO, changed)
    assert await signatures(rig) == {"abcdef": signature("other", "abcdef", "0123456789abcdef")}
    before = rig.storage.revision
    await rig.ok("POST", SECRETS, secret(name="another"))
    await rig.settle()
    assert rig.storage.revision == before + 1, "nothing to sign anew"


@pytest.mark.parametrize(
    "bad",
    [
        secret(usage_bootstrap_signing="false"),
        secret(expiration="2027-01-15T08:00:00Z"),
        secret(token_secret=""),
        secret(kind="Opaque"),
        secret(token_id="abcdeg", name="bootstrap-token-abcdef"),
        secret(name="bootstrap-token-long-name"),
    ],
)
async def test_a_token_that_does_not_sign(rig: Rig, signer: BootstrapSigner, bad: Any) -> None:
    await info(rig, kubeconfig="text")
    await rig.ok("POST", SECRETS, bad)
    assert await signatures(rig) == {}


async def test_nothing_to_sign(rig: Rig, signer: BootstrapSigner) -> None:
    await rig.ok("POST", SECRETS, secret())
    await info(rig, other="text")
    assert await signatures(rig) == {}


async def test_a_signature_goes_with_its_token(rig: Rig, virtual: VirtualLoop, clock: Any) -> None:
    await rig.namespace("kube-public")
    signer = BootstrapSigner(rig.client(), clock)
    signer.start()
    await info(rig, kubeconfig="text")
    await rig.ok("POST", SECRETS, secret(expiration="2027-01-15T08:01:00Z"))
    assert set(await signatures(rig)) == {"abcdef"}
    await virtual.advance(62)
    assert await signatures(rig) == {}
    await signer.close()


def test_a_signature_is_a_detached_jws() -> None:
    head, middle, mac = signature("text", "abcdef", "0123456789abcdef").split(".")
    assert (
        json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "kid": "abcdef"}
        and middle == ""
    )
    signed = f"{head}.{base64.urlsafe_b64encode(b'text').decode().rstrip('=')}".encode()
    made = hmac.new(b"0123456789abcdef".ljust(32, b"\0"), signed, hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(mac + "=") == made, "upstream pads the key with zeros"
