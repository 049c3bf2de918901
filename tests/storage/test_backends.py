"""Kinds of stores."""

import asyncio
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from pilothouse.assembly.server import Server
from pilothouse.configuration import backends, options
from pilothouse.configuration.backends import BACKENDS, StorageBackend
from pilothouse.lifecycle import Background
from pilothouse.server.listener import bind
from pilothouse.storage.backends import open_storage
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.memory import MemoryStorage


class Third(MemoryStorage):
    """A store that the server knows nothing of but its name."""

    others_write = True


class Looking(Background):
    """Runs beside it."""

    runs = False

    def start(self) -> None:
        self.runs = True

    async def close(self) -> None:
        self.runs = False


async def test_a_server_starts_on_a_kind_that_it_does_not_know(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = types.ModuleType("pilothouse.storage.third")
    looking = Looking()
    module.open_storage = lambda options, directory, routes, clock: Third()

    def upkeep(storage: Any, options: Any, checks: Any) -> list[Background]:
        checks.add_check("third", lambda: None)
        return [looking]

    module.upkeep = upkeep
    monkeypatch.setitem(sys.modules, "pilothouse.storage.third", module)
    monkeypatch.setitem(BACKENDS, "third", StorageBackend("third", others_write=True))
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    arguments = [f"--data-dir={tmp_path}", "--bind-address=127.0.0.1", f"--secure-port={port}"]
    config = options.parse([*arguments, "--storage-backend=third", "--workers=2"])
    assert not config.runs("namespace"), "others may have a controller manager"
    server = Server(config, sockets=[sock])
    await server.start()
    try:
        assert looking.runs and "/readyz/third" in server.host.health.paths()
        assert server.cluster.registry.store.fresh is not None, "its caches may be stale"
    finally:
        await server.stop(0)
    assert not looking.runs


def test_what_a_kind_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "sqlite", StorageBackend("not_installed", missing="other"))
    with pytest.raises(Unavailable, match=r"pip install pilothouse\[other\]"):
        open_storage(options.parse([]).store, tmp_path)


def test_addresses_choose_the_kind_that_has_them() -> None:
    assert BACKENDS[backends.ADDRESSED].addresses
