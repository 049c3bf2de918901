"""A field is forgotten wherever it stands in what is kept of changes, and nothing else is."""

import copy
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.history._delta import difference
from pilothouse.history._packing import pack
from pilothouse.history.delta import text_before
from pilothouse.history.file import ChangeKind
from pilothouse.history.forgetting import COPY, EACH, MARK, field_of, without

MOST = 1 << 20


def marked(value: Any, field: Any) -> Any:
    """A value with the mark in place of a field."""
    if not field:
        return MARK
    if field[0] is EACH:
        return [marked(one, field[1:]) for one in value] if isinstance(value, list) else value
    if isinstance(value, dict) and field[0] in value:
        return value | {field[0]: marked(value[field[0]], field[1:])}
    return value


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (".data.password", ("data", "password")),
        ("data.password", ("data", "password")),
        ("{.data.password}", ("data", "password")),
        ("$.data['tls.key']", ("data", "tls.key")),
        (".spec.list[*].value", ("spec", "list", EACH, "value")),
        (".spec.list[3].value", ("spec", "list", EACH, "value")),
    ],
)
def test_fields_by_their_paths(text: str, field: Any) -> None:
    assert field_of(text) == field


@pytest.mark.parametrize("text", ["", ".", "{}", ".a[", ".a..b", ".a[?(@.b)]"])
def test_paths_that_name_no_field(text: str) -> None:
    with pytest.raises(ValueError, match="not a path of a field"):
        field_of(text)


SCALARS = st.integers(0, 2) | st.sampled_from(["x", "y"])
LISTS = st.lists(st.fixed_dictionaries({"s": SCALARS}, optional={"o": SCALARS}), max_size=3)
SECRETS = SCALARS | st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2) | LISTS
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "p": st.fixed_dictionaries({}, optional={"s": SECRETS, "o": SCALARS}),
        "l": LISTS,
        "o": SCALARS,
    },
)


@given(st.lists(OBJECTS, min_size=2, max_size=6), st.sampled_from([("p", "s"), ("p",), ("l", EACH, "s")]))
def test_states_are_as_they_were_but_for_the_field(objects: list[Any], field: Any) -> None:
    """Each state before a change of the field has the mark, and the rest as it was."""
    texts = [orjson.dumps(one) for one in objects]
    deltas = [difference(old, new, MOST) for old, new in itertools.pairwise(texts)]
    kept = [without(ChangeKind.CHANGED, one, [field]) for one in deltas if one is not None]
    for number in range(len(objects)):
        found = orjson.loads(text_before(texts[-1], [pack(one) for one in kept[number:][::-1]]))
        assert marked(copy.deepcopy(found), field) == marked(copy.deepcopy(objects[number]), field)


def test_no_value_of_the_field_is_left() -> None:
    objects = [
        {"data": {"password": "hunter-1", "user": "a"}},
        {"data": {"password": "hunter-2", "user": "b"}},
        {"data": {"user": "b"}},
        {"data": {"password": {"x": "hunter-3"}, "user": "b"}},
        {"data": {"password": {"x": "hunter-4"}, "user": "b"}},
        {"kind": "none"},
        {"data": {"password": ["hunter-5"]}},
        {"data": {"password": ["hunter-6", "hunter-5"]}},
    ]
    texts = [orjson.dumps(one) for one in objects]
    field = field_of(".data.password")
    for old, new in itertools.pairwise(texts):
        delta = difference(old, new, MOST)
        assert delta is not None
        made = without(ChangeKind.CHANGED, delta, [field])
        assert b"hunter" in delta and b"hunter" not in made
    whole = without(ChangeKind.REPLACED, texts[0], [field])
    assert orjson.loads(whole) == {"data": {"password": MARK, "user": "a"}}


def test_a_change_of_other_fields_stays_as_it_is() -> None:
    delta = b'[["=",["data","user"],"a","b"],["-",["x"],1]]'
    assert without(ChangeKind.CHANGED, delta, [field_of(".data.password"), COPY]) == delta
