"""The record of a served resource: built-in kinds and custom resources alike."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from enum import Enum, auto

from pilothouse.api import codec
from pilothouse.api.changes.managed import Convert
from pilothouse.api.convert import kinds as convert
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.openapi.flavour import Flavour
from pilothouse.api.openapi.paths import DeclaredSchema
from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type
from pilothouse.api.values.fields import Errors, Object
from pilothouse.process.frozen import frozen
from pilothouse.registry.conventions import BUILT_IN, Conventions
from pilothouse.registry.conversion import Conversion, OtherVersions
from pilothouse.registry.printers.common import Columns
from pilothouse.registry.strategy import Path, Strategy


class Action(Enum):
    """The action of a request that neither reads nor writes an object by the rules of a Strategy.

    A record names its action. `endpoints/` has one function for each, which carries it out.
    """

    BIND = auto()
    EVICT = auto()
    ISSUE_TOKEN = auto()

    LOG = auto()
    EXEC = auto()
    ATTACH = auto()
    PORT_FORWARD = auto()
    PROXY_NODE = auto()
    PROXY_POD = auto()
    PROXY_SERVICE = auto()

    COMPONENT_STATUS = auto()
    SUBJECT_ACCESS_REVIEW = auto()
    LOCAL_SUBJECT_ACCESS_REVIEW = auto()
    SELF_SUBJECT_ACCESS_REVIEW = auto()
    SELF_SUBJECT_RULES_REVIEW = auto()
    TOKEN_REVIEW = auto()
    SELF_SUBJECT_REVIEW = auto()

    CHANGES = auto()
    BLAME = auto()
    UNDO = auto()
    RESTORE = auto()


@frozen(eq=False, kw_only=True)
class Subresource:
    """`pods/status`, `deployments/scale`, `pods/eviction` ...

    group, version and kind are those of the body (`autoscaling/v1 Scale`, `policy/v1 Eviction`); for one
    whose body is the object itself they repeat the resource's. Each has one of three: `strategy` where PUT
    and PATCH write the object through it (status, finalize, approval, ephemeralcontainers, resize); `read`
    and `write` where the body is a view of the object (scale); `action` for the others (binding, exec ...).
    """

    name: str
    kind: str
    group: str = ""
    version: str = "v1"
    verbs: tuple[str, ...] = ("get", "patch", "update")
    strategy: Strategy | None = None
    action: Action | None = None
    accepted: tuple[tuple[str, str], ...] = ()
    """Further group versions that the body of an action may name."""
    read: Callable[[Object], Object] | None = None
    """Makes the body out of the object, for a body that is a view of it (Scale)."""
    read_to_change: Callable[[Object], Object] | None = None
    """The same for a body that will be changed, where it may be made of more objects; None = as `read`."""
    write: Callable[[Object, Object], None] | None = None
    """Sets the members of the object that such a body shows, in place: (object, body)."""
    validate: Callable[[Object, Errors], None] | None = None
    """The rules of such a body; None = the object's own rules say it all."""
    replicas: Path = ()
    """The path to the replicas of a Scale in the object."""
    undecodable: str = ""
    """The message of the 400 for such a body that does not decode; "" = what the decoder says."""
    columns: Callable[[], Columns] | None = None
    """Makes the columns of the Table of such a body."""
    tables: bool = True
    """Whether answers may be Tables: some of upstream's storages convert to none."""


@frozen
class AggregatedServer:
    """Another server that answers for a group version:
    a Service, and whether it was reachable when last tried.

    ca_bundle is base64 of PEM as in the APIService;
    uid tells one APIService from a later one of the same name.
    """

    uid: str
    namespace: str
    name: str
    port: int
    ca_bundle: str = ""
    insecure: bool = False
    available: bool = False


