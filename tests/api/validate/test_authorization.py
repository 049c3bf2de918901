"""Rules of access reviews."""

import pytest

from pilothouse.api.validate import authorization as rules
from pilothouse.api.values.fields import Errors, Object

GET: Object = {"verb": "get", "resource": "pods"}


def faults(rule: str, obj: Object) -> list[str]:
    errs = Errors()
    getattr(rules, f"validate_{rule}")(obj, errs)
    return [f"{c['field']}: {c['message']}" for c in errs.causes]


@pytest.mark.parametrize("rule", ["subject_access", "local_subject_access", "self_subject_access"])
def test_one_of_the_attributes_must_be_there(rule: str) -> None:
    spec = {"user": "u"}
    why = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
    assert faults(rule, {"spec": spec})[0] == f"spec.resourceAttributes: {why}"
    assert faults(rule, {"spec": {**spec, "resourceAttributes": GET}}) == []
    both = {**spec, "resourceAttributes": GET, "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    assert faults(rule, {"spec": both})[0].startswith("spec.nonResourceAttributes: ")


def test_a_subject_must_be_named() -> None:
    (fault,) = faults("subject_access", {"spec": {"resourceAttributes": GET}})
    assert fault.endswith("at least one of user or group must be specified")


def test_a_local_review_asks_about_its_namespace() -> None:
    spec = {"groups": ["g"], "resourceAttributes": {**GET, "namespace": "other"}}
    (fault,) = faults("local_subject_access", {"metadata": {"namespace": "own"}, "spec": spec})
    assert fault.endswith("must match metadata.namespace")
    spec = {"groups": ["g"], "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    (fault,) = faults("local_subject_access", {"spec": spec})
    assert fault.endswith("disallowed on this kind of request")


def test_metadata_must_be_empty() -> None:
    obj = {"metadata": {"labels": {"a": "b"}, "managedFields": [{}]}, "spec": {"resourceAttributes": GET}}
    (fault,) = faults("self_subject_access", obj)
    assert fault.startswith("metadata: Invalid value") and fault.endswith("must be empty")


def test_selectors() -> None:
    field = {"rawSelector": "a=b", "requirements": [{"key": ""}, {"key": "k", "operator": "Exists", "values": ["v"]}]}
    label = {"requirements": [{"key": "-", "operator": "In", "values": ["-"]}, {"key": "k", "operator": "In"}]}
    at = "spec.resourceAttributes"
    found = faults("self_subject_access", {"spec": {"resourceAttributes": {**GET, "fieldSelector": field, "labelSelector": label}}})
    assert [text.partition(": ")[0] for text in found] == [
        f"{at}.fieldSelector.rawSelector",
        f"{at}.fieldSelector.requirements[0].key",
        f"{at}.fieldSelector.requirements[1].values",
        f"{at}.labelSelector.requirements[0].key",
        f"{at}.labelSelector.requirements[0].values[0]",
        f"{at}.labelSelector.requirements[1].values",
    ]
    empty = {"spec": {"resourceAttributes": {**GET, "fieldSelector": {}}}}
    assert [text.partition(": ")[0] for text in faults("self_subject_access", empty)] == [f"{at}.fieldSelector.requirements"]
