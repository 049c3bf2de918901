"""Limits for many and for long warnings."""

import tracemalloc
from collections.abc import Iterable, Iterator

from complexity import assert_linear

from pilothouse.api.values.warnings import ITEM_LIMIT, TOTAL_LIMIT, Warnings, enough


def collected(texts: Iterable[str]) -> Warnings:
    """The warnings after all texts."""
    out = Warnings()
    for text in texts:
        out.add(text)
    return out


def sendable(texts: Iterable[str]) -> list[str]:
    return collected(texts).sendable()


def test_warnings_that_cannot_be_sent() -> None:
    assert sendable(["", "a\nb", "c\x7f", "d\x85", "é"]) == ["é"]


def test_many_warnings_are_shortened() -> None:
    fits = ["a" * 1000, "b" * 3096]
    assert sendable(fits) == fits
    assert sendable([*fits, "c"]) == ["a" * ITEM_LIMIT, "b" * ITEM_LIMIT, "c"]
    long = [f"{n:04}" + "x" * 300 for n in range(100)]
    sent = sendable(long)
    assert sent == [text[:ITEM_LIMIT] for text in long[: TOTAL_LIMIT // ITEM_LIMIT]]


def test_any_number_of_warnings_is_taken_in_linear_time_and_no_memory() -> None:
    assert_linear(lambda n: collected(f"line {i}: key already set" for i in range(n)), lambda n: n, 10_000)
    tracemalloc.start()
    try:
        collected(f"line {i}: key already set in map" for i in range(100_000))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_few_are_kept_once_in_their_order() -> None:
    assert enough(["b", "a", "b", "c\n"]) == ["b", "a"]


def test_no_more_are_asked_for_than_can_be_sent() -> None:
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield f"{asked} {'x' * ITEM_LIMIT}"

    found = enough(endless())
    assert asked <= TOTAL_LIMIT // ITEM_LIMIT + 1
    assert sendable(found) == sendable([*found, "one more"])
