"""Changes of --authentication-config."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock
from providers import NOW, OTHER, OTHER_PEM, URL, Documents, signed
from virtual_time import VirtualLoop

from pilothouse.authn.configuration import Anonymous, AuthenticationConfiguration
from pilothouse.authn.metrics import JWTMetrics
from pilothouse.authn.oidc import IssuerTokens, JWTTokens, TokenChecks
from pilothouse.authn.reload import PATIENCE, AuthenticationReload
from pilothouse.authn.validation import validated
from pilothouse.reload import Followed, Follower, Reloads

ELSE = "https://else"
ANONYMOUS = {"anonymous": {"enabled": True}}


def config(*urls: str, **members: Any) -> bytes:
    jwt = [
        {
            "issuer": {"url": url, "audiences": ["me"]},
            "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
        }
        for url in urls
    ]
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    return json.dumps({**head, "jwt": jwt, **members}).encode()


class Server:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.documents = Documents()
        self.documents.add(ELSE, OTHER_PEM)
        self.metrics = JWTMetrics()
        self.metrics.server_id = "apiserver-x"
        self.forgotten = 0
        self.tokens = JWTTokens([], (), self.metrics)
        reload = AuthenticationReload(Anonymous(True), self.tokens, self.make, forget=self.forget)
        file.write_bytes(config(**ANONYMOUS))
        self.follower: Follower[Any] = Reloads().follow(
            Followed(
                kind="authentication",
                paths=lambda: (str(file),),
                read=reload.read,
                use=reload.use,
                metrics=self.metrics,
            )
        )

    def make(self, found: AuthenticationConfiguration) -> list[IssuerTokens]:
        checks = TokenChecks(metrics=self.metrics, clock=Clock(), now=Clock(NOW))
        return [
            IssuerTokens(one, compiled, self.documents, checks)
            for one, compiled in zip(found.jwt, validated(found, ["https://own"]), strict=True)
        ]

    def forget(self) -> None:
        self.forgotten += 1

    async def look(self, data: bytes) -> None:
        self.file.write_bytes(data)
        await self.follower.look(force=True)

    async def name(self, token: str) -> str | None:
        found = await self.tokens.authenticate_token(token, ())
        return found.user.name if found is not None else None

    def count(self, status: str) -> float:
        return sum(value for labels, value in self.metrics.reloads.values.items() if labels[1] == status)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "config.json")


async def test_what_is_new_comes_into_force(runner: asyncio.Runner, server: Server) -> None:
    await server.look(config(URL, **ANONYMOUS))
    assert await server.name(signed()) == "jane"
    before = next(iter(server.metrics.configuration.source()))
    await server.look(config(ELSE, **ANONYMOUS))
    await server.follower.look()
    assert (await server.name(signed()), await server.name(signed(OTHER, iss=ELSE))) == (None, "jane")
    assert (server.count("success"), server.count("failure"), server.forgotten) == (2, 0, 2)
    after = next(iter(server.metrics.configuration.source()))
    assert before != after and after[0].startswith("sha256:") and after[1].startswith("sha256:")
    await server.look(config(**ANONYMOUS))
    assert server.tokens.issuers == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        config(URL, URL, **ANONYMOUS),
        config("https://own", **ANONYMOUS),
        config(URL),
        config(URL, anonymous={"enabled": True, "conditions": [{"path": "/livez"}]}),
        None,
    ],
)
async def test_what_is_broken_changes_nothing(
    runner: asyncio.Runner, server: Server, data: bytes | None
) -> None:
    await server.look(config(URL, **ANONYMOUS))
    if data is None:
        server.file.unlink()
    else:
        server.file.write_bytes(data)
    await server.follower.look(force=True)
    await server.follower.look()
    assert await server.name(signed()) == "jane"
    assert (server.count("success"), server.count("failure"), server.forgotten) == (1, 1, 1)
    await server.look(config(ELSE, **ANONYMOUS))
    assert await server.name(signed()) is None


def test_a_provider_that_is_not_found_leaves_the_old_ones(server: Server) -> None:
    async def run() -> None:
        await server.look(config(URL, **ANONYMOUS))
        loop, documents = asyncio.get_running_loop(), server.documents.documents
        gone = documents.pop(f"{ELSE}/.well-known/openid-configuration")
        started = loop.time()
        await server.look(config(ELSE, **ANONYMOUS))
        assert loop.time() - started == PATIENCE
        assert await server.name(signed()) == "jane" and server.count("failure") == 1
        documents[f"{ELSE}/.well-known/openid-configuration"] = gone
        await server.follower.look(force=True)  # the same file: what was missing may be there now
        assert await server.name(signed(OTHER, iss=ELSE)) == "jane" and server.count("success") == 2
        assert len(asyncio.all_tasks()) == 1

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
