"""A purge by another process than the server that writes the file."""

import pathlib
import random
from collections.abc import Iterator

import pytest

from pilothouse.history.file import ChangeKind, HistoryFile, RecordedChange, connect


def change(id: int, key: str) -> RecordedChange:
    return RecordedChange(id, key, ChangeKind.DELETED, id, b"[]", "", b"{}")


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Iterator[tuple[HistoryFile, HistoryFile]]:
    both = HistoryFile(tmp_path), HistoryFile(tmp_path)
    for one in both:
        one.open()
    yield both
    for one in both:
        one.close()


def kept(file: HistoryFile) -> list[tuple[int, str]]:
    db = connect(file.path, read_only=True)
    try:
        query = "SELECT c.id, o.key FROM changes c JOIN objects o ON o.id = c.object ORDER BY c.id"
        return list(db.execute(query))
    finally:
        db.close()


def test_what_is_recorded_after_a_purge_belongs_to_its_object(
    files: tuple[HistoryFile, HistoryFile],
) -> None:
    """The purge has dropped the id that the server remembers, and another object may get it."""
    server, command = files
    server.record([change(1, "/a"), change(2, "/b")], 2)
    assert command.purge(["/b", "/never"]) == 1
    server.record([change(3, "/c"), change(4, "/b")], 4)
    assert kept(server) == [(1, "/a"), (3, "/c"), (4, "/b")]


def test_a_purge_leaves_nothing_of_the_values(files: tuple[HistoryFile, HistoryFile]) -> None:
    server, command = files
    server.record([change(1, "/a")._replace(value=random.Random(1).randbytes(5000)), change(2, "/b")], 2)
    db = connect(server.path, read_only=True)
    (stored,) = db.execute("SELECT value FROM changes WHERE id = 1").fetchone()
    db.close()

    def in_clear() -> bool:
        return any(stored[100:140] in one.read_bytes() for one in server.path.parent.iterdir())

    assert in_clear()
    assert command.purge(["/a"]) == 1
    assert not in_clear()
    assert kept(server) == [(2, "/b")]
