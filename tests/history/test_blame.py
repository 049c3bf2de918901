"""Blames against the states of an object: a field is blamed on the change since which it has its value."""

import itertools
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history._delta import difference
from pilothouse.history.blame import blame
from pilothouse.history.file import ChangeKind
from pilothouse.history.reader import KeptChange

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(0, 2) | st.none() | st.sampled_from(["", "x"]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
STATES = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=6)


def changes(states: list[Any], whole: frozenset[int] = frozenset()) -> list[KeptChange]:
    """The changes that lead through states, the newest first; `whole`: those that keep the object before."""
    found = [KeptChange(0, "k", ChangeKind.CREATED, 0, None, "", b"")]
    for number, (old, new) in enumerate(itertools.pairwise(states), 1):
        before = orjson.dumps(old)
        delta = difference(before, orjson.dumps(new), 1 << 20)
        assert delta is not None
        kind = ChangeKind.REPLACED if number in whole else ChangeKind.CHANGED
        value = before if number in whole else delta
        found.append(KeptChange(number, "k", kind, number, None, "", value))
    return found[::-1]


def blamed(states: list[Any], whole: frozenset[int] = frozenset()) -> dict[tuple[str | int, ...], int]:
    """The number of the change of each field."""
    found = blame(states[-1], changes(states, whole))
    return {one.path: one.change.id if one.change is not None else -1 for one in found}


def value(state: Any, path: tuple[str | int, ...]) -> str:
    """The value at a path as a text, in which true and 1 differ."""
    for step in path:
        if not isinstance(state, dict) or step not in state:
            return ""
        state = state[step]
    return orjson.dumps(state).decode()


@given(STATES, st.frozensets(st.integers(1, 6)))
def test_a_field_is_blamed_on_the_change_that_has_set_it(states: list[Any], whole: frozenset[int]) -> None:
    for path, number in blamed(states, whole).items():
        now = value(states[-1], path)
        wanted = len(states) - 1
        while wanted and value(states[wanted - 1], path) == now:
            wanted -= 1
        assert number == wanted


def test_fields_that_only_moved_are_not_blamed_on_the_move() -> None:
    many = {str(number): number for number in range(40)}
    old = {"metadata": {"time": "then", "labels": {"app": "web"}, **many}}
    new = {"metadata": {**many, "labels": {"tier": "front", "app": "web"}, "time": "then"}}
    found = blamed([old, new])
    assert found["metadata", "labels", "tier"] == 1
    assert found["metadata", "labels", "app"] == found["metadata", "time"] == 0


def test_elements_are_followed_as_they_move() -> None:
    first = {"l": [{"n": "a"}, {"n": "c"}]}
    second = {"l": [{"n": "a"}, {"n": "b"}, {"n": "c"}]}
    third = {"l": [{"n": "a"}, {"n": "b"}, {"n": "d"}]}
    assert blamed([first, second, third]) == {("l", 0, "n"): 0, ("l", 1, "n"): 1, ("l", 2, "n"): 2}
    assert blamed([first, second]) == {("l", 0, "n"): 0, ("l", 1, "n"): 1, ("l", 2, "n"): 0}
