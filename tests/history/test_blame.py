"""Blames against a model: for each field, the last change in which its value or its presence differed."""

import copy
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history._delta import difference
from pilothouse.history.blame import blame
from pilothouse.history.file import ChangeKind
from pilothouse.history.kept import KeptChange

MISSING = object()
NAMES = [f"n{number}" for number in range(5)]
SCALARS = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x", "y"])


def element(place: int) -> st.SearchStrategy[Any]:
    """An element that stands at one place of its list and nowhere else."""
    mark = st.sampled_from([place * 10, place * 10 + 1])
    return mark | st.fixed_dictionaries({"at": mark}, optional={"more": SCALARS})


VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.tuples(element(1), element(2), element(3)).map(list) | st.just([]),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)


def changed(number: int, kind: ChangeKind, value: bytes = b"") -> KeptChange:
    return KeptChange(number << 12, "/registry/configmaps/default/a", kind, number, None, "", value)


def changes_of(objects: list[Any], whole: set[int]) -> list[KeptChange]:
    """The changes that make an object become others, the newest first."""
    out = [changed(0, ChangeKind.CREATED)]
    for number in range(1, len(objects)):
        old, new = orjson.dumps(objects[number - 1]), orjson.dumps(objects[number])
        delta = difference(old, new, 1 << 20)
        assert delta is not None
        if number in whole:
            out.append(changed(number, ChangeKind.REPLACED, old))
        else:
            out.append(changed(number, ChangeKind.CHANGED, delta))
    return out[::-1]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    if not isinstance(value, dict | list) or not value:
        return {path: value}
    out: dict[tuple[Any, ...], Any] = {}
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        out |= leaves(each, (*path, name))
    return out


def model(objects: list[Any]) -> dict[tuple[Any, ...], int]:
    """The number of the change that has set each leaf of the last object."""
    owner = dict.fromkeys(leaves(objects[0]), 0)
    for number in range(1, len(objects)):
        before, after = leaves(objects[number - 1]), leaves(objects[number])
        owner = {
            path: owner[path]
            if orjson.dumps(before.get(path, "absent")) == orjson.dumps(value) and path in before
            else number
            for path, value in after.items()
        }
    return owner


def blamed(objects: list[Any], whole: set[int]) -> dict[tuple[Any, ...], int | None]:
    found = blame(copy.deepcopy(objects[-1]), changes_of(objects, whole))
    assert {one.path: one.value for one in found} == leaves(objects[-1])
    return {one.path: one.change.revision if one.change else None for one in found}


@given(st.lists(OBJECTS, min_size=1, max_size=6), st.sets(st.integers(1, 5)))
def test_each_field_has_the_change_that_set_it(objects: list[Any], whole: set[int]) -> None:
    assert blamed(objects, whole) == model(objects)


@given(st.lists(st.permutations(range(24)), min_size=2, max_size=4), st.sets(st.integers(1, 3)))
def test_a_member_that_only_moved_was_not_set(orders: list[list[int]], whole: set[int]) -> None:
    objects: list[Any] = [{f"m{number}": {"v": number} for number in order} for order in orders]
    objects[-1]["m3"] = {"v": "set"}
    owners = blamed(objects, whole)
    last = len(objects) - 1
    assert owners == {("m3", "v"): last} | {(f"m{n}", "v"): 0 for n in range(24) if n != 3}


def test_elements_keep_their_change_when_others_come_before_them() -> None:
    objects: list[Any] = [{"l": [{"n": "a", "v": 1}]}]
    objects.append({"l": [{"n": "b", "v": 1}, {"n": "a", "v": 1}]})
    objects.append({"l": [{"n": "c", "v": 1}, {"n": "b", "v": 1}, {"n": "a", "v": 1}]})
    objects.append({"l": [{"n": "b", "v": 1}, {"n": "a", "v": 1}]})
    expected = {("l", 0, "n"): 1, ("l", 0, "v"): 1, ("l", 1, "n"): 0, ("l", 1, "v"): 0}
    assert blamed(objects, set()) == expected


def test_of_an_object_that_was_created_again_only_the_last_life_counts() -> None:
    found = blame(
        {"a": 1},
        [
            changed(3, ChangeKind.CREATED),
            changed(2, ChangeKind.DELETED, b'{"a":1}'),
            changed(1, ChangeKind.CREATED),
        ],
    )
    assert [one.change and one.change.revision for one in found] == [3]


def test_what_was_set_before_the_history_began_has_no_change() -> None:
    change = changed(5, ChangeKind.CHANGED, b'[["=",["b"],1,2]]')
    assert [(one.path, one.change) for one in blame({"a": 1, "b": 2}, [change])] == [
        (("a",), None),
        (("b",), change),
    ]


def test_what_the_server_sets_with_each_change_is_left_out() -> None:
    obj = {"metadata": {"name": "a", "managedFields": [{"manager": "x"}], "resourceVersion": "1"}, "k": 1}
    found = blame(obj, [changed(0, ChangeKind.CREATED)])
    assert [one.path for one in found] == [("metadata", "name"), ("k",)]


def blamed_of(states: list[Any]) -> dict[tuple[str | int, ...], int]:
    """The number of the change of each field."""
    found = blame(states[-1], changes_of(states, set())[::1])
    return {one.path: one.change.revision for one in found if one.change is not None}


def test_fields_that_only_moved_are_not_blamed_on_the_move() -> None:
    many = {str(number): number for number in range(40)}
    old = {"metadata": {"time": "then", "labels": {"app": "web"}, **many}}
    new = {"metadata": {**many, "labels": {"tier": "front", "app": "web"}, "time": "then"}}
    found = blamed_of([old, new])
    assert found["metadata", "labels", "tier"] == 1
    assert found["metadata", "labels", "app"] == found["metadata", "time"] == 0


def test_elements_are_followed_as_they_move() -> None:
    first = {"l": [{"n": "a"}, {"n": "c"}]}
    second = {"l": [{"n": "a"}, {"n": "b"}, {"n": "c"}]}
    third = {"l": [{"n": "a"}, {"n": "b"}, {"n": "d"}]}
    assert blamed_of([first, second, third]) == {("l", 0, "n"): 0, ("l", 1, "n"): 1, ("l", 2, "n"): 2}
    assert blamed_of([first, second]) == {("l", 0, "n"): 0, ("l", 1, "n"): 1, ("l", 2, "n"): 0}
