"""Rules carried out on objects: where they are told of, transitions, ratcheting, messages, budget."""

from typing import Any

import pytest

from pilothouse.api.cel import CostBudget
from pilothouse.api.expressions.limits import PER_OBJECT
from pilothouse.api.expressions.object_rules import ObjectRules, check_default
from pilothouse.api.structural.schema import compile as structural
from pilothouse.api.structural.schema import has_rules
from pilothouse.api.values.fields import Errors

TEXT = {"type": "string"}


def ruled(schema: dict[str, Any], *rules: str | dict[str, Any]) -> dict[str, Any]:
    listed = [{"rule": one} if isinstance(one, str) else one for one in rules]
    return {**schema, "x-kubernetes-validations": listed}


def validate(
    schema: dict[str, Any], spec: Any, old: Any = None, warnings: list[str] | None = None
) -> list[tuple[str, str]]:
    """The causes against an object with this spec, as field and message."""
    declared = {"type": "object", "properties": {"spec": schema}}
    errs = Errors()
    before = {"spec": old} if old is not None else None
    rules = ObjectRules(declared, structural(declared))
    rules.validate({"spec": spec}, before, errs, warnings if warnings is not None else [])
    return [(cause["field"], cause["message"]) for cause in errs.causes]


def test_where_rules_stand() -> None:
    assert has_rules({"type": "array", "items": ruled(TEXT, "true")})
    assert has_rules({"type": "string", "allOf": [ruled({}, "true")]})
    assert not has_rules({"type": "object", "properties": {"a": TEXT}, "additionalProperties": False})


def test_at_every_level() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": ruled(TEXT, "self.startsWith('a')"),
            "l": ruled({"type": "array", "items": ruled({"type": "integer"}, "self < 5")}, "self.size() < 3"),
            "m": {"type": "object", "additionalProperties": ruled(TEXT, "self != ''")},
            "b": {"type": "string", "allOf": [ruled({}, "self != 'b'")]},
        },
    }
    assert validate(schema, {"a": "a", "l": [1], "m": {"k": "v"}, "b": "a"}) == []
    assert validate(schema, {"a": "b", "l": [1, 9, 2], "m": {"k/x": ""}, "b": "b"}) == [
        ("spec.a", "Invalid value: \"b\": failed rule: self.startsWith('a')"),
        ("spec.l", "Invalid value: failed rule: self.size() < 3"),
        ("spec.l[1]", "Invalid value: 9: failed rule: self < 5"),
        ("spec.m[k/x]", "Invalid value: \"\": failed rule: self != ''"),
        ("spec.b", "Invalid value: \"b\": failed rule: self != 'b'"),
    ]


def test_the_root_of_a_resource() -> None:
    declared = ruled({"type": "object"}, "self.metadata.name != 'x' && self.kind == 'K'")
    errs = Errors()
    ObjectRules(declared, structural(declared)).validate(
        {"kind": "K", "metadata": {"name": "x"}}, None, errs, []
    )
    assert [cause["field"] for cause in errs.causes] == ["<nil>"]


