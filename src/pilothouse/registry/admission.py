"""Admission attributes, which describe a write to plugins, and the protocol of the admission chain."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.timeline import Timeline


@dataclass(slots=True)
class Reinvocation:
    """Whether the mutating half runs a second time (apiserver admission ReinvocationContext).

    needed: a plugin has changed the object in a way that earlier ones may have to see.
    again: it is the second time.
    state: what plugins remember from the first, by their names.
    """

    needed: bool = False
    again: bool = False
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class AdmissionAttributes:
    """The attributes that a plugin judges (apiserver admission.Attributes).

    operation: CREATE, UPDATE, DELETE or CONNECT. `obj` is the object that is written, or the options object
    of a CONNECT; it is None on a delete. `old` is the object as it is stored, None on a create. Both are in
    the version that the request names. `options` is the CreateOptions, UpdateOptions or DeleteOptions object
    of the request. `warnings` reach the client. `undo` takes callbacks that give back what a plugin has
    reserved: they are called when the write fails, is retried or was a dry run.
    """

    operation: str
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Object | None
    old: Object | None
    user: User
    options: Object
    dry_run: bool
    readers: Readers
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    undo: list[Callable[[], Awaitable[None] | None]] = field(default_factory=list)
    work: Work | Inline = INLINE_WORK
    """The executor of plugins when the object is large."""
    reinvocation: Reinvocation | None = None
    """The state of reinvocation; None until a plugin needs it."""
    pending: Callable[[], Awaitable[None]] | None = None
    """Brings `obj` and `old` from the stored version to the request's; the chain awaits it before the first
    plugin that wants them. None = they are in the request's version."""

    request_annotations: dict[str, str] = field(default_factory=dict)
    """Audit annotations for the levels Request and RequestResponse only: they show parts of the object."""
    deadline: Callable[[], float | None] | None = None
    """The time at which the request must end, by the clock of the event loop; None, or a call that gives
    None: it never must. A deadline is known once the request has waited."""
    webhook_seconds: float = 0.0
    """How long webhooks have kept the request:
    those that change objects one after another, others side by side."""
    timeline: Timeline | None = None
    """The timeline on which plugins, webhooks and policies note what they have done; None: nobody asks."""

    @property
    def kind(self) -> tuple[str, str, str]:
        """Group, version and kind of `obj`:
        those of the resource, or of a subresource with a body of its own."""
        sub = self.resource.subresources.get(self.subresource)
        record = self.resource if sub is None else sub
        return record.group, record.version, record.kind

    def changed(self, path: str) -> None:
        """Note that the plugin which runs has changed the object there, such as `spec.tolerations`."""
        if self.timeline is not None:
            self.timeline.changed.append(path)

    def refuse(self, why: str) -> errors.Forbidden:
        """The 403 of a plugin (admission.NewForbidden)."""
        name = self.name
        if not name:
            metadata = (self.obj or {}).get("metadata") or {}
            name = metadata.get("name") or metadata.get("generateName") or "Unknown"
        return errors.forbidden(self.resource.group, self.resource.plural, name, why)


class Admission(Protocol):
    """The chain of admission plugins (admission/chain.py). Both halves raise the StatusError of a refusal."""

    async def mutate(self, a: AdmissionAttributes) -> Object | None:
        """The object that the plugins make of the object."""

    async def validate(self, a: AdmissionAttributes) -> None:
        """Ask every plugin whether the object is allowed."""
