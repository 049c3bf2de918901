"""The text of the difference between two objects."""

import difflib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.api.validate.diff import MAX_LENGTH, MAX_LINE, MAX_LINES, diff


def test_lines() -> None:
    old = {"A": 1, "B": [1, 2, 3], "C": {"D": None, "E": "<x>"}, "F": {}}
    new = {"A": 1, "B": [1, 4], "C": {"D": {"F": 1}, "E": "<x>"}, "F": {}}
    assert diff(old, new) == (
        '@@ -2,11 +2,12 @@\n  "A": 1,\n  "B": [\n   1,\n-  2,\n-  3\n+  4\n  ],\n  "C": {\n-  "D": null,\n+  "D": {\n+   "F": 1\n+  },\n   "E": "\\u003cx\\u003e"\n  },\n  "F": {}\n'
    )
    assert diff(old, old) == ""


VALUES = st.recursive(st.none() | st.integers(0, 3) | st.text("ab", max_size=2), lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("ABCDE"), inner), max_leaves=40)


@given(VALUES, VALUES)
def test_it_is_a_unified_diff(old: object, new: object) -> None:
    one, other = (json.dumps(value, indent=1).split("\n") for value in (old, new))
    wanted = list(difflib.unified_diff(one, other, lineterm=""))[2:]
    assert diff(old, new) == "".join(line + "\n" for line in wanted)


def test_much_is_cut_short() -> None:
    text = diff({"A": list(range(100_000))}, {"A": "x" * 100_000})
    assert len(text) < MAX_LENGTH + 2 * MAX_LINE
    assert text.endswith("...\n")


@pytest.mark.parametrize("distinct", [2, 10**6])
def test_many_lines_are_compared_in_little_time(distinct: int) -> None:
    old = [1 + i * 7919 % distinct for i in range(20 * MAX_LINES)]
    began = time.process_time()
    text = diff({"A": old}, {"A": [*old[:30_000], -1, *old[30_001:]]})
    assert time.process_time() - began < 5
    assert text.startswith("@@ -30000,7 +30000,7 @@\n") and text.count("\n") == 9
