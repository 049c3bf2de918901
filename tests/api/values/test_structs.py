"""Questions about one member of all structs of a list; copies and comparisons that leave members out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values._structs import (
    alike,
    all_alike,
    distinct,
    lacked,
    only,
    set_absent,
    set_empty,
    within,
    without,
)

names = st.sampled_from("abc")
values = st.recursive(
    st.sampled_from((None, True, 0, 1, 1.5, "", "x", "y")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)
structs = st.dictionaries(names, values, max_size=3)
texts = st.lists(st.dictionaries(names, st.sampled_from(("", "x", "y")), max_size=3), max_size=3)
some = st.frozensets(names)


@given(texts, some)
def test_lists(listed: list[dict[str, str]], members: frozenset[str]) -> None:
    found = [one.get("a", "") for one in listed]
    assert distinct(listed, "a") == (all(found) and len({*found}) == len(found))
    assert lacked(listed, "a") == (not any("a" in one for one in listed))
    assert only(listed, members) == all(one.keys() <= members for one in listed)
    assert within(listed, "a", {"x": 1}) == all(one.get("a") == "x" for one in listed)


@given(structs, structs, some)
def test_structs(one: dict[str, object], other: dict[str, object], members: frozenset[str]) -> None:
    kept = {name: value for name, value in one.items() if name not in members}
    assert without(one, members) == kept
    assert alike(one, without(one, members), members)
    fixed = without(other, members)
    assert alike(one, fixed, members) == (repr(sorted(kept.items())) == repr(sorted(fixed.items())))
    assert all_alike([one], [fixed], members) == alike(one, fixed, members)


def test_a_copy_shares_nothing_that_can_change() -> None:
    struct = {"a": {"b": [{"c": 1}]}}
    copy = without(struct, frozenset())
    struct["a"]["b"][0]["c"] = 2
    assert copy == {"a": {"b": [{"c": 1}]}}
    assert not alike(struct, copy, frozenset())
    assert not all_alike([struct, struct], [struct], frozenset())


@given(structs)
def test_members_are_set(struct: dict[str, object]) -> None:
    defaults = {"a": "d", "z": 1}
    empty, absent = dict(struct), dict(struct)
    set_empty(empty, defaults)
    set_absent(absent, defaults)
    assert empty == {**struct, "a": struct.get("a") or "d", "z": 1}
    assert absent == {**defaults, **struct}


def test_what_is_no_struct_is_refused() -> None:
    for call in (distinct, lacked):
        with pytest.raises(TypeError):
            call(["text"], "a")  # type: ignore[list-item]
