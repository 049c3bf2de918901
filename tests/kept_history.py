"""A store with a history for tests: the test takes the steps of the recorder."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from virtual_time import VirtualLoop

from pilothouse.history.author import HEAD, Author
from pilothouse.history.file import HistoryFile
from pilothouse.history.kept import KeptChange
from pilothouse.history.places import Place
from pilothouse.history.policy import HistoryPolicy
from pilothouse.history.reader import NEVER, HistoryReader
from pilothouse.history.recorder import HistoryRecorder
from pilothouse.offload import Turns
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.changes import ChangeReader, last_of

ROOT = "/registry/configmaps/"
PREFIX = f"{ROOT}default/"
DEFAULT = HistoryPolicy()
END = f"{ROOT}\U0010ffff"


def place(key: str) -> Place:
    """The place of a key: every key below ROOT is one of a ConfigMap."""
    if not key.startswith(ROOT):
        return Place("", "", "")
    return Place("configmaps", *key.removeprefix(ROOT).split("/"))


def author(at: float, user: str = "jane", subresource: str = "", audit_id: str = "") -> bytes:
    """The bytes that tell who has written at a time, in seconds."""
    who = Author(user, ("dev",), "kubectl", "update", subresource, "10.0.0.1")
    return HEAD.pack(round(at * 1000), len(audit_id)) + audit_id.encode() + orjson.dumps(tuple(who))


class Kept:
    """A store with a history, whose steps the test takes."""

    def __init__(
        self,
        storage: SqliteStorage,
        file: HistoryFile,
        recorder: HistoryRecorder,
        reader: HistoryReader,
        clock: Callable[[], float],
    ) -> None:
        self.storage = storage
        self.file = file
        self.recorder = recorder
        self.reader = reader
        self.clock = clock
        self.mods: dict[str, int] = {}

    async def write(self, name: str, obj: Any, subresource: str = "", user: str = "jane") -> int:
        """Create or update an object now; its revision."""
        key, value, who = f"{PREFIX}{name}", orjson.dumps(obj), author(self.clock(), user, subresource)
        if name in self.mods:
            kv = await self.storage.update(key, value, self.mods[name], author=who)
        else:
            kv = await self.storage.create(key, value, author=who)
        self.mods[name] = kv.mod
        return kv.mod

    async def status(self, name: str, value: Any) -> int:
        """Change the status of an object now; its revision."""
        return await self.write(name, {"kind": "ConfigMap", "status": value}, "status")

    async def delete(self, name: str) -> int:
        """Delete an object now; the revision."""
        kv = await self.storage.delete(
            f"{PREFIX}{name}", self.mods.pop(name), author=author(self.clock(), "jane")
        )
        return kv.mod

    async def step(self, upto: int = 0) -> bool:
        """Let the recorder take one step, up to a revision or up to the newest one."""
        return await self.recorder.step(last_of(upto or self.storage.revision))

    async def move(self, upto: int = 0) -> None:
        """Move all that has been written."""
        while await self.step(upto):
            pass

    def forget(self) -> None:
        """Have reads begin with the file: forget the changes and the states that are in memory."""
        self.file.recent.begin(max(self.file.last(), self.file.recorded), NEVER)
        self.reader.forget()

    async def changes(self, name: str = "") -> list[KeptChange]:
        """The changes of one object or of all, the oldest first, as they are read."""
        first, end = (f"{PREFIX}{name}", f"{PREFIX}{name}\0") if name else (ROOT, END)
        return (await self.reader.changes(first, end))[::-1]

    async def moved(self, name: str = "") -> list[int]:
        """The revisions of the changes that are in the file, the oldest first."""
        recorded = self.recorder.recorded
        return [one.revision for one in await self.changes(name) if one.revision <= recorded]

    async def at(self, name: str, revision: int) -> Any:
        """An object as of a revision, None where it was not there."""
        found = await self.reader.get(f"{PREFIX}{name}", revision)
        return None if found is None else orjson.loads(found.value)

    async def read(self, revision: int) -> dict[str, Any]:
        """All objects as of a revision, from the store or the history."""
        if revision >= max(self.storage.compacted, self.recorder.recorded):
            page = await self.storage.range(ROOT, revision=revision)
        else:
            page = await self.reader.range(ROOT, revision=revision)
        return {kv.key: (kv.mod, orjson.loads(kv.value)) for kv in page.items}


@contextlib.asynccontextmanager
async def kept(
    directory: str, policy: HistoryPolicy = DEFAULT, clock: Callable[[], float] = time.time
) -> AsyncIterator[Kept]:
    """A store with a history in a folder; nothing is moved by itself."""
    storage = SqliteStorage(directory, authors=True)
    await storage.start()
    file, turns = HistoryFile(directory), Turns()
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        loop.hold_while(lambda: turns.calls)
    recorder = HistoryRecorder(
        ChangeReader(storage.directory),
        file,
        policy,
        place_of=place,
        to_json=lambda key, value: value,
        revision=lambda: storage.revision,
        clock=clock,
        turns=turns,
    )
    await recorder.open()
    storage.compactable = recorder.compactable
    reader = HistoryReader(recorder, file.path, storage, to_json=lambda key, value: value, turns=turns)
    await reader.open()
    try:
        yield Kept(storage, file, recorder, reader, clock)
    finally:
        await reader.close()
        await recorder.close()
        await storage.close()
