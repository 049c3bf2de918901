"""The verbs over the store: create, update and read, for every kind alike (apiserver registry/generic/registry).

Deletion has a file of its own, deletion.py. This is the one place where storage errors become Status errors.
"""

import operator
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pilothouse import errors
from pilothouse._entry import Entry
from pilothouse._json import splice
from pilothouse.api import codec, meta, names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.semantic import same_meaning
from pilothouse.options import OBJECT_LIMIT
from pilothouse.registry.fields import extractor, indexed
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import Path, Strategy, WriteContext
from pilothouse.storage import interface
from pilothouse.storage.encryption.backend import EncryptedStorage
from pilothouse.storage.watchcache import Cacher, ResourceCache

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
NAME_ATTEMPTS = 8
CONFLICT_ATTEMPTS = 64
LARGE = 256 * 1024
"""Bytes of a request from which on its object is encoded in parts: in one go it would hold up other threads."""
TOO_LARGE = "etcdserver: request is too large"
"""What upstream answers then, whatever the store is."""
CATCH_UP = 3.0
"""Seconds for the cache to take in what the store has."""

Validate = Callable[[Object, Object | None], Awaitable[None]]
"""The last word of admission on (new, old)."""


@dataclass(slots=True)
class Written:
    """What a write left: the bytes to serve (resourceVersion included) in the stored version."""

    value: bytes
    created: bool = False
    changed: bool = True


def dig(obj: Any, path: Path) -> Any:
    """The member at a path, None when any step is absent."""
    for name in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(name)
    return obj


def put(obj: Object, path: Path, value: Any) -> None:
    """Set (or with None drop) the member at a path, making the steps to it."""
    *head, last = path
    for name in head:
        step = obj.get(name)
        if not isinstance(step, dict):
            if value is None:
                return
            step = obj[name] = {}
        obj = step
    if value is None:
        obj.pop(last, None)
    else:
        obj[last] = value


def storage_error(resource: Resource, name: str, err: interface.StorageError) -> errors.StatusError:
    """The Status of a storage error: the only translation there is."""
    if isinstance(err, interface.KeyExists):
        return errors.already_exists(resource.group, resource.plural, name)
    if isinstance(err, interface.RevisionConflict):
        return errors.conflict(resource.group, resource.plural, name, MODIFIED)
    if isinstance(err, interface.Compacted):
        return errors.Expired("The resourceVersion for the provided list is too old.")
    if isinstance(err, interface.FutureRevision):
        return too_large(0, err.current)
    return unavailable(err)


def unavailable(err: interface.StorageError) -> errors.StatusError:
    """The store can not be used at the moment."""
    return errors.InternalError(
        f"Internal error occurred: {err}", details={"causes": [{"message": str(err)}]}
    )


def too_large(asked: int, current: int) -> errors.Timeout:
    """A resourceVersion that has not been reached (storage.NewTooLargeResourceVersionError)."""
    return errors.Timeout(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        headers=[("Retry-After", "1")],
    )


