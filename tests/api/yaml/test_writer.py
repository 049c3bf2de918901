from typing import Any

import pytest
import yaml as pyyaml
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.yaml import text as yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("aYn1-:.#~_ =0eé\n'\"", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("a1.é-", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=75 * SCALE)
@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert yaml.parse(yaml.dump(value)).value == value


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", '""'),
        ("plain", "plain"),
        ("true", '"true"'),
        ("no", '"no"'),
        ("123", '"123"'),
        ("1e3", '"1e3"'),
        ("0x1f", '"0x1f"'),
        ("1_000", '"1_000"'),
        ("12:30", '"12:30"'),
        ("2025-01-01T00:00:00Z", '"2025-01-01T00:00:00Z"'),
        ("10.0.0.1", "10.0.0.1"),
        ("v1", "v1"),
        ("*", "'*'"),
        ("a: b", "'a: b'"),
        ("100m", "100m"),
        ("-", "'-'"),
    ],
)
def test_text_is_quoted_as_go_does(text: str, written: str) -> None:
    assert yaml.dump({"k": text}) == f"k: {written}\n".encode()


def test_shape() -> None:
    value = {"b": {"d": [1, {"y": 0.5, "x": None}], "c": "1\n2\n"}, "a": [], "e": {}}
    assert (
        yaml.dump(value)
        == b'a: []\nb:\n  c: |\n    1\n    2\n  d:\n  - 1\n  - x: null\n    "y": 0.5\ne: {}\n'
    )


def test_keys_are_in_natural_order() -> None:
    keys = ["a10", "a2", "b", "B", "a", ".", "1", "a02", "f:x", "-"]
    found = list(pyyaml.safe_load(yaml.dump(dict.fromkeys(keys, 0))))
    assert [str(key) for key in found] == ["-", ".", "1", "B", "a", "a2", "a02", "a10", "b", "f:x"]


def test_nothing_is_written_as_an_alias() -> None:
    shared = {"k": ["v"]}
    assert yaml.dump([shared, shared]) == b"- k:\n  - v\n- k:\n  - v\n"


def test_keys_with_zeros_and_long_runs_of_digits() -> None:
    keys = ["a1", "a01", "a001", "a" + "9" * 5000, "a" + "9" * 5000 + "b", "a10"]
    found = list(pyyaml.load(yaml.dump(dict.fromkeys(keys, 0)), pyyaml.BaseLoader))  # noqa: S506 -- BaseLoader makes texts only
    assert found == ["a1", "a01", "a001", "a10", "a" + "9" * 5000, "a" + "9" * 5000 + "b"]


def test_writing_is_linear() -> None:
    assert_linear(yaml.dump, lambda n: {f"k{i}": [i, {"a": str(i)}] for i in range(n)}, 200)
    assert_linear(yaml.dump, lambda n: {"1" * n + tail: 0 for tail in ("a", "b0", "b1")}, 10_000)


def test_deep_values_are_written() -> None:
    value: object = 1
    for _ in range(900):
        value = [value]
    assert yaml.dump(value).endswith(b"- 1\n")
