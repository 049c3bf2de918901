import contextlib
import time
from typing import Any

import pytest
from complexity import assert_linear
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Errors
from pilothouse.errors import BadRequest


def label_text(text: str) -> Any:
    return selectors.parse(text, "").label_text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("b,a", "a,b"),
        (" a = x , b == y,c!=z", "a=x,b==y,c!=z"),
        ("a in (z, b,),c notin ()", "a in (,b,z),c notin ()"),
        ("!a,x in (in,notin)", "!a,x in (in,notin)"),
        ("n>3,m<4", "m<4,n>3"),
        ("a=", "a="),
        ("in,notin", "in,notin"),
        ("a in (,)", "a in ()"),
    ],
)
def test_label_selectors(text: str, canonical: str) -> None:
    assert label_text(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a in (b,=)", "unable to parse requirement: found '=', expected: ',', or identifier"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the"
            " value must be an integer",
        ),
    ],
)
def test_label_selector_errors(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        selectors.parse(text, "")
    assert caught.value.message == message


def test_bad_label_keys_and_values() -> None:
    with pytest.raises(
        BadRequest, match=r'^unable to parse requirement: <nil>: Invalid value: "a_/b": prefix part'
    ):
        selectors.parse("a_/b=c", "")
    with pytest.raises(
        BadRequest, match=r'^unable to parse requirement: values\[0\]\[a\]: Invalid value: "_": a'
    ):
        selectors.parse("a=_", "")


def test_field_selectors() -> None:
    one = selectors.parse("", r"b!=x\,y,a==1,,c=\\\=")
    assert one.fields == (("a", "=", "1"), ("b", "!=", "x,y"), ("c", "=", "\\="))
    assert one.field_text == r"a=1,b!=x\,y,c=\\\="
    assert one.field_equalities == {"a": "1", "c": "\\="}
    assert one.matches_fields({"a": "1", "b": "x", "c": "\\="})
    assert not one.matches_fields({"a": "1", "b": "x,y", "c": "\\="})
    assert selectors.parse("", "a=").matches_fields({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "invalid selector: 'x'; can't understand 'x'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_field_selector_errors(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        selectors.parse("", text)
    assert caught.value.message == message


def test_what_an_index_can_answer() -> None:
    one = selectors.parse("a=b,c in (d),e in (f,g),!h", "")
    assert one.equalities == (("a", "b"), ("c", "d"))
    assert not one.empty
    assert selectors.parse("", "").empty


def test_numbers() -> None:
    more = selectors.parse("n>5", "")
    assert more.matches_labels({"n": "+6"})
    assert not more.matches_labels({"n": "5"})
    assert not more.matches_labels({"n": "x"})
    assert not more.matches_labels({"n": "9223372036854775808"})
    assert not more.matches_labels(None)


def test_label_selector_objects() -> None:
    one = selectors.from_label_selector(
        {
            "matchLabels": {"b": "1"},
            "matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["y", "x"]}],
        }
    )
    assert one.label_text == "a notin (x,y),b=1"
    assert selectors.from_label_selector({}).matches_labels({"x": "y"})
    assert not selectors.from_label_selector(None).matches_labels({})
    assert (
        selectors.format_label_selector({"matchExpressions": [{"key": "a", "operator": "Gt"}]}) == "<error>"
    )
    assert selectors.format_label_selector(None) == "<none>"


def test_causes_against_a_label_selector() -> None:
    errs = Errors()
    selectors.validate_label_selector(
        errs,
        "spec.selector",
        {
            "matchLabels": {"a": "_"},
            "matchExpressions": [
                {"key": "a", "operator": "In"},
                {"key": "", "operator": "Exists", "values": ["b"]},
                {"key": "a", "operator": "no", "values": ["-"]},
            ],
        },
    )
    assert [cause["field"] for cause in errs.causes] == [
        "spec.selector.matchLabels",
        "spec.selector.matchExpressions[0].values",
        "spec.selector.matchExpressions[1].values",
        "spec.selector.matchExpressions[1].key",
        "spec.selector.matchExpressions[1].key",
        "spec.selector.matchExpressions[2].operator",
        "spec.selector.matchExpressions[2].values[0]",
    ]


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "1", "2", "x"])
TERMS = st.one_of(
    st.tuples(KEYS, st.sampled_from(["exists", "!"]), st.just(())),
    st.tuples(KEYS, st.sampled_from(["=", "==", "!="]), st.tuples(VALUES)),
    st.tuples(
        KEYS, st.sampled_from(["in", "notin"]), st.sets(VALUES, min_size=1).map(lambda s: tuple(sorted(s)))
    ),
    st.tuples(KEYS, st.sampled_from(["gt", "lt"]), st.tuples(st.sampled_from(["0", "1", "2"]))),
)


def naive(term: Any, labels: Any) -> Any:
    key, op, values = term
    if op in {"gt", "lt"}:
        number = labels.get(key, "")
        return number.isdigit() and (
            int(number) > int(values[0]) if op == "gt" else int(number) < int(values[0])
        )
    if op in {"exists", "!"}:
        return (key in labels) == (op == "exists")
    return (labels.get(key, "\0") in values) == (op in {"=", "==", "in"})


@settings(max_examples=50 * SCALE)
@given(st.lists(TERMS, max_size=3), st.dictionaries(KEYS, VALUES))
def test_matches_as_a_naive_selector(terms: Any, labels: Any) -> None:
    one = selectors.Selector([selectors.Requirement(*term) for term in terms])
    assert one.matches_labels(labels) == all(naive(term, labels) for term in terms)
    again = selectors.parse(one.label_text, "")
    assert again.matches_labels(labels) == one.matches_labels(labels)


@settings(max_examples=50 * SCALE)
@given(st.text(alphabet="ab=!(),<> \\\0", max_size=12))
def test_any_text_is_a_selector_or_a_bad_request(text: Any) -> None:
    for parse in (selectors.label_terms, selectors.field_terms):
        try:
            parse(text)
        except BadRequest as err:
            assert err.message


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=5)))
def test_field_text_round_trips(values: Any) -> None:
    one = selectors.Selector((), [(name, "=", value) for name, value in sorted(values.items())])
    assert set(selectors.field_terms(one.field_text)) == set(one.fields)


