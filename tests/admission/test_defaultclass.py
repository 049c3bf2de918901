"""The choice among several default classes."""

from typing import Any

import pytest

from pilothouse.admission.defaultclass import default_class

IS_DEFAULT, OLD = "is-default", "beta.is-default"


def made(name: str, when: str = "2026-01-01T00:00:00Z", **annotations: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": when, "annotations": annotations}}


def default(name: str, when: str = "2026-01-01T00:00:00Z", key: str = IS_DEFAULT, value: str = "true") -> Any:
    return made(name, when, **{key: value})


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        ([], None),
        ([made("a"), {"metadata": {"name": "b"}}], None),
        ([default("a", value="false"), default("b", value="True")], None),
        ([made("a"), default("b")], "b"),
        ([default("a", key=OLD)], "a"),
        ([default("b"), default("a")], "a"),
        ([default("a"), default("b", "2026-01-02T00:00:00Z"), default("c")], "b"),
    ],
)
def test_the_newest_then_the_first_by_name(classes: list[Any], name: str | None) -> None:
    found = default_class(classes, (IS_DEFAULT, OLD))
    assert (found and found["metadata"]["name"]) == name
