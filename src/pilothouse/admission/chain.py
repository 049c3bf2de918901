"""Admission: plugins in upstream's order, first all that change an object, then all that judge it."""

from collections.abc import Awaitable, Callable, Sequence

from pilothouse.api.fields import Object
from pilothouse.registry.admission import AdmissionAttributes


class Plugin:
    """One admission plugin; `name` is upstream's. Refusals are raised as errors.StatusError.

    Both methods may be `def` or `async def`. `mutate` changes `a.obj` in place, assigns it, or returns the object
    that takes its place.
    """

    name = ""

    def wants(self, a: AdmissionAttributes) -> bool:
        """Cheap test by operation, resource, subresource and user; the objects may not be in their version yet."""
        return True

    def mutate(self, a: AdmissionAttributes) -> Object | Awaitable[Object | None] | None:
        """Change the object; None keeps `a.obj`."""
        return None

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        """Judge the object."""
        return None


class Chain:
    """The plugins that are switched on, in order; implements registry.admission.Admission."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = list(plugins)
        self.mutators = [p for p in plugins if type(p).mutate is not Plugin.mutate]
        self.validators = [p for p in plugins if type(p).validate is not Plugin.validate]

    async def mutate(self, a: AdmissionAttributes) -> Object | None:
        """What every plugin in turn makes of the object; the first refusal ends it."""
        for plugin in self.mutators:
            if plugin.wants(a):
                changed = await _ask(plugin.mutate, a)
                if changed is not None:
                    a.obj = changed
        return a.obj

    async def validate(self, a: AdmissionAttributes) -> None:
        """Ask every plugin; the first refusal ends it."""
        for plugin in self.validators:
            if plugin.wants(a):
                await _ask(plugin.validate, a)


async def _ask(
    method: Callable[[AdmissionAttributes], Object | Awaitable[Object | None] | None], a: AdmissionAttributes
) -> Object | None:
    """The answer of a plugin's method, which runs beside the loop when the object is large."""
    if a.pending is not None:
        await a.pending()
    answer = await a.work.run(method, a) if a.work.bytes else method(a)
    return answer if answer is None or isinstance(answer, dict) else await answer
