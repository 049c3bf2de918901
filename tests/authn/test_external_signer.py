"""Tokens that another process signs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from clocks import Clock
from eventually import aeventually
from rsa_pem import rsa_pem
from signer import Signer

from pilothouse import errors
from pilothouse.authn import keys
from pilothouse.authn.external_signer import PAUSE, ExternalSigner, SignerError
from pilothouse.authn.metrics import SignerMetrics

pytest.importorskip("grpc")


class Case:
    def __init__(self, process: Signer) -> None:
        self.process = process
        self.clock, self.metrics = Clock(), SignerMetrics()
        self.signer = ExternalSigner(str(process.socket), self.metrics, clock=self.clock, seconds=5)

    async def __aenter__(self) -> Self:
        await self.signer.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.signer.close()

    async def verifies(self, token: str) -> bool:
        header = keys.read(token)[0]
        try:
            keys.verify(token, header, await self.signer.find(header["kid"]))
        except keys.BadSignature:
            return False
        return True


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Signer]:
    with Signer(tmp_path / "signer.sock") as process:
        yield process


async def test_tokens_are_signed_and_verified(runner: asyncio.Runner, process: Signer) -> None:
    async with Case(process) as case:
        token = await case.signer.sign({"sub": "jane", "näme": "x"})
        assert keys.read(token)[1] == {"sub": "jane", "näme": "x"} and await case.verifies(token)
        assert [key.kid for key in case.signer.published()] == ["one"]
        assert case.signer.max_lifetime == 7200
        assert process.calls == ["FetchKeys", "Metadata", "Sign"]
        counts = case.metrics.seconds.counts()
        assert counts[("OK", "/v1.ExternalJWTSigner/Sign")] == 1
        assert (case.metrics.signed.values, case.metrics.fetches.values) == ({("OK",): 1}, {("OK",): 1})
        assert case.metrics.data_time.values == {(): 1_767_225_600} and case.metrics.last_fetch.values[()] > 0


async def test_unknown_keys_are_fetched_but_not_at_once(runner: asyncio.Runner, process: Signer) -> None:
    async with Case(process) as case:
        old = await case.signer.sign({"a": 1})
        process.pems["two"] = rsa_pem("other")
        assert await case.signer.find("two") == []
        case.clock.now += PAUSE
        token = await case.signer.sign({"a": 1})
        assert await case.verifies(token) and await case.verifies(old)
        assert process.calls.count("FetchKeys") == 2
        assert len(await case.signer.find("")) == 2


async def test_keys_are_fetched_as_often_as_the_signer_says(runner: asyncio.Runner, process: Signer) -> None:
    process.refresh = 1
    async with Case(process) as case:
        case.signer.start()
        process.pems["two"] = rsa_pem("other")
        await aeventually(lambda: len(case.signer.published()) == 2, "the new key")


async def test_an_outage_leaves_the_known_keys(runner: asyncio.Runner, process: Signer) -> None:
    async with Case(process) as case:
        token = await case.signer.sign({"a": 1})
        process.refuse = "broken"
        case.clock.now += PAUSE
        assert await case.signer.find("two") == [] and await case.verifies(token)
        why = "failed to generate token: while signing jwt: rpc error: code = Internal desc = broken"
        with pytest.raises(errors.InternalError, match=why):
            await case.signer.sign({"a": 1})
        assert case.metrics.signed.values == {("OK",): 1, ("Internal",): 1}
        assert case.metrics.fetches.values == {("OK",): 1, ("Internal",): 1}


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"typ": "at+jwt"}, "bad type"),
        ({"kid": ""}, "key id missing"),
        ({"kid": "x" * 1025}, "key id longer than 1 kb"),
        ({"alg": "HS256"}, 'bad signing algorithm "HS256"'),
        ({"jku": "https://x"}, "while parsing header JSON"),
    ],
)
async def test_headers_that_are_refused(
    runner: asyncio.Runner, process: Signer, header: dict[str, Any], why: str
) -> None:
    process.header = header
    async with Case(process) as case:
        with pytest.raises(errors.InternalError, match=f"while validating header: {why}"):
            await case.signer.sign({"a": 1})


async def test_keys_that_are_not_published_do_not_sign(runner: asyncio.Runner, process: Signer) -> None:
    process.hidden = {"one"}
    async with Case(process) as case:
        assert case.signer.published() == [] and len(await case.signer.find("one")) == 1
        with pytest.raises(errors.InternalError, match="is excluded from OIDC discovery docs"):
            await case.signer.sign({"a": 1})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pems": {}}, "found no keys"),
        ({"refresh": 0}, r"found invalid refresh hint \(0s\)"),
        ({"refresh": -5}, r"found invalid refresh hint \(-5s\)"),
        ({"pems": {"": rsa_pem()}}, "found invalid public key id"),
        ({"lifetime": 599}, r"\(599s\) is less than acceptable \(min 600s\)"),
        ({"refuse": "no"}, "while initially filling key cache: .* code = Internal desc = no"),
    ],
)
async def test_signers_that_cannot_be_used(
    runner: asyncio.Runner, process: Signer, change: dict[str, Any], why: str
) -> None:
    for name, value in change.items():
        setattr(process, name, value)
    case = Case(process)
    with pytest.raises(SignerError, match=why):
        await case.signer.open()
    await case.signer.close()
