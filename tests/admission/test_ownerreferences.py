"""Only users with the right permission may make an object depend on another."""

from typing import Any

import pytest
from harness import Rig, config_map, is_asked

from pilothouse import errors
from pilothouse.admission.ownerreferences import OwnerReferencesPermissionEnforcement
from pilothouse.authz.authorizer import Decision

RESOURCE = ("", "v1", "configmaps")
PLAIN = {"apiVersion": "v1", "kind": "ReplicationController", "name": "r", "uid": "1"}
BLOCKING = {**PLAIN, "blockOwnerDeletion": True}
CLUSTER = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "2", "blockOwnerDeletion": True}
UNKNOWN = {"apiVersion": "a.b/v1", "kind": "C", "name": "c", "uid": "3", "blockOwnerDeletion": True}

DELETE = ("delete", "", "configmaps", "", "default", "o")
EVERYTHING = ("update", "*", "*", "finalizers", "", "*")
CONTROLLER = ("update", "", "replicationcontrollers", "finalizers", "default", "r")
NODE = ("update", "", "nodes", "finalizers", "", "n")


class Authorizer:
    """Allows what is listed, and notes what it was asked."""

    def __init__(self, allowed: Any) -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, ...]] = []

    async def authorize(self, asked: Any) -> Decision:
        assert asked.is_resource and asked.version == "*"
        key = (asked.verb, asked.group, asked.resource, asked.subresource, asked.namespace, asked.name)
        self.asked.append(key)
        return Decision(key in self.allowed, reason="why")


async def judge(rig: Rig, new: Any, old: Any, *allowed: Any) -> tuple[Any, str]:
    """Return the questions to the authorizer, and the message of a refusal."""
    authorizer = Authorizer(allowed)
    plugin = OwnerReferencesPermissionEnforcement(authorizer, rig.catalog)
    before = None if old is None else config_map("o", ownerReferences=old)
    asked = rig.attributes(config_map("o", ownerReferences=new), before, resource=RESOURCE)
    try:
        waiting = plugin.validate(asked)
        if waiting is not None:
            await waiting
    except errors.Forbidden as err:
        return authorizer.asked, err.message.removeprefix('configmaps "o" is forbidden: ')
    return authorizer.asked, ""


NOT_DELETED = "cannot set an ownerRef on a resource you can't delete: why, <nil>"
NOT_BLOCKED = (
    "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on:"
    " why, <nil>"
)
NO_KIND = (
    "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion a.b/v1 Kind C:"
    ' no matches for kind "C" in version "a.b/v1"'
)


@pytest.mark.parametrize(
    ("new", "old", "allowed", "asked", "message"),
    [
        ([], None, [], [], ""),
        ([PLAIN], [PLAIN], [], [], ""),
        ([BLOCKING], [BLOCKING], [], [], ""),
        ([PLAIN], None, [], [], ""),  # who creates an object need not be able to delete it
        ([PLAIN], [], [], [DELETE], NOT_DELETED),
        ([], [PLAIN], [], [DELETE], NOT_DELETED),
        ([PLAIN], [], [DELETE], [DELETE], ""),
        ([PLAIN], [BLOCKING], [DELETE], [DELETE], ""),
        ([BLOCKING], None, [EVERYTHING], [EVERYTHING], ""),
        ([BLOCKING], None, [CONTROLLER], [EVERYTHING, CONTROLLER], ""),
        ([BLOCKING], None, [], [EVERYTHING, CONTROLLER], NOT_BLOCKED),
        ([BLOCKING], [PLAIN], [DELETE], [DELETE, EVERYTHING, CONTROLLER], NOT_BLOCKED),
        ([BLOCKING, CLUSTER], [BLOCKING], [DELETE, NODE], [DELETE, EVERYTHING, NODE], ""),
        ([UNKNOWN], None, [], [EVERYTHING], NO_KIND),
    ],
)
async def test_owners(
    rig: Rig, new: list[Any], old: list[Any] | None, allowed: list[Any], asked: list[Any], message: Any
) -> None:
    assert await judge(rig, new, old, *allowed) == (asked, message)


async def test_what_it_looks_at(rig: Rig) -> None:
    plugin = OwnerReferencesPermissionEnforcement(Authorizer([]), rig.catalog)
    assert is_asked(plugin, rig.attributes({})) and is_asked(plugin, rig.attributes({}, {}))
    assert is_asked(
        plugin, rig.attributes({}, {}, resource=("apps", "v1", "deployments"), subresource="status")
    )
    assert not is_asked(plugin, rig.attributes({}, {}, subresource="status"))
    assert not is_asked(plugin, rig.attributes(None, {}, operation="DELETE"))
