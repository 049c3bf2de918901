"""Deltas against the objects themselves: a delta leads from the new one back to the old one."""

import contextlib
import copy
import itertools
from typing import Any

import orjson
import pytest
from complexity import assert_linear
from hypothesis import example, given
from hypothesis import strategies as st

from pilothouse.history._delta import difference, rewound, take_set
from pilothouse.history._packing import pack
from pilothouse.history.delta import ABSENT, Delta, Difference, differences, text_before, undo

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


# Several changes at once, without parsing the texts


def deltas_of(objects: list[Any]) -> list[bytes]:
    """The deltas, as they are kept, that lead from the last object to the first, the newest first."""
    texts = [orjson.dumps(one) for one in objects]
    found = [difference(old, new, MOST) for old, new in itertools.pairwise(texts)]
    return [pack(one) for one in found if one is not None][::-1]


@given(st.lists(OBJECTS, min_size=1, max_size=6))
def test_several_deltas_lead_back_at_once(objects: list[Any]) -> None:
    found = rewound(orjson.dumps(objects[-1]), deltas_of(objects))
    assert found is not None and orjson.loads(found) == objects[0]


@given(
    OBJECTS,
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["set", "drop", "list"]), VALUES), max_size=8),
)
def test_small_changes_lead_back_at_once(first: Any, edits: list[Any]) -> None:
    """Changes at the same places of one object, one inside the value of the other."""
    objects = [first]
    for number, what, value in edits:
        made = copy.deepcopy(objects[-1])
        places = [made, *(one for one in made.values() if isinstance(one, dict | list))]
        place = places[number % len(places)]
        if isinstance(place, list):
            place[number % 3 : number % 3 + 1] = [value, 7][: number % 3]
        elif what == "drop":
            place.pop("abcd"[number % 4], None)
        else:
            place["abcd"[number % 4]] = [value] if what == "list" else value
        objects.append(made)
    found = rewound(orjson.dumps(objects[-1]), deltas_of(objects))
    assert found is not None and orjson.loads(found) == first


EDITS = st.tuples(st.sampled_from(["insert", "drop", "set"]), st.integers(0, 30), st.integers(0, 9))


@given(st.lists(EDITS, max_size=8))
@example(
    [("insert", 3, 1), ("set", 3, 2), ("set", 2, 3)]
)  # one is in what the list lacked before, one is not
@example([("set", 11, 1), ("insert", 1, 2), ("set", 12, 3), ("drop", 12, 0)])
def test_elements_that_come_and_change_lead_back_at_once(edits: list[tuple[str, int, int]]) -> None:
    objects: list[Any] = [{"list": [{"a": number, "b": [{}]} for number in range(12)], "z": 1}]
    for what, at, value in edits:
        made = copy.deepcopy(objects[-1])
        elements = made["list"]
        place = at % (len(elements) + 1)
        if what == "insert":
            elements.insert(place, {"a": [value]})
        elif elements and what == "drop":
            del elements[place - 1]
        elif elements:
            elements[place - 1]["a"] = value
        objects.append(made)
    assert rewound(orjson.dumps(objects[-1]), deltas_of(objects)) == orjson.dumps(objects[0])


def test_more_places_than_one_walk_sets() -> None:
    first = {f"member-{number}": {"a": number, "b": [number]} for number in range(100)}
    last = {name: {"a": one["a"], "b": [f"{one['b']}"]} for name, one in first.items()}
    found = rewound(orjson.dumps(last), deltas_of([first, last]))
    assert found is not None and orjson.loads(found) == first


