"""Keys and cached objects."""

import pytest
from harness import Rig

from pilothouse import errors
from pilothouse.registry import store

CONFIG_MAP = ("", "v1", "configmaps")


async def test_names_that_can_be_no_key(rig: Rig) -> None:
    resource = rig.catalog.get(*CONFIG_MAP)
    assert store.key_of(resource, "n", "a") == "/registry/configmaps/n/a"
    for namespace, name, why in (
        ("", "a", "Namespace parameter required."),
        ("n", "", "Name parameter required."),
        ("n", "..", "Name parameter invalid: \"..\": may not be '..'"),
        ("n", "a/b", "Name parameter invalid: \"a/b\": may not contain '/'"),
        ("n", "a%b", "Name parameter invalid: \"a%b\": may not contain '%'"),
    ):
        with pytest.raises(errors.BadRequest) as caught:
            store.key_of(resource, namespace, name)
        assert caught.value.message == why
