"""Scenarios: short sequences of requests about one object, grown at random from valid ones.

A scenario follows from its seed, area and number alone, and none sees the objects of another: each has a
namespace, and a name for objects without one.
`$RV`, `$UID` and `$CONTINUE` in a step stand for what the last answer said.
"""

import json
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import yaml
from fuzz.growth import NotMadeError
from fuzz.growth_kinds import PROTOBUF, as_protobuf
from fuzz.mutation import ANY, Mutation
from fuzz.seeds import CHANGES_ALL, STATUSES, Object, creatable, seed

from pilothouse.api.types.schema import Type
from pilothouse.registry.resource import Resource

JSON = "application/json"
YAML = "application/yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


@dataclass(frozen=True)
class Step:
    """One request; `until` is a status that is waited for, as a definition is not served at once."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    until: int = 0

    def __str__(self) -> str:
        head = "".join(f" [{name}: {value}]" for name, value in self.headers.items())
        body = (
            ""
            if self.body is None
            else " " + repr(self.body if len(self.body) < 900 else self.body[:900] + b"...")[2:-1]
        )
        return f"{self.method} {self.path}{head}{body}"


@dataclass(frozen=True)
class Scenario:
    """`namespace` is made before the steps and deleted after them;
    `leave` are paths of other objects to delete."""

    area: str
    label: str
    namespace: str
    steps: tuple[Step, ...]
    leave: tuple[str, ...] = ()


class Builder:
    """Gathers the steps of one scenario."""

    def __init__(self, run: str, seed: int, area: str, number: int) -> None:
        self.area, self.label = area, f"{seed}/{area}/{number}"
        self.chance = random.Random(self.label)
        self.mutation = Mutation(self.chance)
        self.place = f"fuzz-{run}{zlib.crc32(self.label.encode()):08x}"
        self.name = f"{self.place}-x"
        self.steps: list[Step] = []
        self.leave: list[str] = []

    def scenario(self) -> Scenario:
        return Scenario(self.area, self.label, self.place, tuple(self.steps), tuple(self.leave))

    def resource(self, *, stored: bool = True) -> Resource:
        """A random resource; `stored`: one whose objects can be read again."""
        found = [r for r in creatable() if not (stored and (r.virtual or "update" not in r.verbs))]
        return self.chance.choice(found)

    def object(self, resource: Resource) -> Object:
        """A valid object of this scenario."""
        obj = seed(resource)
        metadata = obj.setdefault("metadata", {})
        if not resource.virtual and not resource.namespaced and resource.kind not in CHANGES_ALL:
            metadata["name"] = self.name
        if resource.kind == "CustomResourceDefinition":
            group = f"{self.place}.example.com"
            obj["spec"]["group"], metadata["name"] = group, f"as.{group}"
        if resource.namespaced:
            text = json.dumps(obj).replace('"namespace": "default"', f'"namespace": "{self.place}"')
            obj = json.loads(text)
        if self.mutation.odds(0.5):
            metadata.pop("finalizers", None)
        return dict(obj)

    def type(self, resource: Resource) -> Type:
        return resource.type_of() if resource.type_of is not None else ANY

    def mutated(self, obj: Object, resource: Resource, times: int | None = None) -> Object:
        """The object, changed in a few places that are mostly outside of its metadata."""
        metadata = obj.pop("metadata", None)
        self.mutation.mutate(obj, self.type(resource), times or self.mutation.some((1, 1, 1, 2, 3)))
        if metadata is not None and "metadata" not in obj:
            obj = {"metadata": metadata, **obj}
        if self.mutation.odds(0.15) and isinstance(obj.get("metadata"), dict):
            name = obj["metadata"].get("name")
            self.mutation.mutate(obj["metadata"], self.type(resource).fields["metadata"].type)
            if name is not None and self.mutation.odds(0.7):
                obj["metadata"]["name"] = name
        return obj

    def collection(self, resource: Resource) -> str:
        root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        return (
            f"{root}/namespaces/{self.place}/{resource.plural}"
            if resource.namespaced
            else f"{root}/{resource.plural}"
        )

    def path(self, resource: Resource, obj: Object) -> str:
        return f"{self.collection(resource)}/{obj['metadata']['name']}"

    def step(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        media: str = JSON,
        **headers: str,
    ) -> None:
        """Add a request; a body that is no bytes is written as `media` says.
        Keywords are headers: `accept`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            if not isinstance(body, bytes):
                body = yaml.safe_dump(body).encode() if media == YAML else json.dumps(body).encode()
            named.setdefault("content-type", media)
        self.steps.append(Step(method, path + ("?" + urlencode(query) if query else ""), body, named))

    def wait(self, path: str) -> None:
        """Ask until a path is served."""
        self.steps.append(Step("GET", path, until=200))

    def write_query(self, resource: Resource | None, *, dry: float = 0.15) -> dict[str, str]:
        """Parameters of a write, at random;
        kinds that change the whole cluster are written as dry runs only."""
        query: dict[str, str] = {}
        if (resource is not None and resource.kind in CHANGES_ALL) or self.mutation.odds(dry):
            query["dryRun"] = "All"
        if self.mutation.odds(0.3):
            query["fieldValidation"] = self.mutation.some(("Strict", "Warn", "Ignore", "Strict", "nope"))
        if self.mutation.odds(0.1):
            query["fieldManager"] = self.mutation.some(("m", "", "é", "a" * 129, "m\n"))
        if self.mutation.odds(0.03):
            query["pretty"] = self.mutation.some(("true", "1", "nope"))
        if resource is not None and resource.virtual:
            query.pop("dryRun", None)
        return query

    def create(self, resource: Resource, obj: Object, *, odd: bool = False) -> None:
        """POST an object. `odd`: with parameters and encodings at random;
        else so that it is there afterwards."""
        query = (
            self.write_query(resource) if odd else {"dryRun": "All"} if resource.kind in CHANGES_ALL else {}
        )
        media, body = JSON, json.dumps(obj).encode()
        if odd and self.mutation.odds(0.15):
            media = self.mutation.some((YAML, PROTOBUF))
            try:
                body = as_protobuf(resource, body) if media == PROTOBUF else yaml.safe_dump(obj).encode()
            except (NotMadeError, yaml.YAMLError):
                media = JSON
        accept = self.mutation.some((JSON, TABLE, PARTIAL)) if odd and self.mutation.odds(0.05) else JSON
        if not resource.namespaced and not query.get("dryRun") and not resource.virtual:
            self.leave.append(f"{self.collection(resource)}/{self.name}")
        self.step("POST", self.collection(resource), body, query, media, accept=accept)

    def status(self, resource: Resource) -> Object:
        """A valid status of the kind, at times changed."""
        status = self.mutation.some((STATUSES.get(resource.kind, {}),))
        if self.mutation.odds(0.6):
            field = self.type(resource).fields.get("status")
            self.mutation.mutate(status, field.type if field is not None else ANY, self.mutation.some((1, 2)))
        return dict(status)
