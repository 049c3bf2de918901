"""Binds a pod to its node, once its claims have their volumes (kube-scheduler PreBind and Bind)."""

import asyncio

from pilothouse.api.values.fields import Object
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.scheduler.decision import SchedulingDecision
from pilothouse.simulate.scheduler.pods import Pending
from pilothouse.simulate.scheduler.volumes import (
    BOUND_BY_CONTROLLER,
    CLAIMS,
    SELECTED_NODE,
    VolumeChoice,
    is_bound,
)

WAIT = 600.0
"""Seconds for which a pod waits for its volumes (bindTimeoutSeconds)."""


class Binder:
    """Writes bindings; waits for volumes that come with the node."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._claims = client.resource("", "v1", CLAIMS)
        self._volumes = client.resource("", "v1", "persistentvolumes")
        self._changed = asyncio.Event()

    def claim_changed(self) -> None:
        """A claim has changed: those who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def bind(self, pod: Pending, found: SchedulingDecision) -> None:
        """Bind a pod; raises TimeoutError when its claims get no volumes, and the refusal of a write."""
        for choice in found.choices:
            await self._prepare(choice, found.node)
        if found.choices:
            await self._wait(pod, found)
        target = {"kind": "Node", "name": found.node}
        metadata = {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}
        await self._client.bind({"metadata": metadata, "target": target})

    async def _prepare(self, choice: VolumeChoice, node: str) -> None:
        metadata = choice.claim["metadata"]
        if choice.volume is None:

            def select(claim: Object) -> None:
                claim["metadata"].setdefault("annotations", {})[SELECTED_NODE] = node

            await self._client.change(
                self._claims, metadata["namespace"], metadata["name"], select, uid=metadata["uid"]
            )
            return
        owner = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }

        def claim_it(volume: Object) -> None:
            volume["metadata"].setdefault("annotations", {})[BOUND_BY_CONTROLLER] = "yes"
            volume["spec"]["claimRef"] = owner

        own = choice.volume["metadata"]
        await self._client.change(self._volumes, "", own["name"], claim_it, uid=own["uid"])

    async def _wait(self, pod: Pending, found: SchedulingDecision) -> None:
        """Wait until the claims have their volumes."""
        names = [choice.claim["metadata"]["name"] for choice in found.choices]
        async with asyncio.timeout(WAIT):
            while True:
                changed = self._changed
                claims = [self._client.readers.get(CLAIMS, pod.namespace, name) for name in names]
                if all(claim is not None and is_bound(claim) for claim in claims):
                    return
                await changed.wait()
