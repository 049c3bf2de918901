"""Sorting in parts gives the same result as sorting at once."""

from typing import Any

from complexity import assert_linear
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.values.turns import in_order, sorted_members


@given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 100))
def test_order(texts: Any, repeat: Any) -> None:
    many = [f"{text}{i % 7}" for text in texts for i in range(repeat)]
    assert in_order(many) == sorted(many)
    assert list(sorted_members(dict.fromkeys(many, 1)).items()) == sorted(dict.fromkeys(many, 1).items())


def test_many_are_sorted_in_little_more_than_linear_time() -> None:
    assert_linear(in_order, lambda n: [f"k{i * 7919 % n}" for i in range(n)], 20_000, most=30)