class Store:
    """Objects of every resource, by key; `storage` holds them and `cacher` serves the reads."""

    def __init__(self, storage: interface.Storage, cacher: Cacher, object_limit: int = OBJECT_LIMIT) -> None:
        """`object_limit`: bytes that a stored object may have at the most."""
        self.storage = storage
        self.cacher = cacher
        self.object_limit = object_limit
        self._caches: dict[str, ResourceCache] = {}
        self.fresh: Callable[[], Awaitable[None]] | None = self._catch_up if storage.shared else None
        """Makes the caches as new as the store; None where they always are. Many who wait share one read."""

    def cache(self, resource: Resource) -> ResourceCache:
        """The watch cache of what is stored for a resource."""
        found = self._caches.get(resource.key_prefix)
        if found is None:
            stored = resource.storage or resource
            found = self.cacher.resource(stored.key_prefix, extractor(stored), indexed(stored))
            self._caches[resource.key_prefix] = found
        return found

    def forget(self, resource: Resource) -> None:
        """Drop the cache of a resource that is no longer served."""
        self._caches.pop(resource.key_prefix, None)

    def readable(self, resource: Resource, prefix: str = "") -> ResourceCache:
        """The same for who wants all objects, or all under a prefix; InternalError when one can not be read."""
        if self.cacher.unreadable:
            prefix = prefix or (resource.storage or resource).key_prefix
            for key, error in self.cacher.unreadable.items():
                if key.startswith(prefix):
                    raise unavailable(error.in_list())
        return self.cache(resource)

    def get(self, resource: Resource, key: str) -> Entry | None:
        """The newest cached state of an object; InternalError when what is stored can not be read."""
        if key in self.cacher.unreadable:
            raise unavailable(self.cacher.unreadable[key])
        return self.cache(resource).get(key)

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """As get(), by namespace and name."""
        return self.get(resource, resource.key(namespace, name))

    def find(self, resource: Resource, namespace: str, name: str) -> Entry:
        """As entry(), but a missing object is a NotFound."""
        entry = self.get(resource, key_of(resource, namespace, name))
        if entry is None:
            raise errors.not_found(resource.group, resource.plural, name)
        return entry

    async def _catch_up(self) -> None:
        try:
            revision = await self.storage.current_revision()
        except interface.StorageError as err:
            raise unavailable(err) from err
        if not await self.cacher.wait_for(revision, CATCH_UP):
            raise unavailable(interface.Unavailable("the cache does not keep up with the store"))

    async def refresh(self, key: str) -> None:
        """After a lost compare-and-set: wait until the cache has what the store has."""
        await self._catch_up()

    async def create(self, ctx: WriteContext, obj: Object, validate: Validate | None) -> Written:
        """Store a new object; the name is generated here when only generateName is given."""
        metadata = obj["metadata"]
        sent = metadata.pop("resourceVersion", "")
        if sent and sent != "0" and not _version_error(sent):
            raise errors.Unknown("resourceVersion should not be set on objects to be created")
        prefix = metadata.get("generateName")
        if not prefix or metadata.get("name"):
            return await self._create(ctx, obj, validate)
        blank = await ctx.work.run(orjson.dumps, obj)
        for attempt in range(NAME_ATTEMPTS):
            try:
                return await self._create(ctx, obj, validate)
            except errors.AlreadyExists:
                if attempt == NAME_ATTEMPTS - 1:
                    raise
                obj = await ctx.work.run(orjson.loads, blank)
        raise AssertionError("unreachable")

    async def _create(self, ctx: WriteContext, obj: Object, validate: Validate | None) -> Written:
        resource, strategy = ctx.resource, ctx.resource.strategy
        metadata = obj["metadata"]
        metadata["creationTimestamp"] = ctx.now
        metadata["uid"] = meta.new_uid()
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = meta.generate_name(metadata["generateName"])
        try:
            await ctx.work.run(before_create, ctx, strategy, obj)
            if validate is not None:
                await validate(obj, None)
            name = metadata["name"]
            key = key_of(resource, ctx.namespace, name)
            value = await ctx.work.run(self._encode_new, resource, obj, ctx.work.bytes)
            if ctx.dry_run:
                if self.get(resource, key) is not None:
                    raise interface.KeyExists(interface.KeyValue(key, b"", 0))
                await undo(ctx)
                return Written(value, created=True)
            if strategy.claim is not None:
                await strategy.claim(self, ctx, obj, None)
            kv = await self.storage.create(key, value, strategy.ttl(ctx, obj) if strategy.ttl else 0)
        except interface.KeyExists:
            await undo(ctx)
            raise self._exists(resource, ctx.namespace, metadata) from None
        except interface.StorageError as err:
            await undo(ctx)
            raise storage_error(resource, metadata.get("name", ""), err) from err
        except Exception:
            await undo(ctx)
            raise
        return Written(self._served(resource, kv), created=True)

    def _encode_new(self, resource: Resource, obj: Object, size: int) -> bytes:
        """As _encode(), of an object from which nothing was dropped yet."""
        _drop_empty(resource, obj)
        return self._encode(resource, obj, size)

    def _encode(self, resource: Resource, obj: Object, size: int) -> bytes:
        """What is stored for an object that was sent in `size` bytes; the 500 of upstream when the store takes less."""
        stored = resource.storage or resource
        obj["metadata"].pop("resourceVersion", None)
        if size > LARGE:
            large = codec.encode_large(obj, stored.kind, stored.api_version, self.object_limit)
            if large is None:
                raise errors.Unknown(TOO_LARGE)
            return large
        value = codec.encode(obj, stored.kind, stored.api_version)
        if len(value) > self.object_limit:
            raise errors.Unknown(TOO_LARGE)
        return value

    def _served(self, resource: Resource, kv: interface.KeyValue) -> bytes:
        """The bytes of a write as they are served; the cache most often has them already."""
        entry = self.cache(resource).get(kv.key)
        if entry is not None and entry.rev == kv.mod:
            return entry.value
        return splice(kv.value, kv.mod)

    def _exists(self, resource: Resource, namespace: str, metadata: Object) -> errors.AlreadyExists:
        name = metadata["name"]
        err = errors.already_exists(resource.group, resource.plural, name)
        if metadata.get("generateName"):
            err.message += ", the server was not able to generate a unique name for the object"
            err.details = {**(err.details or {}), "retryAfterSeconds": 1}
            err.headers = [("Retry-After", "1")]
        entry = self.cache(resource).get(resource.key(namespace, name))
        if (
            entry is not None
            and b'"deletionTimestamp":' in entry.value
            and decode(entry)["metadata"].get("deletionTimestamp")
        ):
            err.message = f"object is being deleted: {err.message}"
        return err

    async def update(
        self,
        ctx: WriteContext,
        make: Callable[[Object | None], Awaitable[Object]],
        *,
        strategy: Strategy,
        uid: str = "",
        shared: bool = False,
        allow_create: bool = False,
        validate: Validate | None = None,
        authorize_create: Callable[[], Awaitable[None]] | None = None,
    ) -> Written:
        """Read, make the new object out of the old one, check and write it, again when somebody else was faster.

        `make` is given a private copy of the live object, or None when there is none and the write may create it;
        it may be called several times. With `shared` it promises only to read what it is given, and to make what is
        changed later on anew. `uid` is a precondition. Raises what `make` raises.
        """
        resource = ctx.resource
        key = key_of(resource, ctx.namespace, ctx.name)
        for _ in range(CONFLICT_ATTEMPTS):
            entry = self.get(resource, key)
            try:
                if entry is None:
                    return await self._create_on_update(
                        ctx, make, strategy, uid, allow_create, validate, authorize_create
                    )
                return await self._update(ctx, make, strategy, uid, shared, validate, entry)
            except interface.RevisionConflict:
                await undo(ctx)
                await self.refresh(key)
            except interface.StorageError as err:
                await undo(ctx)
                raise storage_error(resource, ctx.name, err) from err
            except Exception:
                await undo(ctx)
                raise
        raise errors.conflict(resource.group, resource.plural, ctx.name, MODIFIED)

    async def _create_on_update(
        self,
        ctx: WriteContext,
        make: Callable[[Object | None], Awaitable[Object]],
        strategy: Strategy,
        uid: str,
        allow_create: bool,
        validate: Validate | None,
        authorize_create: Callable[[], Awaitable[None]] | None,
    ) -> Written:
        resource = ctx.resource
        if not (strategy.create_on_update or allow_create):
            raise errors.not_found(resource.group, resource.plural, ctx.name)
        check_uid(resource, ctx, uid, "")
        obj = await make(None)

        async def check(new: Object, old: Object | None) -> None:
            if authorize_create is not None:
                await authorize_create()
            if validate is not None:
                await validate(new, old)

        meta.wipe_system_fields(obj)
        return await self._create(ctx, obj, check)

    async def _update(
        self,
        ctx: WriteContext,
        make: Callable[[Object | None], Awaitable[Object]],
        strategy: Strategy,
        uid: str,
        shared: bool,
        validate: Validate | None,
        entry: Entry,
    ) -> Written:
        resource = ctx.resource
        work = ctx.work
        await work.enter(len(entry.value))
        old = await work.run(decode, entry)
        live = old["metadata"]
        check_uid(resource, ctx, uid, live.get("uid", ""))
        obj = await make(old if shared else await work.run(decode, entry))
        metadata = obj["metadata"]
        sent = metadata.get("resourceVersion")
        why = "" if not sent or sent == live["resourceVersion"] else _version_error(sent)
        if why:
            raise errors.Unknown(why)
        if not sent or int(sent) == 0:
            if not strategy.unconditional_update:
                errs = Errors()
                errs.invalid("metadata.resourceVersion", 0, "must be specified for an update")
                errs.raise_if_any(resource.group, resource.plural, ctx.name)
        elif int(sent) != entry.rev:
            raise errors.conflict(resource.group, resource.plural, ctx.name, MODIFIED)
        metadata["resourceVersion"] = live["resourceVersion"]
        await work.run(_settled, ctx, strategy, obj, old)
        if validate is not None:
            await validate(obj, old)
        if _vanishes(strategy, obj, old):
            return await self._vanish(ctx, strategy, obj, entry)
        if await work.run(operator.eq, obj, old) and not await self._stale(entry.key):
            await undo(ctx)
            return Written(entry.value, changed=False)
        value = await work.run(self._encode, resource, obj, work.bytes)
        if ctx.dry_run:
            await undo(ctx)
            return Written(splice(value, entry.rev))
        ttl = strategy.ttl(ctx, obj) if strategy.ttl else 0
        rules = resource.strategy
        if rules.claim is not None:
            await rules.claim(self, ctx, obj, old)
        kv = await self.storage.update(entry.key, value, entry.rev, ttl)
        if rules.settle is not None:
            await rules.settle(self, ctx, obj, old)
        return Written(self._served(resource, kv))

    async def _stale(self, key: str) -> bool:
        """Whether to write an unchanged object, as it is encrypted with a key that was replaced."""
        return isinstance(self.storage, EncryptedStorage) and await self.storage.stale(key)

    async def _vanish(self, ctx: WriteContext, strategy: Strategy, obj: Object, entry: Entry) -> Written:
        """An update that took the last finalizer off a deleted object removes it; the answer is the updated object."""
        resource = ctx.resource
        value = splice(await ctx.work.run(self._encode, resource, obj, ctx.work.bytes), entry.rev)
        if not ctx.dry_run:
            await self.storage.delete(entry.key, entry.rev)
            if resource.strategy.after_delete is not None:
                resource.strategy.after_delete(ctx, obj)
            if resource.strategy.settle is not None:
                await resource.strategy.settle(self, ctx, None, obj)
        return Written(value)


