"""The values that pass between stores and their users are equal by what they hold, and cannot be changed."""

from typing import Any

import pytest

from pilothouse.storage.interface import KeyValue, Op, StorageEvent

PAIR = KeyValue("/a", b"1", 3, 2, 9)


def test_equal_values_are_equal() -> None:
    assert KeyValue("/a", b"1", mod=3, create=2, lease=9) == PAIR
    assert hash(KeyValue("/a", b"1", 3, 2, 9)) == hash(PAIR)
    others = [("/b", b"1", 3, 2, 9), ("/a", b"2", 3, 2, 9), ("/a", b"1", 4, 2, 9), ("/a", b"1", 3, 1, 9)]
    assert all(KeyValue(*other) != PAIR for other in [*others, ("/a", b"1", 3, 2, 0)])
    assert PAIR != ("/a", b"1", 3, 2, 9)
    assert KeyValue("/a", b"1", 3) == KeyValue("/a", b"1", 3, 0, 0)


def test_equal_events_are_equal() -> None:
    event = StorageEvent(False, PAIR, None)
    assert event == StorageEvent(False, KeyValue("/a", b"1", 3, 2, 9), None)
    assert hash(event) == hash(StorageEvent(False, PAIR, None))
    assert event != StorageEvent(True, PAIR, None) != StorageEvent(True, PAIR, PAIR)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (PAIR, ("key", "value", "mod", "create", "lease")),
        (StorageEvent(True, PAIR, None), ("deleted", "kv", "prev")),
        (Op("/a", b"1", 2, 3), ("key", "value", "expect", "ttl")),
    ],
)
def test_nothing_can_be_changed(value: Any, names: tuple[str, ...]) -> None:
    for name in names:
        with pytest.raises(AttributeError):
            setattr(value, name, getattr(value, name))
    assert (
        repr(value)
        == f"{type(value).__name__}(" + ", ".join(f"{n}={getattr(value, n)!r}" for n in names) + ")"
    )


@pytest.mark.parametrize("wrong", [(None, b"", 1), ("/a", None, 1), ("/a", "1", 1), (b"/a", b"", 1)])
def test_wrong_types_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        KeyValue(*wrong)
