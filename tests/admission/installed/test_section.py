"""A plugin's section of the AdmissionConfiguration."""

from typing import Any

import pytest

from pilothouse.admission.installed.section import configured
from pilothouse.api.configfile import ConfigurationError

SCHEMA = {
    "type": "object",
    "required": ["owner"],
    "properties": {
        "owner": {"type": "string", "minLength": 2},
        "most": {"type": "integer", "minimum": 1, "default": 5},
        "teams": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    },
}


def test_defaults_are_set() -> None:
    given = {"apiVersion": "example.com/v1", "kind": "Configuration", "owner": "jane"}
    assert configured(SCHEMA, given) == {**given, "most": 5}
    assert "most" not in given
    assert configured({"type": "object"}, None) == configured(None, None) == {}


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (None, "owner: Required value"),
        (
            {"owner": "jane", "most": "x"},
            'most: Invalid value: "string": most in body must be of type integer: "string"',
        ),
        (
            {"owner": "j"},
            'owner: Invalid value: "j": owner in body should be at least 2 chars long',
        ),
        ({"owner": "jane", "teams": ["a", "a"]}, 'teams[1]: Duplicate value: "a"'),
        ({"owner": "jane", "nope": 1}, 'strict decoding error: unknown field "nope"'),
    ],
)
def test_what_does_not_fit_is_told(section: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(SCHEMA, section)
    assert str(caught.value) == problem


def test_a_plugin_without_a_schema_takes_no_section() -> None:
    with pytest.raises(ConfigurationError, match="takes no configuration"):
        configured(None, {"a": 1})


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "objekt"}, "configuration_schema.type"),
        ({"type": "string"}, "configuration_schema.type"),
        ({"properties": {"a": {"type": "string"}}}, "configuration_schema.type: Required"),
        (
            {"type": "object", "x-kubernetes-validations": [{"rule": "true"}]},
            "x-kubernetes-validations: Forbidden",
        ),
        ({"type": {"object"}}, "configuration_schema: "),
    ],
)
def test_a_schema_is_that_of_a_definition(schema: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(schema, {})
    assert problem in str(caught.value)