def decode(entry: Entry) -> Object:
    """A fresh dict of a cached object."""
    out: Object = orjson.loads(entry.value)
    return out


def key_of(resource: Resource, namespace: str, name: str) -> str:
    """The storage key; BadRequest when the name can be no path segment (apiserver NamespaceKeyFunc)."""
    if resource.namespaced and not namespace:
        raise errors.BadRequest("Namespace parameter required.")
    if not name:
        raise errors.BadRequest("Name parameter required.")
    if name[0] == "." or "/" in name or "%" in name:
        why = names.path_segment(name, False)
        if why:
            raise errors.BadRequest(f'Name parameter invalid: "{name}": {";".join(why)}')
    return resource.key(namespace, name)


def check_uid(resource: Resource, ctx: WriteContext, wanted: str, found: str) -> None:
    """The UID of a PUT body is a precondition (storage.Preconditions)."""
    if wanted and wanted != found:
        stored = resource.storage or resource
        why = (
            f"StorageError: invalid object, Code: 4, Key: {stored.key(ctx.namespace, ctx.name)}, ResourceVersion: 0, "
            f"AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        )
        raise errors.conflict(resource.group, resource.plural, ctx.name, why)


def _zero(resource: Resource, path: Path) -> Any:
    """What stands at a path of an object in which nothing was set: a status that has members which are always written."""
    stored = resource.storage or resource
    if stored.type_of is None or stored.list_items_typed:
        return None
    return dig(codec.prune({}, stored.type_of()), path)


def before_create(ctx: WriteContext, strategy: Strategy, obj: Object) -> None:
    """Prepare and validate a new object (rest.BeforeCreate)."""
    resource, metadata = ctx.resource, obj["metadata"]
    metadata.pop("selfLink", None)
    for path in strategy.reset_on_create:
        put(obj, path, _zero(resource, path))
    if strategy.generation_on_create:
        metadata["generation"] = strategy.generation_on_create
    if strategy.prepare_create is not None:
        strategy.prepare_create(ctx, obj)
    errs = Errors()
    meta.validate_create(obj, resource.namespaced, strategy.name_check, errs)
    if strategy.validate is not None:
        strategy.validate(ctx, obj, errs)
    stored = resource.storage or resource
    errs.raise_if_any(stored.group, stored.kind, metadata.get("name", ""))
    if strategy.warnings is not None:
        ctx.warnings.extend(strategy.warnings(ctx, obj, None))


def before_update(ctx: WriteContext, strategy: Strategy, obj: Object, old: Object) -> None:
    """Prepare and validate a changed object (rest.BeforeUpdate)."""
    resource, metadata, live = ctx.resource, obj["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    put(metadata, ("generation",), live.get("generation"))
    for path in strategy.keep_on_update:
        put(obj, path, dig(old, path))
    if strategy.prepare_update is not None:
        strategy.prepare_update(ctx, obj, old)
    if any(_differs(resource, obj, old, p) for p in strategy.generation_fields):
        metadata["generation"] = live.get("generation", 0) + 1
    if not metadata.get("uid"):
        metadata["uid"] = live.get("uid", "")
    if live.get("creationTimestamp"):
        metadata["creationTimestamp"] = live["creationTimestamp"]
    if live.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = live["deletionTimestamp"]
    if (
        live.get("deletionGracePeriodSeconds") is not None
        and metadata.get("deletionGracePeriodSeconds") is None
    ):
        metadata["deletionGracePeriodSeconds"] = live["deletionGracePeriodSeconds"]
    errs = Errors()
    meta.validate_create(obj, resource.namespaced, names.path_segment, errs)
    meta.validate_update(obj, old, errs, checked=not errs)
    if errs:  # the strategies of upstream check the metadata once more, so every cause stands there twice
        meta.validate_update(obj, old, errs)
    if strategy.validate_update is not None:
        strategy.validate_update(ctx, obj, old, errs)
    stored = resource.storage or resource
    errs.raise_if_any(stored.group, stored.kind, metadata.get("name", ""))
    if strategy.warnings is not None:
        ctx.warnings.extend(strategy.warnings(ctx, obj, old))


def _settled(ctx: WriteContext, strategy: Strategy, obj: Object, old: Object) -> None:
    """Bring a changed object to the form in which admission judges it and it is stored."""
    before_update(ctx, strategy, obj, old)
    _drop_empty(ctx.resource, obj)
    _keep_times(obj, old)


def _differs(resource: Resource, obj: Object, old: Object, path: Path) -> bool:
    """Whether a member changed in what it means: quantities that are written otherwise are the same."""
    new, before = dig(obj, path), dig(old, path)
    if new == before:
        return False
    stored = resource.storage or resource
    if stored.type_of is None or stored.list_items_typed:
        return True
    type_ = stored.type_of()
    for name in path:
        type_ = type_.fields[name].type
    return not same_meaning(type_, new, before)


def _drop_empty(resource: Resource, obj: Object) -> None:
    """Let go of what storage does not keep."""
    stored = resource.storage or resource
    if stored.type_of is not None and not stored.list_items_typed:
        codec.drop_empty(obj, stored.type_of())


def _version_error(text: str) -> str:
    if not text.isascii() or not text.isdigit():
        return f'strconv.ParseUint: parsing "{text}": invalid syntax'
    too_big = len(text) > 100 or int(text) >= 2**64
    return f'strconv.ParseUint: parsing "{text}": value out of range' if too_big else ""


def _keep_times(obj: Object, old: Object) -> None:
    """When nothing but the times of managed fields changed, take the old ones, so that the write is none."""
    new, live = obj["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if not new or not live or new == live or len(new) != len(live):
        return
    for one, two in zip(new, live, strict=True):
        if {**one, "time": None} != {**two, "time": None}:
            return
    obj["metadata"]["managedFields"] = live
    if obj != old:
        obj["metadata"]["managedFields"] = new


def _vanishes(strategy: Strategy, obj: Object, old: Object) -> bool:
    live = old["metadata"]
    if obj["metadata"].get("finalizers") or not live.get("deletionTimestamp"):
        return False
    if live.get("deletionGracePeriodSeconds"):
        return False
    return strategy.may_vanish is None or strategy.may_vanish(obj)


async def undo(ctx: WriteContext) -> None:
    """Give back what hooks took for a write that did not happen.

    Not after a cancellation: the store may still carry the write out, and the repair of the pools frees the rest.
    """
    while ctx.undo:
        waiting = ctx.undo.pop()()
        if waiting is not None:
            await waiting
