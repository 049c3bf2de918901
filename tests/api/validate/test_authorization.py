"""Every cause that access reviews can have (pkg/apis/authorization/validation)."""

import pytest
from rules import at, below, causes, table

from pilothouse.api.validate import authorization as rules
from pilothouse.api.validate.tables.rules import Kind
from pilothouse.api.values.fields import Object

SUBJECT, LOCAL, SELF = rules.validate_subject_access, rules.validate_local_subject_access, rules.validate_self_subject_access
GET: Object = {"verb": "get", "resource": "pods"}
PATH: Object = {"path": "/x", "verb": "get"}
of = at({}, "spec", {})
selecting = at({}, "spec.resourceAttributes", GET)
FIELD = {"rawSelector": "a=b", "requirements": [{"key": ""}, {"key": "k", "operator": "Exists", "values": ["v"]}]}
LABEL = {"requirements": [{"key": "-", "operator": "In", "values": ["-"]}, {"key": "k", "operator": "In"}]}

test_causes = table([
    *((rule, of(user="u", resourceAttributes=GET), []) for rule in (SUBJECT, LOCAL, SELF)),
    (SUBJECT, of(resourceAttributes=GET), ["spec.user: Invalid value: \"\": at least one of user or group must be specified"]),
    (LOCAL, {"metadata": {"namespace": "own"}, **of(groups=["g"], resourceAttributes={**GET, "namespace": "other"})},
        ['spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace']),
    (LOCAL, of(groups=["g"], nonResourceAttributes=PATH), ['spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":"get"}: disallowed on this kind of request']),
    (SELF, {"metadata": {"labels": {"a": "b"}, "managedFields": [{}]}, **of(resourceAttributes=GET)}, ['metadata: Invalid value: {"labels":{"a":"b"},"managedFields":[{}]}: must be empty']),
    (SELF, selecting(fieldSelector=FIELD, labelSelector=LABEL), below("spec.resourceAttributes",
        '.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements', ".fieldSelector.requirements[0].key: Required value: must be specified",
        ".fieldSelector.requirements[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'", '.labelSelector.requirements[0].key: Invalid value: "-": <name part>',
        '.labelSelector.requirements[0].values[0]: Invalid value: "-": <label value>', ".labelSelector.requirements[1].values: Required value: must be specified when `operator` is 'In' or 'NotIn'")),
    (SELF, selecting(fieldSelector={}),
        ["spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required"]),
])  # fmt: skip


@pytest.mark.parametrize("rule", [SUBJECT, LOCAL, SELF])
def test_one_of_the_attributes_must_be_there(rule: Kind) -> None:
    why = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
    assert causes(rule, of(user="u"))[0] == f"spec.resourceAttributes: {why}"
    assert causes(rule, of(user="u", resourceAttributes=GET, nonResourceAttributes=PATH))[0].startswith("spec.nonResourceAttributes: ")
