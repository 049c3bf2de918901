"""Records and base states outlive the process, and nothing is taken away that a cluster uses."""

import asyncio
import gc

import pytest
from clusters.journals import MemoryJournal

from pilothouse.clusters.records import STEP, ClusterRecord, Records
from pilothouse.storage.interface import KeyValue, Op, Unavailable
from pilothouse.storage.keyspaces import rows
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage

RECORD = ClusterRecord(base="base-1", filled="digest", key=b"-----BEGIN\0 KEY")
PAIRS = [KeyValue(f"/registry/pods/{number}", b"{}", 5 + number, 5) for number in range(3)]


@pytest.fixture
def journal(runner: asyncio.Runner) -> MemoryJournal:
    storage = MemoryJournal()
    runner.run(storage.start())
    return storage


async def keys(journal: MemoryJournal) -> list[str]:
    return [kv.key for kv in (await journal.range("/")).items]


async def test_a_record_is_read_as_it_was_written(runner: asyncio.Runner, journal: MemoryJournal) -> None:
    records = Records(journal)
    assert await records.read("one") is None
    await records.write("one", RECORD)
    assert await Records(journal).read("one") == RECORD
    assert [found async for found in Records(journal).each()] == [("one", RECORD)]


async def test_all_records_are_read_in_parts(runner: asyncio.Runner, journal: MemoryJournal) -> None:
    uids = [f"uid-{number:05}" for number in range(2 * STEP + 1)]
    await journal.txn([Op(f"/clusters/{uid}", RECORD.packed()) for uid in uids])
    assert [uid async for uid, _ in Records(journal).each()] == uids


def test_a_record_survives_its_packing() -> None:
    assert ClusterRecord.unpacked(RECORD.packed()) == RECORD


async def test_restored_clusters_continue_beyond_all_revisions(
    runner: asyncio.Runner, journal: MemoryJournal
) -> None:
    records = Records(journal)
    for uid in ("one", "two"):
        await records.write(uid, RECORD)
    await records.add_base(PAIRS, 40)
    await records.raise_by(10)
    assert await newest(journal) == {"one": 50, "two": 50, "three": 1}
    await journal.txn([Op(rows.prefix_of("two") + "/a", rows.packed(60, 70, 0, b"{}"))])
    await records.raise_by(10)
    assert await newest(journal) == {"one": 80, "two": 80, "three": 1}


async def newest(journal: MemoryJournal) -> dict[str, int]:
    """The revisions at which clusters continue, and at which their history begins."""
    found = {}
    for uid in ("one", "two", "three"):
        storage = KeyspaceStorage(journal, uid)
        await storage.start()
        assert storage.compacted == storage.revision
        found[uid] = storage.revision
        await storage.close()
    return found


async def test_a_base_state_is_read_as_it_was_kept(runner: asyncio.Runner, journal: MemoryJournal) -> None:
    name, made = await Records(journal).add_base(PAIRS, 40, fresh="digest")
    records = Records(journal)
    found = await records.base(name)
    assert (found.current, found.revision) == (made.current, 40)
    assert found.keys == sorted(kv.key for kv in PAIRS)
    assert await records.base(name) is found
    assert await records.fresh("digest") == (name, found)
    assert await records.fresh("other") is None
    assert (await records.base("")).current == {}


async def test_a_base_state_is_in_memory_while_it_is_used(
    runner: asyncio.Runner, journal: MemoryJournal
) -> None:
    records = Records(journal)
    name, made = await records.add_base(PAIRS, 40)
    assert await records.base(name) is made
    del made
    gc.collect()
    assert (await records.base(name)).current.keys() == {kv.key for kv in PAIRS}


async def test_a_base_state_that_is_half_written_is_none(
    runner: asyncio.Runner, journal: MemoryJournal
) -> None:
    """Nobody takes it for a state, and it is swept."""
    journal.refuses = lambda ops: any(op.key.startswith("/keyspaces/") for op in ops)
    with pytest.raises(Unavailable):
        await Records(journal).add_base(PAIRS, 40, fresh="digest")
    journal.refuses = lambda ops: False
    records = Records(journal)
    assert await records.fresh("digest") is None
    await records.sweep()
    assert await keys(journal) == []


async def test_a_cluster_is_frozen_at_a_revision(runner: asyncio.Runner, journal: MemoryJournal) -> None:
    records = Records(journal)
    made = await records.add_base(PAIRS, 7)
    records.freeze("one", 7, made[0])
    assert await records.frozen("one", 7) == made
    assert await records.frozen("one", 8) is None
    assert await records.frozen("other", 7) is None
    await records.write("one", RECORD)
    await records.remove("one")
    assert await records.frozen("one", 7) is None


async def test_a_removal_takes_all_rows_of_one_cluster(
    runner: asyncio.Runner, journal: MemoryJournal
) -> None:
    records = Records(journal)
    for uid in ("one", "one-more", "on"):
        storage = KeyspaceStorage(journal, uid)
        await storage.start()
        for number in range(STEP + 5 if uid == "one" else 2):
            await storage.create(f"/registry/pods/{number}", b"{}")
        first = await storage.get("/registry/pods/0")
        assert first is not None
        await storage.delete(first.key, first.mod)
        await storage.close()
        await records.write(uid, RECORD)
    others = [key for key in await keys(journal) if "one/" not in key and "onerevision" not in key]
    others.remove("/clusters/one")
    journal.refuses = lambda ops: any(op.key == "/clusters/one" for op in ops)
    with pytest.raises(Unavailable):
        await records.remove("one")
    assert await Records(journal).read("one") == RECORD  # what was interrupted is known, and ended later
    journal.refuses = lambda ops: False
    await records.remove("one")
    assert await keys(journal) == others


async def test_a_sweep_spares_what_is_used(runner: asyncio.Runner, journal: MemoryJournal) -> None:
    records = Records(journal)
    used = (await records.add_base(PAIRS, 40))[0]
    held, state = await records.add_base(PAIRS, 41)
    unused = (await records.add_base(PAIRS, 42))[0]
    gc.collect()
    await records.write("one", ClusterRecord(base=used, filled="", key=b""))
    await records.sweep()
    assert state.current
    for name in (used, held):
        assert (await Records(journal).base(name)).current, name
    assert await journal.get(f"/bases/{unused}") is None
    assert not [key for key in await keys(journal) if unused in key]


async def test_a_sweep_takes_nothing_that_is_chosen_meanwhile(
    runner: asyncio.Runner, journal: MemoryJournal
) -> None:
    """A source is copied again at the revision at which nobody uses its state any more."""
    records = Records(journal)
    name = (await records.add_base(PAIRS, 40))[0]
    records.freeze("source", 40, name)
    gc.collect()
    journal.turns = 1
    _, found = await asyncio.gather(records.sweep(), records.frozen("source", 40))
    assert found is None
    assert await keys(journal) == []
    name, state = await records.add_base(PAIRS, 41)
    records.freeze("source", 41, name)
    await asyncio.gather(records.sweep(), records.frozen("source", 41))
    assert await records.frozen("source", 41) == (name, state)
    assert (await Records(journal).base(name)).current == state.current


async def test_nothing_is_read_when_nothing_can_be_unused(
    runner: asyncio.Runner, journal: MemoryJournal
) -> None:
    records = Records(journal)
    name, _ = await records.add_base(PAIRS, 40, fresh="digest")
    await records.sweep()
    journal.reads.clear()
    await records.sweep()
    assert not journal.reads
    await records.write("one", ClusterRecord(base=name, filled="", key=b""))
    await records.remove("one")
    await records.sweep()
    assert journal.reads["/bases/"] == 1
