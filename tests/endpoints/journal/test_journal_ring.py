"""The ring of records that the journal keeps requests in, held against a plain list."""

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.endpoints.journal._journal import Ring

OVERHEAD, LONGEST = 100, 4096
Added = tuple[str, int]


class Held:
    """Something that a record holds, and that a weak reference can follow."""


def shortened(texts: list[str]) -> list[str]:
    return [text.encode(errors="backslashreplace").decode()[: LONGEST // 4] for text in texts]


def record(
    path: str, number: int, detail: bytes = b"", held: Any = None, seats: int = 0, code: Any = 200
) -> Any:
    flow = SimpleNamespace(schema="s", level=SimpleNamespace(name="l"))
    ticket = SimpleNamespace(flow=flow, seats=seats, waited=0.5) if seats else None
    weight, times = OVERHEAD + len(detail), (float(number), 1.0, 2.0, 3.0, 9.0)
    begin = (weight, texts(path, number), b"user", b"caller", held, held, ticket, code)
    return *begin, *times, number, None, "", detail


def add(ring: Ring, path: str, number: int, **more: Any) -> None:
    ring.add(record(path, number, **more))


def texts(path: str, number: int) -> list[str]:
    return [f"id-{number}", "get", path, "q", "127.0.0.1", "u"]


def told(path: str, number: int) -> str:
    lines = texts(path, number)
    line = "\n".join(lines)
    return line if len(line.encode()) <= LONGEST else "\n".join(shortened(lines))


@given(
    st.integers(1, 40),
    st.integers(300, 300_000),
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(1, 400))),
)
def test_it_keeps_what_a_list_would(most: int, limit: int, added: list[Added]) -> None:
    ring, model = Ring(most, limit, LONGEST, shortened), list[tuple[int, str, int]]()
    for number, (text, times) in enumerate(added):
        path, detail = text * times, b"d" * times
        add(ring, path, number, detail=detail, seats=number % 3)
        line = told(path, number)
        model.append((number, line, OVERHEAD + len(line.encode()) + len(detail)))
        model = model[-most:]
        while sum(size for _, _, size in model) > limit:
            model.pop(0)
        assert ring.size == sum(size for _, _, size in model) and len(ring) == len(model)
    assert ring.end == len(added) and ring.first == ring.end - len(model)
    for number, line, size in model:
        found = ring.get(number)
        assert found is not None and found[:4] == (size, line, b"user", b"caller")
        assert found[6] == (("s", "l", number % 3, 0.5) if number % 3 else None)
        assert found[7:14] == (200, float(number), 1.0, 2.0, 3.0, 9.0, number)
    assert ring.get(ring.first - 1) is None and ring.get(ring.end) is None


def test_texts_go_through_many_slabs() -> None:
    ring = Ring(3000, 1 << 30, LONGEST, shortened)
    for number in range(10_000):
        add(ring, "/" + "x" * (number % 700), number)
    for number in range(7000, 10_000):
        found = ring.get(number)
        assert found is not None and found[1] == told("/" + "x" * (number % 700), number)


def test_it_lets_go_of_what_it_pushes_out_and_of_all_at_its_end() -> None:
    ring = Ring(2, 1 << 20, LONGEST, shortened)
    held = [Held() for _ in range(4)]
    known = [weakref.ref(one) for one in held]
    for number, one in enumerate(held):
        add(ring, "/", number, held=one)
    del one
    held.clear()
    assert [ref() is not None for ref in known] == [False, False, True, True]
    del ring
    gc.collect()
    assert [ref() for ref in known] == [None] * 4