def test_reason_path_and_message() -> None:
    schema = {
        "type": "object",
        "properties": {"a": TEXT, "m": {"type": "object", "additionalProperties": TEXT}},
    }
    cases = [
        ({"reason": "FieldValueForbidden", "message": " no "}, ("spec", "Forbidden: no")),
        (
            {"reason": "FieldValueRequired", "fieldPath": ".a"},
            ("spec.a", "Required value: failed rule: false"),
        ),
        ({"reason": "FieldValueDuplicate", "fieldPath": ".m['k']"}, ("spec.m[k]", "Duplicate value")),
        ({"messageExpression": "'a is ' + self.a", "message": "m"}, ("spec", "Invalid value: a is x")),
        ({"messageExpression": "self.m.k", "message": "m"}, ("spec", "Invalid value: m")),
        ({"messageExpression": "' '", "message": "m"}, ("spec", "Invalid value: m")),
        ({"messageExpression": "'a\\nb'"}, ("spec", "Invalid value: failed rule: false")),
    ]
    for more, wanted in cases:
        assert validate(ruled(schema, {"rule": "false", **more}), {"a": "x", "m": {}}) == [wanted]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("self.a == 'x'", "no such key: a evaluating rule: self.a == 'x'"),
        ("self.p + 1 > 2",
         "'no such overload': call arguments did not match a supported operator, function or macro "
                           "signature for rule: self.p + 1 > 2"),
        ("self.nope", "rule compile error: compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n"
                      " | self.nope\n | ....^"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_told(rule: str, wanted: str) -> None:
    schema = {"type": "object", "properties": {"a": TEXT, "p": {"x-kubernetes-int-or-string": True}}}
    assert validate(ruled(schema, rule), {"p": "x"}) == [("spec", f'Invalid value: "object": {wanted}')]


def test_valid_values_that_expressions_cannot_see() -> None:
    told = "expected int, got float64 evaluating rule: self < 5"
    found = validate(ruled({"type": "integer"}, "self < 5"), 3.0)
    assert found == [("spec", f'Invalid value: "integer": invalid data, {told}')]
    mixed = ruled({"x-kubernetes-int-or-string": True}, "self == oldSelf", "string(self) != ''")
    told = "expected XIntOrString value to be either a string or integer evaluating rule: string(self) != ''"
    values: list[Any] = [{}, 1.5]
    for value in values:
        assert validate(mixed, value) == [("spec", f'Invalid value: "": invalid data, {told}')]
    assert validate(mixed, 1) == validate(mixed, "a") == []
    assert validate(ruled({"type": "number"}, "self < 5.0"), 3) == []


def test_defaults_share_a_budget() -> None:
    rules = ObjectRules(declared := ruled(TEXT, "self.matches('a')"), structural(declared)).root
    assert rules is not None
    errs, budget = Errors(), CostBudget(PER_OBJECT)
    check_default(rules, "a", "d", errs, budget)
    spent = PER_OBJECT - budget.left
    check_default(rules, "a", "d", errs, budget)
    assert not errs and spent > 0 and PER_OBJECT - budget.left == 2 * spent
    budget.left = 0
    check_default(rules, "a", "d", errs, budget)
    words = "validation failed due to running out of cost budget, no further validation rules will be run"
    assert [cause["message"] for cause in errs.causes] == [f'Invalid value: "string": {words}']


def test_transitions() -> None:
    fixed = ruled(TEXT, {"rule": "self == oldSelf", "message": "is fixed"})
    schema = {"type": "object", "properties": {"a": fixed}}
    assert validate(schema, {"a": "x"}) == []
    assert validate(schema, {"a": "x"}, {}) == []
    assert validate(schema, {"a": "x"}, {"a": "x"}) == []
    assert validate(schema, {"a": "y"}, {"a": "x"}) == [("spec.a", 'Invalid value: "y": is fixed')]


def test_an_optional_old_value() -> None:
    rule = {"rule": "oldSelf.hasValue() ? self == oldSelf.value() : self == 'first'", "optionalOldSelf": True}
    schema = {"type": "object", "properties": {"a": ruled(TEXT, rule)}}
    assert validate(schema, {"a": "first"}) == []
    assert len(validate(schema, {"a": "x"})) == 1
    assert validate(schema, {"a": "x"}, {"a": "x"}) == []


def test_items_of_list_maps_are_known_again() -> None:
    item = ruled(
        {"type": "object", "properties": {"k": TEXT, "v": {"type": "integer"}}}, "self.v >= oldSelf.v"
    )
    schema = {
        "type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
    }  # fmt: skip
    old = [{"k": "a", "v": 1}, {"k": "b", "v": 5}]
    assert validate(schema, [{"k": "b", "v": 6}, {"k": "c", "v": 0}], old) == []
    assert validate(schema, [{"k": "b", "v": 4}], old) == [
        ("spec[0]", "Invalid value: failed rule: self.v >= oldSelf.v")
    ]


def test_what_an_update_leaves_alone_is_only_warned_of() -> None:
    schema = {"type": "object", "properties": {"a": ruled(TEXT, "self == 'x'"), "b": TEXT}}
    warnings: list[str] = []
    assert validate(schema, {"a": "y", "b": "2"}, {"a": "y", "b": "1"}, warnings) == []
    assert warnings == ["spec.a: Invalid value: \"y\": failed rule: self == 'x'"]
    assert len(validate(schema, {"a": "z"}, {"a": "y"})) == 1
    assert len(validate(schema, {"a": "y"}, {})) == 1


def test_nulls_are_left_to_the_schema_around_them() -> None:
    schema = {"type": "object", "properties": {"a": {**ruled(TEXT, "self == 'x'"), "nullable": True}}}
    assert validate(schema, {"a": None}) == []


def test_the_budget_is_that_of_the_whole_object() -> None:
    expensive = "self.all(a, self.all(b, a <= 100000 || b > 0))"
    schema = {"type": "array", "items": {"type": "integer"}}
    items = list(range(350))
    found = validate(ruled(schema, *[expensive] * 30), items)
    assert found[-1] == (
        "spec",
        (
            'Invalid value: "array": validation failed due to running out of cost budget, no further'
            " validation rules will be run"
        ),
    )
    assert len(found) == 1 and PER_OBJECT == 10_000_000
    found = validate(ruled(schema, expensive), list(range(600)))
    assert found == [
        (
            "spec",
            (
                "Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further"
                f" validation rules will be run due to call cost exceeds limit for rule: {expensive}"
            ),
        )
    ]
