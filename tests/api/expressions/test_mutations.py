"""Objects that mutations have made, and the names of their types."""

from typing import Any

from pilothouse.api.expressions import admission
from pilothouse.api.expressions.mutations import misnamed


def value(text: str) -> Any:
    return admission.environment(params=False, patches=True).compile(text).evaluate({})


def test_names_follow_the_fields() -> None:
    assert not list(misnamed(value("Object{a: Object.a{b: [Object.a.b{}]}}"), ("Object",)))
    found = list(misnamed(value("Object{a: Object.b{}, c: {'d': Object{}}}"), ("Object",)))
    assert found == [
        f'unexpected type name "{name}", expected "{wanted}", which matches field name path from root Object'
        " type"
        for name, wanted in (("Object.b", "Object.a"), ("Object", "Object.c"))
    ]
