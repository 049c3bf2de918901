"""The rows that tell, in the journal of all logical clusters, which keyspaces there are.

`/clusters/UID` is a cluster's record, written when it is made. `/bases/NAME` tells of a base state, whose
pairs are the keyspace of that name. It is written before the pairs: a state that is half kept is used by no
cluster, and is swept. It has the revision, and the digest of the fresh
cluster's objects where the state is that of a fresh cluster.
"""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from weakref import WeakValueDictionary

import orjson

from pilothouse.process.frozen import frozen
from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.claims import Lost
from pilothouse.storage.interface import KeyValue, Op, Storage
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.keyspaces.journal import RowStore

FOLDER = "clusters"
"""The folder, in the data directory, of the store of all logical clusters."""
RECORDS, BASES = "/clusters/", "/bases/"
STEP = 1000
"""Rows of one transaction, and of one read."""
LARGEST = 1 << 20
"""Bytes of the values of one transaction, unless one alone is longer."""


@frozen(kw_only=True)
class ClusterRecord:
    """The facts that are kept of a logical cluster beside its objects.

    base: the base state that it began with, "" for none. filled: the digest of the fresh cluster's objects
    that it has. key: the private key of its service account tokens, in PEM.
    """

    base: str
    filled: str
    key: bytes

    def packed(self) -> bytes:
        """The record as it is written."""
        members = {"base": self.base, "filled": self.filled, "key": base64.b64encode(self.key).decode()}
        return orjson.dumps(members)

    @classmethod
    def unpacked(cls, value: bytes) -> "ClusterRecord":
        """The record of a row."""
        members = orjson.loads(value)
        key = base64.b64decode(members["key"])
        return cls(base=members["base"], filled=members["filled"], key=key)


