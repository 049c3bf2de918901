"""The question who has made the changes that went through a server, and its answer (peers.py asks)."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from pilothouse.history._author import parts
from pilothouse.history.file import audit_id_of
from pilothouse.storage.sqlite.changes import revision_of

PATH = "/history/authors"
MOST = 250
"""Changes of one answer, about."""


class WrittenChange(NamedTuple):
    """A change whose author is known. author: as parts() tells it."""

    id: int
    key: str
    time_ms: int
    audit_id: str
    author: bytes


def of_rows(rows: Iterable[tuple[int, str, int, bytes | str | None, bytes]]) -> list[WrittenChange]:
    """The first changes of rows of the history's file, in whole revisions."""
    return _first((id, key, time_ms, audit_id_of(audit), who) for id, key, time_ms, audit, who in rows)


def of_waiting(rows: Iterable[tuple[int, str, bytes]]) -> list[WrittenChange]:
    """The first changes of rows that wait in the store, in whole revisions."""
    return _first((id, key, *parts(author)) for id, key, author in rows)


def _first(rows: Iterable[tuple[int, str, int, str, bytes]]) -> list[WrittenChange]:
    found: list[WrittenChange] = []
    for row in rows:
        if len(found) >= MOST and revision_of(row[0]) > revision_of(found[-1].id):
            break
        found.append(WrittenChange(*row))
    return found


def answer(changes: Sequence[WrittenChange], upto: int) -> dict[str, Any]:
    """The answer about revisions up to one: authors, and the revision up to which there are no others."""
    return {
        "reached": upto if len(changes) < MOST else revision_of(changes[-1].id),
        "authors": [
            (revision_of(one.id), one.key, one.time_ms, one.audit_id, orjson.Fragment(one.author))
            for one in changes
        ],
    }
