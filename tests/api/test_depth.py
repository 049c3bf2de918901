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


def test_what_is_stored_and_deeper_is_outlined() -> None:
    head = '{"kind":"K","apiVersion":"v1","metadata":{"name":"n","labels":{"a":"b"}},"spec":'
    deep = {
        levels: (head + '{"a":' * levels + "1" + "}" * levels + "}").encode() for levels in (5, 300, 2000)
    }
    outline = {"kind": "K", "apiVersion": "v1", "metadata": {"name": "n", "labels": {"a": "b"}}}
    assert depth.readable(deep[5]) == depth.outlined(deep[5]) != outline
    assert depth.readable(deep[300]) != outline == depth.outlined(deep[300])
    assert depth.readable(deep[2000]) == outline == depth.outlined(deep[2000])
