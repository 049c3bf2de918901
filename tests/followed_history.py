"""A store that is followed as one to which others write, with its history, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
from kept_history import DEFAULT, END, PREFIX, ROOT, place

from pilothouse.history.file import HistoryFile
from pilothouse.history.foreign import ForeignChanges
from pilothouse.history.kept import KeptChange
from pilothouse.history.reader import HistoryReader
from pilothouse.history.recorder import HistoryRecorder
from pilothouse.history.spool import Spool
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.changes import ChangeReader, last_of


class Followed:
    """A store that is followed as one to which others write, and its history in another folder."""

    def __init__(
        self,
        storage: SqliteStorage,
        foreign: ForeignChanges,
        recorder: HistoryRecorder,
        reader: HistoryReader,
    ):
        self.storage = storage
        self.foreign = foreign
        self.recorder = recorder
        self.reader = reader

    async def caught_up(self) -> None:
        """Return when the spool has all that was written."""
        async with asyncio.timeout(10):
            while self.foreign.revision < self.storage.revision:
                await asyncio.sleep(0.005)

    async def move(self) -> None:
        """Move all that was written."""
        await self.caught_up()
        while await self.recorder.step(last_of(self.foreign.revision)):
            pass

    async def changes(self) -> list[KeptChange]:
        """All changes, the oldest first."""
        return (await self.reader.changes(ROOT, END))[::-1]

    async def at(self, name: str, revision: int) -> Any:
        """An object as of a revision."""
        found = await self.reader.get(f"{PREFIX}{name}", revision)
        return None if found is None else orjson.loads(found.value)


@contextlib.asynccontextmanager
async def followed(storage: SqliteStorage, folder: Path, clock: Any) -> AsyncIterator[Followed]:
    """The history of a store in another folder."""
    file, spool = HistoryFile(folder), Spool(folder)
    foreign = ForeignChanges(storage, spool, recorded=lambda: file.recorded, clock=clock)
    await foreign.open()
    recorder = HistoryRecorder(
        ChangeReader(spool),
        file,
        DEFAULT,
        place_of=place,
        to_json=lambda key, value: value,
        revision=lambda: foreign.revision,
        clock=clock,
    )
    await recorder.open()
    reader = HistoryReader(recorder, file.path, storage, to_json=lambda key, value: value)
    await reader.open()
    try:
        foreign.begin(recorder.recorded)
        foreign.start()
        yield Followed(storage, foreign, recorder, reader)
    finally:
        await reader.close()
        await recorder.close()
        await foreign.close()


@contextlib.asynccontextmanager
async def store(folder: Path) -> AsyncIterator[SqliteStorage]:
    """A store that others write as well."""
    storage = SqliteStorage(folder / "store")
    await storage.start()
    try:
        yield storage
    finally:
        await storage.close()


def body(number: int) -> bytes:
    """The bytes of an object."""
    return orjson.dumps({"kind": "ConfigMap", "data": {"n": str(number)}})
