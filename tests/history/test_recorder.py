"""The recorder: which changes of a store it keeps, whatever happens to it."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest
from clocks import Clock
from kept_history import PREFIX, ROOT, Kept, author, kept

from pilothouse.history.file import ChangeKind, HistoryError
from pilothouse.history.policy import BEHIND, HistoryPolicy, HistoryRule, Keep
from pilothouse.history.recorder import GIVEN_UP, STEP, WAITED_FOR, WHOLE
from pilothouse.storage.encryption.errors import DecryptionError, EncryptionError
from pilothouse.storage.interface import Compacted, Op
from pilothouse.storage.sqlite.changes import KEYS

MINUTE = 60.0


async def written(one: Kept, clock: Clock, name: str, times: list[float]) -> list[int]:
    """Create an object at 0, and change its status at some seconds; the revisions."""
    start, revisions = clock.now, [await one.write(name, {"kind": "ConfigMap"})]
    for number, seconds in enumerate(times):
        clock.now = start + seconds
        revisions.append(await one.status(name, number))
    return revisions


@pytest.fixture
def clock() -> Clock:
    """A clock at the beginning of a minute."""
    return Clock(1_800_000_000.0)


async def test_changes_of_a_status_are_kept_once_a_minute(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        made = await written(one, clock, "a", [10, 20, 30, 65, 70, 130])
        await one.move()
        assert await one.moved() == [made[0], made[3], made[5], made[6]]
        # A change that is kept leads back over those that were left out.
        assert await one.at("a", made[0]) == {"kind": "ConfigMap"}
        assert await one.at("a", made[3]) == {"kind": "ConfigMap", "status": 2}
        assert one.recorder.metrics.left_out.values[()] == 3 and one.recorder.metrics.kept.values[()] == 4


async def test_the_last_change_of_a_status_is_kept(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        made = await written(one, clock, "a", [1, 2])
        await one.move()
        assert await one.moved() == [made[0], made[2]]


async def test_each_object_has_a_minute_of_its_own(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        first, second = await one.write("a", {}), await one.write("b", {})
        a, b = await one.status("a", 1), await one.status("b", 1)
        await one.move()
        assert await one.moved() == [first, second, a, b]


async def test_a_change_that_users_make_is_kept_between_those_of_a_status(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        made = await one.write("a", {"kind": "ConfigMap"})
        status = await one.status("a", 1)
        spec = await one.write("a", {"kind": "ConfigMap", "status": 1, "data": {"b": "2"}})
        again = await one.write("a", {"kind": "ConfigMap", "status": 1, "data": {"b": "3"}})
        await one.move()
        assert await one.moved() == [made, status, spec, again]


async def test_a_rule_keeps_everything(runner: Any, tmp_path: Path, clock: Clock) -> None:
    policy = HistoryPolicy(rules=(HistoryRule(("configmaps",), (), Keep.EVERYTHING),))
    async with kept(str(tmp_path), policy, clock) as one:
        made = await written(one, clock, "a", [1, 2, 3])
        await one.move()
        assert await one.moved() == made


async def test_a_rule_keeps_nothing(runner: Any, tmp_path: Path, clock: Clock) -> None:
    policy = HistoryPolicy(rules=(HistoryRule(("configmaps",), ("default",), Keep.NOTHING),))
    async with kept(str(tmp_path), policy, clock) as one:
        await written(one, clock, "a", [1])
        kv = await one.storage.create(f"{ROOT}other/a", b"{}", author=author(clock()))
        assert [change.revision for change in await one.changes()] == [kv.mod]
        await one.move()
        assert [change.revision for change in await one.changes()] == [kv.mod]


async def test_changes_of_a_status_far_apart_in_the_log(runner: Any, tmp_path: Path, clock: Clock) -> None:
    """A change that is left out in one step is made up for in a later one."""
    async with kept(str(tmp_path), clock=clock) as one:
        made = await written(one, clock, "a", [1])
        for number in range(3 * STEP):
            await one.write(f"other-{number}", {})
        last = await one.status("a", 1)
        await one.move()
        assert await one.moved("a") == [made[0], last]
        assert await one.at("a", last - 1) == {"kind": "ConfigMap"}


async def test_more_objects_of_which_a_later_step_has_the_last_change_than_one_statement_asks_for(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    """Their first changes of the status are moved in one step, what follows them in another one."""
    names = [f"object-{number}" for number in range(STEP)]
    assert len(names) > KEYS
    async with kept(str(tmp_path), clock=clock) as one:
        for name in names:
            await one.write(name, {"kind": "ConfigMap"})
        await one.move()
        first = [await one.status(name, 1) for name in names]
        second = [
            await (one.write(name, {"kind": "Other"}) if number % 3 == 0 else one.status(name, 2))
            for number, name in enumerate(names)
        ]
        await one.delete(names[1])
        await one.move()
        moved = {*await one.moved()}
        assert {*second} <= moved
        assert [number for number, revision in enumerate(first) if revision in moved] == [*range(0, STEP, 3)]
        assert await one.at(names[2], second[2] - 1) == {"kind": "ConfigMap"}


async def test_after_idle_hours_changes_of_a_status_are_kept_as_ever(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        created = await one.write("a", {"kind": "ConfigMap"})
        await one.move()
        for _ in range(int(BEHIND / MINUTE) * 3):
            clock.now += MINUTE
            await one.recorder.step(one.recorder._target())
        first = await one.status("a", 1)
        clock.now += 2 * MINUTE
        second = await one.status("a", 2)
        clock.now += MINUTE
        for _ in range(3):
            await one.recorder.step(one.recorder._target())
            clock.now += MINUTE
        assert await one.moved("a") == [created, first, second]


async def test_after_idle_hours_nothing_is_compacted_that_was_not_moved(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        await one.recorder.step(one.recorder._target())
        clock.now += GIVEN_UP + 10 * MINUTE
        await one.recorder.step(one.recorder._target())
        await one.write("a", {"kind": "ConfigMap"})
        await one.write("a", {"kind": "ConfigMap", "data": {"a": "b"}})
        one.recorder._target()
        clock.now += MINUTE + 1
        one.recorder._target()  # the next step has not been taken yet
        assert one.recorder.compactable() == one.recorder.recorded < one.storage.revision


async def test_it_is_late_while_it_lags_behind_a_store_that_is_written_to(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        for number in range(3 * STEP):
            await one.write(f"a-{number}", {})
        one.recorder._target()
        clock.now += 1000.0
        for _ in range(2):  # of three steps
            assert await one.recorder.step(one.recorder._target())
        assert one.recorder.lag == pytest.approx(1000.0 - MINUTE)
        assert one.recorder.metrics.lag.values[()] == pytest.approx(1000.0 - MINUTE)
        await one.move()
        assert one.recorder.lag == 0.0 and one.recorder.metrics.lag.values[()] == 0.0


async def test_nothing_is_compacted_that_has_not_been_moved(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        made = [
            await one.write("a", {"kind": "ConfigMap", "data": {"n": str(number)}}) for number in range(9)
        ]
        await one.move(made[3])
        await one.storage.compact(made[8])
        assert one.storage.compacted == one.recorder.recorded == made[3]
        await one.move()
        await one.storage.compact(made[8])
        assert one.storage.compacted == made[8]
        for number, revision in enumerate(made):
            assert await one.at("a", revision) == {"kind": "ConfigMap", "data": {"n": str(number)}}


async def test_several_rows_of_one_revision(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        names = [f"{PREFIX}{letter}" for letter in "abc"]

        async def write(text: str, subresource: str = "") -> int:
            value, who = (
                orjson.dumps({"kind": "ConfigMap", "status": text}),
                author(clock(), "jane", subresource),
            )
            return await one.storage.txn([Op(name, value, None, 0, who) for name in names])

        created, first, second = await write("1"), await write("2"), await write("3")
        left_out, last = await write("4", "status"), await write("5", "status")
        deleted = await one.storage.txn([Op(name, None, None, 0, author(clock())) for name in names])
        await one.move()
        await one.storage.compact(deleted)
        assert one.storage.compacted == deleted
        for revision, text in ((created, "1"), (first, "2"), (second, "3"), (last, "5")):
            found = await one.read(revision)
            assert {name: obj["status"] for name, (_, obj) in found.items()} == dict.fromkeys(names, text)
        changes = await one.changes()
        assert left_out not in {change.revision for change in changes}
        assert [(change.revision, change.key) for change in changes if change.revision == first] == [
            (first, name) for name in names
        ]
        assert {change.author.user for change in changes if change.author} == {"jane"}


async def test_a_revision_of_which_a_part_is_made_up_for_later_is_not_compacted(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    """A change of a status is left out in the middle of a revision; the one that makes up for it is far."""
    async with kept(str(tmp_path), clock=clock) as one:
        a, b = await one.write("a", {"kind": "ConfigMap"}), await one.write("b", {"kind": "ConfigMap"})
        who = author(clock(), "jane", "status")
        value = orjson.dumps({"kind": "ConfigMap", "status": 1})
        both = await one.storage.txn(
            [Op(f"{PREFIX}a", value, a, 0, author(clock())), Op(f"{PREFIX}b", value, b, 0, who)]
        )
        one.mods = {"a": both, "b": both}
        for number in range(STEP):
            await one.write(f"other-{number}", {})
        last = await one.status("b", 2)
        await one.step()  # one of several
        await one.storage.compact(one.storage.revision)
        assert one.storage.compacted < both
        await one.move()
        await one.storage.compact(one.storage.revision)
        assert [change.revision for change in await one.changes("b")] == [b, last]
        assert await one.at("b", b) == {"kind": "ConfigMap"}


async def test_a_kill_between_two_steps(runner: Any, tmp_path: Path, clock: Clock) -> None:
    """Whenever it is killed, each change is kept once afterwards, and all states read as they were."""
    model: dict[int, Any] = {}
    async with kept(str(tmp_path / "0"), clock=clock) as one:
        for number in range(4 * STEP):
            clock.now += 0.7
            name = f"n{number % 7}"
            if number % 5 == 0:
                revision = await one.write(name, {"kind": "ConfigMap", "data": str(number)})
            else:
                revision = await one.write(name, {"kind": "ConfigMap", "status": number}, "status")
            model[revision] = name, number
            if number == 3 * STEP:
                upto = revision
        copies = 0
        while await one.step(upto):
            copies += 1
            shutil.copytree(tmp_path / "0", tmp_path / str(copies))
        await one.move()
        whole = await one.changes()
        assert copies >= 3
    for copy in range(1, copies + 1):
        async with kept(str(tmp_path / str(copy)), clock=clock) as one:
            await one.move()
            await one.storage.compact(one.storage.revision)
            changes = await one.changes()
            assert len({change.id for change in changes}) == len(changes)
            for change in changes:
                name, number = model[change.revision]
                found = await one.at(name, change.revision)
                assert number in (found.get("status"), int(found.get("data", -1)))
            users = [change.revision for change in changes if model[change.revision][1] % 5 == 0]
            assert users == [revision for revision in model if model[revision][1] % 5 == 0]
            assert {name: change.revision for change in changes for name in [change.key]} == {
                name: change.revision for change in whole for name in [change.key]
            }


async def test_a_kill_while_a_change_waits_for_the_one_that_makes_up_for_it(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    """A status that was kept as the last one stays kept, though another one of the minute has come since."""
    async with kept(str(tmp_path / "0"), clock=clock) as one:
        for name in "xy":
            await one.write(name, {"kind": "ConfigMap"})
        await one.status("x", 1)
        y = await one.status("y", 1)
        for number in range(STEP):
            await one.write(f"other-{number}", {})
        upto = await one.status("x", 2)
        await one.step(upto)
        late = await one.status("y", 2)
        shutil.copytree(tmp_path / "0", tmp_path / "1")
    async with kept(str(tmp_path / "1"), clock=clock) as one:
        await one.move()
        await one.storage.compact(one.storage.revision)
        assert (await one.moved("y"))[-2:] == [y, late]
        assert await one.at("y", y) == {"kind": "ConfigMap", "status": 1}
        assert await one.at("y", y - 1) == {"kind": "ConfigMap"}


def run(one: Kept, text: str) -> Any:
    """Execute a statement on the connection that writes the history."""
    return one.recorder.run(lambda: one.file._db.execute(text).fetchall())


FAULTS = {
    "disk full": ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000", "full"),
    "read-only": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF", "readonly"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_file_that_cannot_be_written_delays_no_write(
    runner: Any, virtual: Any, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    begin, end, message = FAULTS[fault]
    async with kept(str(tmp_path), clock=virtual.time) as one:
        await run(one, begin)
        one.recorder.start()
        large = {"kind": "ConfigMap", "data": "".join(map(chr, range(0x4E00, 0x6E00)))}
        revisions = []
        for number in range(20):
            with virtual.hold():  # the store's thread
                revisions.append(await one.write("a", {**large, "n": str(number)}))
                revisions.append(await one.write("a", {"kind": "ConfigMap", "n": str(number)}))
        await virtual.advance(3 * MINUTE)
        with virtual.hold():
            await one.write("b", {})
        assert await one.moved("a") == []
        [line] = [record for record in caplog.records if "can not be written" in record.getMessage()]
        assert line.levelname == "ERROR" and message in str(line.__dict__)
        assert one.recorder.metrics.failures.values[()] > 10
        assert one.recorder.metrics.lag.values[()] > MINUTE
        with virtual.hold():
            await one.storage.compact(one.storage.revision)
        assert one.storage.compacted <= one.recorder.recorded
        await run(one, end)
        await virtual.advance(2 * MINUTE)
        assert await one.moved("a") == revisions
        assert any("written again" in record.getMessage() for record in caplog.records)
        assert one.recorder.metrics.lag.values[()] == 0.0


async def test_a_step_that_fails_is_taken_again(runner: Any, tmp_path: Path, clock: Clock) -> None:
    """A change that was left out before the failure is made up for after it."""
    async with kept(str(tmp_path), clock=clock) as one:
        made = await written(one, clock, "a", [1])
        for number in range(STEP):
            await one.write(f"other-{number}", {})
        last = await one.status("a", 2)
        await one.step()
        await run(one, "PRAGMA query_only = ON")
        with pytest.raises(HistoryError):
            await one.step()
        await run(one, "PRAGMA query_only = OFF")
        await one.move()
        await one.storage.compact(one.storage.revision)
        assert await one.moved("a") == [made[0], last]
        assert await one.at("a", made[0]) == {"kind": "ConfigMap"}


async def test_a_history_that_gave_up_tells_no_state_from_before_its_gap(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:

    async with kept(str(tmp_path), clock=clock) as one:
        first = await one.write("a", {"kind": "ConfigMap", "data": "1"})
        second = await one.write("a", {"kind": "ConfigMap", "data": "2"})
        await one.move()
        third = await one.write("a", {"kind": "ConfigMap", "data": "3"})
        await one.write("a", {"kind": "ConfigMap", "data": "4"})
        one.recorder._target()
        clock.now += GIVEN_UP + 2 * MINUTE
        one.recorder._target()
        await one.storage.compact(one.storage.revision)  # the file could not be written for too long
        assert one.storage.compacted == one.storage.revision
        last = await one.write("a", {"kind": "ConfigMap", "data": "5"})
        await one.move()
        await one.storage.compact(one.storage.revision)
        assert await one.at("a", last) == {"kind": "ConfigMap", "data": "5"}
        assert await one.at("a", third) == {"kind": "ConfigMap", "data": "3"}, "the store still had it"
        for revision in (first, second):
            with pytest.raises(Compacted):
                await one.at("a", revision)
        [text] = one.recorder.gaps(0, 1 << 62)
        assert f"between the resourceVersions {second} and " in text


async def test_whole_objects_now_and_then(runner: Any, tmp_path: Path, clock: Clock) -> None:
    """By chance, so that nobody who chooses the revisions of writes has whole objects kept, or none."""
    drawn = [WHOLE if number % 5 else WHOLE / 2 for number in range(20)]
    async with kept(str(tmp_path), clock=clock) as one:
        one.recorder._draw = iter(drawn).__next__
        for number in range(20):
            await one.write("a", {"kind": "ConfigMap", "text": "x" * 500, "data": str(number)})
        shown = await one.changes()
        assert not any(change.is_whole for change in shown), "what waits is not kept twice"
        await one.move()
        whole = [number for number, change in enumerate(await one.changes()) if change.is_whole]
        assert whole == [5, 10, 15]


async def test_whole_objects_come_as_often_as_they_should(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        await one.write("a", {"kind": "ConfigMap"})
        for step in range(20):
            await one.storage.txn(
                [
                    Op(f"{PREFIX}{name}", orjson.dumps({"text": "x" * 200, "n": step}), None, 0, author(0))
                    for name in range(100)
                ]
            )
        await one.move()
        whole = sum(change.kind is ChangeKind.REPLACED for change in await one.changes())
        assert 5 < whole < 80  # of 1,900, with a chance of one in a million that it is not


async def test_changes_that_wait_are_seen_with_those_in_the_file(
    runner: Any, tmp_path: Path, clock: Clock
) -> None:
    """However many rows of others there are."""
    policy = HistoryPolicy(rules=(HistoryRule(("*",), ("noise",), Keep.NOTHING),))
    async with kept(str(tmp_path), policy, clock) as one:
        first = await one.write("a", {})
        await one.move()
        second = await one.write("a", {"data": "1"})
        for number in range(20):
            await one.storage.create(f"{ROOT}noise/{number}", b"{}", author=author(clock()))
            await one.storage.create(f"{ROOT}else/{number}", b"{}", author=author(clock()))
        found = await one.reader.changes(ROOT, ROOT + "\U0010ffff", within="/default/", limit=4)
        assert [change.revision for change in found] == [second, first]
        found = await one.reader.changes(ROOT, ROOT + "\U0010ffff", limit=30)
        assert len(found) == 22 and [change.revision for change in found[-2:]] == [second, first]


async def test_the_store_is_not_opened_for_writing(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await one.recorder.run(lambda: one.recorder._source._db.execute("DELETE FROM history"))


class Sealed:
    """Encryption whose key is not there for a time."""

    def __init__(self) -> None:
        self.away = True

    def encrypt(self, key: str, value: bytes) -> bytes:
        if self.away:
            raise EncryptionError("the plugin does not answer")
        return value

    def decrypt(self, key: str, data: bytes) -> bytes:
        return data


async def test_without_a_key_it_waits(runner: Any, virtual: Any, tmp_path: Path) -> None:
    async with kept(str(tmp_path), clock=virtual.time) as one:
        sealed = Sealed()
        one.file._seal = sealed.encrypt
        one.recorder.start()
        with virtual.hold():
            made = await one.write("a", {"kind": "ConfigMap"})
            changed = await one.write("a", {"kind": "ConfigMap", "data": "1"})
        await virtual.advance(3 * MINUTE)
        assert await one.moved("a") == []
        assert one.recorder.metrics.failures.values[()] > 10
        sealed.away = False
        await virtual.advance(2 * MINUTE)
        assert await one.moved("a") == [made, changed]


async def broken(one: Kept) -> list[int]:
    """Write a value that cannot be decrypted between others; the revisions of all changes."""

    def to_json(key: str, value: bytes) -> bytes:
        if b"broken" in value:
            raise DecryptionError("cipher: message authentication failed")
        return value

    one.recorder._teller._to_json = to_json
    texts = ["1", "2", "broken", "4", "5"]
    made = [await one.write("a", {"kind": "ConfigMap", "data": text}) for text in texts]
    made.append(await one.write("b", {"kind": "ConfigMap", "data": "broken"}))
    made.append(await one.delete("b"))
    made.append(await one.write("c", {"kind": "ConfigMap", "data": "6"}))
    return made


async def test_a_value_that_cannot_be_decrypted_stops_nothing(
    runner: Any, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        made = await broken(one)
        for _ in range(2):
            changes = await one.changes()
            assert [change.revision for change in changes] == made
            unreadable = [change.revision for change in changes if not change.is_readable]
            assert unreadable == [made[2], made[3], made[6]]
            assert [change.revision for change in changes if change.deletes] == [made[6]]
            assert all(change.value == b"" for change in changes if not change.is_readable)
            await one.move()
        assert await one.at("a", made[3]) == {"kind": "ConfigMap", "data": "4"}
        with pytest.raises(HistoryError, match="could not be decrypted"):
            await one.at("a", made[1])
        assert await one.at("a", made[0]) == {"kind": "ConfigMap", "data": "1"}, "the whole object is kept"
        assert len([record for record in caplog.records if "kept without values" in record.getMessage()]) == 1


class Away:
    """Encryption whose plugin has a key that is not there for a time."""

    def __init__(self) -> None:
        self.away = True

    def encrypt(self, key: str, value: bytes) -> bytes:
        return value

    def decrypt(self, key: str, data: bytes) -> bytes:
        return data

    async def prepare(self, items: Any) -> None:
        pass

    def unknown(self, items: Any) -> dict[bytes, object]:
        return {b"key": self} if self.away else {}


async def test_a_key_that_may_come_is_waited_for(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        made = await broken(one)
        one.recorder._ciphers = Away()
        one.recorder._target()
        with pytest.raises(DecryptionError):
            await one.step()
        clock.now += WAITED_FOR + 2 * MINUTE  # sooner than it gives up
        assert one.recorder.lag < GIVEN_UP
        await one.move()
        assert await one.moved("a") == made[:5]


async def test_what_is_wrong_is_said(runner: Any, tmp_path: Path, clock: Clock) -> None:
    async with kept(str(tmp_path), clock=clock) as one:
        await one.write("a", {})
        one.recorder._target()
        clock.now += BEHIND + MINUTE
        assert one.recorder.condition == ""
        clock.now += 5
        assert one.recorder.condition.startswith("the history is 605 s behind")
        await one.move()
        assert one.recorder.condition == ""
