"""The controllers of objects: references to them, adoption and release (pkg/controller
ControllerRefManager)."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from pilothouse import errors
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource
from pilothouse.simulate.workloads.index import Indexed

F = TypeVar("F", bound=Indexed)


def reference(owner: Object) -> Object:
    """The reference by which an object names its controller."""
    metadata = owner["metadata"]
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    named |= {"name": metadata["name"], "uid": metadata["uid"]}
    return {**named, "controller": True, "blockOwnerDeletion": True}


class Claims:
    """Adopts and releases the objects of one resource."""

    def __init__(self, client: Client, resource: Resource) -> None:
        self.client = client
        self.resource = resource

    async def claim(
        self,
        owner: Object,
        selector: Selector,
        candidates: Iterable[F],
        wanted: Callable[[F], bool] = lambda facts: True,
    ) -> list[F]:
        """The candidates that belong to the owner: it adopts strays that match,
        and releases its own that do not.

        `wanted` says which strays may be adopted at all.
        """
        uid, leaving = owner["metadata"]["uid"], bool(owner["metadata"].get("deletionTimestamp"))
        out = []
        for facts in candidates:
            matches = not selector.nothing and selector.matches_labels(facts.labels)
            if facts.owner == uid:
                if matches:
                    out.append(facts)
                elif not leaving:
                    await self._edit(facts, lambda obj: _release(obj, uid))
                continue
            may = matches and not (facts.owner or leaving or facts.deleting) and wanted(facts)
            if may and await self._edit(facts, lambda obj: _adopt(obj, owner)):
                out.append(facts)
        return out

    async def _edit(self, facts: Indexed, edit: Callable[[Object], None]) -> bool:
        """Change the metadata of an object; False when it has gone."""
        try:
            await self.client.change_metadata(self.resource, facts.namespace, facts.name, edit, facts.uid)
        except (errors.NotFound, errors.Conflict):
            return False
        return True


def _adopt(obj: Object, owner: Object) -> None:
    held = obj["metadata"].get("ownerReferences") or []
    if not any(one.get("controller") for one in held):
        obj["metadata"]["ownerReferences"] = [*held, reference(owner)]


def _release(obj: Object, uid: str) -> None:
    left = [one for one in obj["metadata"].get("ownerReferences") or [] if one.get("uid") != uid]
    if left:
        obj["metadata"]["ownerReferences"] = left
    else:
        obj["metadata"].pop("ownerReferences", None)
