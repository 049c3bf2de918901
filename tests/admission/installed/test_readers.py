"""The objects of the cluster that a plugin may read."""

import pytest
from harness import Rig

from pilothouse.admission.api import NotDeclared
from pilothouse.admission.installed.readers import DeclaredReaders


async def test_objects_are_copies(rig: Rig) -> None:
    readers = DeclaredReaders(rig.readers, {"namespaces"})
    readers.get("namespaces", "", "default")["metadata"]["labels"] = {"changed": "yes"}
    for found in readers.list("namespaces"):
        found.clear()
    assert "changed" not in str(rig.readers.get("namespaces", "", "default"))
    assert readers.get("namespaces", "", "nobody") is None


async def test_only_what_is_declared_can_be_read(rig: Rig) -> None:
    readers = DeclaredReaders(rig.readers, {"namespaces"})
    with pytest.raises(NotDeclared, match='"secrets"'):
        readers.get("secrets", "default", "x")
    with pytest.raises(NotDeclared):
        readers.list("secrets")
