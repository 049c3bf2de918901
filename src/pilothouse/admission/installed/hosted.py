"""Asks a plugin of an installed package about the requests that it is for,
and answers for it when it fails."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from pilothouse import errors
from pilothouse.admission import api
from pilothouse.admission.about import About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.admission.installed.calls import Busy, Calls
from pilothouse.admission.installed.readers import DeclaredReaders
from pilothouse.admission.metrics import ADMIT, VALIDATE, AdmissionMetrics
from pilothouse.admission.objects import completed, type_of
from pilothouse.api.changes.patch import copy
from pilothouse.api.configfile import ConfigurationError
from pilothouse.api.values import equality
from pilothouse.api.values.fields import Object
from pilothouse.configuration.entry_points import Offered
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.registry.admission import AdmissionAttributes, Reinvocation
from pilothouse.registry.timeline import PATHS

log = Logger(__name__)


class Hosted:
    """A plugin of a package as this server runs it.
    Two objects of the chain stand for it, one for each half."""

    def __init__(self, offered: Offered, plugin: api.Plugin, calls: Calls, metrics: AdmissionMetrics) -> None:
        self.name = offered.name
        self.package = offered.package
        self.plugin = plugin
        self.about = (About(plugin.operations, plugin.resources),)
        self.reads = frozenset(plugin.reads)
        self._calls = calls
        self._failures = metrics.plugin_failures
        self._closed = False
        self._former: dict[asyncio.Task[None], api.Plugin] = {}
        """Plugins whose place others have taken, by the tasks that wait until they can be closed."""

    def prepare(self, section: Object | None) -> Callable[[], None]:
        """Make the plugin anew for another section; what puts it in the place of the present one."""
        try:
            made = configured(type(self.plugin), section)
        except ConfigurationError as err:
            raise ConfigurationError(
                f"admission plugin {quote(self.name)} of the package {self.package}: {err}"
            ) from err
        return lambda: self._use(made)

    def _use(self, plugin: api.Plugin) -> None:
        """Ask another plugin from now on.
        The present one is closed when the calls that are under way have ended."""
        former, self.plugin = self.plugin, plugin
        task = asyncio.get_running_loop().create_task(self._retire(former))
        self._former[task] = former

    async def _retire(self, plugin: api.Plugin) -> None:
        await asyncio.sleep(plugin.seconds)
        task = asyncio.current_task()
        assert task is not None
        del self._former[task]
        await self._end(plugin)

    def halves(self) -> list[AdmissionPlugin]:
        """The members of the chain: only the halves that the plugin has."""
        cls = type(self.plugin)
        out: list[AdmissionPlugin] = []
        if cls.mutate is not api.Plugin.mutate:
            out.append(Mutating(self, first=True))
        if cls.validate is not api.Plugin.validate:
            out.append(Validating(self, first=not out))
        return out

    async def ask(
        self, half: str, method: Callable[[api.AdmissionRequest], Any], a: AdmissionAttributes
    ) -> Object | None:
        """The object that the plugin makes of that of a request,
        None when it has failed and failures are ignored.

        Raises the Forbidden or other StatusError of a refusal, and InternalError when the plugin has failed.
        """
        asked = _Asked(self, half, method, a)
        try:
            outcome = await self._calls.run(asked.answer, self.plugin.seconds)
        except TimeoutError:
            self.failed(half, "timeout", f"it has not answered within {self.plugin.seconds:g}s")
            return None
        except Busy:
            self.failed(half, "busy", "too many requests wait for it")
            return None
        asked.take_over()
        err = outcome.error
        if isinstance(err, api.Refused):
            refusal = a.refuse(err.message)
            if err.causes:
                refusal.details = {**(refusal.details or {}), "causes": [dict(cause) for cause in err.causes]}
            raise refusal from None
        if isinstance(err, errors.StatusError):
            raise err
        if err is not None:
            self.failed(half, "error", f"it has raised {type(err).__name__}", err)
        found: Object | None = outcome.value
        return found

    def failed(self, half: str, reason: str, why: str, err: BaseException | None = None) -> None:
        """Count and log a failure; InternalError unless the plugin says that failures are ignored."""
        self._failures.inc(self.name, reason, half)
        pairs = {"plugin": self.name, "package": self.package, "type": half, "reason": why}
        if err is not None:
            log.exception("An admission plugin has failed", err=err, **pairs)
        else:
            log.error("An admission plugin has failed", **pairs)
        if self.plugin.failure_policy != "Ignore":
            raise errors.InternalError(
                f'Internal error occurred: failed calling admission plugin "{self.name}": {why}'
            )

    async def close(self) -> None:
        """Let the plugin close, once, and end its threads."""
        if self._closed:
            return
        self._closed = True
        try:
            for task in self._former:
                task.cancel()
            for plugin in (*self._former.values(), self.plugin):
                await self._end(plugin)
        finally:
            self._calls.close()

    async def _end(self, plugin: api.Plugin) -> None:
        """Let a plugin close."""
        if type(plugin).close is api.Plugin.close:
            return
        try:
            outcome = await self._calls.run(plugin.close, plugin.seconds)
            if outcome.error is not None:
                log.exception("An admission plugin cannot close", err=outcome.error, plugin=self.name)
        except (TimeoutError, Busy):
            log.error("An admission plugin does not close in time", plugin=self.name, package=self.package)


def configured(cls: type[api.Plugin], section: Object | None) -> api.Plugin:
    """A plugin with its section of the admission configuration;
    ConfigurationError when it does not take it."""
    from pilothouse.admission.installed.section import configured

    checked = configured(cls.configuration_schema, section)
    try:
        return cls(checked)
    except (Exception, SystemExit) as err:
        shown = str(err) if isinstance(err, ValueError) else f"{type(err).__name__}: {err}"
        raise ConfigurationError(shown) from err


class _Asked:
    """One question to a plugin: the request is made, and the result copied, where the plugin's code runs."""

    def __init__(
        self, host: Hosted, half: str, method: Callable[[api.AdmissionRequest], Any], a: AdmissionAttributes
    ) -> None:
        self._host = host
        self._half = half
        self._method = method
        self._attributes = a
        self._request: api.AdmissionRequest | None = None
        self.answer = self._awaited if inspect.iscoroutinefunction(method) else self._called

    def _called(self) -> Object | None:
        request = self._made()
        returned = self._method(request)
        if inspect.isawaitable(returned):
            raise TypeError("a method that is no `async def` has returned something to be awaited")
        return self._object(returned, request)

    async def _awaited(self) -> Object | None:
        request = self._made()
        return self._object(await self._method(request), request)

    def _object(self, returned: Any, request: api.AdmissionRequest) -> Object | None:
        """The object of a mutation as JSON; TypeError when it cannot be one."""
        found = returned if returned is not None else request.object
        if self._half == VALIDATE or found is None:
            return None
        out = copy(found)
        if not isinstance(out, dict):
            raise TypeError("the object must be a dict")
        return out

    def _made(self) -> api.AdmissionRequest:
        a = self._attributes
        group, version, kind = a.kind
        user = a.user
        self._request = api.AdmissionRequest(
            operation=a.operation,  # type: ignore[arg-type]
            group=group,
            version=version,
            resource=a.resource.plural,
            subresource=a.subresource,
            kind=kind,
            namespace=a.namespace,
            name=a.name,
            object=copy(a.obj) if a.obj is not None else None,
            old_object=copy(a.old) if a.old is not None else None,
            user=api.UserInfo(user.name, user.uid, user.groups, copy(user.extra)),
            options=copy(a.options),
            dry_run=a.dry_run,
            readers=DeclaredReaders(a.readers, self._host.reads),
        )
        return self._request

    def take_over(self) -> None:
        """Give the request the warnings and audit annotations, those of a refusal as well."""
        if self._request is not None:
            self._attributes.warnings += map(str, self._request.warnings)
            for key, value in self._request.annotations.items():
                self._attributes.annotations[f"{self._host.name}/{key}"] = str(value)