@given(
    st.lists(st.tuples(st.sampled_from([200, 403, 500]), st.integers(0, 3000)), max_size=60),
    st.integers(1, 9),
)
def test_what_is_pushed_out_is_taken_over(added: list[tuple[int, int]], most: int) -> None:
    """A ring that keeps refusals and one that keeps failures, each held against a list."""
    others = tuple(Ring(4, 20_000, LONGEST, shortened) for _ in range(2))
    ring = Ring(
        most, 1 << 20, LONGEST, shortened, slow=99.0, others=others,
        outlives=lambda request: 1 if request[7] == 403 else 2,
    )  # fmt: skip
    for number, (code, length) in enumerate(added):
        add(ring, "/" + "x" * length, number, code=code, held=Held())
    old = list(enumerate(added))[: max(0, len(added) - most)]
    for other, kept in zip(others, (403, 500), strict=True):
        wanted = [
            (number, told("/" + "x" * length, number)) for number, (code, length) in old if code == kept
        ]
        found = [other.get(number) for number in range(other.first, other.end)]
        assert [(one[8], one[1]) for one in found if one is not None] == wanted[-len(found) :][: len(found)]
        assert len(found) == min(4, len(wanted)) or other.size + 3200 > 20_000
    assert len(ring) == min(most, len(added))


def test_records_are_found_by_the_end_of_their_texts() -> None:
    """Also of those that another ring has taken over, and not of those that are gone."""
    late = Ring(4, 100_000, LONGEST, shortened)
    ring = Ring(4, 100_000, LONGEST, shortened, outlives=lambda request: 1, others=(late,))
    for number in range(6):
        made = record("/a", number, code=500)
        made[1].append("even" if number % 2 == 0 else "odd")
        ring.add(made)
    assert [ring.before(number, b"\neven") for number in (99, 6, 5, 4, 3, 2, 0)] == [4, 4, 4, 2, 2, -1, -1]
    assert (late.before(9, b"\nodd"), late.before(9, b"\neven"), late.before(9, b"other")) == (1, 0, -1)
    assert ring.before(9, b"x" * 500) == -1


def test_rings_let_go_of_what_they_took_over() -> None:
    other = Ring(2, 1 << 20, LONGEST, shortened)
    ring = Ring(1, 1 << 20, LONGEST, shortened, slow=99.0, outlives=lambda request: 1, others=(other,))
    held = [Held() for _ in range(5)]
    known = [weakref.ref(one) for one in held]
    for number, one in enumerate(held):
        add(ring, "/", number, held=one, code=403)
    del one
    held.clear()
    assert [ref() is not None for ref in known] == [False, False, True, True, True]
    del ring
    gc.collect()
    assert [ref() is not None for ref in known] == [False, False, True, True, False]
    assert other.get(other.end - 1) is not None
    del other
    gc.collect()
    assert [ref() for ref in known] == [None] * 5


def test_a_ring_that_does_not_exist_takes_over_nothing() -> None:
    other = Ring(2, 1 << 20, LONGEST, shortened)
    for outlives in (lambda request: -1, lambda request: 2):
        ring = Ring(1, 1 << 20, LONGEST, shortened, outlives=outlives, others=(other,))
        with pytest.raises(ValueError, match="no such ring"):
            add(ring, "/", 0, code=403)
        assert len(ring) == 0
    with pytest.raises(TypeError, match="a ring"):
        Ring(1, 1, LONGEST, shortened, others=("x",))  # type: ignore[arg-type]


def test_what_cannot_be_kept_changes_nothing() -> None:
    ring = Ring(2, 1 << 20, LONGEST, shortened)
    add(ring, "/", 0)
    size = ring.size
    with pytest.raises(TypeError):
        add(ring, "/", 1, code="none")
    whole = record("/", 1)
    for at in (1, 2, 3, 15, 16):
        with pytest.raises(TypeError, match="without its texts"):
            ring.add((*whole[:at], None, *whole[at + 1 :]))
    with pytest.raises(ValueError, match="unpack"):
        ring.add(whole[:-1])
    long = Ring(2, 1 << 20, LONGEST, lambda texts: ["x" * 70_000])
    with pytest.raises(ValueError, match="too long"):
        add(long, "x" * 5000, 0)
    assert (len(ring), ring.size, len(long)) == (1, size, 0)
    with pytest.raises(ValueError, match="at least one"):
        Ring(0, 1, LONGEST, shortened)
