"""Objects as lines of YAML: they read as the same object, and each knows its field."""

from typing import Any

import yaml
from example_scale import SCALE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilothouse.commands.object_lines import YAMLLine, lines

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["a\nb\n", "a\n\n  b", " a\nb", "true", "1", "a: b", "- a", "x" * 200, "a\tb\nc", "#", "~"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150 * SCALE)
@example({"": {"": "\n"}})
@example({"": ["\n", None]})
@example({"": "0\n"})
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_the_lines_are_the_object(obj: Any) -> None:
    assert yaml.safe_load("".join(f"{line.text}\n" for line in lines(obj))) == obj


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_each_line_knows_its_field(obj: Any) -> None:
    for line in lines(obj):
        if line.path is not None:
            value = obj
            for step in line.path:
                value = value[step]
            assert not isinstance(value, dict | list) or not value


def test_how_they_look() -> None:
    obj = {
        "spec": {"list": [{"b": 1, "a": []}, ["x"]], "text": "one\ntwo\n", "empty": {}},
        "metadata": {"name": "n", "managedFields": [1], "resourceVersion": "1", "generation": 1},
    }
    assert list(lines(obj)) == [
        YAMLLine("metadata:", None),
        YAMLLine("  name: n", ("metadata", "name")),
        YAMLLine("spec:", None),
        YAMLLine("  empty: {}", ("spec", "empty")),
        YAMLLine("  list:", None),
        YAMLLine("  - a: []", ("spec", "list", 0, "a")),
        YAMLLine("    b: 1", ("spec", "list", 0, "b")),
        YAMLLine("  - - x", ("spec", "list", 1, 0)),
        YAMLLine("  text: |", ("spec", "text")),
        YAMLLine("    one", ("spec", "text")),
        YAMLLine("    two", ("spec", "text")),
    ]
