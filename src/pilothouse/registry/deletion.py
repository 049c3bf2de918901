"""Deletion: preconditions, grace, finalizers and propagation
(apiserver registry/generic/registry Store.Delete)."""

import asyncio
from collections.abc import Sequence

import orjson

from pilothouse import errors
from pilothouse.api import codec
from pilothouse.api._json import metadata_of, splice, strip, with_metadata
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.resource import Resource
from pilothouse.registry.rest import undo
from pilothouse.registry.storage_errors import MODIFIED, storage_error
from pilothouse.registry.store import decode, key_of
from pilothouse.registry.write import FAILED, Write
from pilothouse.storage import interface
from pilothouse.storage._entry import Entry

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
COLLECTION_WORKERS = 64
ATTEMPTS = 64


@record
class Deleted:
    """The result of a delete. `value` is the object's bytes, or None when a Status answers with `obj`'s name
    and uid. `gone` is False while grace or finalizers keep the object."""

    obj: Object
    value: bytes | None
    gone: bool


@record
class _Plan:
    """The plan of one delete: `update` writes the changed `obj`, `remove` takes it out of the store."""

    obj: Object
    update: bool
    remove: bool


async def delete(write: Write, options: Object) -> Deleted:
    """Delete one object; `options` is a checked DeleteOptions. Retried after another write of the object."""
    resource, ctx, store = write.resource, write.context, write.store
    key = key_of(resource, ctx.namespace, ctx.name)
    reserved = len(ctx.undo)
    for _ in range(ATTEMPTS):
        entry = store.get(resource, key)
        if entry is None:
            raise errors.not_found(resource.group, resource.plural, ctx.name)
        try:
            return await _delete(write, options, entry)
        except interface.RevisionConflict:
            await undo(ctx, reserved)
            await store.refresh(key)
        except interface.StorageError as err:
            await undo(ctx, reserved)
            raise storage_error(resource, ctx.name, err) from err
        except FAILED:
            await undo(ctx, reserved)
            raise
    raise errors.conflict(resource.group, resource.plural, ctx.name, MODIFIED)


async def _delete(write: Write, options: Object, entry: Entry) -> Deleted:
    resource, ctx, strategy = write.resource, write.context, write.resource.strategy
    reserved = len(ctx.undo)
    part = _Part(entry) if _needs_metadata_alone(resource, options) else None
    obj = part.obj if part is not None else decode(entry)
    check(resource, obj, options)
    write.attributes.options = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", **options}
    await write.admit_delete(obj, part.complete if part is not None else None)
    options = write.attributes.options  # as plugins leave them
    if strategy.mark_deleting is not None:
        live = decode(entry)
        if not obj["metadata"].get("deletionTimestamp"):
            _collect_finalizers(resource, obj["metadata"], options)
            obj["metadata"]["deletionTimestamp"] = ctx.now
        if strategy.mark_deleting(ctx, obj):
            value = await _store(write, obj, entry, None) if obj != live else entry.value
            return Deleted(obj, value, gone=False)
        obj = live
    plan = _plan(resource, obj, options, ctx.now)
    if plan is None:  # already on its way
        return _answer(resource, obj, entry.value, gone=False)
    if not plan.remove:
        value = await _store(write, obj, entry, part) if plan.update else entry.value
        return Deleted(obj, value, gone=False)
    marked = _encoded(resource, obj, part) if plan.update else None
    if ctx.dry_run:
        await undo(ctx, reserved)
        value = splice(marked, entry.rev) if marked is not None else entry.value
        return _answer(resource, obj, value, gone=True)
    gone = await write.commit(write.store.storage.delete(entry.key, entry.rev, marked, write.author()))
    if strategy.after_delete is not None:
        strategy.after_delete(ctx, obj)
    if strategy.settle is not None:
        await strategy.settle(ctx, None, obj)
    # What was stored may be protobuf; the cache has the same revision as JSON.
    last = marked if marked is not None else strip(entry.value)
    return _answer(resource, obj, splice(last, gone.mod), gone=True)