def test_a_member_that_came_and_went_is_not_there() -> None:
    objects: list[Any] = [{"a": {}}, {"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {}}]
    assert rewound(orjson.dumps(objects[-1]), deltas_of(objects)) == orjson.dumps(objects[0])


def test_an_object_that_has_no_changes_stays_as_it_is() -> None:
    assert rewound(b'{"a":1}', []) == b'{"a":1}' == text_before(b'{"a":1}', [pack(b"[]")])


def test_a_long_delta_is_followed_too() -> None:
    first = {str(number): number for number in range(2000)}
    last = {name: -one for name, one in first.items()}
    deltas = deltas_of([first, last, first, last])
    assert rewound(orjson.dumps(last), deltas) is None
    assert orjson.loads(text_before(orjson.dumps(last), deltas)) == first


@pytest.mark.parametrize(
    "delta",
    [
        b'[["=",["no"],1,2]]',
        b'[["=",["a",0],1,2]]',
        b'[["=",["l",7],1,2]]',
        b'[["=",["l","b"],1,2]]',
        b'[["=",["no","b"],1,2]]',
        b'[["~",["a"],0,[1],[]]]',
        b'[["~",["l"],3,[1],[4]]]',
        b'[["=",[],1,2]]',
        b'[["?"]]',
        b"[1]",
        b"[[",
        b"",
    ],
)
def test_a_delta_of_another_object_is_refused(delta: bytes) -> None:
    """Nothing is read beside the bytes."""
    found = rewound(b'{"a":{"b":1},"l":[1,2,3]}', [pack(delta)])
    assert found is None or orjson.loads(found)["l"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("delta", "before"),
    [
        (b'[["~",["l"],0,[],[1]]]', [2, 3]),
        (b'[["~",["l"],2,[],[3]]]', [1, 2]),
        (b'[["~",["l"],1,[8,9],[2]]]', [1, 8, 9, 3]),
        (b'[["~",["l"],3,[4],[]]]', [1, 2, 3, 4]),
        (b'[["~",["l"],0,[],[1,2,3]]]', []),
        (b'[["~",["l"],0,[7],[]]]', [7, 1, 2, 3]),
        (b'[["~",["l"],2,[],[3,4]]]', None),  # there are fewer of them
        (b'[["~",["l"],4,[5],[]]]', None),
        (b'[["~",["a"],0,[5],[]]]', None),  # no list
        (b'[["+",["l",0],1]]', None),  # an element that is new is no step
    ],
)
def test_elements_of_a_list(delta: bytes, before: Any) -> None:
    found = rewound(b'{"a":{"b":1},"l":[1,2,3]}', [pack(delta)])
    assert (found and orjson.loads(found)) == (None if before is None else {"a": {"b": 1}, "l": before})


@given(st.binary(max_size=60), st.sampled_from([b'{"a":{"b":1},"l":[1,2,3]}', b'{"a":[{"b":1},', b"{", b""]))
def test_any_bytes_are_no_harm(delta: bytes, text: bytes) -> None:
    rewound(text, [pack(b'[["=",["a","b"],' + delta), pack(delta)])
    with contextlib.suppress(ValueError):
        rewound(text, [delta])


@pytest.mark.slow
def test_the_way_back_takes_time_that_grows_with_the_size() -> None:
    def texts(count: int) -> tuple[bytes, list[bytes]]:
        first = {f"member-{number}": {"x": number, "text": "x" * 500} for number in range(count)}
        last = {**first, "member-1": {"x": 0}, f"member-{count // 2}": 1}
        return orjson.dumps(last), deltas_of([first, last])

    assert_linear(lambda pair: rewound(*pair), texts, 1_000)


class Paths(dict[bytes, Any]):
    """Paths by their texts."""

    def __missing__(self, text: bytes) -> Any:
        return tuple(orjson.loads(b"[%b]" % text))


@given(OBJECTS, OBJECTS, st.data())
def test_the_values_that_are_set_are_taken(old: Any, new: Any, data: Any) -> None:
    delta = difference(orjson.dumps(old), orjson.dumps(new), MOST)
    assert delta is not None
    steps = orjson.loads(delta)
    plain = all(step[0] == "=" and not isinstance(step[3], dict | list) for step in steps)
    numbers = {tuple(step[1]): number for number, step in enumerate(steps)}
    wanted = data.draw(st.sets(st.sampled_from([*numbers]))) if numbers else set()
    open_ = {path: number for path, number in numbers.items() if path in wanted} | {("other", 1): -1}
    before = dict(open_)
    found = take_set(delta, Paths(), open_)
    assert (found is not None) is plain
    assert found is None or found == [number for path, number in numbers.items() if path in wanted]
    assert open_ == ({("other", 1): -1} if plain else before)


@given(st.binary(max_size=60))
def test_of_any_bytes_values_are_taken_or_none(delta: bytes) -> None:
    for one in (delta, b'[["=",["a"],1,' + delta):
        with contextlib.suppress(ValueError):  # a path that is no JSON
            take_set(one, Paths(), {})


def test_a_long_delta_is_left_to_others() -> None:
    steps = [["=", [f"a{number}"], 0, 1] for number in range(257)]
    assert take_set(orjson.dumps(steps[1:]), Paths(), {("a1",): 7}) == [7]
    assert take_set(orjson.dumps(steps), Paths(), {("a1",): 7}) is None
