"""What was accepted can be read: objects of every kind with extreme members, written, shown, changed and deleted.

No answer is a 500 and nothing is logged with a traceback, also not by a server that opens the same store later.
"""

import asyncio
import json
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz.extremes import ENDS, LONGEST, PERIODS, Extremes, body
from fuzz.growth_kinds import collection
from fuzz.play import MISTAKE
from fuzz.scenario import APPLY, JSON, JSON_PATCH, MERGE, PARTIAL, PARTIAL_LIST, STRATEGIC, TABLE, YAML
from fuzz.seeds import STATUSES, Object, creatable, seed
from harness import PODS, Answer, Rig, pod

from pilothouse.api.schema import Type
from pilothouse.admission.limitranger import LimitRanger
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.priority import Priority
from pilothouse.admission.quota.plugin import ResourceQuota
from pilothouse.controllers.quota import ResourceQuotas
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.controllers.garbage import GarbageCollector
from pilothouse.controllers.namespaces import NamespaceDeletion
from pilothouse.registry.crd import Definitions
from pilothouse.registry.resource import Resource
from pilothouse.storage.sqlite.backend import SqliteStorage

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


@pytest.fixture
def mistakes() -> Iterator[Mistakes]:
    handler = Mistakes()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


class Player:
    """Sends requests, and keeps those that a server must not answer like that."""

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self.rig = rig
        self.extremes = Extremes(chance)
        self.chance = chance
        self.wrong: list[str] = []
        self.paths: dict[str, Resource] = {}
        """Of the objects that are there."""

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
        """Send patches of every sort, and what was read."""
        for path, resource in list(self.paths.items()):
            live = (await self.send("GET", path)).body
            await self.send("PUT", path, body(live))
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
        """Delete every object with extreme options, by eviction where there is one, and show what is left of it."""
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


def kinds() -> list[Resource]:
    found = creatable()
    return sorted(found, key=lambda r: (r.virtual, r.group, r.plural, r.version))


def check(player: Player, mistakes: Mistakes) -> None:
    """Fail with one traceback of each sort, or with answers that must not be."""
    sorts = {found.splitlines()[-1]: found for found in mistakes.found}
    assert not sorts, f"{len(mistakes.found)}:\n" + "\n\n".join([*sorts.values(), *sorts])
    assert not player.wrong, f"{len(player.wrong)}:\n" + "\n".join(player.wrong[:10])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_was_accepted_can_be_read(runner: asyncio.Runner, tmp_path: Path, mistakes: Mistakes) -> None:
    chance = random.Random(SEED)

    async def first() -> Player:
        async with Rig(storage=SqliteStorage(tmp_path)) as rig:
            player = Player(rig, chance)
            for resource in kinds():
                await player.create(resource)
            await player.read_all()
            await player.change_all()
            await player.read_all()
            check(player, mistakes)
        return player

    async def again(paths: dict[str, Resource]) -> None:
        """A server on the same store."""
        async with Rig(storage=SqliteStorage(tmp_path), namespaces=()) as rig:
            player = Player(rig, chance)
            player.paths = paths
            await player.read_all()
            await player.delete_all()
            await player.read_all()
            check(player, mistakes)

    made = runner.run(first())
    assert len(made.paths) > 40
    runner.run(again(made.paths))


def definition() -> Object:
    """Widgets: a member of each type and format, each of them in a column, and all of it free below `any`."""
    members: dict[str, Object] = {
        "integer": {"type": "integer"},
        "int32": {"type": "integer", "format": "int32", "default": 1},
        "int64": {"type": "integer", "format": "int64"},
        "number": {"type": "number"},
        "float": {"type": "number", "format": "float"},
        "text": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "duration": {"type": "string", "format": "duration"},
        "bytes": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": True},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    spec = {"type": "object", "properties": members}
    kinds = {"integer": "integer", "number": "number", "string": "string"}
    columns = [
        {"name": f"{name}-{as_}", "type": as_, "jsonPath": f".spec.{name}"}
        for name, one in members.items()
        for as_ in {kinds.get(one.get("type", ""), "string"), "date", "string", "integer", "number"}
    ]
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.int32", "statusReplicasPath": ".status.replicas"},
        },
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": spec,
                    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                },
            }
        },
        "additionalPrinterColumns": columns,
    }
    names = {"plural": "widgets", "kind": "Widget"}
    return {
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


SORTS = {
    **{name: "int64" for name in ("integer", "int32", "int64")},
    **{name: "number" for name in ("number", "float")},
    **{
        "text": "string",
        "time": "time",
        "duration": "duration",
        "bytes": "bytes",
        "port": "intorstring",
        "any": "any",
    },
}
"""The members of a widget -> whose ends they are given."""


async def test_extreme_custom_resources(rig: Rig, mistakes: Mistakes) -> None:
    controller = CustomResourceDefinitions(rig.client("kube-apiserver"), Definitions(rig.store, rig.catalog))
    controller.start()
    player = Player(rig, random.Random(SEED))
    try:
        await rig.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition())
        await rig.settle()
        where = "/apis/example.com/v1/namespaces/default/widgets"
        resource = rig.catalog.get("example.com", "v1", "widgets")
        assert resource is not None
        for name, sort in SORTS.items():
            for at, value in enumerate(ENDS[sort]):
                metadata = {"name": f"{name}-{at}", "managedFields": [MANAGED]}
                obj = {
                    "apiVersion": "example.com/v1",
                    "kind": "Widget",
                    "metadata": metadata,
                    "spec": {name: value},
                }
                if (await player.send("POST", where, obj)).status < 300:
                    player.paths[f"{where}/{name}-{at}"] = resource
        assert len(player.paths) > 50
        await player.change_all()
        for accept in (JSON, YAML, TABLE, PARTIAL_LIST):
            assert (await player.send("GET", where, accept=accept)).status == 200
        for accept in (JSON, TABLE, PARTIAL):
            watch = await player.send("GET", f"{where}?watch=1", accept=accept)
            assert watch.stream is not None and not watch.stream.closed
            assert watch.stream.data.count(b'"ADDED"') == len(player.paths)
        await player.delete_all()
        check(player, mistakes)
    finally:
        await controller.close()


