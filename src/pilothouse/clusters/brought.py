"""Definitions that the server brings to its own cluster."""

import asyncio
import time
from collections.abc import Callable

from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource

DEFINITIONS = "apiextensions.k8s.io", "v1", "customresourcedefinitions"
PATIENCE = 15.0
"""Seconds for a definition to be served."""


async def bring(client: Client, definition: Object, ours: Callable[[Object], bool] | None = None) -> None:
    """Create a definition, or bring it up to date unless it is not `ours`."""
    resource, name = client.resource(*DEFINITIONS), definition["metadata"]["name"]
    if await client.create(resource, copy(definition)):
        return
    found = client.get(resource, "", name)
    if found is None or (ours is not None and not ours(found)):
        return

    def edit(obj: Object) -> None:
        obj["spec"]["versions"] = copy(definition["spec"]["versions"])

    await client.change(resource, "", name, edit)


async def served(client: Client, group: str, version: str, plural: str) -> Resource:
    """The resource of a definition, once it is served."""
    ends = time.monotonic() + PATIENCE
    while (found := client.catalog.get(group, version, plural)) is None:
        if time.monotonic() > ends:
            raise TimeoutError(
                f"the definition {plural}.{group} is not served in the version {version}; what holds it back"
                " is in its status"
            )
        await asyncio.sleep(0.002)
    return found
