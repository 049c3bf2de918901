"""Expressions of policies and webhooks are refused with upstream's words."""

import pytest

from pilothouse.api.validate.expressions import Expressions, device_selector
from pilothouse.api.values.fields import Errors


def causes(errs: Errors) -> list[tuple[str, str]]:
    return [(cause["field"], cause["message"]) for cause in errs.listed()]


def test_types_that_are_not_wanted() -> None:
    errs, expressions = Errors(), Expressions()
    expressions.match_condition("1", "a", errs)
    expressions.validation("object.x", "b", errs)
    expressions.message("1", "c", errs)
    expressions.audit_value(" 1 ", "d", errs)
    expressions.audit_value("null", "e", errs)
    expressions.mutation("Object{}", "JSONPatch", "f", errs)
    expressions.mutation("Object{}", "ApplyConfiguration", "g", errs)
    assert causes(errs) == [
        ("a", 'Invalid value: "1": must evaluate to bool but got int'),
        ("b", 'Invalid value: "object.x": must evaluate to bool but got dyn'),
        ("c", 'Invalid value: "1": must evaluate to string but got int'),
        ("d", 'Invalid value: "1": must evaluate to one of [string null_type] but got int'),
        ("f", 'Invalid value: "Object{}": must evaluate to list(JSONPatch) but got Object'),
    ]


def test_variables() -> None:
    errs, expressions = Errors(), Expressions({"variables": [{"name": "a"}]})
    expressions.variable("a", "1", "v[0]", errs)
    expressions.validation("variables.a == 1", "ok", errs)
    expressions.validation("variables.b", "b", errs)
    expressions.match_condition("variables.a == 1", "m", errs)
    shown = "ERROR: <input>:1:10: undefined field 'b'\n | variables.b\n | .........^"
    undeclared = "ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.a == 1\n | ^"
    assert causes(errs) == [("b", f'Invalid value: "variables.b": compilation failed: {shown}'), ("m", f'Invalid value: "variables.a == 1": compilation failed: {undeclared}')]


def test_parameters_need_a_kind() -> None:
    errs = Errors()
    Expressions({"paramKind": {"kind": "A"}}).match_condition("params.a == 1", "a", errs)
    assert not errs
    Expressions({}).match_condition("params.a == 1", "a", errs)
    assert len(errs) == 1


@pytest.mark.parametrize(("expression", "causes"), [
    ('device.attributes["dra.example.com"].model == "a"', []),
    ('device.attributes["dra.example.com"].enabled', []),
    ("",
        ['x: Invalid value: "": compilation failed: ERROR: <input>:1:0: Syntax error: mismatched input ' "'<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, " "NUM_UINT, STRING, BYTES, IDENTIFIER}"]),
    ("1", ['x: Invalid value: "1": must evaluate to bool or the unknown type, not int']),
    ("device.attributes", ['x: Invalid value: "device.attributes": must evaluate to bool or the unknown type, not map(string, map(string, google.protobuf.Any))']),
    ("timestamp('2024-01-01T00:00:00Z')", ["x: Invalid value: \"timestamp('2024-01-01T00:00:00Z')\": must evaluate to bool or the unknown type, not google.protobuf.Timestamp"]),
    ("device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a + b + c == d))))", ["x: Forbidden: too complex, exceeds cost limit"]),
])  # fmt: skip
def test_device_selectors(expression: str, causes: list[str]) -> None:
    errs = Errors()
    device_selector(expression, "x", errs)
    assert [f"{cause['field']}: {cause['message']}" for cause in errs.causes] == causes
