"""Files that are followed: what counts as a change, what is refused, what is told."""

import asyncio
import logging
import os
import pathlib
import tracemalloc
from typing import Any

import pytest
from logged import pairs
from virtual_time import VirtualLoop

from pilothouse import reload
from pilothouse.metrics.instruments import Group
from pilothouse.reload import (
    LONGEST_PAUSE,
    POLL,
    Files,
    Followed,
    Follower,
    ReloadMetrics,
    ReloadOutcome,
    Reloads,
)


class Numbers:
    """A configuration: a number in each of some files, and paths of further files after it."""

    def __init__(self, *paths: pathlib.Path) -> None:
        self.first = [str(path) for path in paths]
        self.value: dict[str, int] = {}
        self.named: list[str] = []
        self.reads = 0
        self.fault: Exception | None = None
        """Why no content can come into force."""

    def paths(self) -> list[str]:
        return [*self.first, *self.named]

    def read(self, files: Files) -> dict[str, list[bytes]]:
        self.reads += 1
        return {path: data.split() for path, data in files.items() if int(data.split()[0]) >= 0}

    async def use(self, found: dict[str, list[bytes]]) -> None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        self.value = {os.path.basename(path): int(words[0]) for path, words in found.items()}
        self.named = [word.decode() for path in self.first for word in found[path][1:]]


class Metrics(ReloadMetrics, Group):
    pass


class Rig:
    def __init__(self, *paths: pathlib.Path) -> None:
        self.numbers = Numbers(*paths)
        self.metrics = Metrics("authentication")
        self.reloads = Reloads()
        self.told: list[ReloadOutcome] = []
        self.reloads.listen(self.told.append)
        self.follower: Follower[Any] = self.reloads.follow(
            Followed(
                kind="numbers",
                paths=self.numbers.paths,
                read=self.numbers.read,
                use=self.numbers.use,
                metrics=self.metrics,
            )
        )

    def count(self, status: str) -> tuple[float, float]:
        """Our own count and upstream's."""
        theirs: float = sum(
            value for labels, value in self.metrics.reloads.values.items() if labels[1] == status
        )
        return self.reloads.total.values.get(("numbers", status), 0), theirs

    @property
    def hash(self) -> str:
        """The configuration that upstream's metric shows."""
        assert self.metrics.configuration.source is not None
        [labels] = self.metrics.configuration.source()
        return labels[1]

    @property
    def refused(self) -> float:
        assert self.reloads.refused.source is not None
        return self.reloads.refused.source()[("numbers",)]


