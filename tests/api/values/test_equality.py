"""Equality of decoded JSON, and the paths at which two values differ."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values.equality import changes, same

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(("", "a", "b")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(("a", "b", "x/y")), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"spec": {"a": 1}}, {"spec": {"a": 1}}, []),
        ({"spec": {"a": 1}}, {"spec": {"a": 2, "b": 3}}, ["spec.a", "spec.b"]),
        ({"spec": {"a": 1, "b": 2}}, {"spec": {"b": 2}}, ["spec.a"]),
        ({"spec": [{"image": "x"}]}, {"spec": [{"image": "y"}]}, ["spec[0].image"]),
        ({"spec": [1]}, {"spec": [1, 2]}, ["spec"]),
        ({"metadata": {"labels": {}}}, {"metadata": {"labels": {"a/b": "x"}}}, ["metadata.labels[a/b]"]),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": {}}, {"a": None}, ["a"]),
        ({}, {"a": {"b": 1}}, ["a"]),
    ],
)
def test_paths_that_differ(old: Any, new: Any, paths: list[str]) -> None:
    assert changes(old, new, 10) == paths


@given(JSON, JSON)
def test_there_are_paths_where_values_differ_and_none_elsewhere(old: Any, new: Any) -> None:
    assert (changes(old, new, 1) == []) == same(old, new)
    assert changes(old, old, 1) == []


def test_no_more_paths_than_asked_for() -> None:
    assert changes({}, dict.fromkeys("abcdef", 1), 4) == ["a", "b", "c", "d"]
