"""The rules of a definition: compiled, estimated, and summed up when it is written."""

from functools import partial
from typing import Any

from rules import table, valid, within

from pilothouse.api.validate.crd.rules import validate_rules
from pilothouse.api.values.fields import Errors, Object

OBJECT, TEXT = {"type": "object"}, {"type": "string"}
HINT = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
DEAR = f"estimated rule cost exceeds budget by factor of more than 100x {HINT}"
TOTAL = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
SUM = "s: Forbidden: x-kubernetes-validations estimated rule cost total…"
MISSING = "compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b\n | ....^"
SHOWN = '{"Rule":"self.b","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}'
UNCORRELATED = "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]"


def of_spec(spec: Object, errs: Errors, unchanged: bool = False) -> None:
    validate_rules({"type": "object", "properties": {"spec": spec}}, "s", errs, unchanged=unchanged)


def ruled(schema: Object, rule: str, **more: Any) -> Object:
    return {**schema, "x-kubernetes-validations": [{"rule": rule, **more}]}


def listed(items: Object, **more: Any) -> Object:
    return {"type": "array", "items": items, **more}


RULES, UNCHANGED = (within("s.properties[spec]", partial(of_spec, unchanged=unchanged)) for unchanged in (False, True))
QUADRATIC = partial(ruled, rule="self.all(x, self.all(y, x == y))")
CHECKED = {"type": "object", "properties": {"a": ruled({**TEXT, "maxLength": 5}, "self != ''")}}
FOUND = ruled({"type": "object", "properties": {"b": {**TEXT, "maxLength": 500}}}, "!has(self.b) || self.b.contains('x')")
SAME = ruled({"type": "object", "properties": {"k": TEXT}}, "self == oldSelf")
KEYED = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}

test_causes = table([
    *valid(RULES, ruled(CHECKED, "!has(self.a) || self.a.size() > 1", messageExpression="'a: ' + self.a"), QUADRATIC(listed({**TEXT, "maxLength": 10}, maxItems=10)), listed(FOUND, maxItems=1000)),
    (RULES, ruled(OBJECT, "self.b"), f"~.x-kubernetes-validations[0].rule={SHOWN} : {MISSING}"),
    (RULES, ruled(OBJECT, "true", messageExpression="self.b"), f"~.x-kubernetes-validations[0].messageExpression: …: messageExpression {MISSING}"),
    (RULES, QUADRATIC(listed(TEXT)), f"~.x-kubernetes-validations[0].rule- : {DEAR}", f"~.x-kubernetes-validations[0].rule- : {TOTAL}", SUM),
    (UNCHANGED, QUADRATIC(listed(TEXT)), f"~.x-kubernetes-validations[0].rule- : {TOTAL}", SUM),
    (RULES, listed(FOUND), "~.items.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of 21…",
        f"~.items.x-kubernetes-validations[0].rule- : {TOTAL}", SUM),
    (RULES, listed(SAME, maxItems=5), f"~.items.x-kubernetes-validations[0].rule=\"self == oldSelf\" : {UNCORRELATED}"),
    *valid(RULES, listed(SAME, maxItems=5, **KEYED)),
    (RULES, ruled(OBJECT, "true", optionalOldSelf=True), "~.x-kubernetes-validations[0].optionalOldSelf=true : may not be set if oldSelf is not used in rule"),
])  # fmt: skip
