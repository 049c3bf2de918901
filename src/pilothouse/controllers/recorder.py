"""Records Events about objects on behalf of a controller (client-go tools/events)."""

import socket

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.fields import Object
from pilothouse.caches import short
from pilothouse.logs import Logger
from pilothouse.registry.client import Client

log = Logger(__name__)

REMEMBERED = 4096
"""Warnings that are known to have been told."""


class Recorder:
    """Writes warnings, each one once; what can not be written is let go.

    When more than `remembered` have been told, all are forgotten.
    """

    def __init__(self, client: Client, controller: str, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._client = client
        self._controller = controller
        self._told: set[tuple[str, str | bytes]] = set()

    async def warn(self, about: Object, reason: str, action: str, note: str) -> None:
        """Record a warning about an object, which must have apiVersion, kind and metadata."""
        metadata = about["metadata"]
        key = (metadata.get("uid", ""), short(note))
        if key in self._told:
            return
        if len(self._told) >= self._remembered:
            self._told.clear()
        self._told.add(key)
        log.warning("An event is recorded", kind=about["kind"], name=metadata["name"], note=note)
        involved = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": metadata["name"]}
        involved |= {m: metadata[m] for m in ("namespace", "uid", "resourceVersion") if m in metadata}
        name = f"{metadata['name']}.{meta.new_uid()[:16].replace('-', '')}"
        event: Object = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": metadata.get("namespace") or "default"},
            "eventTime": meta.now_micro(),
            "reportingComponent": self._controller,
            "reportingInstance": f"{self._controller}-{socket.gethostname()}",
            "action": action,
            "reason": reason,
            "involvedObject": involved,
            "message": note,
            "type": "Warning",
        }
        try:
            await self._client.create(self._client.resource("", "v1", "events"), event)
        except (errors.StatusError, KeyError) as err:
            log.warning("An event was not written", err=err)
