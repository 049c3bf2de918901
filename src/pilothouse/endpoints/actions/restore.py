"""Takes changes back and restores objects (Undo and Restore of history.pilothouse.dev)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import orjson

from pilothouse import errors
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import Selector
from pilothouse.authz.authorizer import forbidden
from pilothouse.endpoints.actions.changes import Rights, after_of
from pilothouse.endpoints.actions.own_requests import OwnAnswer, OwnRequests
from pilothouse.endpoints.actions.parts import Actions
from pilothouse.endpoints.objects.past import TOO_OLD, milliseconds
from pilothouse.endpoints.objects.scope import RequestScope
from pilothouse.endpoints.objects.tenancy import REASON
from pilothouse.endpoints.request.params import resource_version
from pilothouse.history._delta import difference
from pilothouse.history.changes import MOST_DELTA, id_of
from pilothouse.history.history import History
from pilothouse.history.kept import KeptChange
from pilothouse.history.places import Place, stored
from pilothouse.history.restoring import (
    MANAGER,
    PlannedWrite,
    RestoreAction,
    filled_by_controllers,
    in_order,
    owned_anew,
    plan,
    taken_back,
)
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import too_large
from pilothouse.registry.store import Store, key_of
from pilothouse.server.request import Response
from pilothouse.storage import interface
from pilothouse.storage._entry import Entry, bytes_of
from pilothouse.storage.sqlite.file import LAST

AT_ONCE = 16
"""Writes that are on their way at the same time."""
MOST, MOST_BYTES = 5000, 32 << 20
"""Objects of one restore, and their bytes, as they were and as they are."""
PAGE = 100
"""Objects that are read from the past in one go."""


class ThenAndNow(NamedTuple):
    """An object as it was, and the present one; None where there is none. size: bytes of the larger one."""

    key: str
    then: Object | None
    now: Object | None
    size: int


class Outcome(NamedTuple):
    """The outcome for one object. obj: the answer to its write."""

    write: PlannedWrite
    action: str
    message: str = ""
    obj: Object | None = None

    def shown(self) -> Object:
        """The outcome as an item of `results`."""
        one = self.write
        out: Object = {"resource": one.resource, "name": one.name, "action": self.action}
        for name, value in (
            ("namespace", one.namespace),
            ("message", self.message),
            ("warnings", list(one.warnings)),
        ):
            if value:
                out[name] = value
        return out


class Restoration:
    """Carries out a plan by requests of the user."""

    def __init__(self, actions: Actions, scope: RequestScope) -> None:
        self._catalog = actions.verbs.catalog
        self._store = actions.verbs.store
        assert actions.handler is not None
        self._requests = OwnRequests(actions.handler, scope.ctx, actions.verbs.offload)
        self._work = scope.ctx.work
        self._query = {"fieldManager": MANAGER, **({"dryRun": "All"} if scope.params.dry_run else {})}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._uids: dict[tuple[str, str], str] = {}
        self._tried: set[str] | None = set() if scope.params.dry_run else None  # namespaces
        if scope.ctx.flow is not None:
            scope.ctx.flow.release()  # its own requests take seats, which it must not keep from them

    def known(self, obj: Object) -> None:
        """Note an object that is there, for it may own others."""
        self._uids[obj.get("kind", ""), obj["metadata"]["name"]] = obj["metadata"].get("uid", "")

    async def carry_out(self, writes: list[PlannedWrite]) -> list[Outcome]:
        """Write everything in an order that owners allow."""
        self._work.leave()  # the requests need the room that planning has taken
        outcomes: list[Outcome] = []
        for group in in_order(writes):
            outcomes += await asyncio.gather(*(self._one(write) for write in group))
        return outcomes

    async def _one(self, write: PlannedWrite) -> Outcome:
        if write.action in (RestoreAction.NOTHING, RestoreAction.SKIP):
            return Outcome(write, write.action.value, write.why)
        if self._tried and write.namespace in self._tried:
            return Outcome(write, write.action.value, "not tried: its namespace is not there yet")
        async with self._room:
            answer = await self._write(write)
            if answer.obj.get("reason") == "AlreadyExists":  # a controller was faster
                write = self._replanned(write)
                if write.action is RestoreAction.NOTHING:
                    return Outcome(write, write.action.value)
                answer = await self._write(write)
        if answer.failed:
            return Outcome(write, "Failed", answer.message)
        if write.action is not RestoreAction.DELETE and answer.obj.get("metadata"):
            self.known(answer.obj)
            created = write.resource == "namespaces" and write.action is RestoreAction.CREATE
            if created and self._tried is not None:
                self._tried.add(write.name)
        return Outcome(write, write.action.value, obj=answer.obj)

    def _replanned(self, write: PlannedWrite) -> PlannedWrite:
        """The write of an object that is there after all."""
        record = self._resource(write)
        found = self._store.entry(record, write.namespace, write.name)
        now = orjson.loads(found.value) if found is not None else None
        made = plan(write.resource, write.namespace, write.name, write.obj, now)
        return made._replace(size=write.size)

    def _write(self, write: PlannedWrite) -> Awaitable[OwnAnswer]:
        resource = self._resource(write)
        if write.action is RestoreAction.DELETE:
            options: Object = {"preconditions": {"uid": write.obj["metadata"].get("uid", "")}}
            if "dryRun" in self._query:  # a delete with a body reads no query
                options["dryRun"] = ["All"]
            return self._requests.send("DELETE", resource, write.namespace, write.name, options, {})
        obj = owned_anew(write.obj, self._uids)
        if write.action is RestoreAction.CREATE:
            return self._requests.send(
                "POST", resource, write.namespace, "", obj, self._query, size=write.size
            )
        return self._requests.send(
            "PUT", resource, write.namespace, write.name, obj, self._query, size=write.size
        )

    def _resource(self, write: PlannedWrite) -> Resource:
        """The record of the version in which the object is written, which is the one that is stored."""
        group, _, version = write.obj.get("apiVersion", "").rpartition("/")
        found = self._catalog.get(group, version, write.resource.partition(".")[0])
        found = found or self._catalog.by_group_resource(write.resource)
        if found is None:
            raise errors.BadRequest(f"the resource {write.resource} is not served any more")
        return found


async def answer_restore(actions: Actions, scope: RequestScope, body: Object) -> Response:
    """Make objects as they were."""
    history, verbs = actions.verbs.history, actions.verbs
    assert history is not None
    spec = body["spec"]
    try:
        revision = await _revision(history, spec)
        if revision > verbs.store.cacher.revision:
            raise too_large(revision, verbs.store.cacher.revision)
        writes, restoration = await _planned(actions, scope, history, spec, revision)
    except interface.Compacted:
        raise errors.Expired(TOO_OLD) from None
    except interface.StorageError as err:
        raise errors.internal(str(err)) from err
    outcomes = await restoration.carry_out(writes)
    body["status"] = {"revision": str(revision), "results": [one.shown() for one in outcomes]}
    return verbs.responder.object(scope.ctx, scope.resource, body, 201)


async def _revision(history: History, spec: Object) -> int:
    at, revision = spec.get("at", ""), resource_version(spec.get("revision", ""))
    if bool(at) is bool(revision):
        raise errors.BadRequest("spec: either at or revision must be given")
    return revision or await history.revision_at(milliseconds(at, time.time()))


async def _planned(
    actions: Actions, scope: RequestScope, history: History, spec: Object, revision: int
) -> tuple[list[PlannedWrite], Restoration]:
    """The writes of a restore, and what carries them out."""
    rights, restoration = Rights(actions, scope.ctx), Restoration(actions, scope)
    selector = selectors.parse(spec.get("labelSelector", ""), "")
    store, namespace, name = actions.verbs.store, spec.get("namespace", ""), spec.get("name", "")
    named = bool(spec.get("resource") or spec.get("resources"))
    writes: list[PlannedWrite] = []
    work, count, size = scope.ctx.work, 0, 0
    for record in _records(actions, history, spec):
        place, first, end = _span_of(record, namespace, name)
        if not await rights.may_see(place, revision):  # nor whether anything was there
            if named:
                raise _refusal(rights, place, revision)
            scope.ctx.warn(f"{record.group_resource} are left out: you may not get all of them as they were")
            continue
        now = _present(store, record, first, end)
        size += bytes_of(now)
        then: list[Entry] = []
        start, more = first, True
        while more:  # page by page, so that no more is in memory than a restore may have
            page, more = await history.between(start, end, PAGE, revision)
            then += page
            size += bytes_of(page)
            if count + max(len(then), len(now)) > MOST or size > MOST_BYTES:
                raise errors.BadRequest(
                    f"a restore may have {MOST} objects and {MOST_BYTES >> 20} MiB: name spec.resources"
                )
            start = page[-1].key + "\0" if page else end
        count += max(len(then), len(now))
        await work.enter(size)
        pairs = await work.run(_pairs, then, now, selector)
        for _, _, present, _ in pairs:
            if present is not None:
                restoration.known(present)
        prune = bool(spec.get("prune")) and not record.names_namespace
        planned = await work.run(_plans, history.place_of, pairs, prune)
        writes += [one for one in planned if one.action is not RestoreAction.NOTHING or name]
    if name and not writes:
        raise errors.not_found(spec.get("resource", "").partition(".")[2], spec.get("resource", ""), name)
    return writes, restoration


def _span_of(record: Resource, namespace: str, name: str) -> tuple[Place, str, str]:
    """The place that the user must be allowed to get, and the keys between which the objects are.

    A place without a name stands for all objects of a resource in a namespace.
    """
    if name:
        inside = namespace if record.namespaced else ""
        key = key_of(record, inside, name)
        return Place(record.group_resource, inside, name), key, key + "\0"
    if record.names_namespace:
        key = record.key_prefix + namespace
        return Place(record.group_resource, "", namespace), key, key + "\0"
    inside = namespace if record.namespaced else ""
    first = record.key_prefix + (f"{inside}/" if inside else "")
    return Place(record.group_resource, inside, ""), first, first + LAST


def _refusal(rights: Rights, place: Place, revision: int) -> errors.StatusError:
    """The refusal of a restore; it is the same whatever was there."""
    reason = "what is restored can be read afterwards"
    return forbidden(
        rights.attributes(place), reason if rights.tenancy.covers(place.namespace, revision) else REASON
    )


def _pairs(then: Sequence[Entry], now: Sequence[Entry], selector: Selector) -> list[ThenAndNow]:
    """The objects as they were and as they are, by key; those that the selector chooses, as they were."""
    old = {entry.key: entry.value for entry in then}
    present = {entry.key: entry.value for entry in now}
    pairs = [_pair(key, old.get(key), present.get(key)) for key in sorted({*old, *present})]
    return [pair for pair in pairs if selector.matches_labels(_labels(pair.then or pair.now))]


def _pair(key: str, then: bytes | None, now: bytes | None) -> ThenAndNow:
    old, present = (None if value is None else orjson.loads(value) for value in (then, now))
    return ThenAndNow(key, old, present, max(len(then or b""), len(now or b"")))


def _labels(obj: Object | None) -> dict[str, str] | None:
    return None if obj is None else obj["metadata"].get("labels")


def _plans(place_of: Callable[[str], Place], pairs: list[ThenAndNow], prune: bool) -> list[PlannedWrite]:
    return [
        plan(*place_of(key), old, present, prune=prune)._replace(size=size)
        for key, old, present, size in pairs
    ]


def _present(store: Store, record: Resource, first: str, end: str) -> list[Entry]:
    listing = store.cache(record).list(
        first if end.endswith(LAST) else record.key_prefix, selectors.EVERYTHING
    )
    return [entry for entry in listing.entries if first <= entry.key < end]


def _records(actions: Actions, history: History, spec: Object) -> list[Resource]:
    """The stored resources that a restore is about."""
    catalog, namespace = actions.verbs.catalog, spec.get("namespace", "")
    named = [spec["resource"]] if spec.get("resource") else list(spec.get("resources") or ())
    if spec.get("name") and len(named) != 1:
        raise errors.BadRequest("spec.resource: Required value: a name needs the resource of the object")
    found = []
    for one in named:
        record = catalog.by_group_resource(one)
        if record is None or record.virtual:
            raise errors.BadRequest(f'spec.resources: Invalid value: "{one}": there is no such resource')
        found.append(record.storage or record)
    if not named:
        if not namespace:
            raise errors.BadRequest("spec.namespace: Required value: or name resources")
        found = [
            one
            for one in stored(catalog)
            if (one.namespaced or one.names_namespace) and not filled_by_controllers(one)
        ]
    for one in found:
        if one.namespaced and not namespace:
            raise errors.BadRequest("spec.namespace: Required value")
        if named and not history.keeps(one, namespace):
            raise errors.BadRequest(f"{one.group_resource}: the history policy keeps no changes of them")
    return [one for one in found if history.keeps(one, namespace)]


async def answer_undo(actions: Actions, scope: RequestScope, body: Object) -> Response:
    """Take one change of an object back."""
    history, verbs = actions.verbs.history, actions.verbs
    assert history is not None
    spec = body["spec"]
    try:
        change, write = await _undoing(actions, scope, history, spec["change"], force=bool(spec.get("force")))
    except interface.StorageError as err:
        raise errors.internal(str(err)) from err
    restoration = Restoration(actions, scope)
    [outcome] = await restoration.carry_out([write])
    result = outcome.shown()
    if scope.params.dry_run and outcome.obj is not None:
        result["object"] = outcome.obj
    body["status"] = {"revision": str(change.revision - 1), "results": [result]}
    return verbs.responder.object(scope.ctx, scope.resource, body, 201)


async def _undoing(
    actions: Actions, scope: RequestScope, history: History, name: str, *, force: bool
) -> tuple[KeptChange, PlannedWrite]:
    """The change with a name, and the write that takes it back."""
    verbs, rights, work = actions.verbs, Rights(actions, scope.ctx), scope.ctx.work
    change = await history.reader.change(id_of(name))
    if change is None or not await rights.may_see(history.place_of(change.key), change.revision):
        raise errors.not_found(scope.resource.group, "changes", name)
    place: Place = history.place_of(change.key)
    record = verbs.catalog.by_group_resource(place.resource)
    if record is None:
        raise errors.BadRequest(f"the resource {place.resource} is not served any more")
    entry = verbs.store.get(record.storage or record, change.key)
    now, after = None if entry is None else entry.value, await after_of(history, change)
    await work.enter(len(change.value) + len(now or b"") + len(after or b""))
    write = await work.run(_taking_back, change, place, now, after, force=force)
    return change, write._replace(size=max(len(change.value), len(now or b"")))


def _taking_back(
    change: KeptChange, place: Place, value: bytes | None, after: bytes | None, *, force: bool
) -> PlannedWrite:
    """The write that takes a change back. Conflict.

    value: the present object, None without one. after: the object after the change, where the whole object
    before it is kept."""
    now = None if value is None else orjson.loads(value)
    if not change.is_readable:
        raise _conflict(place, "its value could not be decrypted")
    if change.deletes:
        if now is not None and not force:
            raise _conflict(place, "it has been created again since")
        return plan(*place, orjson.loads(change.value), now)
    if value is None or now is None:
        raise _conflict(place, "it has been deleted since")
    if change.creates:
        return PlannedWrite(RestoreAction.DELETE, *place, now)
    delta: bytes | None = change.value
    if change.is_whole:
        delta = None if after is None else difference(change.value, after, MOST_DELTA)
    if delta is None:
        return plan(*place, orjson.loads(change.value), now)
    obj, conflicts = taken_back(orjson.loads(value), orjson.loads(delta), force=force)
    if conflicts and not force:
        raise _conflict(place, f"others have changed since: {', '.join(conflicts)}")
    action = RestoreAction.UPDATE if obj != now else RestoreAction.NOTHING
    return PlannedWrite(action, *place, obj, "", tuple(f"{path} stays as it is" for path in conflicts))


def _conflict(place: Place, why: str) -> errors.StatusError:
    plural, _, group = place.resource.partition(".")
    return errors.conflict(group, plural, place.name, f"the change can not be taken back: {why}")
