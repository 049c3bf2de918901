"""Values that are equal to rules for changes."""

from typing import Any

import pytest

from pilothouse.api.validate.common import equal


@pytest.mark.parametrize(("one", "other", "same"), [({"a": []}, {}, True), ({"a": {"b": None}}, {"a": {}}, True), ({"a": 1}, {"a": 2}, False)])
def test_nothing_equals_what_is_empty(one: Any, other: Any, same: bool) -> None:
    assert equal(one, other) is same