def put(path: pathlib.Path, content: str | bytes | None) -> None:
    """Write a file in place, or remove it."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "a"
    path.write_text("1")
    return path


async def test_a_change_comes_into_force(virtual: VirtualLoop, file: pathlib.Path) -> None:
    rig = Rig(file)
    rig.reloads.start()
    before = rig.hash
    await virtual.advance(3 * POLL)
    assert rig.numbers.reads == 0, "what is there at the start is in force"
    put(file, "2")
    await virtual.advance(POLL + 1)
    assert rig.numbers.value == {"a": 2} and rig.told == [ReloadOutcome("numbers", (str(file),))]
    assert rig.count("success") == (1, 1) and rig.count("failure") == (0, 0) and rig.refused == 0
    assert ("numbers", "success") in rig.reloads.last.values
    assert rig.hash != before
    os.utime(file)
    await virtual.advance(3 * POLL)
    assert rig.numbers.reads == 1, "the same content is no change"
    await rig.reloads.close()


@pytest.mark.parametrize("broken", [b"no number", b"", b"\xff", None])
async def test_what_is_broken_changes_nothing(
    virtual: VirtualLoop, file: pathlib.Path, broken: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(file)
    rig.reloads.start()
    put(file, "2")
    await virtual.advance(POLL + 1)
    put(file, broken)
    await virtual.advance(20 * POLL)
    assert rig.numbers.value == {"a": 2} and rig.count("failure") == (1, 1) and rig.refused == 1
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == "A configuration was not reloaded, the old one stays in force"
    assert pairs(line)["kind"] == "numbers" and pairs(line)["err"] == rig.told[-1].error != ""
    put(file, "2")
    await virtual.advance(2 * POLL)
    assert rig.refused == 0 and rig.count("success") == (1, 1), "it is again what is in force"
    put(file, "3")
    await virtual.advance(2 * POLL)
    assert rig.numbers.value == {"a": 3} and rig.count("success") == (2, 2)
    await rig.reloads.close()


async def test_half_a_file_does_not_count(virtual: VirtualLoop, file: pathlib.Path) -> None:
    """Every look finds the writer at work; each of the states would be valid."""
    rig = Rig(file)
    for text in ("2", "22", "222", "2222"):
        put(file, text)
        await rig.follower.look()
    assert rig.numbers.reads == 0
    await rig.follower.look()
    assert rig.numbers.value == {"a": 2222} and rig.numbers.reads == 1


async def test_a_change_counts_within_a_moment(virtual: VirtualLoop, file: pathlib.Path) -> None:
    rig = Rig(file)
    rig.reloads.start()
    put(file, "2")
    await virtual.advance(POLL + reload.SETTLE + 0.01)
    assert rig.numbers.value == {"a": 2}
    await rig.reloads.close()


async def test_somebody_asks_for_a_look(virtual: VirtualLoop, file: pathlib.Path) -> None:
    rig = Rig(file)
    rig.reloads.start()
    await virtual.advance(0.01)
    put(file, "2")
    rig.reloads.look()
    await virtual.advance(0.01)
    assert rig.numbers.value == {"a": 2}
    put(file, "x")
    for failures in (1, 2):
        rig.reloads.look()
        await virtual.advance(0.01)
        assert rig.count("failure") == (failures, failures), "each caller is told"
    await rig.reloads.close()


async def test_all_files_or_none(virtual: VirtualLoop, file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "b"
    put(other, "1")
    rig = Rig(file, other)
    put(file, "2")
    put(other, "x")
    await rig.follower.look(force=True)
    assert rig.numbers.value == {}
    put(other, "2")
    await rig.follower.look(force=True)
    assert rig.numbers.value == {"a": 2, "b": 2}


async def test_the_links_of_a_mounted_config_map(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    """kubelet writes the files into a new folder and renames one link;
    the path that is followed stays a link."""
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(text)
        os.utime(tmp_path / name / "a", (1, 1))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "a").symlink_to("..data/a")
    rig = Rig(tmp_path / "a")
    (tmp_path / "..tmp").symlink_to("two")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    await rig.follower.look(force=True)
    assert rig.numbers.value == {"a": 2} and rig.count("failure") == (0, 0)


async def test_files_that_the_configuration_names_are_followed(
    virtual: VirtualLoop, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "b"
    put(other, "7")
    rig = Rig(file)
    rig.reloads.start()
    put(file, f"2 {other}")
    await virtual.advance(2 * POLL)
    assert rig.reloads.followed == {"numbers": (str(file), str(other))}
    put(other, "8")
    await virtual.advance(2 * POLL)
    assert rig.numbers.value == {"a": 2, "b": 8}
    put(other, None)
    await virtual.advance(2 * POLL)
    assert rig.refused == 1 and str(other) in rig.told[-1].error
    put(file, "3")
    await virtual.advance(2 * POLL)
    assert rig.refused == 1, "the file is still named by what is in force"
    await rig.reloads.close()


async def test_what_was_missing_may_come(virtual: VirtualLoop, file: pathlib.Path) -> None:
    """The files stay as they are; the attempts become rarer, and are told once."""
    rig = Rig(file)
    rig.reloads.start()
    rig.numbers.fault = OSError("nobody answers")
    put(file, "2")
    await virtual.advance(1000)
    assert 1000 / LONGEST_PAUSE < rig.numbers.reads < 1000 / LONGEST_PAUSE + 8
    assert rig.count("failure") == (1, 1)
    rig.numbers.fault = None
    await virtual.advance(LONGEST_PAUSE + POLL)
    assert rig.numbers.value == {"a": 2}
    await rig.reloads.close()


async def test_a_bug_changes_nothing_either(
    virtual: VirtualLoop, file: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(file)
    rig.numbers.fault = ZeroDivisionError()
    put(file, "2")
    await rig.follower.look(force=True)
    assert rig.refused == 1 and "Traceback" in caplog.text


async def test_what_is_no_file_is_left_alone(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    """A pipe, as a shell's <(...) is:
    to read it would wait for ever, and take what somebody else is to read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    rig = Rig(pipe)
    await rig.follower.look(force=True)
    assert rig.told == [] and rig.refused == 0
    put(pipe, None)
    put(pipe, "2")
    await rig.follower.look(force=True)
    assert rig.numbers.value == {"pipe": 2}


async def test_a_folder_is_no_file_either(virtual: VirtualLoop, file: pathlib.Path) -> None:
    rig = Rig(file)
    put(file, None)
    os.mkdir(file)
    before = len(os.listdir("/proc/self/fd"))
    await rig.follower.look(force=True)
    assert "no regular file" in rig.told[-1].error
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_file_without_end_is_not_read(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    put(path, "1")
    rig = Rig(path)
    os.truncate(path, reload.LARGEST + 1)
    await rig.follower.look(force=True)
    assert "it has more than" in rig.told[-1].error


async def test_one_that_takes_long_holds_up_nobody(virtual: VirtualLoop, tmp_path: pathlib.Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    values: dict[str, bytes] = {}
    never = asyncio.Event()
    reloads = Reloads()

    async def use(made: tuple[str, bytes]) -> None:
        if made[0] == "a":
            await never.wait()
        values[made[0]] = made[1]

    for path in paths:
        put(path, "1")
        name, at = path.name, str(path)
        reloads.follow(
            Followed(
                kind=name,
                paths=lambda at=at: (at,),  # type: ignore[misc]
                read=lambda files, at=at, name=name: (name, files[at]),  # type: ignore[misc]
                use=use,
            )
        )
        put(path, "2")
    reloads.start()
    await virtual.advance(2 * POLL)
    assert values == {"b": b"2"}
    await reloads.close()
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_followed_later_starts_at_once(virtual: VirtualLoop, file: pathlib.Path) -> None:
    numbers, reloads = Numbers(file), Reloads()
    reloads.start()
    reloads.follow(Followed(kind="n", paths=numbers.paths, read=numbers.read, use=numbers.use))
    put(file, "2")
    await virtual.advance(2 * POLL)
    assert numbers.value == {"a": 2}
    await reloads.close()


def test_a_small_file_takes_little_memory(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 100)
    tracemalloc.start()
    try:
        reload._content(str(path))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
