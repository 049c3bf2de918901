"""How many levels objects may have."""

from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api import depth


def nested(levels: int, make: str = "object") -> Any:
    """A value with so many levels."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if make == "object" else [value]
    return value


def test_levels_are_counted() -> None:
    assert not depth.is_too_deep(nested(depth.MAX_DEPTH))
    assert depth.is_too_deep(nested(depth.MAX_DEPTH + 1))
    assert depth.is_too_deep(nested(depth.MAX_DEPTH, "array"), 1)
    with pytest.raises(errors.BadRequest, match="exceeded max depth"):
        depth.refuse_too_deep(nested(depth.MAX_DEPTH + 1))
