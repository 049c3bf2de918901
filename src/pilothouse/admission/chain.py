"""Runs the admission plugins in upstream's order:
first all that change an object, then all that validate it."""

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

from pilothouse.admission.about import EVERYTHING, UPDATE, About
from pilothouse.admission.metrics import ADMIT, VALIDATE, AdmissionMetrics
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.metrics._instruments import Distribution
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource
from pilothouse.registry.timeline import MOST
from pilothouse.waiting import in_task

REMEMBERED = 4096
"""Kinds of requests of which is remembered which plugins they concern."""


class AdmissionPlugin:
    """An admission plugin; `name` is upstream's. Plugins refuse a write by raising errors.StatusError.

    `about` says which requests it is asked about. Both methods may be `def` or `async def`. `mutate` changes
    `a.obj` in place, assigns it, or returns the object that replaces it.
    """

    name = ""
    about: Sequence[About] = EVERYTHING
    replaces = False
    """Whether `mutate` replaces the members of an object that it changes, and changes nothing inside of them.
    What a patch has left alone is the old object's own, so other plugins are given copies."""

    def concerns(self, operation: str, resource: Resource, subresource: str) -> bool:
        """Whether the plugin is asked about such requests at all."""
        return any(about.covers(operation, resource, subresource) for about in self.about)

    def mutates(self, resource: Resource) -> bool:
        """Whether `mutate` does anything with such objects."""
        return True

    def validates(self, resource: Resource) -> bool:
        """Whether `validate` does."""
        return True

    def wants(self, a: AdmissionAttributes) -> bool:
        """Whether a request of `about` matters now: a cheap check;
        objects may still be in another version."""
        return True

    def mutate(self, a: AdmissionAttributes) -> Object | Awaitable[Object | None] | None:
        """Change the object; None keeps `a.obj`."""
        return None

    def validate(self, a: AdmissionAttributes) -> Awaitable[None] | None:
        """Accept the object by returning, or refuse it by raising."""
        return None

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool | None:
        """Whether a renewal (registry/renewal.py) passes, of which only the user and the object are told;
        False: the plugin has to see it. None: it is not about such updates."""
        return False

    def prepare(self, section: Object | None) -> Callable[[], None]:
        """Check what the admission configuration says to the plugin; what puts it in force, on the loop.

        section: None when it says nothing. It may be called on a thread.
        ConfigurationError, and then nothing has changed.
        """
        return _nothing

    async def close(self) -> None:
        """Give back what the plugin holds; called when the server stops."""


def _nothing() -> None:
    """Do nothing: such a plugin has no configuration."""


_Step = tuple[
    str,
    Callable[[AdmissionAttributes], bool] | None,
    Callable[[AdmissionAttributes], Any],
    Distribution,
    Distribution,
]
"""One half of a plugin, for the requests of one kind: its name, `wants` (None where it wants each of them),
the half, the times of those that pass, the times of those that are rejected.

PERF: Python unpacks a plain tuple in a fraction of the time that a named one takes.
"""


_Judge = tuple[Callable[[Resource, User, str, str], bool | None], Distribution]
"""The word of a plugin on a renewal, and the times of its half."""


class _Steps(NamedTuple):
    """The steps that requests of one kind go through."""

    mutating: tuple[_Step, ...]
    validating: tuple[_Step, ...]


