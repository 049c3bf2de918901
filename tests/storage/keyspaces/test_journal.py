"""The journal of one server among several: in order, a transaction at a time, and never beyond its claim."""

import asyncio
from typing import NamedTuple

import pytest
from storage.shared_memory import SharedMemory, SharedMemoryStorage

from pilothouse.storage.claims import Claim, Lost, Rejected
from pilothouse.storage.interface import Full, Op, StorageError, Unavailable
from pilothouse.storage.keyspaces.journal import MOST_BYTES, MOST_ROWS, ClaimedJournal
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage

P = "/registry/pods/"


class Rig(NamedTuple):
    """A journal, its store, and how often it has ended."""

    journal: ClaimedJournal
    store: SharedMemoryStorage
    ends: list[str]
    claim: Claim


async def made() -> Rig:
    store = SharedMemoryStorage(SharedMemory(), "a:1")
    await store.start()
    claim, ends = await store.claim("one"), list[str]()
    return Rig(ClaimedJournal(store, claim, lambda: ends.append("ended")), store, ends, claim)


async def begun(rig: Rig, *writes: list[Op]) -> list["asyncio.Task[int]"]:
    """Writes that have been given to the journal, in this order."""
    tasks = [asyncio.create_task(rig.journal.txn(ops)) for ops in writes]
    await asyncio.sleep(0)
    return tasks


async def test_writes_that_come_meanwhile_go_together(runner: asyncio.Runner) -> None:
    rig = await made()
    rig.store.gate.clear()
    tasks = await begun(rig, [Op("/a", b"1")])
    tasks += await begun(rig, [Op("/b", b"2"), Op("/last", b"2")], [Op("/c", b"3"), Op("/last", b"3")])
    rig.store.gate.set()
    await asyncio.gather(*tasks)
    written = [[(op.key, op.value) for op in group] for group in rig.store.groups]
    assert written == [[("/a", b"1")], [("/b", b"2"), ("/last", b"3"), ("/c", b"3")]]
    assert rig.ends == []


@pytest.mark.parametrize(
    ("count", "size", "most"), [(3 * MOST_ROWS, 1, MOST_ROWS), (5, MOST_BYTES // 2 - 100, 2)]
)
async def test_a_transaction_is_as_long_as_etcd_takes_it(
    runner: asyncio.Runner, count: int, size: int, most: int
) -> None:
    rig = await made()
    rig.store.gate.clear()
    tasks = await begun(rig, *([Op(f"/{number}", b"x" * size)] for number in range(count)))
    rig.store.gate.set()
    await asyncio.gather(*tasks)
    assert max(len(group) for group in rig.store.groups) == most
    keys = [op.key for group in rig.store.groups for op in group]
    assert keys == [f"/{number}" for number in range(count)]


async def test_one_write_may_be_longer(runner: asyncio.Runner) -> None:
    rig = await made()
    await rig.journal.txn([Op("/long", b"x" * (MOST_BYTES + 1))])
    assert [len(group) for group in rig.store.groups] == [1]


@pytest.mark.parametrize("fault", [Full("no space"), Rejected("too long")])
async def test_a_refused_write_does_not_end_it(runner: asyncio.Runner, fault: StorageError) -> None:
    rig = await made()
    rig.store.faults.append(fault)
    with pytest.raises(type(fault)):
        await rig.journal.txn([Op("/a", b"1")])
    await rig.journal.txn([Op("/b", b"2")])
    assert rig.ends == []


@pytest.mark.parametrize("fault", [Unavailable("no answer"), Lost("the claim has ended"), OSError("a bug")])
async def test_it_ends_where_it_is_unsure(runner: asyncio.Runner, fault: Exception) -> None:
    """The writes that wait are told that they were not written, and so are later ones."""
    rig = await made()
    rig.store.gate.clear()
    tasks = await begun(rig, [Op("/a", b"1")])
    tasks += await begun(rig, [Op("/b", b"2")])
    rig.store.faults.append(fault)  # type: ignore[arg-type]
    rig.store.gate.set()
    first, second = await asyncio.gather(*tasks, return_exceptions=True)
    assert type(first) is (Lost if isinstance(fault, OSError) else type(fault))
    assert isinstance(second, Lost)
    with pytest.raises(Lost):
        await rig.journal.txn([Op("/c", b"3")])
    assert (rig.ends, rig.store.groups) == (["ended"], [])


async def test_another_claim_ends_it(runner: asyncio.Runner) -> None:
    rig = await made()
    await rig.journal.txn([Op("/a", b"1")])
    await rig.store.claim("one")
    with pytest.raises(Lost):
        await rig.journal.txn([Op("/a", b"2")])
    kept = await rig.store.get("/a")
    assert rig.ends == ["ended"] and kept is not None and kept.value == b"1"


async def test_revisions_go_on_when_another_server_opens_the_keyspace(runner: asyncio.Runner) -> None:
    """The rows of deletions are written in their order, so the highest revision is known afterwards."""
    rig = await made()
    one = KeyspaceStorage(rig.journal, "one")
    await one.start()
    pods = [await one.create(f"{P}{number}", b"{}") for number in range(10)]
    deleted = await asyncio.gather(*(one.delete(pod.key, pod.mod) for pod in pods))
    rig.store.shared.now += rig.store.shared.seconds
    other = SharedMemoryStorage(rig.store.shared, "b:1")
    other.renew()
    claim = await other.claim("one")
    assert claim.before == "a:1"
    two = KeyspaceStorage(ClaimedJournal(other, claim, lambda: None), "one")
    await two.start()
    assert two.revision == max(one.mod for one in deleted)
    with pytest.raises(Lost):
        await one.create(f"{P}late", b"{}")
    assert (await two.create(f"{P}late", b"{}")).mod == two.revision
    await one.close()
    await two.close()