class _Half(AdmissionPlugin):
    """A member of the chain that stands for a half of a plugin."""

    def __init__(self, host: Hosted, *, first: bool) -> None:
        self.host = host
        self.name = host.name
        self.about = host.about
        self.first = first

    def prepare(self, section: Object | None) -> Callable[[], None]:
        """Prepare the plugin once, by its first half."""
        return self.host.prepare(section) if self.first else super().prepare(section)

    async def close(self) -> None:
        await self.host.close()


class Validating(_Half):
    """Asks the plugin whether the object is allowed."""

    async def validate(self, a: AdmissionAttributes) -> None:
        await self.host.ask(VALIDATE, self.host.plugin.validate, a)


class Mutating(_Half):
    """Has the plugin change the object."""

    async def mutate(self, a: AdmissionAttributes) -> Object | None:
        before = a.reinvocation
        if before is not None and before.again:
            output = before.state.get(self.name)
            if output is None or equality.same(output, a.obj):
                return None
        made = await self.host.ask(ADMIT, self.host.plugin.mutate, a)
        if made is None or a.obj is None:
            return None
        changed = None
        paths = equality.changes(a.obj, made, PATHS)
        if paths:
            changed = await self._completed(made, a)
            if changed is not None:
                for path in paths:
                    a.changed(path)
        self._remember(changed, a)
        return changed

    async def _completed(self, made: Object, a: AdmissionAttributes) -> Object | None:
        """The changed object in canonical form and with its defaults."""
        try:
            type = type_of(a.resource, a.kind)
            return await a.work.run(completed, a.resource, a.kind, made, type, True)
        except errors.StatusError as err:
            self.host.failed(ADMIT, "object", f"it has made an object that is none: {err.message}")
            return None

    def _remember(self, changed: Object | None, a: AdmissionAttributes) -> None:
        """Have earlier plugins see a change, and this one what later plugins change, if it wants to."""
        if_needed = self.host.plugin.reinvocation_policy == "IfNeeded"
        if changed is None and not if_needed:
            return
        if a.reinvocation is None:
            a.reinvocation = Reinvocation()
        if changed is not None:
            a.reinvocation.needed = True
        if if_needed:
            a.reinvocation.state[self.name] = copy(changed if changed is not None else a.obj)
