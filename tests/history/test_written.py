"""The answer to another server that asks who has made changes."""

import orjson
from kept_history import author

from pilothouse.history.author import HEAD, UNKNOWN
from pilothouse.history.written import MOST, answer, of_rows, of_waiting
from pilothouse.storage.sqlite.changes import first_of

WHO = b'["jane",[],"kubectl","update","","10.0.0.1"]'


def test_changes_of_both_kinds_are_answered_alike() -> None:
    moved = of_rows([(first_of(7), "/k", 1000, None, WHO)])
    waiting = of_waiting([(first_of(7), "/k", HEAD.pack(1000, 0) + WHO)])
    assert moved == waiting
    said = orjson.loads(orjson.dumps(answer(moved, 9)))
    assert said == {"reached": 9, "authors": [[7, "/k", 1000, "", orjson.loads(WHO)]]}


def test_an_answer_ends_with_a_whole_revision() -> None:
    rows = [(first_of(7 + number // 100) + number % 100, "/k", author(1.0)) for number in range(MOST + 200)]
    found = of_waiting(rows)
    assert len(found) == 300 and answer(found, 99)["reached"] == 9
    assert answer(found[: MOST - 1], 99)["reached"] == 99
    assert UNKNOWN not in {one.author for one in found}
