"""The history of one server: what keeps it, and what reads it."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pilothouse.caches import CacheBudget
from pilothouse.history.author import Authors, Sources
from pilothouse.history.file import HistoryFile
from pilothouse.history.foreign import ForeignChanges, OthersStorage
from pilothouse.history.places import Place, places, stored
from pilothouse.history.policy import HistoryPolicy, Keep
from pilothouse.history.reader import HistoryReader
from pilothouse.history.recorder import Ciphers, HistoryRecorder
from pilothouse.history.spool import Spool
from pilothouse.history.written import answer
from pilothouse.lifecycle import Opened
from pilothouse.offload import Turns
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.storage._entry import Entry, key_of
from pilothouse.storage.interface import KeyValue, StorageError, StorageEvent, Subscription
from pilothouse.storage.keys import ROOT
from pilothouse.storage.sqlite.backend import SqliteStorage
from pilothouse.storage.sqlite.changes import ChangeReader, last_of
from pilothouse.storage.sqlite.file import LAST, DataDirectory


class History:
    """Keeps the changes of a store, and shows objects as they were.

    `directory` is the folder of its files. Of a store that others write as well, it follows the watch.
    `ciphers` encrypt at rest, None where nothing is encrypted; `to_json` decrypts, and makes JSON of what is
    stored.
    """

    def __init__(
        self,
        storage: SqliteStorage | OthersStorage,
        directory: Path,
        catalog: Catalog,
        policy: HistoryPolicy,
        *,
        to_json: Callable[[str, bytes], bytes],
        ciphers: Ciphers | None = None,
        turns: Turns | None = None,
        clock: Callable[[], float] = time.time,
        caches: CacheBudget | None = None,
        sources: Sources,
    ) -> None:
        self.policy = policy
        self.place_of: Callable[[str], Place] = places(catalog)
        self.authors = Authors(clock, sources)
        self.storage = storage
        prefixes = {one.group_resource: one.key_prefix for one in stored(catalog)}
        without = [prefixes[resource] for resource in policy.left_out(list(prefixes))]
        file = HistoryFile(directory, ciphers.encrypt if ciphers is not None else None)
        self.foreign: ForeignChanges | None = None
        """Follows a store that others write as well; None of one that is this server's own."""
        source: DataDirectory
        if isinstance(storage, SqliteStorage):
            source = storage.directory
        else:
            source = spool = Spool(directory)
            self.foreign = ForeignChanges(
                storage,
                spool,
                recorded=lambda: file.recorded,
                given_up=lambda: self.recorder.has_given_up,
                without=without,
                turns=turns,
                clock=clock,
            )
            storage.wrote = self.foreign.wrote
        self.recorder = HistoryRecorder(
            ChangeReader(source, without),
            file,
            policy,
            place_of=self.place_of,
            to_json=to_json,
            revision=lambda: self.revision,
            ciphers=ciphers,
            clock=clock,
            turns=turns,
        )
        self.reader = HistoryReader(
            self.recorder,
            file.path,
            storage,
            to_json=to_json,
            ciphers=ciphers,
            turns=turns,
            caches=caches,
        )

    @property
    def revision(self) -> int:
        """The newest revision of which all changes can be read."""
        return self.storage.revision if self.foreign is None else self.foreign.revision

    def follow(
        self, told: Callable[[list[StorageEvent]], None], ended: Callable[[StorageError], None]
    ) -> Subscription:
        """Tell of changes from now on, when they can be read."""
        if self.foreign is not None:
            return self.foreign.follow(told)
        return self.storage.watch(ROOT, self.storage.revision + 1, told, ended, prev_kv=False)

    async def start(self, opened: Opened) -> None:
        """Open the files and begin to keep changes, once the store is open. HistoryError when that fails."""
        foreign = self.foreign
        if foreign is not None:
            await foreign.open()
            opened.on_close("the history's waiting changes", foreign.close)
        await self.recorder.open()
        if foreign is not None:
            foreign.begin(self.recorder.recorded)
            foreign.start()
        opened.start(self.recorder)
        opened.on_close("the history's reader", self.reader.close)
        await self.reader.open()
        if isinstance(self.storage, SqliteStorage):
            self.storage.compactable = self.recorder.compactable

    def keeps(self, resource: Resource, namespace: str) -> bool:
        """Whether the changes of a resource are kept."""
        stored = resource.storage or resource
        return self.policy.keep(stored.group_resource, namespace) is not Keep.NOTHING

    async def written(self, after: int, upto: int) -> dict[str, Any]:
        """The answer to another server that asks who has made changes of revisions between two."""
        upto = min(upto, self.revision)
        return answer(await self.reader.written(last_of(after), last_of(upto)), upto)

    async def entry(
        self, key: str, revision: int, latest: Entry | None = None, latest_at: int = 0, *, at_ms: int = 0
    ) -> Entry | None:
        """An object as it was at a revision, or at a time in milliseconds since 1970. Compacted when that is
        too long ago.
        latest: the object as it was at the later revision `latest_at`, where that is at hand."""
        if latest is not None and latest_at < revision:
            latest = None
        if latest is not None and self.reader.reach <= revision and latest.rev <= revision:
            return latest
        state = await self.reader.state(key, revision, latest, latest_at, at_ms=at_ms)
        return state.entry

    async def entries(
        self, prefix: str, start: str, limit: int, revision: int
    ) -> tuple[Sequence[Entry], bool]:
        """Objects as they were at a revision, and whether there are more.
        Compacted when that is too long ago."""
        return await self.between(max(prefix, start), prefix + LAST, limit, revision)

    async def between(self, first: str, end: str, limit: int, revision: int) -> tuple[Sequence[Entry], bool]:
        """Like entries(), of the keys between two."""
        page = await self.reader.between(first, end, limit, revision)
        return [_entry(kv) for kv in page.items], page.more

    async def before(
        self, latest: Sequence[Entry], keys: tuple[str, str], revision: int, recorded: int
    ) -> list[Entry]:
        """Objects as they were at a revision; `latest` are those at the later one `recorded` (undoable())."""
        now = {entry.key: entry for entry in latest}
        newer = sum([entry.rev > revision for entry in latest])
        then = await self.reader.states(now.get, now, keys, (revision, recorded), newer)
        same = [entry for entry in latest if entry.key not in then]
        changed = [entry for state in then.values() if (entry := state.entry) is not None]
        return sorted(same + changed, key=key_of)

    async def revision_at(self, time_ms: int) -> int:
        """The revision that was the newest one at a time. Compacted when that is too long ago."""
        return await self.reader.revision_at(time_ms)


def _entry(kv: KeyValue) -> Entry:
    return Entry(kv.key, kv.value, kv.mod, kv.create)
