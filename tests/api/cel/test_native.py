"""Values of expressions as JSON."""

from typing import Any

import pytest

from pilothouse.api.cel import DYN, CelType, Environment, EvaluationError, as_json, struct


def structs(name: str) -> CelType | None:
    return struct(name, None) if name.startswith("Object") else None


ENVIRONMENT = Environment({"object": DYN}, structs=structs)


def value(text: str) -> Any:
    return ENVIRONMENT.compile(text).evaluate({"object": {"a": [1, {"b": None}]}})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Object{a: 1, b: [Object.b{c: object.a}]}", {"a": 1, "b": [{"c": [1, {"b": None}]}]}),
        (
            "{'a': dyn(1u), 'b': dyn(1.5), 'c': dyn(b'x'), 'd': dyn(true)}",
            {"a": 1, "b": 1.5, "c": "eA==", "d": True},
        ),
        (
            "[dyn('x'), dyn(timestamp('2020-01-01T00:00:00Z')), dyn(duration('1m'))]",
            ["x", "2020-01-01T00:00:00Z", "60s"],
        ),
    ],
)
def test_native(text: str, wanted: Any) -> None:
    assert as_json(value(text)) == wanted


@pytest.mark.parametrize("text", ["{1: 'a'}", "quantity('1')", "optional.of(1)", "type(1)"])
def test_what_json_has_nothing_for(text: str) -> None:
    with pytest.raises(EvaluationError):
        as_json(value(text))
