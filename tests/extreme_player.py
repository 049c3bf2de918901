"""Sends requests with extreme values to a rig, in every form, and keeps what a server must not do."""

import json
import logging
import os
import random
from typing import Any

from extremes import PERIODS, Extremes, body
from fuzz.growth_kinds import collection
from fuzz.play import MISTAKE
from fuzz.scenario import APPLY, JSON, JSON_PATCH, MERGE, PARTIAL, PARTIAL_LIST, STRATEGIC, TABLE, YAML
from fuzz.seeds import STATUSES, Object, seed
from harness import Answer, Rig

from pilothouse.api.types.schema import Type
from pilothouse.registry.resource import Resource

SEED = int(os.environ.get("EXTREMES_SEED") or 1)
FIELDS = int(os.environ.get("EXTREMES_FIELDS") or 60)
"""Members that are tried of each kind."""

PROTOBUF = "application/vnd.kubernetes.protobuf"
AS = ";as={};g=meta.k8s.io;v=v1"
OBJECTS = (JSON, YAML, PROTOBUF, TABLE, PARTIAL, PROTOBUF + AS.format("PartialObjectMetadata"))
LISTS = (JSON, YAML, PROTOBUF, TABLE, PARTIAL_LIST, PROTOBUF + AS.format("PartialObjectMetadataList"))
WATCHES = (JSON, PROTOBUF, TABLE, PARTIAL, PROTOBUF + AS.format("PartialObjectMetadata"))
NAMESPACE = "/api/v1/namespaces/default"
SYSTEM = frozenset({"metadata", "apiVersion", "kind", "status"})