MANAGED = {
    "manager": "m",
    "operation": "Update",
    "apiVersion": "example.com/v1",
    "time": "9999-12-31T23:59:59-24:00",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {}},
}


async def test_a_namespace_with_every_grace_ends(virtual: Any, rig: Rig, mistakes: Mistakes) -> None:
    """Pods whose graces are at the ends of all counts, deleted with others, owners and dependents; then the namespace."""
    pods = "/api/v1/namespaces/n/pods"
    namespaces, garbage = NamespaceDeletion(rig.client("a")), GarbageCollector(rig.client("b"))
    namespaces.start()
    garbage.start()
    player = Player(rig, random.Random(SEED))
    try:
        await rig.namespace("n")
        await rig.ok("POST", "/api/v1/namespaces/n/serviceaccounts", {"metadata": {"name": "a"}})
        await rig.ok("POST", "/api/v1/nodes", {"metadata": {"name": "here"}})
        owner = (await rig.ok("POST", "/api/v1/namespaces/n/configmaps", {"metadata": {"name": "owner"}}))[
            "metadata"
        ]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
        for at, own in enumerate(PERIODS):
            for also, asked in enumerate((None, *PERIODS)):
                name, node = f"p-{at}-{also}", "here" if also % 2 else "gone"
                spec = {"nodeName": node, "terminationGracePeriodSeconds": own, "serviceAccountName": "a"}
                obj = pod(name, spec=spec, ownerReferences=[reference] if also % 3 else [])
                if (await player.send("POST", pods, obj)).status >= 300:
                    break
                await player.send(
                    "DELETE", f"{pods}/{name}" + (f"?gracePeriodSeconds={asked}" if asked is not None else "")
                )
                player.paths[f"{pods}/{name}"] = rig.catalog.get("", "v1", "pods")  # type: ignore[assignment]
        assert len(player.paths) > 60
        for accept in LISTS:
            assert (await player.send("GET", "/api/v1/pods", accept=accept)).status == 200
        await player.send("DELETE", "/api/v1/namespaces/n/configmaps/owner?propagationPolicy=Foreground")
        await rig.settle()
        await player.send("DELETE", "/api/v1/namespaces/n")
        await asyncio.sleep(3)
        for path in player.paths:
            await player.send("DELETE", f"{path}?gracePeriodSeconds=0")
        await asyncio.sleep(30)
        assert (await rig.call("GET", "/api/v1/namespaces/n")).status == 404
        check(player, mistakes)
    finally:
        await namespaces.close()
        await garbage.close()


async def test_extreme_amounts_are_counted_and_limited(runner: asyncio.Runner, mistakes: Mistakes) -> None:
    """Quotas and limit ranges whose amounts are extreme, and pods whose requests are: each with each."""
    plugin = ResourceQuota()
    async with Rig((NamespaceLifecycle(), LimitRanger(), Priority(), plugin)) as rig:
        plugin.ledger.follow(rig.client("a"))
        controller = ResourceQuotas(rig.client("b"), plugin.ledger, delay=0)
        controller.start()
        player = Player(rig, random.Random(SEED))
        amounts = ENDS["quantity"]
        for at, value in enumerate(("0", *amounts)):
            limits = {
                "type": "Container",
                "max": {"cpu": value},
                "min": {"memory": value},
                "maxLimitRequestRatio": {"cpu": value},
            }
            await player.send(
                "POST",
                f"{NAMESPACE}/limitranges",
                {"metadata": {"name": f"l{at}"}, "spec": {"limits": [limits]}},
            )
            hard = {"requests.cpu": value, "limits.memory": value, "requests.storage": value, "pods": value}
            await player.send(
                "POST",
                f"{NAMESPACE}/resourcequotas",
                {"metadata": {"name": f"q{at}"}, "spec": {"hard": hard}},
            )
        await rig.settle()
        made = 0
        for _ in range(2):
            for at, value in enumerate(amounts):
                for also in (value, *player.chance.sample(amounts, 3)):
                    containers = [
                        {
                            "name": name,
                            "image": "i",
                            "resources": {"requests": {"cpu": one}, "limits": {"cpu": one, "memory": other}},
                        }
                        for name, one, other in (("a", value, also), ("b", also, value), ("c", value, value))
                    ]
                    obj = pod("", spec={"containers": containers}, generateName=f"p{at}-")
                    made += (await player.send("POST", PODS, obj)).status < 300
            await rig.settle()
            for kind in ("limitranges", "resourcequotas", "pods"):
                for accept in LISTS:
                    assert (await player.send("GET", f"{NAMESPACE}/{kind}", accept=accept)).status == 200
            await player.send("DELETE", f"{NAMESPACE}/limitranges")  # the second time only quotas are left
            for at in range(len(amounts) + 1):
                hard = {
                    "spec": {
                        "hard": {
                            "requests.cpu": "1e2147483647",
                            "limits.memory": "1e2147483647",
                            "pods": "1e9",
                        }
                    }
                }
                await player.send("PATCH", f"{NAMESPACE}/resourcequotas/q{at}", hard, MERGE)
            await rig.settle()
        assert made > 10
        await player.send("DELETE", f"{PODS}?gracePeriodSeconds={LONGEST}")
        await rig.settle()
        await controller.close()
        await plugin.ledger.close()
        check(player, mistakes)
