"""Admission: plugins in upstream's order, first all that change an object, then all that judge it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilothouse import errors
from pilothouse.admission.metrics import ADMIT, VALIDATE, AdmissionMetrics
from pilothouse.api.fields import Object
from pilothouse.api.identity import User
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource


@dataclass(slots=True)
class AdmissionAttributes:
    """What a plugin judges. `obj` is None on a delete, `old` on a create; mutate may change `obj` in place.

    operation: CREATE, UPDATE, DELETE or CONNECT. `options` is the decoded create/update/delete options object.
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
    services: Any = None
    work: Work | Inline = INLINE_WORK
    """Where plugins run when the object is large."""

    def refuse(self, why: str) -> errors.Forbidden:
        """The 403 of a plugin (admission.NewForbidden)."""
        name = self.name
        if not name:
            metadata = (self.obj or {}).get("metadata") or {}
            name = metadata.get("name") or metadata.get("generateName") or "Unknown"
        return errors.forbidden(self.resource.group, self.resource.plural, name, why)


class Plugin:
    """One admission plugin; `name` is upstream's. Refusals are raised as errors.StatusError.

    A plugin that must wait (a webhook) returns an awaitable from its method; the others return None.
    """

    name = ""

    def wants(self, a: AdmissionAttributes) -> bool:
        """Cheap test, by operation and resource, before anything else is done."""
        return True

    def mutate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        return None

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        return None


class Chain:
    """The plugins that are switched on, in order."""

    def __init__(self, plugins: Sequence[Plugin], metrics: AdmissionMetrics | None = None) -> None:
        self.metrics = metrics or AdmissionMetrics()
        self.plugins = list(plugins)
        self.mutators = [p for p in plugins if type(p).mutate is not Plugin.mutate]
        self.validators = [p for p in plugins if type(p).validate is not Plugin.validate]

    async def mutate(self, a: AdmissionAttributes) -> None:
        """Let every plugin change the object; the first refusal ends it."""
        with self.metrics.step(ADMIT, a.operation):
            for plugin in self.mutators:
                if plugin.wants(a):
                    with self.metrics.plugin(plugin.name, ADMIT, a.operation):
                        waiting = await a.work.run(plugin.mutate, a) if a.work.bytes else plugin.mutate(a)
                        if waiting is not None:
                            await waiting

    async def validate(self, a: AdmissionAttributes) -> None:
        """Ask every plugin; the first refusal ends it."""
        with self.metrics.step(VALIDATE, a.operation):
            for plugin in self.validators:
                if plugin.wants(a):
                    with self.metrics.plugin(plugin.name, VALIDATE, a.operation):
                        waiting = await a.work.run(plugin.validate, a) if a.work.bytes else plugin.validate(a)
                        if waiting is not None:
                            await waiting
