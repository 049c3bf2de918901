"""The rules of a definition: compiled, estimated, and summed up when it is written."""

from typing import Any

from pilothouse.api.validate.crd.rules import validate_rules
from pilothouse.api.values.fields import Errors

HINT = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
TEXT: dict[str, Any] = {"type": "string"}


def faults(spec: dict[str, Any], unchanged: bool = False) -> list[tuple[str, str]]:
    errs = Errors()
    validate_rules({"type": "object", "properties": {"spec": spec}}, "s", errs, unchanged=unchanged)
    return [(cause["field"].removeprefix("s.properties[spec]"), cause["message"]) for cause in errs.causes]


def ruled(schema: dict[str, Any], rule: str, **more: Any) -> dict[str, Any]:
    return {**schema, "x-kubernetes-validations": [{"rule": rule, **more}]}


def test_rules_that_compile() -> None:
    schema = {"type": "object", "properties": {"a": ruled({**TEXT, "maxLength": 5}, "self != ''")}}
    assert faults(ruled(schema, "!has(self.a) || self.a.size() > 1", messageExpression="'a: ' + self.a")) == []


def test_rules_that_do_not() -> None:
    shown = '{{"Rule":"self.b","Message":"","MessageExpression":"{}","Reason":null,"FieldPath":"","OptionalOldSelf":null}}'
    place = ".x-kubernetes-validations[0].rule"
    wanted = "compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b\n | ....^"
    assert faults(ruled({"type": "object"}, "self.b")) == [(place, f"Invalid value: {shown.format('')}: {wanted}")]
    field, message = faults(ruled({"type": "object"}, "true", messageExpression="self.b"))[0]
    assert field == ".x-kubernetes-validations[0].messageExpression"
    assert message.endswith(f": messageExpression {wanted}")


def test_what_a_rule_may_cost() -> None:
    quadratic = "self.all(x, self.all(y, x == y))"
    words = f"estimated rule cost exceeds budget by factor of more than 100x {HINT}"
    total = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
    schema = ruled({"type": "array", "items": TEXT}, quadratic)
    found = faults(schema)
    place = ".x-kubernetes-validations[0].rule"
    assert found[:2] == [(place, f"Forbidden: {words}"), (place, f"Forbidden: {total}")]
    assert found[2][0] == "s" and found[2][1].startswith("Forbidden: x-kubernetes-validations estimated rule cost total")
    assert faults(ruled({"type": "array", "maxItems": 10, "items": {**TEXT, "maxLength": 10}}, quadratic)) == []
    assert [message for _, message in faults(schema, unchanged=True)] == [message for _, message in found[1:]]


def test_how_often_a_rule_may_be_evaluated_counts() -> None:
    item = ruled({"type": "object", "properties": {"b": {**TEXT, "maxLength": 500}}}, "!has(self.b) || self.b.contains('x')")
    assert faults({"type": "array", "maxItems": 1000, "items": item}) == []
    found = faults({"type": "array", "items": item})
    assert found[0][0] == ".items.x-kubernetes-validations[0].rule" and "exceeds budget by factor" in found[0][1]


def test_the_old_value_needs_a_place_that_is_known_again() -> None:
    item = ruled({"type": "object", "properties": {"k": TEXT}}, "self == oldSelf")
    atomic = faults({"type": "array", "maxItems": 5, "items": item})
    words = "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]"
    assert atomic[-1] == (".items.x-kubernetes-validations[0].rule", f'Invalid value: "self == oldSelf": {words}')
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    assert all(words not in message for _, message in faults({"type": "array", "maxItems": 5, "items": item, **keyed}))


def test_an_optional_old_value_has_to_be_used() -> None:
    assert faults(ruled({"type": "object"}, "true", optionalOldSelf=True)) == [(".x-kubernetes-validations[0].optionalOldSelf", "Invalid value: true: may not be set if oldSelf is not used in rule")]
