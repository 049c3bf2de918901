"""Databases that are made of pairs, and read as pairs."""

import pathlib
import sqlite3

import pytest

from pilothouse.storage.interface import KeyValue
from pilothouse.storage.sqlite import pairs, snapshot
from pilothouse.storage.sqlite.file import DataDirectory


def test_pairs_are_read_as_they_were(tmp_path: pathlib.Path) -> None:
    (tmp_path / "store").mkdir()
    given = [KeyValue("/a", b"1", 5, 3, 0), KeyValue("/b", b"2", 5, 5, 1234), KeyValue("/c", b"3", 9, 9, 0)]
    pairs.fill(DataDirectory(tmp_path / "store"), given, 12)
    snapshot.save(tmp_path / "store", tmp_path / "file")
    found, revision = pairs.read((tmp_path / "file").read_bytes()[: -snapshot.HASH])
    described = [
        (kv.key, kv.value, kv.mod, kv.create, kv.lease) for kv in sorted(found, key=lambda kv: kv.key)
    ]
    assert described == [(kv.key, kv.value, kv.mod, kv.create, kv.lease) for kv in given]
    assert revision == 13, "the history begins behind the pairs"


def test_what_is_no_database() -> None:
    with pytest.raises(sqlite3.Error):
        pairs.read(b"no database" * 1000)
