"""One write of an object: the sequence that users' requests and controllers share.

    track -> admit (mutating admission) -> rules of the kind -> validate (validating admission) -> commit

A create is three calls of its caller: admit(), what the caller adds, create(). An update is one, update(),
which calls its caller back between reading and writing. registry/steps.py has the steps that do not wait.

Rules of built-in kinds see the stored version, so a new object is converted before them, and back where
admission looks at it again. Rules of custom resources see the version that the request names
(`Conventions.by_version`), so the live object is converted to it first,
and what is written is converted as the last step before the store.

`async with write` gives back what hooks and plugins have reserved on the way unless the object was stored; an
update does so by itself.
"""

import asyncio
import operator
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import ParamSpec, Self, TypeVar

import orjson

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api._json import splice
from pilothouse.api.changes import managed
from pilothouse.api.changes.managed import Versions
from pilothouse.api.changes.patch import copy
from pilothouse.api.types import depth
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.registry.admission import Admission, AdmissionAttributes
from pilothouse.registry.conversion import Conversion
from pilothouse.registry.resource import Resource
from pilothouse.registry.rest import (
    before_create,
    check_uid,
    drop_empty,
    permit_update,
    settle_update,
    undo,
    vanishes,
    version_error,
)
from pilothouse.registry.steps import check_version, encoded, exists
from pilothouse.registry.storage_errors import MODIFIED, storage_error
from pilothouse.registry.store import Store, decode, key_of
from pilothouse.registry.strategy import Strategy, WriteContext
from pilothouse.storage import interface
from pilothouse.storage._entry import Entry

NAME_ATTEMPTS = 8
CONFLICT_ATTEMPTS = 64
LARGE = 256 * 1024
"""Bytes of a request from which on its object is encoded in parts:
in one go it would hold up other threads."""

P = ParamSpec("P")
T = TypeVar("T")

FAILED = (Exception, asyncio.CancelledError)
"""The exceptions that end a write without the store having been asked."""

Make = Callable[[Object | None], Awaitable[Object]]
"""Makes the object to write out of the live one; both are in the version that the rules of the kind see."""


@record(eq=False)
class Written:
    """The result of a write: the bytes to serve (resourceVersion included) in the stored version."""

    value: bytes
    created: bool = False
    changed: bool = True


def _unnoted(stage: str) -> None:
    """Nobody will ask."""


