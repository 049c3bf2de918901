"""Steps of a write that do not wait."""

from typing import Any

import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.registry import steps
from pilothouse.registry.strategy import Strategy


@pytest.mark.parametrize(
    ("sent", "unconditional", "error"),
    [
        ({}, True, None),
        ({}, False, errors.Invalid),
        ({"resourceVersion": "0"}, False, errors.Invalid),
        ({"resourceVersion": "7"}, False, None),
        ({"resourceVersion": "6"}, True, errors.Conflict),
        ({"resourceVersion": "x"}, True, errors.Unknown),
    ],
)
async def test_the_version_of_an_update(rig: Rig, sent: Any, unconditional: bool, error: Any) -> None:
    resource = rig.catalog.get("", "v1", "pods")
    assert resource is not None
    metadata, live = dict(sent), {"resourceVersion": "7"}
    arguments = resource, "a", Strategy(unconditional_update=unconditional), metadata, live, 7
    if error is None:
        steps.check_version(*arguments)
        assert metadata == live
    else:
        with pytest.raises(error):
            steps.check_version(*arguments)


@pytest.mark.parametrize("large", [False, True])
async def test_an_object_that_the_store_does_not_take(rig: Rig, large: bool) -> None:
    resource = rig.catalog.get("", "v1", "configmaps")
    assert resource is not None
    obj = {"metadata": {"name": "a", "resourceVersion": "7"}, "data": {"k": "v" * 100}}
    value = steps.encoded(obj, resource, 1000, large=large)
    assert b"resourceVersion" not in value and value.startswith(b'{"kind":"ConfigMap"')
    with pytest.raises(errors.Unknown, match="etcdserver: request is too large"):
        steps.encoded(obj, resource, 100, large=large)