class Mistakes(logging.Handler):
    """Keeps the records that have a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


class Player:
    """Sends requests, and keeps those that a server must not answer like that."""

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self.rig = rig
        self.extremes = Extremes(chance)
        self.chance = chance
        self.wrong: list[str] = []
        self.paths: dict[str, Resource] = {}
        """The resources of the objects that are there, by path."""

    async def send(
        self, method: str, path: str, content: Any = None, media: str = JSON, accept: str = JSON
    ) -> Answer:
        headers = {"accept": accept}
        if content is not None:
            headers["content-type"] = media
        data = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        answer = await self.rig.call(method, path, data, headers=headers)
        # Some plain errors of Go are a 500 for writes upstream, too.
        if answer.status >= 500 and (
            method in ("GET", "DELETE") or MISTAKE.match(str(answer.body["message"]))
        ):
            self.wrong.append(
                f"{answer.status} {str(answer.body)[:500]}: {method} {path} [{accept}] {str(data)[:1500]}"
            )
        return answer

    # Writing

    async def create(self, resource: Resource) -> None:
        """Store an object of a kind, with a name of its own, as extreme as the server takes it."""
        where = collection(resource)
        base = seed(resource)
        metadata = base.setdefault("metadata", {})
        metadata.pop("ownerReferences", None)

        async def takes(obj: Object) -> bool:
            return (await self.send("POST", f"{where}?dryRun=All", body(obj))).status < 300

        assert resource.type_of is not None
        kind = resource.type_of()
        if resource.virtual:
            await self.extremes.filled(kind, base, takes, ("metadata", "apiVersion", "kind"), FIELDS)
            return
        obj = await self.extremes.filled(kind, base, takes, SYSTEM, FIELDS)
        obj["metadata"] = await self._metadata(kind, obj, takes)
        made = await self.send("POST", where, body(obj))
        if made.status >= 300:
            return
        path = f"{where}/{made.body['metadata']['name']}"
        self.paths[path] = resource
        await self.update(path, kind)
        if "status" in kind.fields:
            await self.set_status(path, resource, kind.fields["status"].type)

    async def _metadata(self, kind: Type, obj: Object, takes: Any) -> Object:
        type = kind.fields["metadata"].type

        async def with_metadata(metadata: Object) -> bool:
            return bool(await takes({**obj, "metadata": metadata}))

        return await self.extremes.filled(
            type, obj["metadata"], with_metadata, ("name", "namespace", "ownerReferences", "generateName"), 30
        )

    async def update(self, path: str, kind: Type) -> None:
        """Replace an object by one whose other members are extreme."""
        live = (await self.send("GET", path)).body

        async def takes(obj: Object) -> bool:
            return (await self.send("PUT", path, body(obj))).status < 300

        live["metadata"].pop("resourceVersion", None)
        live["metadata"].pop("managedFields", None)
        await self.extremes.filled(kind, live, takes, SYSTEM, FIELDS // 2)

    async def set_status(self, path: str, resource: Resource, type: Type) -> None:
        """Replace the status by an extreme one."""
        live = (await self.send("GET", path)).body
        live["metadata"] = {"name": live["metadata"]["name"]}

        async def takes(status: Object) -> bool:
            return (await self.send("PUT", f"{path}/status", body({**live, "status": status}))).status < 300

        await self.extremes.filled(type, STATUSES.get(resource.kind, {}), takes, (), FIELDS)

    # Reading

    async def read_all(self) -> None:
        """Show every object alone, in lists and in watches, in every version and form."""
        listed: set[tuple[str, str]] = set()
        for path, resource in list(self.paths.items()):
            name = path.rpartition("/")[2]
            for other in self.rig.catalog.all():
                if other.plural != resource.plural or other.virtual or "list" not in other.verbs:
                    continue
                if (other.storage or other) is not (resource.storage or resource) and other is not resource:
                    continue
                place = collection(other)
                if (place, "") not in listed:
                    listed.add((place, ""))
                    await self._read_list(place)
                for accept in OBJECTS:
                    answer = await self.send("GET", f"{place}/{name}", accept=accept)
                    assert answer.status == 200, (place, name, accept, answer)
                await self.send("GET", f"{place}/{name}?includeObject=Object", accept=TABLE)
                await self.send("GET", f"{place}/{name}?pretty=true")

    async def _read_list(self, place: str) -> None:
        for accept in LISTS:
            answer = await self.send("GET", place, accept=accept)
            assert answer.status == 200 and "left out" not in str(answer.warnings), (place, accept, answer)
            if answer.stream is not None:
                await self.rig.settle()
                assert not answer.stream.aborted, (place, accept)
        await self.send("GET", f"{place}?includeObject=Object", accept=TABLE)
        await self.send("GET", f"{place}?pretty=true&limit=1")
        for accept in WATCHES:
            watch = await self.send("GET", f"{place}?watch=1", accept=accept)
            if watch.stream is None:
                continue
            await self.rig.settle()
            if b"ERROR" in watch.stream.data or watch.stream.aborted or watch.stream.closed:
                self.wrong.append(f"watch of {place} [{accept}]: {watch.stream.data[-500:]!r}")
            watch.stream.close()

    # Changing

    async def change_all(self) -> None:
        """Send patches of every kind, and what was read."""
        for path, resource in list(self.paths.items()):
            live = (await self.send("GET", path)).body
            again = await self.send("PUT", path, body(live))
            if again.status == 400 and "parsing time" not in again.body["message"]:  # of years that Go writes
                self.wrong.append(f"{path} is not taken as it was read: {again.body['message'][:500]}")
            change = {"metadata": {"labels": {"changed": "x"}}}
            await self.send("PATCH", path, body(change), MERGE)
            await self.send("PATCH", path, body(change), STRATEGIC)
            operation = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]
            await self.send("PATCH", path, body(operation), JSON_PATCH)  # type: ignore[arg-type]
            applied = {"apiVersion": live["apiVersion"], "kind": live["kind"], **change}
            await self.send("PATCH", f"{path}?fieldManager=m&force=true", body(applied), APPLY)
            whole = {**live, "metadata": {"name": live["metadata"]["name"]}}
            await self.send("PATCH", f"{path}?fieldManager=n&force=true", body(whole), APPLY)
            for replicas in (0, (1 << 31) - 1, -(1 << 31)) if "scale" in resource.subresources else ():
                await self.send("GET", f"{path}/scale")
                await self.send("PATCH", f"{path}/scale", body({"spec": {"replicas": replicas}}), MERGE)

    # Deleting

    async def delete_all(self) -> None:
        """Delete every object with extreme options,
        by eviction where there is one, and show what is left of it."""
        for path, resource in list(self.paths.items()):
            periods = self.chance.sample(PERIODS, 3)
            if resource.plural == "pods":
                options = {
                    "metadata": {"name": path.rpartition("/")[2]},
                    "deleteOptions": {"gracePeriodSeconds": periods[0]},
                }
                await self.send("POST", f"{path}/eviction", options)
            await self.send("DELETE", f"{path}?gracePeriodSeconds={periods[1]}")
            await self.send(
                "DELETE", path, {"gracePeriodSeconds": periods[2], "propagationPolicy": "Foreground"}
            )
            if (await self.send("GET", path)).status == 404:
                del self.paths[path]


def check(player: Player, mistakes: Mistakes) -> None:
    """Fail with one traceback of each kind, or with answers that must not be."""
    sorts = {found.splitlines()[-1]: found for found in mistakes.found}
    assert not sorts, f"{len(mistakes.found)}:\n" + "\n\n".join([*sorts.values(), *sorts])
    assert not player.wrong, f"{len(player.wrong)}:\n" + "\n".join(player.wrong[:10])
