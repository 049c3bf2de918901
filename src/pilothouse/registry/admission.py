"""Admission attributes, which describe a write to plugins, and the protocol of the admission chain."""

from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Any, Protocol

from pilothouse import errors
from pilothouse.api.changes.patch import copy
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.process.record import record
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import WriteContext


@record(eq=False)
class Reinvocation:
    """Whether the mutating half runs a second time (apiserver admission ReinvocationContext).

    needed: a plugin has changed the object in a way that earlier ones may have to see.
    again: it is the second time.
    state: what plugins remember from the first, by their names.
    """

    needed: bool = False
    again: bool = False
    state: dict[str, Any] = field(default_factory=dict)


class AdmissionAttributes:
    """The attributes that a plugin judges (apiserver admission.Attributes); at first those of a create.

    operation: CREATE, UPDATE, DELETE or CONNECT. `obj` is the object that is written, or the options object
    of a CONNECT; it is None on a delete. `old` is the object as it is stored, None on a create. Both are in
    the version that the request names. `options` is the CreateOptions, UpdateOptions or DeleteOptions object
    of the request. `warnings` reach the client. `undo` takes callbacks that give back what a plugin has
    reserved: they are called when the write fails, is retried or was a dry run.
    """

    __slots__ = (
        "annotations",
        "deadline",
        "dry_run",
        "name",
        "namespace",
        "obj",
        "old",
        "operation",
        "options",
        "pending",
        "readers",
        "reinvocation",
        "request_annotations",
        "resource",
        "subresource",
        "timeline",
        "undo",
        "user",
        "warnings",
        "webhook_seconds",
        "work",
    )

    def __init__(self, resource: Resource, context: WriteContext) -> None:
        self.operation = "CREATE"
        self.resource = resource
        self.subresource = context.subresource
        self.namespace = context.name if resource.names_namespace else context.namespace
        self.name = context.name
        self.obj: Object | None = None
        self.old: Object | None = None
        self.user = context.user
        self.options: Object = {}
        self.dry_run = context.dry_run
        self.readers = context.readers
        self.warnings = context.warnings
        self.annotations = context.annotations
        self.undo = context.undo
        self.work = context.work
        """The executor of plugins when the object is large."""
        self.timeline = context.timeline
        """The timeline on which plugins, webhooks and policies note what they do; None: nobody asks."""
        self.reinvocation: Reinvocation | None = None
        """The state of reinvocation; None until a plugin needs it."""
        self.pending: Callable[[], Awaitable[None]] | None = None
        """Brings `obj` and `old` from the stored version to the request's; the chain awaits it before the
        first plugin that wants them. None = they are in the request's version."""
        self.request_annotations: dict[str, str] = {}
        """Audit annotations for the levels Request and RequestResponse: they show parts of the object."""
        self.deadline: Callable[[], float | None] | None = None
        """Returns the time at which the request must end, by the clock of the event loop. None, and a result
        of None, mean no deadline; the result is None until the request waits for the first time."""
        self.webhook_seconds = 0.0
        """How long webhooks have kept the request:
        those that change objects one after another, others side by side."""

    @property
    def kind(self) -> tuple[str, str, str]:
        """Group, version and kind of `obj`:
        those of the resource, or of a subresource with a body of its own."""
        sub = self.resource.subresources.get(self.subresource)
        record = self.resource if sub is None else sub
        return record.group, record.version, record.kind

    def part(self) -> None:
        """Give `obj` copies of what it has in common with `old`, before a plugin changes it in place."""
        obj, old = self.obj, self.old
        if obj is None or old is None:
            return
        for name, value in old.items():
            if obj.get(name) is value and isinstance(value, (dict, list)):
                obj[name] = copy(value)

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

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool:
        """Whether all plugins let a renewal pass (registry/renewal.py), which is counted then.

        Where they do not, both halves have to be asked.
        """
