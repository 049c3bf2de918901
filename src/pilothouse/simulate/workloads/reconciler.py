"""The frame of a controller: a queue of keys, timers on the clock,
and writes of a status that has changed."""

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock, Timer
from pilothouse.simulate.workloads.events import EventQueue
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.pods import PodIndex
from pilothouse.simulate.workloads.refusals import namespace_ends
from pilothouse.storage._entry import Entry


class _Stale(Exception):
    """The spec has changed since a status was worked out."""


class Parts(NamedTuple):
    """The things that all controllers share, and a client of one of them."""

    client: Client
    clock: Clock
    pods: PodIndex


class Together(Background):
    """Several parts that are one controller."""

    def __init__(self, *parts: Background) -> None:
        self._parts = parts

    def start(self) -> None:
        for part in self._parts:
            part.start()

    async def close(self) -> None:
        for part in reversed(self._parts):
            await part.close()


class Reconciler(Background):
    """Brings the objects of one resource to what their specs say; a key is `namespace/name`.

    It holds no expectations of its own writes: the cache that it reads has each before it is answered,
    or catches up before the next look.
    """

    def __init__(self, parts: Parts, group_version: str, plural: str, component: str) -> None:
        self.client, self.clock, self.pods = parts
        group, _, version = group_version.rpartition("/")
        self.resource = self.client.resource(group, version, plural)
        self.events = EventQueue(self.client, self.clock, component)
        self.queue = WorkQueue(component, self._handle, metrics=self.client.metrics)
        self._timers: dict[str, Timer] = {}
        self._stops: list[Callable[[], None]] = []

    def start(self) -> None:
        """Follow the objects and what they depend on."""
        self._stops += self.follows()
        self._stops.append(follow(self.client, self.resource, self._changed))

    def follows(self) -> list[Callable[[], None]]:
        """Begin to follow what the objects depend on; the functions that end it."""
        return []

    async def close(self) -> None:
        for stop in self._stops:
            stop()
        self._stops.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self.queue.close()
        await self.events.close()

    @abstractmethod
    async def reconcile(self, obj: Object) -> float | None:
        """Do what an object needs now; the seconds after which to look again.

        The object is shared and must not be changed.
        """

    async def removed(self, namespace: str, name: str) -> float | None:
        """Clean up after an object that is gone; the seconds after which to do so again."""
        return None

    def enqueue(self, namespace: str, name: str) -> None:
        """Look at an object."""
        self.queue.add(f"{namespace}/{name}")

    def read(self, namespace: str, name: str) -> Object | None:
        """An object of the resource, which is shared and must not be changed."""
        return self.client.readers.get(self.resource.group_resource, namespace, name)

    async def write_status(self, obj: Object, status: Object) -> bool:
        """Write the members of a status unless the object has them; None removes one.

        False when the object is gone, or has another spec by now: then its watch leads to another look.
        """
        metadata = obj["metadata"]
        now = self.read(metadata.get("namespace", ""), metadata["name"])
        if now is None or now["metadata"]["uid"] != metadata["uid"]:
            return False
        have = now.get("status") or {}
        if all(have.get(name) == value for name, value in status.items()):
            return True

        def edit(live: Object) -> None:
            merged = {**(live.get("status") or {}), **status}
            live["status"] = {name: value for name, value in merged.items() if value is not None}

        return await self.change_status(obj, edit)

    async def change_status(self, obj: Object, edit: Callable[[Object], None]) -> bool:
        """Change the status of an object; False as of write_status()."""

        def checked(live: Object) -> None:
            if live["metadata"].get("generation") != obj["metadata"].get("generation"):
                raise _Stale
            edit(live)

        try:
            return await self.change(obj, checked, "status")
        except _Stale:
            return False

    async def change(self, obj: Object, edit: Callable[[Object], None], subresource: str = "") -> bool:
        """Change an object of the resource; False when it is gone."""
        metadata = obj["metadata"]
        name, namespace = metadata["name"], metadata.get("namespace", "")
        try:
            await self.client.change(self.resource, namespace, name, edit, subresource, metadata["uid"])
        except (errors.NotFound, errors.Conflict):
            return False
        return True

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        entry = new if new is not None else old
        assert entry is not None
        self.queue.add(entry.key.removeprefix(self.resource.key_prefix))

    async def _handle(self, key: str) -> None:
        if self.client.store.fresh is not None:  # a store that others write: its cache may be behind
            await self.client.store.fresh()
        namespace, _, name = key.rpartition("/")
        obj = self.read(namespace, name)
        try:
            later = await (self.reconcile(obj) if obj is not None else self.removed(namespace, name))
        except errors.StatusError as err:
            if not namespace_ends(err):
                raise
            later = None  # the object goes with its namespace
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if later is not None:
            self._timers[key] = self.clock.call_later(max(later, 0.001), lambda: self.queue.add(key))
