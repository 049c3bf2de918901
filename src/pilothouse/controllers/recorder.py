"""Records Events about objects on behalf of a controller (client-go tools/events and tools/record)."""

import socket

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values.fields import Object
from pilothouse.caches import short
from pilothouse.logs import Logger
from pilothouse.registry.client import Client

log = Logger(__name__)

REMEMBERED = 4096
"""Events that are known to have been told."""

LONGEST = 1024
"""Characters of the longest note."""

Key = tuple[str, str, str, str | bytes]
"""The common part of the repetitions of an event: the object, type, reason and note."""


class Recorder:
    """Writes Events; one that cannot be written is dropped. It remembers them so that none is repeated;
    when there are more than `remembered`, all are forgotten."""

    def __init__(self, client: Client, controller: str, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._client = client
        self._controller = controller
        self._told: dict[Key, str] = {}

    async def warn(self, about: Object, reason: str, action: str, note: str) -> None:
        """Record a warning about an object, which must have apiVersion, kind and metadata.
        Each is told once."""
        metadata = about["metadata"]
        key = (metadata.get("uid", ""), "Warning", "", short(note))
        if key in self._told:
            return
        log.warning("An event is recorded", kind=about["kind"], name=metadata["name"], note=note)
        now = meta.now_micro(self._client.clock.time())
        event = {"eventTime": now, "action": action, "reason": reason, "message": note}
        self._remember(key, "")
        await self._create(about, event | {"type": "Warning"})

    async def tell(self, about: Object, kind: str, reason: str, note: str, *, any_note: bool = False) -> None:
        """Record an event of a kind, Normal or Warning;
        one that repeats is counted by the first (tools/record).

        `any_note`: it is counted by one with another note, too, which gets its note.
        """
        note = note[:LONGEST]
        same = "" if any_note else short(note)
        key = (about["metadata"].get("uid", ""), kind, reason, same)
        namespace = about["metadata"].get("namespace") or "default"
        if (name := self._told.get(key, "")) and await self._repeat(namespace, name, note):
            return
        now = self._client.now()
        event = {"type": kind, "reason": reason, "message": note, "count": 1}
        event |= {"firstTimestamp": now, "lastTimestamp": now, "source": {"component": self._controller}}
        self._remember(key, await self._create(about, event))

    async def _repeat(self, namespace: str, name: str, note: str) -> bool:
        """Count an event once more; False when it is no longer there."""

        def edit(event: Object) -> None:
            event["message"] = note
            event["count"] = (event.get("count") or 0) + 1
            event["lastTimestamp"] = self._client.now()

        try:
            await self._client.change(self._client.resource("", "v1", "events"), namespace, name, edit)
        except errors.NotFound:
            return False
        except (errors.StatusError, KeyError) as err:
            log.warning("An event was not written", err=err)
        return True

    def _remember(self, key: Key, name: str) -> None:
        if len(self._told) >= self._remembered:
            self._told.clear()
        self._told[key] = name

    async def _create(self, about: Object, members: Object) -> str:
        """Write an event about an object; its name."""
        metadata = about["metadata"]
        involved = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": metadata["name"]}
        involved |= {m: metadata[m] for m in ("namespace", "uid", "resourceVersion") if m in metadata}
        name = f"{metadata['name']}.{meta.new_uid()[:16].replace('-', '')}"
        event: Object = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": metadata.get("namespace") or "default"},
            "reportingComponent": self._controller,
            "reportingInstance": f"{self._controller}-{socket.gethostname()}",
            "involvedObject": involved,
            **members,
        }
        try:
            await self._client.create(self._client.resource("", "v1", "events"), event)
        except (errors.StatusError, KeyError) as err:
            log.warning("An event was not written", err=err)
        return name
