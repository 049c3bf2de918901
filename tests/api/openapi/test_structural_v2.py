"""Schemas of definitions as OpenAPI v2 shows them."""

from typing import Any

import pytest

from pilothouse.api.openapi.structural_v2 import PRESERVE, is_open, simplified

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        (TEXT, TEXT),
        ({**TEXT, "anyOf": [{"minLength": 1}], "not": {"maxLength": 2}}, TEXT),
        ({**TEXT, "nullable": True}, {}),
        ({"type": "object", "nullable": True, "properties": {"a": TEXT}}, {}),
        ({"type": "object", PRESERVE: True, "properties": {"a": TEXT}}, {PRESERVE: True}),
        ({"type": "array", PRESERVE: True, "items": TEXT}, {PRESERVE: True}),
        ({"type": "array"}, {}),
        (
            {
                "type": "object",
                "required": ["a", "b"],
                "properties": {"a": {**TEXT, "nullable": True}, "b": TEXT},
            },
            {"type": "object", "required": ["b"], "properties": {"a": {}, "b": TEXT}},
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": {**TEXT, "nullable": True}},
            {"type": "object", "additionalProperties": {}},
        ),
        (
            {"type": "array", "items": {"type": "object", PRESERVE: True}},
            {"type": "array", "items": {PRESERVE: True}},
        ),
    ],
)
def test_what_version_2_has_no_words_for_is_left_out(declared: Any, shown: Any) -> None:
    assert simplified(declared) == shown


def test_an_open_kind() -> None:
    assert is_open({}) and is_open({"type": "object", PRESERVE: True})
    assert not is_open({"type": "object", "properties": {"a": {PRESERVE: True}}})