@frozen(eq=False, kw_only=True)
class Resource:
    """One group, version and resource as it is served.

    A record never changes, so the servers of a process share those of the built-in kinds.
    key_prefix: where its objects are stored, with a trailing slash (`/registry/pods/`).
    type_of: gives the type tree, loaded on first use. selectable: field label -> path or function to its text
    value; metadata.name (and metadata.namespace when namespaced) are always there and need no entry.
    field_error: the text for an unknown field label, with `{label}` in it.
    storage: the record that is stored when another version or group serves the same objects (autoscaling/v1
    on autoscaling/v2, events.k8s.io/v1 on core events), else None.
    conversion: how objects come from the stored version to this one and back;
    None where they are served as stored.
    siblings: by API version, the records of all versions that serve the same objects;
    empty where there is one alone.
    indexed: field labels that the watch cache keeps an index on.
    converted_fields: how the selectable fields are read from an object of this version, where what is stored
    has to be converted by waiting; empty where the watch cache reads them.
    conventions: what differs between built-in and custom resources.
    action: what a request does to a resource of which nothing is stored (SubjectAccessReview ...).
    names_namespace: an object's name is the namespace that admission sees (namespaces).
    escalation_checked: an object grants rights, so the user who writes it must hold them (RBAC).
    confidential: errors about patches do not show what objects contain (secrets).
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
    converted_fields: Mapping[str, Callable[[Object], str]] = field(default_factory=dict)
    conventions: Conventions = BUILT_IN
    action: Action | None = None
    names_namespace: bool = False
    escalation_checked: bool = False
    confidential: bool = False
    columns: Columns | None = None
    """The columns of Tables that a definition or a subresource declares; None = those of its conventions."""
    deprecated: str = ""
    """The text of the Warning header for every request to it, "" where it is not deprecated."""

    api_version: str = field(init=False, default="")
    """`v1` or `apps/v1`."""
    group_resource: str = field(init=False, default="")
    """`pods` or `deployments.apps`."""

    def __post_init__(self) -> None:
        group = self.group
        object.__setattr__(self, "api_version", f"{group}/{self.version}" if group else self.version)
        object.__setattr__(self, "group_resource", f"{self.plural}.{group}" if group else self.plural)

    @property
    def list_kind(self) -> str:
        return self.kind + "List"

    @property
    def virtual(self) -> bool:
        """Whether nothing of it is stored."""
        return self.action is not None

    @property
    def declared(self) -> DeclaredSchema | None:
        """The schema of a definition, for the OpenAPI documents; None for a built-in kind."""
        return None

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        """The fields that a definition lets clients select by, for the OpenAPI documents."""
        return ()

    @property
    def returns_deleted(self) -> bool:
        """Whether OpenAPI documents say that the answer to a delete is the object;
        upstream's say it not of namespaces."""
        return self.strategy.return_deleted and not self.names_namespace

    @property
    def openapi(self) -> Flavour:
        """How the OpenAPI documents describe it."""
        return self.conventions.openapi

    def table_columns(self) -> Columns:
        """The columns of its Tables."""
        return self.columns or self.conventions.table_columns(self)

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
        """Further versions of the objects of one write, where they have to be waited for;
        None where version_of() does."""
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

    def decode(
        self, body: bytes, content_type: str, validation: str, accepted: Collection[tuple[str, str]] = ()
    ) -> tuple[Object, list[str]]:
        """The object in a request's body, pruned, defaulted and in canonical form, and the warnings to send.

        `validation` is the fieldValidation option; `accepted` are further group versions that the body may
        name. Raises BadRequest or UnsupportedMediaType.
        """
        assert self.type_of is not None
        expected = (self.group, self.version, self.kind)
        return codec.decode(body, content_type, self.type_of(), expected, validation, accepted)

    def decode_value(
        self, raw: Object, kept: Object | None = None, applied: bool = False
    ) -> tuple[Object, list[str]]:
        """The same of a patched or `applied` object, and what a strict reader objects to;
        _schema.DecodeError.

        `kept` are members that the patch did not touch and that the update takes from the stored object: they
        are shared and not decoded again.
        """
        assert self.type_of is not None
        obj, notes = codec.decode_value(raw, self.type_of(), kept or None)
        obj["kind"], obj["apiVersion"] = self.kind, self.api_version
        if not isinstance(obj.get("metadata"), dict):
            obj["metadata"] = {}
        defaults.apply(obj, self.group, self.version, self.kind, kept)
        convert.normalise(obj, self.group, self.kind)
        return obj, notes

    def body_of(self, sub: Subresource) -> "Resource":
        """The record of the body that a subresource takes, where that is not the object:
        an Eviction, a Scale."""
        return Resource(
            group=sub.group,
            version=sub.version,
            plural=self.plural,
            kind=sub.kind,
            singular=sub.name,
            namespaced=self.namespaced,
            verbs=sub.verbs,
            columns=sub.columns() if sub.columns is not None else None,
            type_of=lambda: schema.for_kind(sub.group, sub.version, sub.kind),
        )
