"""Records Events about objects on behalf of a controller (client-go tools/events)."""

import logging
import socket

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.fields import Object
from pilothouse.caches import short
from pilothouse.registry.client import Client

log = logging.getLogger(__name__)

REMEMBERED = 4096
"""Written warnings that are remembered; all are forgotten when there are more."""


class Recorder:
    """Writes each warning once; one that cannot be written is dropped."""

    def __init__(self, client: Client, controller: str) -> None:
        self._client = client
        self._controller = controller
        self._told: set[tuple[str, str | bytes]] = set()

    async def warn(self, about: Object, reason: str, action: str, note: str) -> None:
        """Record a warning about an object, which must have apiVersion, kind and metadata."""
        metadata = about["metadata"]
        key = (metadata.get("uid", ""), short(note))
        if key in self._told:
            return
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told.add(key)
        log.warning("%s", note, extra={"kv": {"kind": about["kind"], "name": metadata["name"]}})
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
            log.warning("an event was not written: %s", err)
