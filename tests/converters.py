"""Boxes: a custom resource of two versions whose objects a converter converts by waiting.
No sockets, no sleeps."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from harness import Rig

from pilothouse import errors
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.registry.conversion import Converter
from pilothouse.registry.crd import Definitions

Object = dict[str, Any]

GROUP = "boxes.example.com"
V1, V2 = f"{GROUP}/v1", f"{GROUP}/v2"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
METADATA = {"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
METADATA_LIST = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}


def path(version: str = "v2", name: str = "", sub: str = "") -> str:
    return "/".join(filter(None, [f"/apis/{GROUP}/{version}/namespaces/default/boxes", name, sub]))


def box(name: str, api_version: str = V2, **more: Any) -> Object:
    """A box of 2 by 3; `more` goes to its metadata."""
    obj: Object = {"apiVersion": api_version, "kind": "Box", "metadata": {"name": name, **more}}
    obj["spec"] = {"size": "2x3"} if api_version == V1 else {"width": 2, "height": 3}
    return obj


def turned(obj: Object, to: str) -> Object:
    """A box in the other version: v1 has its size as text, v2 as two numbers."""
    out = {**obj, "apiVersion": to}
    if "spec" not in obj:
        return out
    spec = dict(obj["spec"])
    if to == V1 and "width" in spec:
        spec["size"] = f"{spec.pop('width')}x{spec.pop('height', 1)}"
    elif to == V2 and "size" in spec:
        spec["width"], spec["height"] = map(int, spec.pop("size").split("x"))
    return {**out, "spec": spec}


class Call:
    """One batch that a converter was given; a held one is answered by `release` or `fail`."""

    def __init__(self, objects: Sequence[Object], to: str) -> None:
        self.objects, self.to = objects, to
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    @property
    def names(self) -> list[str]:
        return [obj["metadata"].get("name", "") for obj in self.objects]

    def release(self) -> None:
        self.answer.set_result(None)

    def fail(self, message: str) -> None:
        self.answer.set_exception(errors.InternalError(message))


class Fake:
    """Converts boxes. `calls` are its batches; while `held` is true each waits until the test answers it."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.held = False
        self.broken = ""

    async def convert(self, objects: Sequence[Object], to: str) -> list[Object]:
        assert objects and all(obj["apiVersion"] != to for obj in objects)
        call = Call(objects, to)
        self.calls.append(call)
        async with asyncio.timeout(60):  # which fails outside of a task
            if self.broken:
                raise errors.InternalError(self.broken)
            if self.held:
                try:
                    await call.answer
                except asyncio.CancelledError:
                    call.cancelled = True
                    raise
            else:
                await asyncio.sleep(0)
        return [turned(obj, to) for obj in objects]


class Boxes:
    """A server that has the definition of boxes, stored in v1.

    They are converted by `fake`, or by what `converter_of` makes of a definition with a `conversion`.
    """

    def __init__(
        self,
        rig: Rig,
        converter_of: Callable[[Object], Converter | None] | None = None,
        conversion: Object | None = None,
    ) -> None:
        self.rig, self.fake, self.conversion = rig, Fake(), conversion
        self._controller = CustomResourceDefinitions(
            rig.client("kube-apiserver"),
            Definitions(rig.store, rig.catalog, converter_of or (lambda definition: self.fake)),
        )

    async def start(self) -> None:
        self._controller.start()
        made = definition()
        if self.conversion is not None:
            made["spec"]["conversion"] = self.conversion
        await self.rig.ok("POST", DEFINITIONS, made)
        await self.rig.settle()

    async def stop(self) -> None:
        await self._controller.close()

    async def fill(self, *names: str, **more: Any) -> None:
        """Store boxes, which need no conversion."""
        for name in names:
            await self.rig.ok("POST", path("v1"), box(name, V1, **more))
        assert not self.fake.calls

    async def called(self, count: int = 1) -> Call:
        """The newest of so many batches, once that many were given."""
        for _ in range(100):
            if len(self.fake.calls) >= count:
                return self.fake.calls[count - 1]
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.fake.calls)} batches")

    def stored(self, name: str) -> Object:
        """A box as it is stored."""
        resource = self.rig.catalog.get(GROUP, "v1", "boxes")
        assert resource is not None
        entry = self.rig.store.entry(resource, "default", name)
        assert entry is not None
        found: Object = orjson.loads(entry.value)
        return found


def definition() -> Object:
    text, number = {"type": "string"}, {"type": "integer", "maximum": 9}
    status = {"type": "object", "properties": {"full": {"type": "boolean"}, "used": {"type": "integer"}}}

    def version(name: str, spec: Object, **more: Any) -> Object:
        properties = {"spec": {"type": "object", "properties": spec}, "status": status}
        schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
        return {"name": name, "served": True, "storage": name == "v1", "schema": schema, **more}

    scale = {"specReplicasPath": ".spec.width", "statusReplicasPath": ".status.used"}
    columns = [{"name": "Width", "type": "integer", "jsonPath": ".spec.width"}]
    return {
        "metadata": {"name": f"boxes.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "boxes", "kind": "Box"},
            "versions": [
                version(
                    "v1",
                    {"size": text},
                    subresources={"status": {}},
                    selectableFields=[{"jsonPath": ".spec.size"}],
                ),
                version(
                    "v2",
                    {"width": number, "height": number},
                    subresources={"status": {}, "scale": scale},
                    selectableFields=[{"jsonPath": ".spec.width"}],
                    additionalPrinterColumns=columns,
                ),
            ],
        },
    }
