"""The record of a served resource: built-in kinds and custom resources alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pilothouse.api.fields import Object
from pilothouse.api.managed import Convert
from pilothouse.api.openapi.flavour import Flavour
from pilothouse.api.openapi.paths import Declared
from pilothouse.api.schema import Type
from pilothouse.registry.conventions import BUILT_IN, Conventions
from pilothouse.registry.conversion import Conversion, OtherVersions
from pilothouse.registry.printers.common import Columns
from pilothouse.registry.strategy import Path, Strategy


class Codec(Declared, Protocol):
    """Reads objects of a custom resource by the schema that its definition declares."""

    def decode(self, body: bytes, content_type: str, validation: str) -> tuple[Object, list[str]]:
        """The object in a body, pruned and defaulted, and the warnings; BadRequest or UnsupportedMediaType."""

    def decode_value(self, value: Object) -> tuple[Object, list[str]]:
        """The same for a patched object: the object and what a strict reader objects to."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Subresource:
    """`pods/status`, `deployments/scale`, `pods/eviction` ...

    group, version and kind are those of the body (`autoscaling/v1 Scale`, `policy/v1 Eviction`); for one whose body is
    the object itself they repeat the resource's. `strategy` is given where PUT and PATCH write the object through
    it (status, finalize, approval, ephemeralcontainers, resize).
    """

    name: str
    kind: str
    group: str = ""
    version: str = "v1"
    verbs: tuple[str, ...] = ("get", "patch", "update")
    strategy: Strategy | None = None
    read: Callable[[Object], Object] | None = None
    """The body out of the object, for a body that is not the object itself (Scale)."""
    write: Callable[[Object, Object], None] | None = None
    """Lays such a body into the object, in place: (object, body)."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Another server that answers for a group version: a Service, and whether it was reachable when last tried.

    ca_bundle is base64 of PEM as in the APIService; uid tells one APIService from a later one of the same name.
    """

    uid: str
    namespace: str
    name: str
    port: int
    ca_bundle: str = ""
    insecure: bool = False
    available: bool = False


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Resource:
    """One group, version and resource as it is served.

    A record never changes, so the servers of a process share those of the built-in kinds.
    key_prefix: where its objects are stored, with a trailing slash (`/registry/pods/`).
    type_of: gives the type tree, loaded on first use. selectable: field label -> path or function to its text value;
    metadata.name (and metadata.namespace when namespaced) are always there and need no entry.
    field_error: the text for an unknown field label, with `{label}` in it.
    storage: the record that is stored when another version or group serves the same objects (autoscaling/v1 on
    autoscaling/v2, events.k8s.io/v1 on core events), else None.
    conversion: how objects come from the stored version to this one and back; None where they are served as stored.
    siblings: by API version, the records of all versions that serve the same objects; empty where there is one alone.
    indexed: field labels that the watch cache keeps an index on.
    conventions: what differs between built-in and custom resources.
    virtual: nothing is stored; `create` alone is answered by endpoints/reviews.py (SubjectAccessReview ...) .
    """

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    storage_version_hash: str = ""
    key_prefix: str = ""
    type_of: Callable[[], Type] | None = None
    strategy: Strategy = field(default_factory=Strategy)
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    selectable: Mapping[str, Path | Callable[[Object], str]] = field(default_factory=dict)
    field_error: str = "field label not supported: {label}"
    storage: "Resource | None" = None
    conversion: Conversion | None = None
    siblings: "Mapping[str, Resource]" = field(default_factory=dict)
    indexed: tuple[str, ...] = ()
    conventions: Conventions = BUILT_IN
    virtual: bool = False
    codec: Codec | None = None
    """Decodes bodies of a kind that is not built in; None = api/codec.py with `type_of`."""
    columns: Columns | None = None
    """What a definition declares for Tables; None = what its conventions say."""
    deprecated: str = ""
    """The text of the Warning header for every request to it, "" where it is not deprecated."""

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """`pods` or `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        return self.kind + "List"

    @property
    def declared(self) -> Declared | None:
        """The schema of a definition, for the OpenAPI documents."""
        return self.codec

    @property
    def openapi(self) -> Flavour:
        """How the OpenAPI documents describe it."""
        return self.conventions.openapi

    def table_columns(self) -> Columns:
        """The columns of its Tables."""
        return self.conventions.table_columns(self)

    def version_of(self, api_version: str) -> tuple[Type, Convert] | None:
        """The type of another version of the kind, and how objects of this version become objects of it.

        Only for conversions in process.
        """
        type_ = self.type_of_version(api_version)
        if type_ is None:
            return None
        other = self if api_version == self.api_version else self.siblings[api_version]
        back, there = self.conversion, other.conversion

        def convert(objects: list[Object]) -> list[Object]:
            stored = objects if back is None else [back.store(obj) for obj in objects]
            return stored if there is None else [there.present(obj) for obj in stored]

        return type_, convert

    def other_versions(self) -> OtherVersions | None:
        """Further versions of the objects of one write, where they have to be waited for; None where version_of() does."""
        return None

    async def presented(self, stored: Object) -> Object:
        """A stored object in this version."""
        return stored if self.conversion is None else (await self.conversion.presented((stored,)))[0]

    def type_of_version(self, api_version: str) -> Type | None:
        """The type of another version of the kind, None when it is not known."""
        other = self if api_version == self.api_version else self.siblings.get(api_version)
        return other.type_of() if other is not None and other.type_of is not None else None

    def key(self, namespace: str, name: str) -> str:
        """The storage key of an object."""
        return f"{self.key_prefix}{namespace}/{name}" if self.namespaced else self.key_prefix + name