class Records:
    """The records of a journal, and the base states, each of which is in memory once while clusters use
    it. step: rows of one transaction, at most."""

    def __init__(self, journal: Storage, step: int = STEP) -> None:
        self._journal = journal
        self._step = step
        self.writer: RowStore | None = journal
        """Takes the writes; None while this server may write none."""
        self._bases: WeakValueDictionary[str, BaseState] = WeakValueDictionary()
        self._frozen: dict[str, tuple[int, str]] = {}
        self._choosing = asyncio.Lock()
        """Held while a state is chosen for a cluster, and while unused ones are taken away."""
        self._unswept = True

    async def read(self, uid: str) -> ClusterRecord | None:
        """A cluster's record, None when it was not made."""
        row = await self._journal.get(RECORDS + uid)
        return None if row is None else ClusterRecord.unpacked(row.value)

    async def write(self, uid: str, record: ClusterRecord, writer: RowStore | None = None) -> None:
        """Keep a cluster's record, by a journal of the cluster's own where there is one."""
        ops = [Op(RECORDS + uid, record.packed())]
        await (writer.txn(ops) if writer is not None else self._txn(ops))

    async def _txn(self, ops: list[Op]) -> None:
        if self.writer is None:
            raise Lost("another server makes logical clusters, try again")
        await self.writer.txn(ops)

    async def each(self) -> AsyncIterator[tuple[str, ClusterRecord]]:
        """The UID and the record of each cluster. There may be very many: they are not in memory together."""
        async for kv in self._rows(RECORDS):
            yield kv.key.removeprefix(RECORDS), ClusterRecord.unpacked(kv.value)

    async def _rows(self, prefix: str) -> AsyncIterator[KeyValue]:
        """The rows whose keys begin with a prefix, read in parts."""
        start = ""
        while True:
            page = await self._journal.range(prefix, start=start, limit=STEP, counted=False)
            for kv in page.items:
                yield kv
            if not page.more:
                return
            start = page.items[-1].key + "\0"

    async def remove(self, uid: str) -> None:
        """Remove the rows of a cluster, its record last: what was interrupted is removed by another call."""
        await self._remove(uid)
        await self._txn([Op(RECORDS + uid, None)])
        self._frozen.pop(uid, None)
        self._unswept = True

    async def raise_by(self, bump: int) -> None:
        """Have every cluster, none of which is open, continue at a revision `bump` beyond the newest of all:
        clients that have seen others are told to list once more."""
        revision = max([orjson.loads(kv.value)["revision"] async for kv in self._rows(BASES)], default=0)
        async for kv in self._rows(rows.ROOT):
            revision = max(revision, rows.unpacked("", kv.value).mod)
        revision += bump
        uids = [uid async for uid, _ in self.each()]
        raised = (Op(rows.prefix_of(uid) + rows.REVISION, rows.tombstone(revision)) for uid in uids)
        for ops in _parts(raised, self._step):
            await self._txn(ops)

    # Base states

    async def base(self, name: str) -> BaseState:
        """A base state by its name."""
        if not name:
            return EMPTY
        known = self._bases.get(name)
        if known is None:
            prefix = rows.prefix_of(name)
            page = await self._journal.range(prefix + "/")
            pairs = [rows.unpacked(row.key[len(prefix) :], row.value) for row in page.items]
            told = await self._journal.get(BASES + name)
            assert told is not None, name
            known = self._bases[name] = BaseState(pairs, orjson.loads(told.value)["revision"])
        return known

    async def fresh(self, digest: str) -> tuple[str, BaseState] | None:
        """The base state of a fresh cluster, and its name; None when there is none yet."""
        async with self._choosing:
            for told in (await self._journal.range(BASES)).items:
                if orjson.loads(told.value)["fresh"] == digest:
                    name = told.key.removeprefix(BASES)
                    return name, await self.base(name)
            return None

    async def frozen(self, uid: str, revision: int) -> tuple[str, BaseState] | None:
        """The base state that a cluster was frozen to at a revision, and its name; None for none."""
        async with self._choosing:
            known, name = self._frozen.get(uid, (0, ""))
            return (name, await self.base(name)) if name and known == revision else None

    def freeze(self, uid: str, revision: int, name: str) -> None:
        """Remember to which base state a cluster was frozen."""
        self._frozen[uid] = revision, name

    async def add_base(
        self, pairs: Iterable[KeyValue], revision: int, fresh: str = ""
    ) -> tuple[str, BaseState]:
        """Keep a state with which clusters can begin, and its name. It is swept unless somebody holds it, or
        a cluster has it in its record."""
        name, made = f"base-{uuid.uuid4()}", BaseState(pairs, revision)
        self._bases[name] = made
        await self._tell(name, revision, "")
        prefix = rows.prefix_of(name)
        pairs = made.current.values()
        kept = (Op(prefix + kv.key, rows.packed(kv.create, kv.mod, kv.lease, kv.value)) for kv in pairs)
        for ops in _parts(kept, self._step):
            await self._txn(ops)
        if fresh:
            await self._tell(name, revision, fresh)
        self._unswept = True
        return name, made

    async def _tell(self, name: str, revision: int, fresh: str) -> None:
        await self._txn([Op(BASES + name, orjson.dumps({"revision": revision, "fresh": fresh}))])

    async def sweep(self) -> None:
        """Remove the base states that no cluster uses, if there can be any."""
        if not self._unswept or self.writer is None:
            return
        async with self._choosing:
            told = {kv.key.removeprefix(BASES): kv.value for kv in (await self._journal.range(BASES)).items}
            held = {*self._bases.keys()}
            self._frozen = {uid: known for uid, known in self._frozen.items() if known[1] in held}
            used = {record.base async for _, record in self.each()}
            unused = [name for name in told if name not in used]
            self._unswept = any(name in held and not orjson.loads(told[name])["fresh"] for name in unused)
            for name in unused:
                if name not in held:
                    await self._remove(name)
                    await self._txn([Op(BASES + name, None)])

    async def _remove(self, keyspace: str) -> None:
        prefix = rows.prefix_of(keyspace)
        while True:
            page = await self._journal.range(prefix + "/", limit=self._step, counted=False)
            keys = [row.key for row in page.items]
            if not page.more:
                keys.append(prefix + rows.REVISION)
            await self._txn([Op(key, None) for key in keys])
            if not page.more:
                return


def _parts(ops: Iterable[Op], most: int) -> Iterator[list[Op]]:
    """Writes in parts that one transaction takes."""
    part: list[Op] = []
    size = 0
    for op in ops:
        size += len(op.value or b"")
        if part and (len(part) >= most or size > LARGEST):
            yield part
            part, size = [], len(op.value or b"")
        part.append(op)
    if part:
        yield part
