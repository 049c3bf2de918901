"""Strategies: the declared rules and hooks by which kinds differ in writes
(apiserver registry/rest strategies)."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import field
from enum import Enum, auto
from typing import Protocol

from pilothouse import errors
from pilothouse.api.types.schema import Type
from pilothouse.api.validate.pod.policy import PodPolicy
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.identity import User
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.process.record import record
from pilothouse.registry._renewal import RenewedTime
from pilothouse.registry.object_metrics import ObjectMetrics
from pilothouse.registry.readers import Readers
from pilothouse.registry.timeline import Timeline

Path = tuple[str, ...]
"""Member names from the root of an object: ("spec", "nodeName")."""


class HookResource(Protocol):
    """The part of a resource's record that hooks may use (registry/resource.py)."""

    @property
    def group(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def plural(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def api_version(self) -> str: ...
    @property
    def namespaced(self) -> bool: ...
    @property
    def strategy(self) -> "Strategy": ...
    @property
    def type_of(self) -> Callable[[], Type] | None: ...

    def key(self, namespace: str, name: str) -> str: ...


class Addresses(Protocol):
    """The cluster IPs of services (registry/allocators.py)."""

    @property
    def families(self) -> tuple[str, ...]: ...
    def allocate(self, ip: str | None = None, family: str = "", *, dry_run: bool = False) -> str: ...
    def release(self, ip: str) -> None: ...


class NodePorts(Protocol):
    """The node ports of services (registry/node_ports.py)."""

    def allocate(self, port: int | None = None, *, dry_run: bool = False) -> int: ...
    def release(self, port: int) -> None: ...
    async def claim(self, ports: Collection[int]) -> set[int]: ...
    async def give_back(self, ports: Collection[int]) -> None: ...


class Companions(Protocol):
    """Creates and deletes the objects that belong to another one,
    such as the IPAddress of a service (registry/client.py).

    A resource is named as in Readers: `endpoints`, `ipaddresses.networking.k8s.io`.
    """

    def served(self, resource: str) -> bool:
        """Whether the server has such objects at all."""

    async def create(self, resource: str, obj: Object) -> bool:
        """Create an object; False when one of that name is there. Raises what admission refuses it with."""

    async def delete(self, resource: str, namespace: str, name: str, *, direct: bool = False) -> bool:
        """Delete an object; False when it was gone. `direct`: admission is not asked."""


class HookSettings(Protocol):
    """The settings of the server that a hook looks at."""

    @property
    def event_ttl(self) -> float:
        """Seconds for which an event is kept."""


class HookServices(Protocol):
    """The services that the hooks of a few kinds need beside the object."""

    @property
    def addresses(self) -> Addresses: ...
    @property
    def node_ports(self) -> NodePorts: ...
    @property
    def companions(self) -> Companions: ...
    @property
    def pod_policy(self) -> PodPolicy: ...
    @property
    def options(self) -> HookSettings: ...
    @property
    def metrics(self) -> ObjectMetrics: ...


@record(eq=False)
class WriteContext:
    """The write that a hook is part of, as far as the hook may know it.

    `undo` collects callbacks that give back what a hook or an admission plugin has reserved (an address, a
    quota charge); they are called when the write fails, is retried or was a dry run. `assigned` are
    the addresses and ports that a hook picked because the client named none: others will do as well.
    """

    user: User
    verb: str
    resource: HookResource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False
    now: str = ""
    warnings: list[str] = field(default_factory=list)
    # The pipeline gives these; hooks that use neither are tested without.
    readers: Readers = None  # type: ignore[assignment]
    services: HookServices = None  # type: ignore[assignment]
    undo: list[Callable[[], Awaitable[None] | None]] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    assigned: set[str | int] = field(default_factory=set)
    work: Work | Inline = INLINE_WORK
    """The executor of the long steps of the write."""
    refusal: Callable[[str, str, str, str], Awaitable[str]] | None = None
    """Why the user may not use a verb on a subresource of the resource, in a namespace, by a name;
    "" = they may."""
    timeline: Timeline | None = None
    """The timeline of the request, which notes the write; None: nothing is noted."""
    origin: tuple[str, tuple[str, str, str]] = ("", ("", "", ""))
    """The audit ID of the request, and the texts that say where it came from: X-Forwarded-For, X-Real-Ip and
    the peer. Where the store keeps who has written."""


Permit = Callable[[WriteContext, Object, Object, Errors], Awaitable[None]]
"""Adds an error for each right that a user lacks to make one object of another;
it may wait for an authorizer."""


class Raced(errors.InternalError):
    """Another server has taken what a hook chose; nothing was written, and the request can be retried."""


class UpdateCheck(Enum):
    """One part of the rules that upstream's strategy applies to an update,
    after those that all kinds share."""

    METADATA = auto()
    """The metadata by the rules for a new object (ValidateObjectMeta)."""
    ANEW = auto()
    """The object by the rules for a new one (Strategy.validate_anew)."""
    METADATA_CHANGE = auto()
    """The metadata by the rules for a change (ValidateObjectMetaUpdate)."""
    RULES = auto()
    """The object by the rules for a change (Strategy.validate_update)."""


CHANGE_ALONE = (UpdateCheck.METADATA_CHANGE, UpdateCheck.RULES)
"""ValidateXUpdate looks at the change alone."""
WHOLE_WITHIN = (UpdateCheck.METADATA_CHANGE, UpdateCheck.METADATA, UpdateCheck.RULES)
"""ValidateXUpdate calls ValidateX after the metadata's change."""
WHOLE_FIRST = (UpdateCheck.METADATA, UpdateCheck.ANEW, UpdateCheck.METADATA_CHANGE, UpdateCheck.RULES)
"""The strategy calls ValidateX, then ValidateXUpdate."""
WHOLE_ALONE = (UpdateCheck.METADATA, UpdateCheck.RULES)
"""An update is judged like a new object."""


@record(kw_only=True)
class Strategy:
    """Rules of a kind, or of one of its subresources.

    reset_on_create: members dropped from a new object. keep_on_update: members that an update takes from the
    old object, whatever was sent. shared_on_update: members that nothing (a hook, a default, a conversion)
    changes in an update which leaves them alone, so that a patch may give the new object the old one's own.
    generation_on_create: 0 = the kind has no generation. generation_fields: a change of any of these adds one
    to metadata.generation.
    create_on_update: PUT may create. unconditional_update: PUT without resourceVersion is allowed.
    The hooks are functions; None = nothing to do. They change `obj` in place and add to `errs`, never raise.
    permit_update: what rights beside that to the path a change needs; it is asked of changes that are valid.
    update_order: the parts of the rules for an update in upstream's order; a cause is reported once for each
    part that finds it. finalizer_checks: the parts in which names of finalizers are checked as Kubernetes'
    own kinds do (core validation); a new object's are checked when there is any. metadata_last: the metadata
    of a new object is judged only when the kind's own rules find nothing.
    apply_reset: members that server-side apply never owns here, by apply's own verb ("update", "status").
    renewal: the time that holders of the objects renew, None where there is none. No hook and no rule says
    anything about an update that changes it alone; `ttl`, `claim` and `settle` are None.
    """

    name_check: Callable[[str, bool], Sequence[str]] = names.dns_subdomain
    create_on_update: bool = False
    unconditional_update: bool = True
    generation_on_create: int = 0
    generation_fields: tuple[Path, ...] = ()
    reset_on_create: tuple[Path, ...] = ()
    keep_on_update: tuple[Path, ...] = ()
    shared_on_update: tuple[str, ...] = ()
    apply_reset: tuple[Path, ...] = ()
    prepare_create: Callable[[WriteContext, Object], None] | None = None
    prepare_update: Callable[[WriteContext, Object, Object], None] | None = None
    validate: Callable[[WriteContext, Object, Errors], None] | None = None
    validate_update: Callable[[WriteContext, Object, Object, Errors], None] | None = None
    permit_update: Permit | None = None
    validate_anew: Callable[[WriteContext, Object, Object, Errors], None] | None = None
    metadata_last: bool = False
    update_order: tuple[UpdateCheck, ...] = CHANGE_ALONE
    defaults_not_stored: Callable[[Object], bool] | None = None
    """Whether upstream stores a new object without members that it has when it is read:
    then the first update writes it, whatever it changes."""
    finalizer_checks: frozenset[UpdateCheck] = frozenset((UpdateCheck.METADATA, UpdateCheck.METADATA_CHANGE))
    canonicalize: Callable[[Object], None] | None = None
    """Brings an object that is valid to the form that is stored."""
    warnings: Callable[[WriteContext, Object, Object | None], list[str]] | None = None
    grace_period: Callable[[Object, int | None], int] | None = None
    """Seconds of grace a delete gives (object, gracePeriodSeconds asked for); None = deleted at once."""
    after_delete: Callable[[WriteContext, Object], None] | None = None
    """Called once the object is really gone (an address goes back to its pool)."""
    claim: Callable[[WriteContext, Object, Object | None], Awaitable[None]] | None = None
    """Creates the objects that belong to (new, old) before it is written, unless in a dry run;
    may raise Raced."""
    settle: Callable[[WriteContext, Object | None, Object | None], Awaitable[None]] | None = None
    """Deletes what belonged to the old object and not to the new one, after the write;
    new is None after a delete."""
    delete_warnings: Callable[[Object], list[str]] | None = None
    """The warnings for a client that deletes with these DeleteOptions."""
    return_deleted: bool = False
    """A delete answers with the object instead of a Status (upstream's ReturnDeletedObject)."""
    garbage_collection: str = "background"
    """The fate of dependents when the client does not say: background, orphan, or unsupported. `namespace` is
    background, and foreground for a client that says `orphanDependents: false`."""
    mark_deleting: Callable[[WriteContext, Object], bool] | None = None
    """Turns a delete into an update of the object (namespaces, definitions): True = it stays for now."""
    may_vanish: Callable[[Object], bool] | None = None
    """Whether an update that emptied the finalizers of a deleted object may remove it; None = it may."""
    ttl: Callable[[WriteContext, Object], int] | None = None
    """Seconds the stored object lives, None = for ever (events)."""
    renewal: RenewedTime | None = None
    shared: tuple[str, ...] = field(init=False)
    """Members that the object of an update may have in common with the old one."""

    def __post_init__(self) -> None:
        kept = (name for name, *below in self.keep_on_update if not below)
        self.shared = (*self.shared_on_update, *kept)
