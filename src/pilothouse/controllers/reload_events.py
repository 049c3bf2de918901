"""Writes an Event when files that configure this server have come into force, or were refused."""

import asyncio
from collections import deque

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.recorder import Recorder
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.registry.client import Client
from pilothouse.reload import ReloadOutcome
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

COMPONENT = "kube-apiserver"
RELOADED, REJECTED = "ConfigurationReloaded", "ConfigurationRejected"
WAITING = 64
"""Outcomes that wait to be written; the oldest are let go."""


class ReloadEvents(BackgroundTask):
    """Writes Events about this server's identity lease, `lease`, and so in kube-system. None without one.

    The caller that reports an outcome never waits for the storage.
    """

    def __init__(self, client: Client, lease: Object | None) -> None:
        self._client = client
        self._lease = lease
        self._recorder = Recorder(client, COMPONENT)
        self._waiting: deque[ReloadOutcome] = deque(maxlen=WAITING)
        self._some = asyncio.Event()

    def tell(self, outcome: ReloadOutcome) -> None:
        """Have an Event written about what has become of a change."""
        self._waiting.append(outcome)
        self._some.set()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                outcome = self._waiting.popleft()
                try:
                    await self._write(outcome)
                except (StorageError, errors.StatusError) as err:
                    log.warning("An event was not written", err=err)
                except Exception:
                    log.exception("An event was not written")

    async def _write(self, outcome: ReloadOutcome) -> None:
        if self._lease is None:
            return
        metadata = self._lease["metadata"]
        resource = self._client.resource("coordination.k8s.io", "v1", "leases")
        live = self._client.get(resource, metadata["namespace"], metadata["name"])
        known = {"uid": live["metadata"]["uid"]} if live is not None else {}
        about = {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], **known},
        }
        listed = ", ".join(outcome.paths)
        if outcome.error:
            note = f"{outcome.kind} was not reloaded, what was in force stays so: {outcome.error} [{listed}]"
            await self._recorder.tell(about, "Warning", REJECTED, note)
        else:
            await self._recorder.tell(about, "Normal", RELOADED, f"{outcome.kind} was reloaded [{listed}]")
