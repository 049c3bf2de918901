"""Accepted objects can be read: objects of every kind with extreme members,
written, shown, changed and deleted.

No answer is a 500 and nothing is logged with a traceback,
also not by a server that opens the same store later.
"""

import asyncio
import random
from pathlib import Path

import pytest
from extreme_player import SEED, Mistakes, Player, check
from fuzz.seeds import creatable
from harness import Rig

from pilothouse.registry.resource import Resource
from pilothouse.storage.sqlite.backend import SqliteStorage


def kinds() -> list[Resource]:
    found = creatable()
    return sorted(found, key=lambda r: (r.virtual, r.group, r.plural, r.version))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_was_accepted_can_be_read(runner: asyncio.Runner, tmp_path: Path, mistakes: Mistakes) -> None:
    chance = random.Random(SEED)

    async def first() -> Player:
        async with Rig(storage=SqliteStorage(tmp_path)) as rig:
            player = Player(rig, chance)
            for resource in kinds():
                await player.create(resource)
            await player.read_all()
            await player.change_all()
            await player.read_all()
            check(player, mistakes)
        return player

    async def again(paths: dict[str, Resource]) -> None:
        """A server on the same store."""
        async with Rig(storage=SqliteStorage(tmp_path), namespaces=()) as rig:
            player = Player(rig, chance)
            player.paths = paths
            await player.read_all()
            await player.delete_all()
            await player.read_all()
            check(player, mistakes)

    made = runner.run(first())
    assert len(made.paths) > 40
    runner.run(again(made.paths))
