"""The YAML that the API accepts."""

import json
import tracemalloc
from typing import Any

import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.yaml import text as yaml

TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=6)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30 * SCALE)
@given(VALUES)
def test_json_is_yaml(value: Any) -> None:
    assert yaml.parse(json.dumps(value).encode()).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0x10", -16),
        ("0777", 511),
        ("0o17", 15),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1.50", 1.5),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("yes", True),
        ("n", False),
        ("~", None),
        ("", None),
        ("2020-01-02", "2020-01-02"),
        ("12:30:45", "12:30:45"),
        ("0.1.2", "0.1.2"),
        ("18446744073709551616", 18446744073709551616),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    assert yaml.parse(f"a: {text}\n".encode()).value == {"a": value}


def test_keys_become_text() -> None:
    assert yaml.parse(b"1: a\ntrue: b\n~: c\n").value == {"1": "a", "true": "b", "null": "c"}


def test_merge_keys_and_aliases() -> None:
    assert yaml.parse(b"a: &x {b: 1}\nc:\n  <<: *x\n  d: *x\n").value == {
        "a": {"b": 1},
        "c": {"b": 1, "d": {"b": 1}},
    }


def test_only_the_first_document_is_read() -> None:
    assert yaml.parse(b"a: 1\n---\nb: [\n").value == {"a": 1}


def test_repeated_keys_are_kept_for_the_strict_reader() -> None:
    document = yaml.parse(b"a: 1\nb:\n  c: 1\n  c: 2\n")
    assert document.value == {"a": 1, "b": {"c": 2}}
    assert document.strict_error() == 'yaml: unmarshal errors:\n  line 4: key "c" already set in map'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "yaml: line 1: did not find expected node content"),
        ('a: 1\nb: {c: "1"', "yaml: line 2: did not find expected ',' or '}'"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a: .inf", "json: unsupported value: +Inf"),
        ("[1]: 2", "yaml: invalid map key: slice"),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.parse(text.encode())
    assert str(caught.value) == message


def test_bombs_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(yaml.YAMLError, match="excessive aliasing"):
        yaml.parse("\n".join(lines).encode())
    with pytest.raises(yaml.YAMLError):
        yaml.parse(b"a: &a [*a]")
    with pytest.raises(yaml.YAMLError):
        yaml.parse(b"[" * 50_000)
    with pytest.raises(yaml.YAMLError):
        yaml.parse(b"- " * 50_000)
    with pytest.raises(yaml.YAMLError):
        yaml.parse(b"\xff\xfe\x00")
    with pytest.raises(yaml.YAMLError):
        yaml.parse(b"a: \x01")


def test_aliases_stay_in_proportion() -> None:
    few = "a: &a [1, 2, 3]\nb:\n" + "- *a\n" * 100
    assert yaml.parse(few.encode()).value["b"] == [[1, 2, 3]] * 100
    long = f"a: &a {'x' * 100_000}\nb:\n" + "- *a\n" * 100
    with pytest.raises(yaml.YAMLError, match="excessive aliasing"):
        yaml.parse(long.encode())
    value = yaml.parse(b"a: &a {b: {}}\nc: *a\n").value
    assert value["a"]["b"] is not value["c"]["b"], "later steps change what they are given"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "yaml: anchor 'a' value contains itself"),
        ("a: *b", "yaml: unknown anchor 'b' referenced"),
        ("%TAG !a! b\n" * 200 + "--- 1", "yaml: too many %TAG directives"),
        ("[1]: 2\nb: [", "yaml: line 2: did not find expected node content"),
    ],
)
def test_more_messages(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.parse(text.encode())
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e400", "1e400"),
        ("0x" + "f" * 300, "0x" + "f" * 300),
        ("9" * 5000, "9" * 5000),
        ("! 3", "3"),
        ("!!binary 3", "3"),
        ("<<", "<<"),
        ("0b_", "0b_"),
    ],
)
def test_what_no_number_holds_is_text(text: str, value: str) -> None:
    assert yaml.parse(f"- {text}\n".encode()).value == [value]


def test_merge_keys_that_are_none() -> None:
    assert yaml.parse(b'"<<": 1\na: <<\n').value == {"<<": 1, "a": "<<"}
    assert yaml.parse(b"a: &k b\n*k : c\n").value == {"a": "b", "b": "c"}
    assert yaml.parse(b"a: &x {b: 1}\nc:\n  <<: [*x, {b: 2, d: 3}]\n  d: 4\n").value["c"] == {"b": 1, "d": 4}


SHAPES = {
    "repeated keys": lambda n: b"a: 1\n" * n,
    "keys": lambda n: b"".join(b"k%d: 1\n" % i for i in range(n)),
    "items": lambda n: b"[" + b"{}," * n + b"]",
    "anchors": lambda n: b"".join(b"- &a%d 1\n" % i for i in range(n)),
    "aliases": lambda n: b"- &a 1\n" + b"- *a\n- 1\n" * n,
    "merges": lambda n: b"- &a {b: 1}\n- {" + b"<<: *a, b: 1, " * n + b"}\n",
    "text": lambda n: b"a: " + b"x y" * 20 * n,
    "digits": lambda n: b"a: 1." + b"1" * 50 * n + b"x",
    "comments": lambda n: b"#\n" * 50 * n + b"a",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_reading_is_linear(shape: str) -> None:
    assert_linear(yaml.parse, SHAPES[shape], 400)


@pytest.mark.parametrize("shape", ["repeated keys", "items", "text"])
def test_reading_takes_little_memory(shape: str) -> None:
    body = SHAPES[shape](1000)
    body = SHAPES[shape](1000 * 100_000 // len(body))
    tracemalloc.start()
    try:
        document = yaml.parse(body)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert document.value is not None and peak - kept < 6 * len(body)


def test_only_some_repeated_keys_are_told() -> None:
    document = yaml.parse(b"a: 1\n" * 5000)
    assert len(document.repeated) == 100 and document.value == {"a": 1}
    key = b"k" * 1000
    assert len(yaml.parse((key + b": 1\n") * 500).repeated) < 100
