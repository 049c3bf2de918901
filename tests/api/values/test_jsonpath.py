from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.values import jsonpath

OBJECT = {
    "metadata": {"name": "a", "labels": {"example.com/x": "y"}},
    "spec": {"n": 3, "none": None, "list": ["x", "y", "z"], "on": True},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "n": 1},
            {"type": "Old", "status": "False", "n": 2, "note": ")"},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", [OBJECT]),
        (".metadata.name", ["a"]),
        ("$.metadata.name", ["a"]),
        (".spec.none", [None]),
        (".spec.missing.deep", []),
        (".spec.n.deep", []),
        (".metadata.labels.example\\.com/x", ["y"]),
        (".spec.list", [["x", "y", "z"]]),
        (".spec.list[0]", ["x"]),
        (".spec.list[-1]", ["z"]),
        (".spec.list[*]", ["x", "y", "z"]),
        (".spec.list[1:]", ["y", "z"]),
        (".spec.list[:2]", ["x", "y"]),
        (".spec.list[0:-1]", ["x", "y"]),
        (".spec.list[0,2]", ["x", "z"]),
        (".spec['list'][0]", ["x"]),
        (".metadata.*", ["a", {"example.com/x": "y"}]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type == "Old")].status', ["False"]),
        (".status.conditions[?(@.n>1)].type", ["Old"]),
        (".status.conditions[?(@.note)].type", ["Old"]),
        (".status.conditions[?(@.type!='Old')].type", ["Ready"]),
        ("..type", ["Ready", "Old"]),
        ("'text'", ["text"]),
        (".metadata.name}{.spec.n", ["a"]),
    ],
)
def test_paths(path: str, found: list[Any]) -> None:
    assert jsonpath.compile(path)(OBJECT) == found


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".spec[*].a[", "unterminated array"),
        (".spec[x]", "invalid array index x"),
        (".a[?(@.b==1)", "unclosed array expect ]"),
        (".a[?(@.b=='1)]", "unterminated filter"),
        ("'a", "unterminated quoted string"),
        ("....a", "invalid multiple recursive descent"),
        ("#", "unrecognized character in action: U+0023 '#'"),
        ("1.2.3", "cannot parse number 1.2.3"),
    ],
)
def test_paths_that_cannot_be_read(path: str, message: str) -> None:
    with pytest.raises(jsonpath.JSONPathError) as caught:
        jsonpath.compile(path)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".spec.list[5]", "array index out of bounds: index 5, length 3"),
        (".spec.n[0]", "int64 is not array or slice"),
        (".status.conditions[?(@.type>1)]", "incompatible types for comparison"),
        (".status.conditions[?(@.missing==1)]", "can only compare one element at a time"),
        ("nothing", "unrecognized identifier nothing"),
    ],
)
def test_paths_that_do_not_fit(path: str, message: str) -> None:
    with pytest.raises(jsonpath.JSONPathError) as caught:
        jsonpath.compile(path)(OBJECT)
    assert str(caught.value) == message


@settings(max_examples=75 * SCALE)
@given(st.text(alphabet=".[]{}?()@'\"*:,-0a=\\ \n", max_size=12))
def test_any_text_is_a_path_or_an_error(text: Any) -> None:
    try:
        jsonpath.compile(text)(OBJECT)
    except jsonpath.JSONPathError:
        pass
