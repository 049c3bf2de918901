"""Plugins that objects of the cluster configure, such as policies. They are made when there is the first such
object: only then their modules are imported, and with policies the language of expressions."""

from collections.abc import Awaitable, Callable, Sequence

from pilothouse.admission.about import EVERYTHING, About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource


class ConfiguredPlugin(AdmissionPlugin):
    """Stands for a plugin until there is an object of `resources`, and asks it from then on."""

    def __init__(
        self,
        name: str,
        resources: Sequence[str],
        make: Callable[[], AdmissionPlugin],
        about: Sequence[About] = EVERYTHING,
    ) -> None:
        self.name = name
        self.about = about
        self._resources = resources
        self._make = make
        self._made: AdmissionPlugin | None = None
        self._follows = False

    @property
    def made(self) -> AdmissionPlugin:
        """The plugin."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def wants(self, a: AdmissionAttributes) -> bool:
        if self._made is None:  # PERF: nearly always
            if self._follows:
                return False
            self._follow(a.readers)
        return self._made is not None and self._made.wants(a)

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        if self._made is not None:
            return self._made.passes_renewal(resource, user, namespace, name)
        return None if self._follows else False

    def _follow(self, readers: Readers) -> None:
        self._follows = True
        for resource in self._resources:
            readers.subscribe(resource, self._changed)

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if self._made is None and new is not None:
            self._made = self._make()

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()


class ConfiguredMutating(ConfiguredPlugin):
    """One that changes objects."""

    def mutate(self, a: AdmissionAttributes) -> Object | Awaitable[Object | None] | None:
        return self.made.mutate(a)


class ConfiguredValidating(ConfiguredPlugin):
    """One that judges objects."""

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        return self.made.validate(a)
