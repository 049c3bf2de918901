"""Validation of classes, drivers and attachments."""

from collections.abc import Callable

import pytest

from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import storage as rules


def causes(check: Callable[..., None], *objects: Object) -> list[tuple[str, str]]:
    errs = Errors()
    check(*objects, errs)
    return [(c["field"], c["message"]) for c in errs.causes]


CLASS = {"provisioner": "d.example.com", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}


@pytest.mark.parametrize(("change", "fields"), [
    ({}, []),
    ({"provisioner": ""}, ["provisioner"]),
    ({"reclaimPolicy": "Recycle"}, ["reclaimPolicy"]),
    ({"parameters": {"": "x"}}, ["parameters"]),
    ({"allowedTopologies": [{"matchLabelExpressions": [{"key": "z"}]}]}, ["allowedTopologies[0].matchLabelExpressions[0].values"]),
])  # fmt: skip
def test_classes(change: Object, fields: list[str]) -> None:
    assert [f for f, _ in causes(rules.validate_storage_class, CLASS | change)] == fields


def test_classes_are_fixed() -> None:
    found = causes(rules.validate_storage_class_update, CLASS | {"parameters": {"b": "2", "a": "1"}}, CLASS)
    assert found == [("parameters", 'Invalid value: {"a":"1","b":"2"}: field is immutable')]


def test_attachments_have_one_source() -> None:
    spec = {"attacher": "d", "nodeName": "n", "source": {}}
    assert [f for f, _ in causes(rules.validate_attachment, {"spec": spec})] == ["spec.source"]
