"""Deltas against the objects themselves: a delta leads from the new one back to the old one."""

import copy
from typing import Any

import orjson
import pytest
from complexity import assert_linear
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history._delta import difference
from pilothouse.history.delta import ABSENT, Delta, Difference, differences, undo

NAMES = st.sampled_from(["a", "b", "c", "d", 'q"', "\\", "é"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.sampled_from(["", "x", "{", '"]', "a,b", "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
MOST = 1 << 20


def made(old: Any, new: Any) -> Delta:
    found = difference(orjson.dumps(old), orjson.dumps(new), MOST)
    assert found is not None
    delta: Delta = orjson.loads(found)
    return delta


@given(OBJECTS, OBJECTS)
def test_a_delta_leads_back(old: Any, new: Any) -> None:
    delta = made(old, new)
    assert undo(copy.deepcopy(new), delta) == old
    assert (delta == []) == (orjson.dumps(old) == orjson.dumps(new))


@given(OBJECTS, st.data())
def test_members_may_stand_in_any_order(old: Any, data: st.DataObject) -> None:
    new = {name: old[name] for name in data.draw(st.permutations(list(old)))}
    delta = made(old, new)
    assert undo(copy.deepcopy(new), delta) == old
    assert list(differences(delta)) == []


@given(OBJECTS, OBJECTS)
def test_each_difference_is_one(old: Any, new: Any) -> None:
    """Without lists, whose elements move, each difference can be undone by itself."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return len(value)
        return {name: plain(each) for name, each in value.items()} if isinstance(value, dict) else value

    old, new = plain(old), plain(new)
    undone = copy.deepcopy(new)
    for path, before, after in differences(made(old, new)):
        place = undone
        for name in path[:-1]:
            place = place[name]
        assert place.get(path[-1], ABSENT) == after
        if before is ABSENT:
            del place[path[-1]]
        else:
            place[path[-1]] = before
    assert undone == old


@pytest.mark.parametrize(
    ("old", "new", "delta"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [["=", ["b"], 2, 3]]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 10}}}, [["=", ["a", "b", "c"], 1, 10]]),
        ({"a": 1, "b": 2}, {"b": 2}, [["-", ["a"], 1]]),
        ({"b": 2}, {"a": 1, "b": 2, "c": 3}, [["+", ["a"], 1], ["+", ["c"], 3]]),
        ({"a": 1, "b": 2}, {"b": 3, "c": 1}, [["-", ["a"], 1], ["=", ["b"], 2, 3], ["+", ["c"], 1]]),
        ({"l": [1, 2, 3]}, {"l": [1, 5, 3]}, [["=", ["l", 1], 2, 5]]),
        ({"l": [1, 2, 3]}, {"l": [1, 3]}, [["~", ["l"], 1, [2], []]]),
        ({"l": [1, 3]}, {"l": [1, {"a": 2}, 3]}, [["~", ["l"], 1, [], [{"a": 2}]]]),
        ({"l": [{"n": "x", "v": 1}]}, {"l": [{"n": "x", "v": 2}]}, [["=", ["l", 0, "v"], 1, 2]]),
        ({"a": [1]}, {"a": {"b": 1}}, [["=", ["a"], [1], {"b": 1}]]),
        ({"a": {}}, {"a": {"b": {}}}, [["+", ["a", "b"], {}]]),
        ({"a": "12"}, {"a": "123"}, [["=", ["a"], "12", "123"]]),
    ],
)
def test_what_a_delta_says(old: Any, new: Any, delta: Delta) -> None:
    assert made(old, new) == delta


def test_a_member_that_moved_is_no_difference() -> None:
    many = {str(number): number for number in range(40)}
    old, new = {"x": 1, **many}, {**many, "x": 1}
    assert undo(copy.deepcopy(new), made(old, new)) == old
    assert list(differences(made(old, new))) == []
    new["x"] = 2
    assert list(differences(made(old, new))) == [Difference(("x",), 1, 2)]


def test_true_is_not_one() -> None:
    assert list(differences(made({"a": 1}, {"a": True}))) == [Difference(("a",), 1, True)]


def test_elements_that_come_and_go() -> None:
    assert list(differences(made({"l": [1, 2, 3, 9]}, {"l": [4, 9]}))) == [
        Difference(("l", 0), 1, 4),
        Difference(("l", 1), 2, ABSENT),
        Difference(("l", 2), 3, ABSENT),
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"a": 1, "b":2}',
        b'{"a"',
        b'{"a":',
        b'{"a":[1',
        b'{"a":1}}',
        b'{"a":1]',
        b"{} ",
    ],
)
def test_a_text_that_is_not_compact_json_has_no_delta(text: bytes) -> None:
    good = b'{"a":[3,4],"b":3}'
    assert difference(text, good, MOST) is None
    assert difference(good, text, MOST) is None


def test_a_delta_that_is_too_long_is_none() -> None:
    old, new = orjson.dumps({"a": "x" * 100}), orjson.dumps({"a": "y" * 100})
    found = difference(old, new, MOST)
    assert found is not None
    assert difference(old, new, len(found) - 2) is not None
    assert difference(old, new, len(found) - 3) is None


def test_an_element_before_many_others_is_told_alone() -> None:
    old = [{"name": f"element-{number}", "value": "x" * number} for number in range(100)]
    found = difference(orjson.dumps({"l": old}), orjson.dumps({"l": [{"name": "new"}, *old]}), 200)
    assert found is not None and orjson.loads(found) == [["~", ["l"], 0, [], [{"name": "new"}]]]


def test_what_is_below_many_levels_is_told_as_a_whole() -> None:
    text = b'{"a":[' * 450 + b"1" + b"]}" * 450
    found = difference(text, text.replace(b"1", b"2"), MOST)
    assert found is not None
    [(kind, path, old, new)] = orjson.loads(found)
    assert (kind, len(path)) == ("=", 64)
    assert [char for char in str(old) if char.isdigit()] == ["1"]
    assert [char for char in str(new) if char.isdigit()] == ["2"]


def test_a_hostile_object_takes_time_that_grows_with_its_size() -> None:
    """Members in reverse order are the worst case: each is looked for among the next ones."""

    def texts(count: int) -> tuple[bytes, bytes]:
        members = {f"member-{number}": "x" * 20 for number in range(count)}
        return orjson.dumps(members), orjson.dumps(dict(reversed(members.items())))

    assert_linear(lambda pair: difference(pair[0], pair[1], 1 << 30), texts, 1_000)


def test_an_object_that_moved_and_changed_differs_in_its_members() -> None:
    many = {str(number): number for number in range(40)}
    old, new = {"x": {"a": 1, "b": {"c": 2}}, **many}, {**many, "x": {"a": 1, "b": {"d": 2}}}
    assert [step[0] for step in made(old, new)] == ["-", "+"]
    assert list(differences(made(old, new))) == [
        Difference(("x", "b", "c"), 2, ABSENT),
        Difference(("x", "b", "d"), ABSENT, 2),
    ]
