"""The choice among several default classes."""

import pytest

from pilothouse.admission.defaultclass import default_class

IS_DEFAULT, OLD = "is-default", "beta.is-default"


def made(name, when="2026-01-01T00:00:00Z", **annotations):
    return {"metadata": {"name": name, "creationTimestamp": when, "annotations": annotations}}


def default(name, when="2026-01-01T00:00:00Z", key=IS_DEFAULT, value="true"):
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
def test_the_newest_then_the_first_by_name(classes, name):
    found = default_class(classes, (IS_DEFAULT, OLD))
    assert (found and found["metadata"]["name"]) == name
