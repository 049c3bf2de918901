"""Renews the leases of simulated nodes: one timer for all of them."""

import asyncio

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock, Timer
from pilothouse.simulate.nodes import Machine, Machines
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

NAMESPACE = "kube-node-lease"
SECONDS = 40
"""The length of a lease, as that of a kubelet."""

RENEW = 20.0
"""Seconds between two renewals. A node counts as lost when it has not renewed its lease for 50 s; half of a
kubelet's renewals are enough for that, because none gets lost on the way."""

TOGETHER = 32
"""Renewals that are written side by side."""


class NodeLeases(Background):
    """Renews the lease of each simulated node whose kubelet works."""

    def __init__(self, client: Client, clock: Clock, known: Machines) -> None:
        self._client = client
        self._clock = clock
        self._machines = known
        self._leases = client.resource("coordination.k8s.io", "v1", "leases")
        self._have: dict[str, str] = {}
        """Node -> its UID, of those whose lease was written by us."""
        self._timer: Timer | None = None
        self._soon: Timer | None = None

    def start(self) -> None:
        """Renew from now on; a new node gets its lease at once."""
        self._machines.follow(self._changed)
        self._timer = self._clock.call_later(RENEW, self._renew, quiet=True)

    async def close(self) -> None:
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()

    def _changed(self, name: str) -> None:
        machine = self._machines.get(name)
        if machine is None or not machine.reachable:
            self._have.pop(name, None)
        elif self._have.get(name) != machine.uid and (self._soon is None or not self._soon.pending):
            self._soon = self._clock.call_later(0, self._first)

    async def _first(self) -> None:
        """Write the leases that are missing."""
        await self._write([one for one in self._machines.all() if self._have.get(one.name) != one.uid])

    async def _renew(self) -> None:
        self._timer = self._clock.call_later(RENEW, self._renew, quiet=True)
        await self._write(self._machines.all())

    async def _write(self, wanted: list[Machine]) -> None:
        reachable = [machine for machine in wanted if machine.reachable]
        for at in range(0, len(reachable), TOGETHER):
            await asyncio.gather(*map(self._one, reachable[at : at + TOGETHER]))

    async def _one(self, machine: Machine) -> None:
        spec = {
            "holderIdentity": machine.name,
            "leaseDurationSeconds": SECONDS,
            "renewTime": self._clock.stamp_micro(),
        }
        try:
            if self._client.get(self._leases, NAMESPACE, machine.name) is None:
                await self._client.create(self._leases, _lease(machine, spec))
            else:
                await self._client.change(
                    self._leases, NAMESPACE, machine.name, lambda lease: lease["spec"].update(spec)
                )
            self._have[machine.name] = machine.uid
        except (StorageError, errors.StatusError) as error:
            log.warning("The lease of a simulated node was not renewed", err=error, node=machine.name)


def _lease(machine: Machine, spec: Object) -> Object:
    owner = {"apiVersion": "v1", "kind": "Node", "name": machine.name, "uid": machine.uid}
    metadata = {"name": machine.name, "namespace": NAMESPACE, "ownerReferences": [owner]}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
