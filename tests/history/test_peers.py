"""Authors of changes that went through other servers are learnt from these."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from clocks import Clock
from followed_history import Followed, body, followed, store
from kept_history import PREFIX, author

from pilothouse.history.kept import KeptChange
from pilothouse.history.peers import Peers
from pilothouse.history.spool import LearntAuthor
from pilothouse.history.written import MOST, PATH, answer
from pilothouse.outbound.http import Unanswered
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.changes import last_of

CLOCK = Clock(1_800_000_000.0)
TRIES = 5


class Pair:
    """Two servers of one store, of which the first asks the second."""

    def __init__(self, storage: SqliteStorage, one: Followed, other: Followed) -> None:
        self.storage = storage
        self.one = one
        self.other = other
        self.asked: list[str] = []
        self.said: bytes | None = None
        self.peers = Peers(one.foreign, lambda: ["other"], self.ask, pause=0.001, tries=TRIES)

    async def ask(self, address: str, path: str) -> bytes:
        """The answer of the second server, or what the test has it say."""
        assert address == "other" and path.startswith(f"{PATH}?after=")
        self.asked.append(path)
        if self.said is not None:
            return self.said
        await self.other.caught_up()  # a server that is behind is asked again, which is not what is tested
        after, upto = (int(part.rpartition("=")[2]) for part in path.split("&"))
        upto = min(upto, self.other.foreign.revision)
        return orjson.dumps(answer(await self.other.reader.written(last_of(after), last_of(upto)), upto))

    async def write(self, name: str, user: str, by: Followed | None = None) -> int:
        """Create an object by a request to the second server, or another one; its revision."""
        made = await self.storage.create(f"{PREFIX}{name}", body(0))
        (by or self.other).foreign.wrote(made.key, made.mod, author(CLOCK() - 7, user, audit_id="an-id"))
        return made.mod

    async def learnt(self) -> list[KeptChange]:
        """The changes that the first server has, once nothing is unknown any more."""
        await self.one.caught_up()
        async with asyncio.timeout(10):
            while self.peers._unknown or not self.asked:
                await asyncio.sleep(0.005)
        return await self.one.changes()


@contextlib.asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    async with (
        store(folder) as storage,
        followed(storage, folder / "one", CLOCK) as one,
        followed(storage, folder / "other", CLOCK) as other,
    ):
        made = Pair(storage, one, other)
        try:
            yield made
        finally:
            await made.peers.close()


def users(changes: list[KeptChange]) -> list[str]:
    return [change.author.user for change in changes if change.author is not None]


async def test_authors_are_learnt_while_changes_wait(runner: Any, tmp_path: Path) -> None:
    async with pair(tmp_path) as two:
        two.peers.start()
        await two.write("a", "jane", two.one)
        await two.write("b", "jim")
        found = await two.learnt()
        assert users(found) == ["jane", "jim"]
        assert found[1].audit_id == "an-id" and found[1].time_ms == (CLOCK() - 7) * 1000
        assert found[1].author is not None and found[1].author.groups == ("dev",)
        await two.one.move()
        assert users(await two.one.changes()) == ["jane", "jim"]


async def test_authors_of_what_was_there_at_the_start_and_has_been_moved_elsewhere(
    runner: Any, tmp_path: Path
) -> None:
    async with pair(tmp_path) as two:
        names = [f"n{number:03}" for number in range(MOST + 20)]  # more than one page
        for name in names:
            await two.write(name, "jim")
        await two.other.move()
        await two.one.caught_up()
        two.peers.start()
        assert users(await two.learnt()) == ["jim"] * len(names)
        assert 2 <= len(two.asked) <= 4


async def test_an_author_is_unknown_until_it_is_kept(runner: Any, tmp_path: Path) -> None:
    """So an author that cannot be kept is asked for again."""
    async with pair(tmp_path) as two:
        unknown: list[tuple[int, str]] = []
        learn = two.one.foreign.learn

        async def slow(authors: Sequence[LearntAuthor]) -> None:
            await asyncio.sleep(0.01)
            unknown.extend(two.peers._unknown)
            await learn(authors)

        two.one.foreign.learn = slow  # type: ignore[method-assign]
        two.peers.start()
        revision = await two.write("a", "jim")
        assert users(await two.learnt()) == ["jim"]
        assert unknown == [(revision, f"{PREFIX}a")]


async def test_what_nobody_knows_stays_unknown(runner: Any, tmp_path: Path) -> None:
    """And is not asked for without end."""
    async with pair(tmp_path) as two:
        two.peers.start()
        await two.storage.create(f"{PREFIX}a", body(0))
        [found] = await two.learnt()
        assert found.author is not None and not found.author.is_known
        assert len(two.asked) == TRIES


@pytest.mark.parametrize(
    "said",
    [
        b"x",
        b"[]",
        b"{}",
        b'{"reached":9,"authors":[[1,2]]}',
        b'{"reached":9,"authors":[[2,"/registry/configmaps/default/a",1,"",["u",[],"m","v",1,"a"]]]}',
        b'{"reached":9,"authors":[[2,"/registry/configmaps/default/a",-1,"",["u",[],"m","v","s","a"]]]}',
        b'{"reached":9,"authors":[[2,"/registry/configmaps/default/a",1,"%b",["u",[],"m","v","s","a"]]]}'
        % (b"i" * 256),
    ],
)
async def test_an_answer_that_is_none(runner: Any, tmp_path: Path, said: bytes) -> None:
    """The server that gives it is left alone for a while."""
    async with pair(tmp_path) as two:
        two.said = said
        two.peers.start()
        await two.storage.create(f"{PREFIX}a", body(0))
        [found] = await two.learnt()
        assert found.author is not None and not found.author.is_known and len(two.asked) == 1


async def test_a_server_that_does_not_answer_is_left_alone(runner: Any, tmp_path: Path) -> None:
    async with pair(tmp_path) as two:

        async def refuse(address: str, path: str) -> bytes:
            two.asked.append(path)
            raise Unanswered("connection refused")

        two.peers._ask = refuse
        two.peers.start()
        await two.storage.create(f"{PREFIX}a", body(0))
        await two.learnt()
        assert len(two.asked) == 1


async def test_nobody_is_told_of_authors_that_are_known(runner: Any, tmp_path: Path) -> None:
    """A server that answers with authors of other servers' changes changes nothing."""
    async with pair(tmp_path) as two:
        revision = await two.write("a", "jane", two.one)
        await two.one.caught_up()
        own = [revision, f"{PREFIX}a", 1, "", ["mallory", [], "", "", "", ""]]
        two.said = orjson.dumps({"reached": 1 << 60, "authors": [own]})
        two.peers.start()
        await two.storage.create(f"{PREFIX}b", body(0))
        await two.learnt()
        assert two.asked and users(await two.one.changes())[0] == "jane"
