"""The limit for the nesting of objects."""

from typing import Any

import pytest

from pilothouse import errors
from pilothouse.api.types import depth, schema


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


@pytest.mark.parametrize(
    ("kind", "deep"),
    [
        (("", "v1", "Pod"), False),
        (("apps", "v1", "Deployment"), False),
        (("", "v1", "ConfigMap"), False),
        (("apps", "v1", "ControllerRevision"), True),
        (("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), True),
        (("resource.k8s.io", "v1", "ResourceClaim"), True),
    ],
)
def test_kinds_that_may_be_deep(kind: tuple[str, str, str], deep: bool) -> None:
    assert depth.may_be_deep(schema.for_kind(*kind)) is deep
