"""How a controller reads and writes: the sequence that users' requests go through, as a system user."""

from collections.abc import Callable

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api._json import text
from pilothouse.api.changes import apply
from pilothouse.api.changes.patch import copy
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import User
from pilothouse.registry import actions, deletion
from pilothouse.registry.admission import Admission
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.client_metrics import ClientMetrics
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, decode
from pilothouse.registry.strategy import HookServices, Strategy, WriteContext
from pilothouse.registry.write import Write

USER = User("system:apiserver", groups=("system:masters", "system:authenticated"))

_METHODS = {"create": "POST", "update": "PUT", "patch": "APPLY", "delete": "DELETE"}
"""How the metrics name the verbs of a client; it patches by server-side apply only."""


class Client:
    """Creates, changes and deletes objects for one controller; `manager` is its name in managed fields.

    `admission` is the chain that its writes pass, as those of upstream's loopback client do; None = they pass
    none. `metrics` count its requests, and the work queue of its controller. `clock` stamps what it writes.
    `strategy_of` gives the rules for the objects of a resource, None = its own.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        readers: Readers,
        services: HookServices,
        manager: str,
        admission: Admission | None = None,
        metrics: ClientMetrics | None = None,
        clock: ServerClock = SYSTEM,
        strategy_of: Callable[[Resource], Strategy] | None = None,
    ) -> None:
        self.clock = clock
        self._strategy_of = strategy_of
        self.metrics = metrics or ClientMetrics()
        self.store = store
        self.catalog = catalog
        self.readers = readers
        self.services = services
        self.manager = manager
        self.admission = admission

    def now(self) -> str:
        """The time, as objects have it."""
        return meta.now(self.clock.time())

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """A resource that must be there."""
        found = self.catalog.get(group, version, plural)
        if found is None:
            raise KeyError(f"{group}/{version}/{plural}")
        return found

    def _write(
        self,
        resource: Resource,
        verb: str,
        namespace: str,
        name: str,
        subresource: str = "",
        *,
        in_place: bool = False,
    ) -> Write:
        context = WriteContext(
            user=USER,
            verb=verb,
            resource=resource,
            namespace=namespace if resource.namespaced else "",
            name=name,
            subresource=subresource,
            now=self.now(),
            readers=self.readers,
            services=self.services,
        )
        self._count(resource, _METHODS[verb], subresource)
        sub = resource.subresources.get(subresource)
        strategy = sub.strategy if sub is not None else None
        if sub is None and self._strategy_of is not None:
            strategy = self._strategy_of(resource)
        return Write(
            self.store,
            resource,
            context,
            self.admission,
            strategy=strategy,
            manager=self.manager,
            in_place=in_place,
        )

    def _count(self, resource: Resource, method: str, subresource: str = "") -> None:
        self.metrics.selfrequests.inc(resource.group, resource.plural, subresource, method)

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """A private copy of an object, None when it is not there."""
        self._count(resource, "GET")
        entry = self.store.entry(resource, namespace, name)
        return decode(entry) if entry is not None else None

    async def create(self, resource: Resource, obj: Object) -> bool:
        """Create an object; False when it is there already, by now in the cache too."""
        metadata = obj["metadata"]
        write = self._write(resource, "create", metadata.get("namespace", ""), metadata["name"])
        defaults.apply(obj, resource.group, resource.version, resource.kind)
        write.track(None, obj)
        try:
            async with write:
                await write.create(await write.admit(obj, None))
        except errors.AlreadyExists:
            await self.store.refresh(resource.key(write.context.namespace, metadata["name"]))
            return False
        return True

    async def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        edit: Callable[[Object], None],
        subresource: str = "",
        uid: str = "",
    ) -> None:
        """Read, edit in place and write, retried after another write; NotFound when the object is gone."""
        write = self._write(resource, "update", namespace, name, subresource)

        async def make(live: Object | None) -> Object:
            current = await self._current(write, live)
            obj = copy(current)
            edit(obj)
            await write.settle_fields(write.track, current, obj)
            return await write.admit(obj, current)

        await write.update(make, uid=uid, make_from_old=write.shows_rules_form)

    async def change_metadata(
        self, resource: Resource, namespace: str, name: str, edit: Callable[[Object], None], uid: str = ""
    ) -> None:
        """Like change(), for an edit of the metadata alone:
        objects that a webhook converts are not converted for it.

        Such an object stays in the version in which it is stored,
        and who manages its fields is not worked out anew.
        """
        entry = self.store.entry(resource, namespace, name)
        version = text(entry.value, ("apiVersion",)) if entry is not None else None
        own = resource.siblings.get(version or "")
        if own is None or own.conversion is None or own.conversion.converter is None:
            await self.change(resource, namespace, name, edit, uid=uid)
            return
        write = self._write(own, "update", namespace, name, in_place=True)

        async def make(live: Object | None) -> Object:
            current = await self._current(write, live)
            obj = copy(current)
            edit(obj)
            return await write.admit(obj, current)

        await write.update(make, uid=uid, make_from_old=True)

    async def _current(self, write: Write, live: Object | None) -> Object:
        """The live object in the version that is written;
        NotFound when there is none, even if an update may create."""
        if live is None:
            raise errors.not_found(write.resource.group, write.resource.plural, write.context.name)
        return await write.presented(live)

    async def apply(
        self,
        resource: Resource,
        name: str,
        config: Object,
        *,
        namespace: str = "",
        subresource: str = "",
        uid: str = "",
    ) -> None:
        """Apply a configuration by force; NotFound when the object is not there."""
        write = self._write(resource, "patch", namespace, name, subresource)
        assert resource.type_of is not None
        type_ = resource.type_of()
        named = {"kind": resource.kind, "apiVersion": resource.api_version}

        async def make(live: Object | None) -> Object:
            current = await self._current(write, live)
            merged = apply.apply(
                current,
                named | config,
                type=type_,
                manager=self.manager,
                force=True,
                api_version=resource.api_version,
                kind=resource.kind,
                subresource=subresource,
                now=write.context.now,
                reset=write.strategy.apply_reset,
                versions=resource.version_of,
            )
            obj, _ = resource.decode_value(copy(merged))  # a custom resource is decoded in place
            return await write.admit(obj, current)

        await write.update(make, uid=uid)

    async def bind(self, binding: Object) -> None:
        """Give a pod its node, as the subresource `binding` does; raises what it refuses."""
        metadata = binding["metadata"]
        pods = self.resource("", "v1", "pods")
        write = self._write(pods, "create", metadata["namespace"], metadata["name"], "binding")
        await actions.bind(write, self.catalog, binding)

    async def delete(
        self, resource: Resource, namespace: str, name: str, options: Object | None = None
    ) -> bool:
        """Delete an object; False when it was gone or is another one by now."""
        write = self._write(resource, "delete", namespace, name)
        try:
            await deletion.delete(write, options or {})
        except (errors.NotFound, errors.Conflict):
            return False
        return True


class CompanionWriter:
    """Creates and deletes the objects that belong to others as the server itself; implements
    strategy.Companions.

    Writes of `client` pass admission, as those of upstream's loopback client do. Those of `direct` do not:
    upstream makes them through the storage of the other resource.
    """

    def __init__(self, client: Client, direct: Client) -> None:
        self._client = client
        self._direct = direct

    def served(self, resource: str) -> bool:
        """Whether the server has such objects at all."""
        return self._client.catalog.by_group_resource(resource) is not None

    async def create(self, resource: str, obj: Object) -> bool:
        """Create an object; False when one of that name is there, or the resource is not served."""
        found = self._client.catalog.by_group_resource(resource)
        return found is not None and await self._client.create(found, obj)

    async def ensure(self, resource: str, obj: Object) -> None:
        """Create an object of a resource that is served, unless it exists; afterwards readers see it."""
        found = self._client.catalog.by_group_resource(resource)
        assert found is not None
        if await self._client.create(found, obj):
            metadata = obj["metadata"]
            await self._client.store.refresh(found.key(metadata.get("namespace", ""), metadata["name"]))

    async def delete(self, resource: str, namespace: str, name: str, *, direct: bool = False) -> bool:
        """Delete an object; False when it was gone, or the resource is not served.
        `direct`: past admission."""
        found = self._client.catalog.by_group_resource(resource)
        client = self._direct if direct else self._client
        return found is not None and await client.delete(found, namespace, name)