def check(resource: Resource, obj: Object, options: Object) -> None:
    """The preconditions of a delete; kinds whose deletes are updates at first word it differently.

    The others name the group of the internal type: an Event of events.k8s.io is one of the core group there.
    """
    if resource.strategy.mark_deleting is not None:
        text = "Precondition failed: {what} in precondition: {want}, {what} in object meta: {have}"
        _check_preconditions(obj, options, resource.group, resource.plural, text)
    else:
        text = (
            "the {what} in the precondition ({want}) does not match the {what} in record ({have}). "
            "The object might have been {how}"
        )
        _check_preconditions(obj, options, (resource.storage or resource).group, resource.kind, text)


def _answer(resource: Resource, obj: Object, value: bytes, *, gone: bool) -> Deleted:
    return Deleted(obj, value if resource.strategy.return_deleted else None, gone)


def _needs_metadata_alone(resource: Resource, options: Object) -> bool:
    """Whether a delete looks at nothing else of an object, if no plugin does."""
    rules = resource.strategy
    hooks = rules.mark_deleting, rules.after_delete, rules.settle
    return (
        hooks == (None, None, None)
        and resource.conversion is None
        and (rules.grace_period is None or options.get("gracePeriodSeconds") == 0)
    )


class _Part:
    """An object of which a delete has read the metadata alone. The rest stays as it is stored."""

    __slots__ = ("_end", "_entry", "_fields", "obj")

    def __init__(self, entry: Entry) -> None:
        metadata, self._fields, self._end = metadata_of(entry.value, entry.head)
        self._entry = entry
        self.obj: Object = orjson.loads(entry.value[: entry.head] + b'"metadata":' + metadata + b"}")
        if self._fields:
            self.obj["metadata"]["managedFields"] = orjson.Fragment(self._fields)

    async def complete(self, attributes: AdmissionAttributes) -> None:
        """Read the rest, for a plugin that wants the object."""
        attributes.pending = None
        metadata = self.obj["metadata"]
        self.obj.update(decode(self._entry), metadata=metadata)
        if self._fields:
            metadata["managedFields"] = orjson.loads(self._fields)

    def encode(self) -> bytes:
        """The bytes to store."""
        return with_metadata(
            self._entry.value, self._entry.head, self._end, orjson.dumps(self.obj["metadata"])
        )


def _encoded(resource: Resource, obj: Object, part: _Part | None) -> bytes:
    obj["metadata"].pop("resourceVersion", None)
    if part is not None:
        return part.encode()
    stored = resource.storage or resource
    # A custom resource stays in the version in which it is stored: a delete converts nothing.
    version = obj["apiVersion"] if resource.conventions.by_version else stored.api_version
    return codec.encode(obj, stored.kind, version)


async def _store(write: Write, obj: Object, entry: Entry, part: _Part | None) -> bytes:
    """Write the marked object; its bytes as they are served."""
    ctx, strategy = write.context, write.resource.strategy
    value = _encoded(write.resource, obj, part)
    if ctx.dry_run:
        await undo(ctx)
        return splice(value, entry.rev)
    ttl = strategy.ttl(ctx, obj) if strategy.ttl else 0
    kv = await write.commit(write.store.storage.update(entry.key, value, entry.rev, ttl, write.author()))
    return splice(value, kv.mod)


def _check_preconditions(obj: Object, options: Object, group: str, kind: str, text: str) -> None:
    wanted = options.get("preconditions") or {}
    metadata = obj["metadata"]
    for member, what, field, how in (
        ("uid", "UID", "uid", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "resourceVersion", "modified"),
    ):
        want, have = wanted.get(member), metadata.get(field, "")
        if want is not None and want != have:
            why = text.format(what=what, want=want, have=have, how=how)
            raise errors.conflict(group, kind, metadata["name"], why)


def _plan(resource: Resource, obj: Object, options: Object, now: str) -> _Plan | None:
    """Decide, changing `obj`'s metadata; None when a graceful delete is already under way."""
    metadata = obj["metadata"]
    graceful = _grace(resource, obj, options, now)
    if graceful is None:
        return None
    changed = _collect_finalizers(resource, metadata, options)
    pending = bool(metadata.get("finalizers"))
    if graceful:
        return _Plan(obj, update=True, remove=not pending and not metadata["deletionGracePeriodSeconds"])
    if pending:
        marked = _mark(metadata, now)
        return _Plan(obj, update=marked or changed, remove=False)
    return _Plan(obj, update=False, remove=True)


