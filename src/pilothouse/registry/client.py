"""How a controller reads and writes: the store that users' requests go through, as a system user."""

from collections.abc import Callable
from typing import Any

from pilothouse import errors
from pilothouse.api import apply, codec, managed, meta
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.fields import Object
from pilothouse.api.identity import User
from pilothouse.registry import deletion
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store, decode
from pilothouse.registry.strategy import Strategy, WriteContext

USER = User("system:apiserver", groups=("system:masters", "system:authenticated"))


class Client:
    """Creates, changes and deletes objects for one controller; `manager` is its name in managed fields."""

    def __init__(self, store: Store, catalog: Catalog, readers: Readers, services: Any, manager: str) -> None:
        self.store = store
        self.catalog = catalog
        self.readers = readers
        self.services = services
        self.manager = manager

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """A resource that must be there."""
        found = self.catalog.get(group, version, plural)
        if found is None:
            raise KeyError(f"{group}/{version}/{plural}")
        return found

    def _context(
        self, resource: Resource, verb: str, namespace: str, name: str, subresource: str = ""
    ) -> WriteContext:
        return WriteContext(
            user=USER,
            verb=verb,
            resource=resource,
            namespace=namespace if resource.namespaced else "",
            name=name,
            subresource=subresource,
            now=meta.now(),
            readers=self.readers,
            services=self.services,
        )

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """A private copy of an object, None when it is not there."""
        entry = self.store.entry(resource, namespace, name)
        return decode(entry) if entry is not None else None

    async def create(self, resource: Resource, obj: Object) -> bool:
        """Create an object; False when it is there already, by now in the cache too."""
        metadata = obj["metadata"]
        ctx = self._context(resource, "create", metadata.get("namespace", ""), metadata["name"])
        defaults.apply(obj, resource.group, resource.version, resource.kind)
        self._track(resource, None, obj, ctx, resource.strategy)
        try:
            await self.store.create(ctx, obj, None)
        except errors.AlreadyExists:
            await self.store.refresh(resource.key(ctx.namespace, ctx.name))
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
        """Read, edit in place and write, until nobody else was faster; NotFound when the object is gone."""
        sub = resource.subresources.get(subresource)
        strategy = sub.strategy if sub is not None and sub.strategy is not None else resource.strategy
        ctx = self._context(resource, "update", namespace, name, subresource)

        async def make(live: Object | None) -> Object:
            if live is None:  # of a kind that an update may create
                raise errors.not_found(resource.group, resource.plural, name)
            entry = self.store.entry(resource, namespace, name)
            obj = decode(entry) if entry is not None else live
            edit(obj)
            self._track(resource, live, obj, ctx, strategy)
            return obj

        await self.store.update(ctx, make, strategy=strategy, uid=uid)

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
        sub = resource.subresources.get(subresource)
        strategy = sub.strategy if sub is not None and sub.strategy is not None else resource.strategy
        ctx = self._context(resource, "patch", namespace, name, subresource)
        assert resource.type_of is not None
        type_ = resource.type_of()
        named = {"kind": resource.kind, "apiVersion": resource.api_version}

        async def make(live: Object | None) -> Object:
            merged = apply.apply(
                live,
                named | config,
                type=type_,
                manager=self.manager,
                force=True,
                api_version=resource.api_version,
                kind=resource.kind,
                subresource=subresource,
                now=ctx.now,
                reset=strategy.apply_reset,
            )
            obj, _ = codec.decode_value(merged, type_)
            return {**obj, **named}

        await self.store.update(ctx, make, strategy=strategy, uid=uid)

    async def delete(
        self, resource: Resource, namespace: str, name: str, options: Object | None = None
    ) -> bool:
        """Delete an object; False when it was gone or is another one by now."""
        ctx = self._context(resource, "delete", namespace, name)
        try:
            await deletion.delete(self.store, ctx, options or {}, None)
        except (errors.NotFound, errors.Conflict):
            return False
        return True

    def _track(
        self, resource: Resource, live: Object | None, obj: Object, ctx: WriteContext, strategy: Strategy
    ) -> None:
        if resource.type_of is None:
            return
        managed.update(
            live,
            obj,
            type=resource.type_of(),
            manager=self.manager,
            api_version=resource.api_version,
            subresource=ctx.subresource,
            now=ctx.now,
            reset=strategy.apply_reset,
        )
