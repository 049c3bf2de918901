"""Creates and deletes the pods of a controller, and tells of it in events (pkg/controller RealPodControl)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pilothouse.api import meta
from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.registry.client import Client
from pilothouse.simulate.workloads.events import EventQueue
from pilothouse.simulate.workloads.index import Indexed
from pilothouse.simulate.workloads.ownership import reference
from pilothouse.simulate.workloads.refusals import FAILED, namespace_ends

NAMES = 8
"""Names that are tried for one pod."""


@record
class PodWrites:
    """How many of several writes were made, and why one was not."""

    done: int = 0
    error: Exception | None = None
    reason: str = ""


def pod_of(template: Object, owner: Object, prefix: str = "") -> Object:
    """A pod of a template, controlled by the owner, with a name of its own (GetPodFromTemplate)."""
    given = template.get("metadata") or {}
    metadata = {m: copy(given[m]) for m in ("labels", "annotations", "finalizers") if given.get(m)}
    metadata["generateName"] = prefix or f"{owner['metadata']['name']}-"
    metadata["namespace"] = owner["metadata"]["namespace"]
    metadata["ownerReferences"] = [reference(owner)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy(template.get("spec") or {})}


class PodControl:
    """Writes pods for the controller of one kind."""

    def __init__(self, client: Client, events: EventQueue) -> None:
        self.client = client
        self.events = events
        self.pods = client.resource("", "v1", "pods")

    async def create(self, pod: Object, owner: Object) -> str:
        """Create a pod, under a name that is made for it when it has none; its name,
        "" when the name is taken."""
        made, _ = self.pods.decode_value(pod)
        metadata = made["metadata"]
        for _ in range(1 if metadata.get("name") else NAMES):
            one = copy(made)
            name: str = metadata.get("name") or meta.generate_name(metadata["generateName"])
            one["metadata"]["name"] = name
            if await self.client.create(self.pods, one):
                return name
        return ""

    async def create_some(self, count: int, make: Callable[[int], Object], owner: Object) -> PodWrites:
        """Create pods: one, then twice as many at a time while none fails (slowStartBatch)."""

        async def one(number: int) -> None:
            name = await self.create(make(number), owner)
            if name:
                self.events.normal(owner, "SuccessfulCreate", f"Created pod: {name}")

        outcome, batch = PodWrites(), 1
        while outcome.done < count and outcome.error is None:
            numbers = range(outcome.done, min(outcome.done + batch, count))
            await _all([one(number) for number in numbers], outcome)
            batch *= 2
        if outcome.error is not None:
            outcome.reason = "FailedCreate"
            self.events.warning(owner, "FailedCreate", f"Error creating: {outcome.error}")
        return outcome

    async def delete(self, pod: Indexed) -> bool:
        """Delete a pod, with its grace; False when it was gone."""
        options = {"preconditions": {"uid": pod.uid}}
        return await self.client.delete(self.pods, pod.namespace, pod.name, options)

    async def delete_some(self, pods: Sequence[Indexed], owner: Object) -> PodWrites:
        """Delete pods."""

        async def one(pod: Indexed) -> None:
            if await self.delete(pod):
                self.events.normal(owner, "SuccessfulDelete", f"Deleted pod: {pod.name}")

        outcome = PodWrites()
        await _all([one(pod) for pod in pods], outcome)
        if outcome.error is not None:
            outcome.reason = "FailedDelete"
            self.events.warning(owner, "FailedDelete", f"Error deleting: {outcome.error}")
        return outcome


async def _all(writes: Sequence[Awaitable[None]], outcome: PodWrites) -> None:
    """Wait for writes, and add to the outcome how they ended; a bug is raised.

    Those for a namespace that ends count as made: nobody needs them any more.
    """
    for result in await asyncio.gather(*writes, return_exceptions=True):
        if result is None or namespace_ends(result):
            outcome.done += 1
        elif isinstance(result, FAILED):
            outcome.error = outcome.error or result
        else:
            raise result