def _grace(resource: Resource, obj: Object, options: Object, now: str) -> bool | None:
    """Graceful deletion (rest.BeforeDelete):
    True = `obj` was marked, False = not graceful, None = nothing to do."""
    metadata = obj["metadata"]
    asked: int | None = options.get("gracePeriodSeconds")
    if asked is not None and asked < 0:
        asked = 1
    running: int | None = metadata.get("deletionGracePeriodSeconds")
    if running is not None and running < 0:
        running = metadata["deletionGracePeriodSeconds"] = 1
    grace_period = resource.strategy.grace_period
    if grace_period is None:
        return False
    if metadata.get("deletionTimestamp"):
        if not running:
            return False
        if asked is None or asked >= running:
            return None
        until = times.after(_time(metadata["deletionTimestamp"]), -running, asked)
        if until < _time(now):
            until, asked = _time(now), 1 if asked else 0
        metadata["deletionTimestamp"] = _text(until)
        metadata["deletionGracePeriodSeconds"] = asked
        return True
    seconds = grace_period(obj, asked) if asked != 0 else 0
    metadata["deletionTimestamp"] = _text(times.after(_time(now), seconds)) if seconds else now
    metadata["deletionGracePeriodSeconds"] = seconds
    if metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    return True


def _mark(metadata: Object, now: str) -> bool:
    """Mark as deleting without grace (markAsDeleting); whether that changed anything."""
    before = (metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds"))
    if before[0] is None and metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    if before[0] is None or _time(before[0]) > _time(now):
        metadata["deletionTimestamp"] = now
    metadata["deletionGracePeriodSeconds"] = 0
    return before != (metadata["deletionTimestamp"], 0)


def _collect_finalizers(resource: Resource, metadata: Object, options: Object) -> bool:
    """Set the garbage collector's finalizers as the options ask; whether the set changed."""
    default = resource.strategy.garbage_collection
    old = metadata.get("finalizers") or []
    orphan, foreground = _orphans(default, old, options), _foreground(default, old, options)
    new = [f for f in old if f not in (ORPHAN, FOREGROUND)]
    if orphan:
        new.append(ORPHAN)
    if foreground:
        new.append(FOREGROUND)
    if set(new) == set(old):
        return False
    if new:
        metadata["finalizers"] = new
    else:
        metadata.pop("finalizers", None)
    return True


def _orphans(default: str, finalizers: list[str], options: Object) -> bool:
    if default == "unsupported":
        return False
    if options.get("orphanDependents") is not None:
        return bool(options["orphanDependents"])
    if options.get("propagationPolicy") is not None:
        return bool(options["propagationPolicy"] == "Orphan")
    for finalizer in finalizers:
        if finalizer in (ORPHAN, FOREGROUND):
            return finalizer == ORPHAN
    return default == "orphan"


def _foreground(default: str, finalizers: list[str], options: Object) -> bool:
    if default == "unsupported":
        return False
    if options.get("orphanDependents") is not None:
        return default == "namespace" and not options["orphanDependents"]
    if options.get("propagationPolicy") is not None:
        return bool(options["propagationPolicy"] == "Foreground")
    for finalizer in finalizers:
        if finalizer in (ORPHAN, FOREGROUND):
            return finalizer == FOREGROUND
    return False


def _time(text: str) -> int:
    """Unix seconds."""
    return times.to_unix(text)[0]


def _text(moment: int) -> str:
    return times.from_unix(moment) + "Z"


async def delete_collection(writes: Sequence[Write], options: Object) -> None:
    """Delete many objects, a bounded number at a time;
    those already gone do not matter, the first other error does."""
    limit = asyncio.Semaphore(COLLECTION_WORKERS)

    async def one(write: Write) -> None:
        async with limit:
            try:
                await delete(write, options)
            except errors.NotFound:
                pass

    results = await asyncio.gather(*map(one, writes), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
