"""CRCs of joined texts compared with zlib, and the budget of the kept blocks."""

import gzip
import os
import zlib
from collections.abc import Iterator

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api._gzip import combine, kept, set_budget
from pilothouse.api._json import Encoded, encoded
from pilothouse.endpoints.answers._listbody import ListBody

OVERHEAD = 160


@settings(max_examples=150 * SCALE)
@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_crcs_combine(texts: list[bytes]) -> None:
    crc = 0
    for text in texts:
        crc = combine(crc, zlib.crc32(text), len(text))
    assert crc == zlib.crc32(b"".join(texts))


@settings(max_examples=150 * SCALE)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), *[st.integers(0, 2**40)] * 2)
def test_crcs_combine_in_any_order(first: int, second: int, size: int, more: int) -> None:
    assert combine(first, second, 0) == first ^ second
    third = first ^ 0xABCDEF
    left = combine(combine(first, second, size), third, more)
    assert left == combine(first, combine(second, third, more), size + more)


@pytest.fixture
def budget() -> Iterator[int]:
    old = set_budget(0)
    assert kept() == (0, 0)
    set_budget(100_000)
    yield 100_000
    assert kept() == (0, 0), "what a test has listed died with it"
    set_budget(old)


def objects(count: int) -> list[Encoded]:
    """Objects that have nothing in common; their blocks are some 350 bytes long."""
    values = [
        b'"metadata":{"name":"%d"},"p":"%b"}' % (i, os.urandom(300).hex().encode()) for i in range(count)
    ]
    return [encoded(b'{"kind":"A","apiVersion":"v1",' + value, i + 1) for i, value in enumerate(values)]


def show(entries: list[Encoded]) -> None:
    """List objects, compressed."""
    body = ListBody(b'{"items":[', entries, b"]}")
    made = [part if isinstance(part, bytes) else part() for part in body.gzip()]
    assert gzip.decompress(b"".join(made)) == b"".join(body)


def test_what_is_kept_has_a_budget_and_dies_with_its_object(budget: int) -> None:
    few = objects(20)
    show(few)
    count, held = kept()
    assert count == 20 and 20 * (300 + OVERHEAD) < held < 20 * (500 + OVERHEAD)
    many = objects(1000)
    show(many)
    count, held = kept()
    assert 150 < count < 220 and budget - 1000 < held <= budget, (
        "the few of the first list went, none of its own"
    )
    del few
    assert kept() == (count, held)
    for entry in many[:50]:
        many.remove(entry)
    del entry
    assert kept()[0] == count - 50
    many.clear()
    assert kept() == (0, 0)


def test_what_lists_use_stays_longest(budget: int) -> None:
    first, second, third = objects(60), objects(60), objects(60)
    show(first)
    show(second)
    size = kept()[1]
    assert size < budget
    show(first)
    show(third)  # there is no room for all three: the second has been used least recently
    before = kept()
    del second
    assert kept()[0] < before[0]
    left = kept()[0]
    del first
    assert kept()[0] == left - 60


def test_lists_of_the_same_objects_at_the_same_time_compress_each_once(budget: int) -> None:
    """Objects for which there is no room in the budget are kept until the other list has come by."""
    set_budget(4_000_000)
    entries = objects(12_000)
    body = ListBody(b"[", entries, b"]")
    made: list[list[bytes]] = [[], []]
    lists = [(iter(body.gzip()), parts) for parts in made]
    calls = 0
    while lists:
        for each in list(lists):
            part = next(each[0], None)
            if part is None:
                lists.remove(each)
                continue
            calls += not isinstance(part, bytes)
            each[1].append(part if isinstance(part, bytes) else part())
    part = each = None
    assert len(b"".join(made[0])) > 4_000_000 >= kept()[1]
    assert b"".join(made[0]) == b"".join(made[1])
    raw = sum(map(len, body))
    assert calls < 1.2 * raw / 262_144, "as many as one list takes"
    set_budget(budget)


def test_a_smaller_budget_holds_at_once(budget: int) -> None:
    entries = objects(100)
    show(entries)
    assert set_budget(10_000) == budget
    assert 0 < kept()[1] <= 10_000
    show(entries)
    assert 0 < kept()[1] <= 10_000
    set_budget(0)
    assert kept() == (0, 0)
    show(entries)
    assert kept() == (0, 0)
