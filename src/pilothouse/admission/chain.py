"""Runs the admission plugins in upstream's order: first all that change an object, then all that validate it."""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from pilothouse.admission.metrics import ADMIT, VALIDATE, AdmissionMetrics
from pilothouse.api.fields import Object
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.waiting import in_task


class Plugin:
    """An admission plugin; `name` is upstream's. Plugins refuse a write by raising errors.StatusError.

    Both methods may be `def` or `async def`. `mutate` changes `a.obj` in place, assigns it, or returns the
    object that replaces it.
    """

    name = ""

    def wants(self, a: AdmissionAttributes) -> bool:
        """Cheap check of operation, resource, subresource and user; objects may still be in another version."""
        return True

    def mutate(self, a: AdmissionAttributes) -> Object | Awaitable[Object | None] | None:
        """Change the object; None keeps `a.obj`."""
        return None

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        """Accept the object by returning, or refuse it by raising."""
        return None

    def prepare(self, section: Object | None) -> Callable[[], None]:
        """Check what the admission configuration says to the plugin; what puts it in force, on the loop.

        section: None when it says nothing. It may be called on a thread. ConfigurationError, and then nothing has changed.
        """
        return _nothing

    async def close(self) -> None:
        """Give back what the plugin holds; called when the server stops."""


def _nothing() -> None:
    """What a plugin does that has nothing to configure."""


class Chain:
    """Runs the enabled plugins in order; implements registry.admission.Admission.

    A plugin's `def` runs on a thread if the object is large; its `async def` runs on the event loop.
    """

    def __init__(self, plugins: Sequence[Plugin], metrics: AdmissionMetrics | None = None) -> None:
        metrics = metrics or AdmissionMetrics()
        self._admitting, self._validating = metrics.timers(ADMIT), metrics.timers(VALIDATE)
        self.plugins = list(plugins)
        self.mutators = [p for p in plugins if type(p).mutate is not Plugin.mutate]
        self.validators = [p for p in plugins if type(p).validate is not Plugin.validate]

    async def mutate(self, a: AdmissionAttributes) -> Object | None:
        """What every plugin in turn makes of the object; the first refusal ends it.

        All of them run once more when one asks for it (Reinvocation).
        """
        passed, rejected = self._admitting["", a.operation]
        started = perf_counter()
        try:
            a.reinvocation = None
            await self._mutate_all(a)
            if a.reinvocation is not None and a.reinvocation.needed:
                a.reinvocation.again = True
                await self._mutate_all(a)
        except BaseException:
            rejected.observe(perf_counter() - started)
            raise
        passed.observe(perf_counter() - started)
        return a.obj

    async def _mutate_all(self, a: AdmissionAttributes) -> None:
        for plugin in self.mutators:
            if not plugin.wants(a):
                continue
            passed, rejected = self._admitting[plugin.name, a.operation]
            started = perf_counter()
            try:
                if a.pending is not None:
                    await a.pending()
                changed = await a.work.run(plugin.mutate, a) if a.work.bytes else plugin.mutate(a)
                if changed is not None and not isinstance(changed, dict):
                    await in_task()
                    changed = await changed
            except BaseException as err:
                took = perf_counter() - started
                rejected.observe(took)
                if a.trail is not None:
                    a.trail.asked(ADMIT, plugin.name, took, err)
                raise
            if changed is not None:
                a.obj = changed
            took = perf_counter() - started
            passed.observe(took)
            if a.trail is not None:
                a.trail.asked(ADMIT, plugin.name, took)

    async def validate(self, a: AdmissionAttributes) -> None:
        """Ask every plugin; the first refusal ends it."""
        passed, rejected = self._validating["", a.operation]
        started = perf_counter()
        try:
            await self._validate_all(a)
        except BaseException:
            rejected.observe(perf_counter() - started)
            raise
        passed.observe(perf_counter() - started)

    async def _validate_all(self, a: AdmissionAttributes) -> None:
        for plugin in self.validators:
            if not plugin.wants(a):
                continue
            passed, rejected = self._validating[plugin.name, a.operation]
            started = perf_counter()
            try:
                if a.pending is not None:
                    await a.pending()
                waiting = await a.work.run(plugin.validate, a) if a.work.bytes else plugin.validate(a)
                if waiting is not None:
                    await in_task()
                    await waiting
            except BaseException as err:
                took = perf_counter() - started
                rejected.observe(took)
                if a.trail is not None:
                    a.trail.asked(VALIDATE, plugin.name, took, err)
                raise
            took = perf_counter() - started
            passed.observe(took)
            if a.trail is not None:
                a.trail.asked(VALIDATE, plugin.name, took)

    async def close(self) -> None:
        """Close the plugins."""
        for plugin in self.plugins:
            await plugin.close()
