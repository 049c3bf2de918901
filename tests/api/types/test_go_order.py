"""Members as Go writes them, held against the declarations of the Go types."""

import json
import pathlib
from typing import Any

import pytest

from pilothouse.api.types import schema
from pilothouse.api.types.go_order import in_go_order

GO_TYPES = json.loads((pathlib.Path(__file__).parents[3] / "tools/data/go_types.json").read_text())["structs"]


def order(value: Any) -> Any:
    """The members of an object and of those below it."""
    if isinstance(value, dict):
        return [(name, order(member)) for name, member in value.items()]
    return [order(item) for item in value] if isinstance(value, list) else None


def test_a_pod() -> None:
    container = {
        "env": [{"value": "v", "name": "n"}],
        "image": "i",
        "volumeMounts": [],
        "envFrom": [],
        "name": "c",
    }
    pod = {
        "metadata": {
            "uid": "u",
            "annotations": {"b": "1", "a": "2"},
            "labels": {},
            "namespace": "n",
            "name": "p",
        },
        "status": {},
        "spec": {"zz": {"b": 1, "a": 2}, "nodeName": "n", "containers": [container]},
    }
    expected = {
        "metadata": {
            "name": "p",
            "namespace": "n",
            "uid": "u",
            "labels": {},
            "annotations": {"a": "2", "b": "1"},
        },
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": "i",
                    "envFrom": [],
                    "env": [{"name": "n", "value": "v"}],
                    "volumeMounts": [],
                }
            ],
            "nodeName": "n",
            "zz": {"b": 1, "a": 2},
        },
        "status": {},
    }
    ordered = in_go_order(pod, schema.for_kind("", "v1", "Pod"))
    assert ordered == pod and order(ordered) == order(expected)


@pytest.mark.parametrize(("group", "version", "kind"), [("", "v1", "Pod"), ("apps", "v1", "Deployment")])
def test_every_struct_has_the_order_of_its_go_type(group: str, version: str, kind: str) -> None:
    left, seen = [schema.for_kind(group, version, kind)], set[str]()
    while left:
        type_ = left.pop()
        if type_.items is not None:
            left.append(type_.items)
        if type_.kind != "struct" or type_.name in seen:
            continue
        seen.add(type_.name)
        declared = [name for name, *_ in GO_TYPES[type_.name] if name in type_.fields]
        assert list(in_go_order(dict.fromkeys(sorted(type_.fields)), type_)) == declared
        left += [field.type for field in type_.fields.values()]
    assert len(seen) > 10


@pytest.mark.parametrize("value", [1, "a", None, [1], {"a": 1}])
def test_what_does_not_fit_its_type_stays(value: Any) -> None:
    deployment = {"spec": {"replicas": value, "template": value}}
    assert in_go_order(deployment, schema.for_kind("apps", "v1", "Deployment")) == deployment