class Chain:
    """Runs the enabled plugins in order; implements registry.admission.Admission.

    A plugin's `def` runs on a thread if the object is large; its `async def` runs on the event loop.
    """

    def __init__(self, plugins: Sequence[AdmissionPlugin], metrics: AdmissionMetrics | None = None) -> None:
        metrics = metrics or AdmissionMetrics()
        self._admitting, self._validating = metrics.timers(ADMIT), metrics.timers(VALIDATE)
        self.plugins: list[AdmissionPlugin] = []
        self.mutators: list[AdmissionPlugin] = []
        self.validators: list[AdmissionPlugin] = []
        self._steps: dict[tuple[str, str, str], _Steps] = {}
        self._renewals: dict[str, tuple[_Judge, ...]] = {}
        self._mutating: dict[AdmissionPlugin, Callable[[AdmissionAttributes], Any]] = {}
        for plugin in plugins:
            self.add(plugin)

    def add(self, plugin: AdmissionPlugin) -> None:
        """Have a plugin asked last of all."""
        self.plugins.append(plugin)
        if type(plugin).mutate is not AdmissionPlugin.mutate:
            self.mutators.append(plugin)
        if type(plugin).validate is not AdmissionPlugin.validate:
            self.validators.append(plugin)
        self._steps.clear()
        self._renewals.clear()

    def of(self, resource: Resource, subresource: str, operation: str) -> _Steps:
        """The halves of plugins that are about such requests; they are looked for once."""
        key = resource.group_resource, subresource, operation
        try:
            return self._steps[key]
        except KeyError:
            if len(self._steps) >= REMEMBERED:
                self._steps.clear()
            mutators, validators = self._concerned(resource, subresource, operation)
            admitting, validating = self._admitting, self._validating
            found = self._steps[key] = _Steps(
                tuple((p.name, _asked(p), self._mutate(p), *admitting[p.name, operation]) for p in mutators),
                tuple((p.name, _asked(p), p.validate, *validating[p.name, operation]) for p in validators),
            )
            return found

    def _concerned(
        self, resource: Resource, subresource: str, operation: str
    ) -> tuple[list[AdmissionPlugin], list[AdmissionPlugin]]:
        """The plugins whose mutating, and those whose validating half is about such requests."""
        mutators = [p for p in self.mutators if p.mutates(resource)]
        validators = [p for p in self.validators if p.validates(resource)]
        return (
            [p for p in mutators if p.concerns(operation, resource, subresource)],
            [p for p in validators if p.concerns(operation, resource, subresource)],
        )

    def _mutate(self, plugin: AdmissionPlugin) -> Callable[[AdmissionAttributes], Any]:
        half = self._mutating.get(plugin)
        if half is None:
            half = self._mutating[plugin] = _apart(plugin)
        return half

    async def mutate(self, a: AdmissionAttributes) -> Object | None:
        """Let every plugin in turn change the object; the first refusal ends it.

        All of them run once more when one asks for it (Reinvocation).
        """
        steps = self.of(a.resource, a.subresource, a.operation).mutating
        passed, rejected = self._admitting["", a.operation]
        started = perf_counter()
        try:
            a.reinvocation = None
            await _run(steps, a, ADMIT)
            if a.reinvocation is not None and a.reinvocation.needed:
                a.reinvocation.again = True
                await _run(steps, a, ADMIT)
        except BaseException:
            rejected.observe(perf_counter() - started)
            raise
        passed.observe(perf_counter() - started)
        return a.obj

    async def validate(self, a: AdmissionAttributes) -> None:
        """Ask every plugin; the first refusal ends it."""
        steps = self.of(a.resource, a.subresource, a.operation).validating
        passed, rejected = self._validating["", a.operation]
        started = perf_counter()
        try:
            await _run(steps, a, VALIDATE)
        except BaseException:
            rejected.observe(perf_counter() - started)
            raise
        passed.observe(perf_counter() - started)

    def passes_renewal(self, resource: Resource, user: User, namespace: str, name: str) -> bool:
        """Whether every plugin that is asked about updates lets a renewal pass."""
        started = perf_counter()
        try:
            judges = self._renewals[resource.group_resource]
        except KeyError:
            judges = self._renewals[resource.group_resource] = self._judges(resource)
        for passes, timer in judges:
            verdict = passes(resource, user, namespace, name)
            if verdict is False:
                return False
            if verdict:
                timer.observe(perf_counter() - started)
        self._admitting["", UPDATE][0].observe(perf_counter() - started)
        self._validating["", UPDATE][0].observe(0.0)
        return True

    def _judges(self, resource: Resource) -> tuple[_Judge, ...]:
        """The plugins that are asked about updates of a resource that has a renewal."""
        mutators, validators = self._concerned(resource, "", UPDATE)
        return (
            *((p.passes_renewal, self._admitting[p.name, UPDATE][0]) for p in mutators),
            *((p.passes_renewal, self._validating[p.name, UPDATE][0]) for p in validators),
        )

    async def close(self) -> None:
        """Close the plugins."""
        for plugin in self.plugins:
            await plugin.close()


def _apart(plugin: AdmissionPlugin) -> Callable[[AdmissionAttributes], Any]:
    """The mutating half of a plugin, which may change the object but not the old one."""
    if plugin.replaces:
        return plugin.mutate

    def mutate(a: AdmissionAttributes) -> Object | Awaitable[Object | None] | None:
        a.part()
        return plugin.mutate(a)

    return mutate


def _asked(plugin: AdmissionPlugin) -> Callable[[AdmissionAttributes], bool] | None:
    return plugin.wants if type(plugin).wants is not AdmissionPlugin.wants else None


async def _run(steps: tuple[_Step, ...], a: AdmissionAttributes, phase: str) -> None:
    """Call each step; what one returns replaces the object."""
    timeline, work = a.timeline, a.work
    noted: list[Any] = [] if timeline is None else timeline.steps
    started = perf_counter()  # PERF: a step begins when the one before it has ended
    for name, wants, call, passed, rejected in steps:
        if wants is not None and not wants(a):
            continue
        try:
            if a.pending is not None:
                await a.pending()
            changed = await work.run(call, a) if work.bytes else call(a)
            if changed is not None and not isinstance(changed, dict):
                await in_task()
                changed = await changed
        except BaseException as err:
            took = perf_counter() - started
            rejected.observe(took)
            if timeline is not None:
                timeline.asked(phase, name, took, err)
            raise
        if changed is not None:
            a.obj = changed
        ended = perf_counter()
        took = ended - started
        started = ended
        passed.observe(took)
        if timeline is None:
            continue
        if timeline.changed or len(noted) >= MOST:
            timeline.asked(phase, name, took)
        else:  # PERF: most plugins change nothing
            noted.append((phase, name, took))
