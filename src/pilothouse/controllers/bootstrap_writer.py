"""Writes bootstrap objects: all missing ones in one transaction, later changes as any client does.

They are the server's own and fit the rules of their kinds, so a start does not compile these.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from pilothouse.api import codec, meta
from pilothouse.api.changes import apply, managed
from pilothouse.api.defaults import kinds as defaults
from pilothouse.api.types import schema
from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.api.values.fields import Object
from pilothouse.controllers.bootstrap import BootstrapObject
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.client import USER, Client
from pilothouse.registry.client_metrics import ClientMetrics
from pilothouse.registry.readers import Readers
from pilothouse.registry.resource import Resource
from pilothouse.registry.rest import before_create, undo
from pilothouse.registry.store import Store
from pilothouse.registry.strategy import HookServices, Strategy, WriteContext
from pilothouse.storage.interface import Op, RevisionConflict


class BootstrapWriter:
    """Implements bootstrap.BootstrapClient."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        readers: Readers,
        services: HookServices,
        metrics: ClientMetrics | None = None,
        clock: ServerClock = SYSTEM,
    ) -> None:
        self.clock = clock
        self.store = store
        self.catalog = catalog
        self.readers = readers
        self.services = services
        self.metrics = metrics
        self._strategies: dict[str, Strategy] = {}

    def _strategy(self, resource: Resource) -> Strategy:
        """How a resource has its objects prepared, without the rules of the kind."""
        name = resource.group_resource
        found = self._strategies.get(name)
        if found is None:
            found = self._strategies[name] = replace(
                resource.strategy, validate=None, validate_update=None, validate_anew=None, warnings=None
            )
        return found

    def _resource(self, planned: BootstrapObject) -> Resource | None:
        """The planned object's resource; None if its group is disabled."""
        return self.catalog.get(planned.group, planned.version, planned.plural)

    def _client(self, planned: BootstrapObject) -> Client:
        given = self.store, self.catalog, self.readers, self.services, planned.manager
        return Client(*given, metrics=self.metrics, clock=self.clock, strategy_of=self._strategy)

    def get(self, planned: BootstrapObject) -> Object | None:
        resource = self._resource(planned)
        if resource is None:
            return None
        return self._client(planned).get(resource, planned.namespace, planned.name)

    async def create_missing(self, planned: Sequence[BootstrapObject]) -> None:
        writes: list[tuple[WriteContext, Op]] = []
        for one in planned:
            resource = self._resource(one)
            if resource is not None:
                ctx = self._context(resource, one)
                writes.append((ctx, self._op(resource, ctx, one)))
        # One operation per transaction, so that each object has its own revision;
        # the store commits them together.
        tasks = (self.store.storage.txn([op]) for _, op in writes)
        failed: BaseException | None = None
        for (ctx, _), result in zip(
            writes, await asyncio.gather(*tasks, return_exceptions=True), strict=True
        ):
            if isinstance(result, BaseException) and not isinstance(result, RevisionConflict):
                await undo(ctx)
                failed = failed or result
        if failed is not None:  # a conflict is no failure: another server is starting too
            raise failed

    def _context(self, resource: Resource, planned: BootstrapObject) -> WriteContext:
        return WriteContext(
            user=USER,
            verb="create",
            resource=resource,
            namespace=planned.namespace,
            name=planned.name,
            now=meta.now(self.clock.time()),
            readers=self.readers,
            services=self.services,
        )

    def _op(self, resource: Resource, ctx: WriteContext, planned: BootstrapObject) -> Op:
        obj, _ = codec.decode_value(planned.obj, _type(resource))
        obj["kind"], obj["apiVersion"] = resource.kind, resource.api_version
        defaults.apply(obj, resource.group, resource.version, resource.kind)
        status = obj.get("status")
        metadata = obj["metadata"]
        metadata["uid"] = meta.new_uid()
        metadata["creationTimestamp"] = ctx.now
        generation = metadata.get("generation")
        self._track(resource, planned, obj, ctx.now)
        before_create(resource, ctx, self._strategy(resource), obj)
        if status:
            obj["status"] = status
        if generation:
            metadata["generation"] = generation
        stored, tell = resource.storage or resource, self.store.author
        return Op(
            resource.key(planned.namespace, planned.name),
            codec.encode(obj, stored.kind, stored.api_version),
            0,
            author=b"" if tell is None else tell(ctx, planned.manager),
        )

    def _track(self, resource: Resource, planned: BootstrapObject, obj: Object, now: str) -> None:
        main = {k: v for k, v in obj.items() if k != "status"} if planned.status_manager else obj
        managed.update(
            None,
            main,
            type=_type(resource),
            manager=planned.manager,
            api_version=resource.api_version,
            subresource="",
            now=now,
            reset=resource.strategy.apply_reset,
        )
        if planned.status_manager:
            obj["metadata"]["managedFields"] = main["metadata"]["managedFields"]
            _track_status(resource, planned, obj, now)

    async def change(self, planned: BootstrapObject, edit: Callable[[Object], None]) -> None:
        resource = self._resource(planned)
        if resource is not None:
            await self._client(planned).change(resource, planned.namespace, planned.name, edit)

    async def delete(self, planned: BootstrapObject) -> None:
        resource = self._resource(planned)
        if resource is not None:
            await self._client(planned).delete(resource, planned.namespace, planned.name)


def _track_status(resource: Resource, planned: BootstrapObject, obj: Object, now: str) -> None:
    """Record in managedFields that a separate manager applied the status."""
    config = {member: obj[member] for member in ("kind", "apiVersion", "status")}
    applied = apply.apply(
        obj,
        config | {"metadata": {"name": planned.name}},
        type=_type(resource),
        manager=planned.status_manager,
        force=True,
        api_version=resource.api_version,
        kind=resource.kind,
        subresource="status",
        now=now,
    )
    obj["metadata"]["managedFields"] = applied["metadata"]["managedFields"]


def _type(resource: Resource) -> schema.Type:
    assert resource.type_of is not None
    return resource.type_of()
