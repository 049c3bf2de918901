"""List bodies: the plain and the compressed form have the same content."""

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api._gzip import kept, set_budget
from pilothouse.api._json import Encoded, encoded
from pilothouse.endpoints.answers._listbody import ListBody

PREFIX, SUFFIX = b'{"kind":"PodList","items":[', b"]}\n"


def value_of(name: str, **rest: Any) -> bytes:
    return orjson.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, **rest})


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 300])
@pytest.mark.parametrize("pad", [0, 6000])
def test_plain(typed: bool, count: int, pad: int) -> None:
    entries = [encoded(value_of(f"p{i}", spec="x" * pad), i + 1) for i in range(count)]
    body = ListBody(PREFIX, entries, SUFFIX, typed)
    pieces = list(body)
    assert pieces == list(body)
    assert sum(map(len, pieces)) == body.size
    assert all(len(piece) < 300_000 for piece in pieces)
    assert all(len(piece) >= 240 * 1024 for piece in pieces[:-1])
    items = json.loads(b"".join(pieces))["items"]
    wanted = [json.loads(entry.value) for entry in entries]
    if not typed:
        wanted = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in wanted]
    assert items == wanted


def test_takes_encoded_only() -> None:
    with pytest.raises(TypeError):
        ListBody(b"[", [b"x"], b"]")  # type: ignore[type-var]
    assert list(ListBody(b"[", [Encoded(b'{"a":1}', 1)], b"]")) == [b'[{"a":1}]']


# --- compressed


def packed(body: ListBody) -> Iterator[None]:
    """Compress a body part by part; it pauses after each, and at the end compares with the plain form."""
    out = []
    for part in body.gzip():
        yield
        out.append(part if isinstance(part, bytes) else part())
    data = b"".join(out)
    assert gzip.decompress(data) == b"".join(body)
    assert int.from_bytes(data[-4:], "little") == body.size


def check(body: ListBody) -> None:
    for _ in packed(body):
        pass


def text(size: int, seed: int, like: int) -> str:
    """Text of a size: what all objects have in common for `like` of ten parts, noise else."""
    common, noise = random.Random(7), random.Random(seed)
    parts = [f"{(common if common.random() * 10 < like else noise).getrandbits(128):032x}" for _ in range(40)]
    return ("".join(parts) * (size // 1280 + 1))[:size]


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_compressed(typed: bool, count: int) -> None:
    entries = [encoded(value_of(f"p{i}", spec=text(i % 900, i, 5)), i + 1) for i in range(count)]
    body = ListBody(PREFIX, entries, SUFFIX, typed)
    before = kept()[0]
    check(body)
    assert kept()[0] == before + count
    assert all(isinstance(part, bytes) for part in body.gzip()), "nothing is left to be compressed"
    check(body)


def test_long_heads_are_stored_in_several_blocks() -> None:
    entries = [encoded(value_of("a"), 1)]
    check(ListBody(PREFIX + b"p" * 200_000, entries, b"s" * 0xFFFF))
    check(ListBody(b"", entries, b""))


def test_a_long_part_is_a_call() -> None:
    entries = [encoded(value_of(f"p{i}", spec=text(6000, i, 5)), i + 1) for i in range(200)]
    parts = []
    for part in ListBody(PREFIX, entries, SUFFIX).gzip():
        assert not isinstance(part, bytes)
        parts.append(part())
    assert 4 <= len(parts) <= 6, "a quarter of a megabyte each"


def test_few_changes_are_compressed_at_once() -> None:
    entries = [encoded(value_of(f"p{i}", spec=text(6000, i, 5)), i + 1) for i in range(200)]
    check(ListBody(PREFIX, entries, SUFFIX))
    entries[50] = encoded(value_of("p50", spec="anew"), 900)
    del entries[120]
    entries.insert(7, encoded(value_of("p6b", spec=text(6000, 1, 5)), 901))
    body = ListBody(PREFIX, entries, SUFFIX)
    assert all(isinstance(part, bytes) for part in body.gzip())
    check(body)


def calls(body: ListBody) -> int:
    """How many parts of a compressed list are calls, since too much had to be compressed."""
    return sum(not isinstance(part, bytes) and len(part()) > 0 for part in body.gzip())


def test_lists_of_some_do_not_take_the_blocks_of_the_list_of_all() -> None:
    entries = [encoded(value_of(f"p{i}", spec=text(6000, i, 5)), i + 1) for i in range(300)]
    everything = ListBody(PREFIX, entries, SUFFIX)
    some = ListBody(PREFIX, entries[::2], SUFFIX)
    check(everything)
    for _ in range(5):
        assert calls(some) == 4, "a list of some after each list of all is compressed anew"
        assert calls(everything) == 0
    check(some)
    assert calls(some) == 4
    assert calls(some) == 0, "twice in a row is worth keeping"
    check(some)


VERSIONS = st.tuples(
    st.sampled_from([0, 40, 700, 6000, 33_000, 90_000]), st.integers(0, 5), st.integers(0, 10)
)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 9), VERSIONS),
    st.tuples(st.just("delete"), st.integers(0, 9), st.none()),
    st.tuples(st.just("list"), st.integers(0, 1023), st.integers(0, 1023)),
    st.tuples(st.just("page"), st.integers(1, 4), st.none()),
    st.tuples(st.just("budget"), st.sampled_from([0, 500, 5000, 1 << 26]), st.none()),
)


@settings(max_examples=60 * SCALE)
@given(st.booleans(), st.lists(VERSIONS, max_size=10), st.lists(STEPS, max_size=14))
def test_any_history_decodes_to_the_plain_form(typed: bool, start: list[Any], steps: list[Any]) -> None:
    """Writes, deletions, lists of some that go on at the same time,
    pages, and whatever is kept or was dropped."""
    stored: dict[int, Encoded] = {}
    running: list[Iterator[None]] = []
    revision = 9_999_990

    def write(key: int, version: tuple[int, int, int]) -> None:
        nonlocal revision
        revision += 1
        stored[key] = encoded(value_of(f"p{key}", spec=text(*version)), revision)

    def start_list(entries: list[Encoded]) -> None:
        prefix = b'{"metadata":{"resourceVersion":"%d"},"items":[' % revision
        running.append(packed(ListBody(prefix, entries, SUFFIX, typed)))

    old = set_budget(1 << 26)
    try:
        for key, version in enumerate(start):
            write(key, version)
        for what, one, two in steps:
            if what == "write":
                write(one, two)
            elif what == "delete":
                stored.pop(one, None)
            elif what == "budget":
                set_budget(one)
            elif what == "page":
                entries = [stored[key] for key in sorted(stored)]
                for at in range(0, len(entries), one):
                    start_list(entries[at : at + one])
            else:
                for mask in (one, two):
                    start_list([stored[key] for key in sorted(stored) if mask >> key & 1])
            for each in running:  # one part of every list that goes on
                next(each, None)
        for each in running:
            for _ in each:
                pass
    finally:
        set_budget(old)
