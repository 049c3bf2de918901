"""Changes of --authorization-config."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pilothouse.authz import configuration
from pilothouse.authz.authorizer import UnionAuthorizer, UnionMember
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.modes import Authorizers
from pilothouse.authz.reload import AuthorizationReload
from pilothouse.reload import Followed, Follower, Reloads


def config(*types: str) -> bytes:
    entries = [{"type": type_, "name": type_.lower()} for type_ in types]
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
    return json.dumps({**head, "authorizers": entries}).encode()


class Server:
    def __init__(self, file: Path, readers: Any) -> None:
        self.file = file
        self.metrics = AuthorizationMetrics()
        self.metrics.server_id = "apiserver-x"
        self.made = 0
        self.union = UnionAuthorizer([UnionMember(object(), "RBAC", "rbac")], self.metrics)  # type: ignore[arg-type]
        authorizers = Authorizers(readers)

        def make(entries: Any) -> list[UnionMember]:
            self.made += 1
            return authorizers.members(entries)

        reload = AuthorizationReload(str(file), configuration.load(str(file)), self.union, make)
        self.follower: Follower[Any] = Reloads().follow(
            Followed(
                kind="authorization",
                paths=reload.paths,
                read=reload.read,
                use=reload.use,
                metrics=self.metrics,
            )
        )

    def look(self) -> None:
        asyncio.run(self.follower.look(force=True))

    def count(self, status: str) -> float:
        return sum(value for labels, value in self.metrics.reloads.values.items() if labels[1] == status)


@pytest.fixture
def server(tmp_path: Path, readers: Any) -> Server:
    file = tmp_path / "config"
    file.write_bytes(config("RBAC"))
    return Server(file, readers)


def test_what_is_new_comes_into_force(server: Server) -> None:
    server.look()
    assert server.made == 0
    before = next(iter(server.metrics.configuration.source()))
    server.file.write_bytes(config("AlwaysDeny", "RBAC"))
    server.look()
    server.look()
    assert server.union.types == ("AlwaysDeny", "RBAC")
    assert (server.made, server.count("success"), server.count("failure")) == (1, 1, 0)
    after = next(iter(server.metrics.configuration.source()))
    assert before != after and after[1].startswith("sha256:")


@pytest.mark.parametrize("data", [b"{", config("Nonsense"), config("ABAC"), None])
def test_what_is_broken_changes_nothing(server: Server, data: bytes | None) -> None:
    if data is None:
        server.file.unlink()
    else:
        server.file.write_bytes(data)
    server.look()
    asyncio.run(server.follower.look())
    assert server.union.types == ("RBAC",)
    assert (server.count("success"), server.count("failure")) == (0, 1)
    server.file.write_bytes(config("AlwaysAllow"))
    server.look()
    assert server.union.types == ("AlwaysAllow",)
