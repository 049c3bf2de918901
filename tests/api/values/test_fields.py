"""Field paths, and causes with the messages of field.Error."""

from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api.values.fields import OMIT, Errors, key, show


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (1.5, "1.5"),
        (2**63 - 1, "9223372036854775807"),
        (2**63, "9.223372036854776e+18"),
        ("a", '"a"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ({"a": [1, None, "<&>"]}, '{"a":[1,null,"\\u003c\\u0026\\u003e"]}'),
        ([], "[]"),
        (["ä"], '["ä"]'),
    ],
)
def test_values_as_upstream_shows_them(value: Any, text: str) -> None:
    assert show(value) == text


def test_the_causes() -> None:
    errs = Errors()
    assert not errs and len(errs) == 0
    errs.required("a")
    errs.required("b", "why")
    errs.invalid("c", "x", "why")
    errs.invalid("d", OMIT, "why")
    errs.invalid("e", 5, "")
    errs.type_invalid("f", [], "why")
    errs.not_supported("g", "x", ("A", "B"))
    errs.not_supported("h", "x", ())
    errs.duplicate(key("i", "k"), "x")
    errs.forbidden("j", "why")
    errs.forbidden("k", "")
    errs.not_found("l", "x")
    errs.too_long("m", 1)
    errs.too_long("n", 2)
    errs.too_many("o", 3, 1)
    errs.too_many("p", 3, 2)
    errs.internal("q", "why")
    assert [(c["reason"].removeprefix("FieldValue"), c["field"], c["message"]) for c in errs.causes] == [
        ("Required", "a", "Required value"),
        ("Required", "b", "Required value: why"),
        ("Invalid", "c", 'Invalid value: "x": why'),
        ("Invalid", "d", "Invalid value: why"),
        ("Invalid", "e", "Invalid value: 5"),
        ("TypeInvalid", "f", "Invalid value: []: why"),
        ("NotSupported", "g", 'Unsupported value: "x": supported values: "A", "B"'),
        ("NotSupported", "h", 'Unsupported value: "x"'),
        ("Duplicate", "i[k]", 'Duplicate value: "x"'),
        ("Forbidden", "j", "Forbidden: why"),
        ("Forbidden", "k", "Forbidden"),
        ("NotFound", "l", 'Not found: "x"'),
        ("TooLong", "m", "Too long: may not be more than 1 byte"),
        ("TooLong", "n", "Too long: may not be more than 2 bytes"),
        ("TooMany", "o", "Too many: 3: must have at most 1 item"),
        ("TooMany", "p", "Too many: 3: must have at most 2 items"),
        ("InternalError", "q", "Internal error: why"),
    ]


def test_a_list_of_causes_becomes_a_422() -> None:
    errs, more = Errors(), Errors()
    errs.raise_if_any("apps", "Deployment", "d")
    more.required("spec.x")
    errs.extend(more)
    with pytest.raises(errors.Invalid) as caught:
        errs.raise_if_any("apps", "Deployment", "d")
    assert caught.value.message == 'Deployment.apps "d" is invalid: spec.x: Required value'


def test_causes_beyond_the_most_are_counted() -> None:
    errs = Errors()
    for i in range(5000):
        errs.required(f"spec.items[{i}]")
    assert len(errs) == 5000 and len(errs.causes) == 1000
    with pytest.raises(errors.Invalid) as caught:
        errs.raise_if_any("", "Pod", "a")
    causes = caught.value.details["causes"]
    assert causes[999]["field"] == "spec.items[999]"
    assert causes[1000] == {
        "reason": "FieldValueTooMany",
        "message": "Too many: 5000: only the first 1000 causes are listed",
        "field": "causes",
    }
    more = Errors()
    more.extend(errs)
    assert len(more) == 5000 and more.listed() == errs.listed()
    errs.clear()
    assert not errs and len(errs) == 0 and errs.listed() == []


def test_an_answer_does_not_repeat_a_large_value_for_ever() -> None:
    errs = Errors()
    for i in range(1000):
        errs.invalid(f"spec.items[{i}]", "x" * 1_000_000, "no")
    assert len(errs) == 1000
    assert sum(len(cause["message"]) for cause in errs.listed()) < 200_000
    assert errs.causes[0]["message"] == f'Invalid value: "{"x" * 128}"... (999872 characters left out): no'


def test_what_is_short_is_shown_whole() -> None:
    for value in ("x" * 1024, {"a": "x" * 131_064}, ["x" * 131_068]):
        assert "left out" not in show(value)
    assert show({"a": "x" * 131_065}) == '{"a":"' + "x" * 1018 + "... (130049 characters left out)"


def test_paths_and_reasons_are_cut_as_well() -> None:
    errs = Errors()
    errs.forbidden(key("data", "x" * 5000), "y" * 140_000)
    (cause,) = errs.causes
    assert len(cause["field"]) < 200 and len(cause["message"]) < 1100