class Write:
    """One write of one object.

    strategy: the rules of an update, the subresource's where it goes to one. admission: the chain to pass,
    None = it passes none. manager: the field manager. in_place: the object is stored in the version of
    `resource` and stays in it, so nothing is converted.
    """

    __slots__ = (
        "_after_rules",
        "_before_rules",
        "_others",
        "admission",
        "attributes",
        "context",
        "in_place",
        "manager",
        "mark",
        "options",
        "resource",
        "store",
        "strategy",
        "versions",
        "view",
    )

    def __init__(
        self,
        store: Store,
        resource: Resource,
        context: WriteContext,
        admission: Admission | None = None,
        strategy: Strategy | None = None,
        manager: str = "",
        *,
        in_place: bool = False,
    ) -> None:
        self.in_place = in_place
        self.options: Object = {"fieldManager": manager}
        """The members of the CreateOptions or UpdateOptions object that plugins see."""
        self.store = store
        self.resource = resource
        self.context = context
        self.mark = _unnoted if context.timeline is None else context.timeline.mark
        """Notes that a stage of the write has ended."""
        self.strategy = strategy if strategy is not None else resource.strategy
        self.admission = admission
        self.manager = manager
        self.view: Callable[[Object], Object] | None = None
        """The request's view of an object in its version, None where it is the object itself."""
        conversion = None if in_place else resource.conversion
        by_version = resource.conventions.by_version
        self._before_rules = None if by_version else conversion
        self._after_rules = conversion if by_version else None
        self._others = resource.other_versions()
        self.versions: Versions = self._others if self._others is not None else resource.version_of
        """The versions for the code that works out managed fields."""
        self.attributes = AdmissionAttributes(resource, context)

    # Steps

    def track(
        self, live: Object | None, obj: Object, *, record: Resource | None = None, now: str | None = None
    ) -> None:
        """Bring managedFields up to date for a write that is no apply;
        both objects are in the request's version.

        `record` is the resource of an object that is not the one of the request's resource. BadRequest when a
        field set is nested too deeply. Called through settle_fields()
        where the resource may have further versions.
        """
        resource, strategy = self.resource, self.strategy
        if record is not None:
            resource, strategy = record, record.strategy
        if resource.type_of is None:
            return
        type_ = resource.type_of()
        managed.update(
            live,
            obj,
            type=type_,
            manager=self.manager,
            api_version=resource.api_version,
            subresource=self.context.subresource,
            now=self.context.now if now is None else now,
            reset=strategy.apply_reset,
            versions=self.versions,
            fits=resource.conventions.go_types,
        )
        if not resource.conventions.go_types or depth.may_be_deep(type_):
            depth.refuse_too_deep(obj["metadata"].get("managedFields"), 2)

    async def settle_fields(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The outcome of a call that works out managed fields with `versions`.

        Where other versions have to be waited for,
        it is called again after each of them, with the same arguments.
        """
        work = self.context.work
        if self._others is not None:
            return await self._others.settle(work, call, *args, **kwargs)
        return await work.run(call, *args, **kwargs) if work.bytes else call(*args, **kwargs)

    async def mutate(self, obj: Object, old: Object | None) -> Object:
        """The object that mutating admission makes of an object;
        both objects are in the request's version."""
        if self.admission is None:
            return obj
        attributes = self.attributes
        attributes.operation = "CREATE" if old is None else "UPDATE"
        attributes.pending = None
        kind = "CreateOptions" if old is None else "UpdateOptions"
        attributes.options = {"kind": kind, "apiVersion": "meta.k8s.io/v1", **self.options}
        attributes.obj, attributes.old = obj, old
        changed = await self.admission.mutate(attributes)
        assert changed is not None
        self.mark("mutating admission")
        return changed

    async def admit(self, obj: Object, old: Object | None) -> Object:
        """The object as mutating admission leaves it, in the version that the rules see."""
        obj = await self.mutate(obj, old)
        return obj if self._before_rules is None else await self._kept(self._before_rules, obj)

    @property
    def shows_rules_form(self) -> bool:
        """Whether the request shows objects as the rules see them."""
        return self._before_rules is None and self.view is None

    async def presented(self, obj: Object) -> Object:
        """The request's view of an object that is in the version that the rules see."""
        if self._before_rules is not None:
            obj = await self._shown(self._before_rules, obj)
        return obj if self.view is None else await self.context.work.run(self.view, obj)

    async def live(self, obj: Object) -> Object:
        """A stored object in the version that the rules see."""
        return obj if self._after_rules is None else await self._shown(self._after_rules, obj)

    async def _shown(self, conversion: Conversion, obj: Object) -> Object:
        """The served form of a stored object."""
        work = self.context.work
        if conversion.converter is None:
            return await work.run(conversion.present, obj)
        return (await conversion.presented((obj,), work))[0]

    async def _kept(self, conversion: Conversion, obj: Object) -> Object:
        """The stored form of an object in the request's version."""
        work = self.context.work
        if conversion.converter is None:
            return await work.run(conversion.store, obj)
        return (await conversion.kept((obj,), work))[0]

    async def validate(self, obj: Object, old: Object | None) -> None:
        """The validating half of admission; both objects are in the version that the rules see."""
        if self.admission is None:
            return
        self.mark("rules of the kind")
        attributes = self.attributes
        attributes.operation = "CREATE" if old is None else "UPDATE"
        attributes.obj, attributes.old = obj, old
        if not self.context.name:
            attributes.name = obj["metadata"].get("name", "")
        if self._before_rules is not None or self.view is not None:
            attributes.pending = self._present
        await self.admission.validate(attributes)
        attributes.pending = None
        self.mark("validating admission")

    async def admit_delete(
        self, old: Object, complete: Callable[[AdmissionAttributes], Awaitable[None]] | None = None
    ) -> None:
        """Run both halves of admission for a delete of `old`, which is in the stored version; `complete`
        reads the rest of it, before the first plugin that wants it."""
        if self.admission is None:
            return
        attributes = self.attributes
        attributes.operation = "DELETE"
        attributes.obj, attributes.old = None, old
        if self.resource.conversion is not None or self.view is not None:
            attributes.pending = self._present_old
        elif complete is not None:
            attributes.pending = partial(complete, attributes)
        await self.admission.mutate(attributes)
        self.mark("mutating admission")
        await self.admission.validate(attributes)
        attributes.pending = None
        self.mark("validating admission")

    async def admit_connect(self, options: Object) -> Object:
        """Run both halves of admission for a CONNECT; returns its options object as plugins leave it."""
        attributes, admission = self.attributes, self.admission
        assert admission is not None
        attributes.operation, attributes.obj = "CONNECT", options
        changed = await admission.mutate(attributes)
        assert changed is not None
        attributes.obj = changed
        await admission.validate(attributes)
        return changed

    async def _present(self) -> None:
        """Bring the objects of the attributes from the version that the rules see to the request's."""
        attributes = self.attributes
        attributes.pending = None
        if attributes.obj is not None:
            attributes.obj = await self.presented(attributes.obj)
        if attributes.old is not None:
            attributes.old = await self.presented(attributes.old)

    async def _present_old(self) -> None:
        """Like _present(), for a stored object that is deleted."""
        attributes = self.attributes
        attributes.pending = None
        assert attributes.old is not None
        attributes.old = await self.presented(await self.live(attributes.old))

    async def commit(self, outcome: Awaitable[interface.KeyValue]) -> interface.KeyValue:
        """The outcome of what the store was asked to write.

        Reservations stay when the object was written. They also stay when the outcome is unknown: the store
        may have carried out a write that it did not answer.
        Periodic repairs free what was reserved for nothing.
        """
        timeline, began = self.context.timeline, perf_counter()
        try:
            written = await outcome
        except (interface.KeyExists, interface.RevisionConflict):
            raise
        except BaseException:
            self.context.undo.clear()
            raise
        self.context.undo.clear()
        if timeline is not None:
            timeline.committed(written.mod, perf_counter() - began)
            timeline.mark("commit")
        return written

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        """Give back what is still reserved when the block has failed, or in a dry run."""
        ctx = self.context
        if ctx.undo and (ctx.dry_run if kind is None else issubclass(kind, FAILED)):
            await undo(ctx)

    def author(self) -> bytes:
        """The bytes that tell who writes, for a store that keeps them; b"" where none does."""
        tell = self.store.author
        return b"" if tell is None else tell(self.context, self.manager)

    # Create

    def create(self, obj: Object) -> Awaitable[Written]:
        """Store a new object as admit() leaves it; its name is generated when it has none.

        Called within `async with`: what was reserved for an object that is not stored remains reserved.
        """
        metadata = obj["metadata"]
        sent = metadata.pop("resourceVersion", "")
        if sent and self.context.dry_run:
            return self._create_versioned(obj, sent)
        versioned = sent not in ("", "0") and not version_error(sent)
        if metadata.get("generateName") and not metadata.get("name"):
            return self._create_named(obj, versioned)
        return self._create(obj, versioned=versioned)

    async def _create_versioned(self, obj: Object, sent: str) -> Written:
        """Try a new object that came with a resourceVersion:
        nothing is stored, so it stays as it was sent."""
        written = await self.create(obj)
        shown = orjson.loads(written.value)
        shown["metadata"] = {"resourceVersion": sent, **shown["metadata"]}
        written.value = orjson.dumps(shown)
        return written

    async def _create_named(self, obj: Object, versioned: bool) -> Written:
        """Store a new object under a name that is made for it,
        and under another one while the name is taken."""
        work = self.context.work
        blank = await work.run(orjson.dumps, obj)
        reserved = len(self.context.undo)
        for attempt in range(NAME_ATTEMPTS):
            try:
                return await self._create(obj, versioned=versioned)
            except errors.AlreadyExists:
                if attempt == NAME_ATTEMPTS - 1:
                    raise
                await undo(self.context, reserved)
                obj = await work.run(orjson.loads, blank)
        raise AssertionError("unreachable")

    async def _create(
        self,
        obj: Object,
        authorize_create: Callable[[], Awaitable[None]] | None = None,
        *,
        versioned: bool = False,
    ) -> Written:
        """Prepare, validate and store a new object; one that came with a resourceVersion is not stored."""
        resource, ctx, strategy = self.resource, self.context, self.resource.strategy
        metadata, work = obj["metadata"], ctx.work
        meta.wipe_system_fields(obj)  # admission does not set them either
        metadata["creationTimestamp"] = ctx.now
        metadata["uid"] = meta.new_uid()
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = meta.generate_name(metadata["generateName"])
        try:
            if work.bytes:
                await work.run(before_create, resource, ctx, strategy, obj)
            else:
                before_create(resource, ctx, strategy, obj)
            if authorize_create is not None:
                await authorize_create()
            await self.validate(obj, None)
            key = key_of(resource, ctx.namespace, metadata["name"])
            if self._after_rules is not None:
                obj = await self._kept(self._after_rules, obj)
            value = await work.run(self._encode_new, obj) if work.bytes else self._encode_new(obj)
            if ctx.dry_run:
                if self.store.get(resource, key) is not None:
                    raise interface.KeyExists(interface.KeyValue(key, b"", 0))
                await undo(ctx)
                return Written(value, created=True)
            if versioned:
                raise errors.Unknown("resourceVersion should not be set on objects to be created")
            if strategy.claim is not None:
                await strategy.claim(ctx, obj, None)
            ttl = strategy.ttl(ctx, obj) if strategy.ttl else 0
            kv = await self.commit(self.store.storage.create(key, value, ttl, self.author()))
        except interface.KeyExists:
            raise exists(self.store, resource, ctx.namespace, metadata) from None
        except interface.StorageError as err:
            raise storage_error(resource, metadata.get("name", ""), err) from err
        return Written(self.store.served(resource, kv), created=True)

    # Update

    async def update(
        self,
        make: Make,
        *,
        uid: str = "",
        make_from_old: bool = False,
        allow_create: bool = False,
        authorize_create: Callable[[], Awaitable[None]] | None = None,
    ) -> Written:
        """Read, make the new object out of the live one, check and write it;
        retried after another write of the object.

        `make` is given a private copy of the live object, or None when there is none and the write may create
        it; it passes what it makes through `admit` itself. With `make_from_old` it gets no copy but the
        object that the new one is compared with. It must not change it, nor return parts that hooks change.
        `uid` is a precondition. Raises what `make` raises.
        """
        resource, ctx = self.resource, self.context
        key = key_of(resource, ctx.namespace, ctx.name)
        reserved = len(ctx.undo)
        for _ in range(CONFLICT_ATTEMPTS):
            entry = self.store.get(resource, key)
            try:
                if entry is None:
                    return await self._create_on_update(make, uid, allow_create, authorize_create)
                return await self._update(make, uid, make_from_old, entry)
            except interface.RevisionConflict:
                await undo(ctx, reserved)
                await self.store.refresh(key)
            except interface.StorageError as err:
                await undo(ctx, reserved)
                raise storage_error(resource, ctx.name, err) from err
            except FAILED:
                await undo(ctx, reserved)
                raise
        raise errors.conflict(resource.group, resource.plural, ctx.name, MODIFIED)

    async def _create_on_update(
        self,
        make: Make,
        uid: str,
        allow_create: bool,
        authorize_create: Callable[[], Awaitable[None]] | None,
    ) -> Written:
        resource, ctx = self.resource, self.context
        if not (self.strategy.create_on_update or allow_create):
            raise errors.not_found(resource.group, resource.plural, ctx.name)
        check_uid(resource, ctx, uid, "")
        return await self._create(await make(None), authorize_create)

    async def _update(self, make: Make, uid: str, make_from_old: bool, entry: Entry) -> Written:
        resource, ctx, strategy = self.resource, self.context, self.strategy
        work = ctx.work
        await work.enter(len(entry.value))
        stored = await work.run(decode, entry) if work.bytes else decode(entry)
        check_uid(resource, ctx, uid, stored["metadata"].get("uid", ""))
        old = stored if self._after_rules is None else await self.live(stored)
        if make_from_old:
            obj = await make(old)
        else:
            obj = await make(await work.run(decode, entry) if old is stored else await work.run(copy, old))
        check_version(resource, ctx.name, strategy, obj["metadata"], old["metadata"], entry.rev)
        compared = self.store.metrics.compared
        if work.bytes:
            await work.run(settle_update, resource, ctx, strategy, obj, old, compared)
        else:
            settle_update(resource, ctx, strategy, obj, old, compared)
        if strategy.permit_update is not None:
            await permit_update(resource, ctx, strategy.permit_update, obj, old)
        await self.validate(obj, old)
        if self._after_rules is not None:
            obj, old = await self._kept(self._after_rules, obj), stored
        if vanishes(strategy, obj, old):
            return await self._vanish(obj, old, entry)
        same = await work.run(operator.eq, obj, old) if work.bytes else obj == old
        if same and not await self._outdated(obj, entry):
            await undo(ctx)
            return Written(entry.value, changed=False)
        value = await work.run(self._encode, obj) if work.bytes else self._encode(obj)
        if ctx.dry_run:
            await undo(ctx)
            return Written(splice(value, entry.rev))
        ttl = strategy.ttl(ctx, obj) if strategy.ttl else 0
        rules = resource.strategy
        if rules.claim is not None:
            await rules.claim(ctx, obj, old)
        kv = await self.commit(self.store.storage.update(entry.key, value, entry.rev, ttl, self.author()))
        if rules.settle is not None:
            await rules.settle(ctx, obj, old)
        return Written(self.store.served(resource, kv))

    async def _outdated(self, obj: Object, entry: Entry) -> bool:
        """Whether to write an unchanged object:
        it is encrypted with a key that was replaced, or lacks defaults upstream."""
        storage, lacks = self.store.storage, self.resource.strategy.defaults_not_stored
        if lacks is not None and lacks(obj):
            kv = await storage.get(entry.key)
            if kv is not None and kv.create == kv.mod:
                return True
        stale = self.store.stale
        return stale is not None and await stale(entry.key)

    async def _vanish(self, obj: Object, old: Object, entry: Entry) -> Written:
        """Remove a deleted object whose last finalizer the update took off;
        the answer is the updated object."""
        ctx, rules = self.context, self.resource.strategy
        value = splice(await ctx.work.run(self._encode, obj), entry.rev)
        await undo(ctx)  # nothing is kept of what the update reserved for the object
        if not ctx.dry_run:
            await self.commit(self.store.storage.delete(entry.key, entry.rev, author=self.author()))
            if rules.after_delete is not None:
                rules.after_delete(ctx, obj)
            if rules.settle is not None:
                await rules.settle(ctx, None, old)
        return Written(value)

    # Bytes

    def _encode_new(self, obj: Object) -> bytes:
        """Like _encode(), for an object whose empty members have not been dropped yet."""
        drop_empty(self.resource, obj)
        return self._encode(obj)

    def _encode(self, obj: Object) -> bytes:
        """The bytes to store; the 500 of upstream when the store takes less."""
        stored = self.resource if self.in_place else self.resource.storage or self.resource
        return encoded(obj, stored, self.store.object_limit, large=self.context.work.bytes > LARGE)