def parsed(text: str) -> None:
    with contextlib.suppress(BadRequest):
        selectors.parse(text, "")
    with contextlib.suppress(BadRequest):
        selectors.parse("", text)


@pytest.mark.parametrize(
    "part", ["(", ",", "a,", "!", "=", "a=b,", "!!=", " ", "a in (", "x", "\\,", "\\", "a!=b,", "\0"]
)
def test_long_selectors_take_linear_time(part: str) -> None:
    assert_linear(parsed, lambda n: part * n, 500)


def test_sets_take_linear_time() -> None:
    assert_linear(parsed, lambda n: "a in (" + ",".join(f"v{i}" for i in range(n)) + ")", 500)
    assert_linear(parsed, lambda n: "a in (" + "-," * n + ")", 500)
    values = tuple(f"v{i}" for i in range(20_000))
    selector = selectors.Selector([selectors.Requirement("a", "in", values)])

    def match(labels: Any) -> None:
        for one in labels:
            assert selector.matches_labels(one)

    assert_linear(match, lambda n: [{"a": f"v{i % 20_000}"} for i in range(n)], 2000, 40.0)
    few, large = ([{"a": values[-1]}] * 1000 for _ in range(2))
    small = selectors.Selector([selectors.Requirement("a", "in", ("x", values[-1]))])
    assert all(small.matches_labels(one) for one in few)
    started = time.thread_time()
    assert all(selector.matches_labels(one) for one in large)
    assert time.thread_time() - started < 0.1


def test_a_query_has_so_many_terms() -> None:
    listed = ",".join(f"a{i}" for i in range(selectors.MAX_TERMS + 1))
    for labels, fields in ((listed, ""), ("", listed.replace(",", "=x,") + "=x")):
        with pytest.raises(BadRequest, match="more than 256 terms"):
            selectors.parse(labels, fields)


def test_long_numbers_in_terms() -> None:
    assert selectors.parse("a>" + "0" * 60 + "12", "").matches_labels({"a": "13"})
    with pytest.raises(BadRequest, match="must be an integer"):
        selectors.parse("a>" + "9" * 5000, "")
    with pytest.raises(BadRequest, match="must be no more than 63 bytes"):
        selectors.parse("a>" + "0" * 5000 + "1", "")
