"""Serves the group history.pilothouse.dev: changes of objects, and who has set which field."""

import random
import time
from collections.abc import Callable, Iterator

import orjson

from pilothouse import errors
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes
from pilothouse.authz.authorizer import forbidden
from pilothouse.endpoints.actions.change_watch import ChangeWatch
from pilothouse.endpoints.actions.parts import Actions
from pilothouse.endpoints.answers.response import list_metadata
from pilothouse.endpoints.objects.past import milliseconds
from pilothouse.endpoints.objects.scope import RequestScope
from pilothouse.endpoints.objects.tenancy import Tenancy
from pilothouse.endpoints.objects.watch import encoder_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import check_list, first, list_params, resource_version
from pilothouse.history.blame import Blame, leaves_of
from pilothouse.history.changes import Changes, authorship, id_of, name_of_id
from pilothouse.history.history import History
from pilothouse.history.kept import KeptChange
from pilothouse.history.paths import shown
from pilothouse.history.places import Place
from pilothouse.history.reader import NEVER
from pilothouse.offload import Work
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import key_of
from pilothouse.server.request import Response, Stream
from pilothouse.storage import interface
from pilothouse.storage.keys import ROOT
from pilothouse.storage.sqlite.changes import last_of
from pilothouse.storage.sqlite.file import LAST

MOST_STEPS = 40
"""Steps of the reader for one page, after which it ends, however few changes it has: a client that looks for
what is nowhere goes on with the continue token."""
MOST_BYTES = 4 << 20
"""Bytes of the kept values of one page, and one value more."""
MOST = 500
"""Changes of a list that asks for no limit."""

FIELDS: dict[str, Callable[[Place, KeptChange], str]] = {
    "metadata.namespace": lambda place, change: place.namespace,
    "object.resource": lambda place, change: place.resource,
    "object.name": lambda place, change: place.name,
    "user": lambda place, change: change.author.user if change.author else "",
    "manager": lambda place, change: change.author.manager if change.author else "",
    "verb": lambda place, change: change.author.verb if change.author else "",
    "subresource": lambda place, change: change.author.subresource if change.author else "",
    "auditID": lambda place, change: change.audit_id,
}
"""The fields that choose changes; `path` chooses those of a field and what is below it."""


class Rights:
    """Whether the user may get the objects of changes, as they were at a revision; each is asked for once."""

    def __init__(self, actions: Actions, ctx: Context) -> None:
        self._authorizer = actions.verbs.authorizer
        self._catalog = actions.verbs.catalog
        self.tenancy = Tenancy(actions.verbs.catalog, actions.verbs.store, actions.verbs.authorizer)
        self._ctx = ctx
        self._known: dict[Place, bool] = {}

    async def may_see(self, place: Place, revision: int) -> bool:
        """Whether the user may get an object as it was at a revision."""
        if not self._known:  # once a request, before the first answer
            await self.tenancy.refresh()
        if not self.tenancy.covers(place.namespace, revision):
            place = place._replace(namespace="")
        found = self._known.get(place)
        if found is None:
            decision = await self._authorizer.authorize(self.attributes(place))
            found = self._known[place] = decision.allowed
        return found

    def attributes(self, place: Place) -> AuthorizationAttributes:
        """The right to get an object."""
        plural, _, group = place.resource.partition(".")
        resource = self._catalog.by_group_resource(place.resource)
        return AuthorizationAttributes(
            self._ctx.user,
            "get",
            self._ctx.info.path,
            is_resource=True,
            group=group,
            version=resource.version if resource is not None else "*",
            resource=plural,
            namespace=place.namespace,
            name=place.name,
        )


class Choice:
    """The changes that a list asks for."""

    def __init__(self, ctx: Context, changes: Changes, *, namespaced: bool) -> None:
        query = ctx.query
        self._changes = changes
        self._namespaced = namespaced
        self.namespace = ctx.info.namespace
        selector = selectors.parse("", first(query, "fieldSelector"))
        self._terms, self.path = [], ""
        for label, operator, value in selector.fields:
            if label == "path" and operator == "=":
                self.path = value if value.startswith((".", "[")) else f".{value}"
            elif label in FIELDS:
                self._terms.append((label, operator, value))
            else:
                known = ", ".join([*FIELDS, "path"])
                raise errors.BadRequest(f"field label not supported: {label}: supported are {known}")
        now = time.time()
        since, until = first(query, "since"), first(query, "until")
        self._since = milliseconds(since, now, "since") if since else 0
        self._until = milliseconds(until, now, "until") if until else 1 << 62

    @property
    def times(self) -> tuple[int, int]:
        """The times between which changes are asked for, in milliseconds since 1970."""
        return self._since, self._until

    def equal(self, label: str) -> str:
        """The value that a field must have, "" where there is none."""
        return next((value for name, operator, value in self._terms if name == label and operator == "="), "")

    def fits(self, change: KeptChange) -> bool:
        """Whether a change is asked for, but for the paths of its fields."""
        place = self._changes.place_of(change)
        if bool(place.namespace) is not self._namespaced or not place.resource:
            return False
        if self.namespace and place.namespace != self.namespace:
            return False
        if not self._since <= change.time_ms <= self._until:
            return False
        return all(
            (FIELDS[label](place, change) == value) is (operator == "=")
            for label, operator, value in self._terms
        )

    async def first_after(self, history: History) -> int:
        """An id that is below those of all changes which are late enough."""
        try:
            return last_of(await history.revision_at(self._since - 1)) if self._since else 0
        except interface.Compacted:
            return 0

    def has_path(self, shown: Object) -> bool:
        """Whether a change has changed the field that is asked for."""
        return not self.path or any(
            path == self.path or path.startswith((f"{self.path}.", f"{self.path}["))
            for field in shown["fields"]
            for path in _paths(field)
        )


def _paths(field: Object) -> Iterator[str]:
    """The path of a changed field, and those of the fields in its values."""
    yield field["path"]
    for value in ("old", "new"):
        for path, _ in leaves_of((), field.get(value)):
            yield f"{field['path']}{shown(path)}" if path else field["path"]


async def handle(actions: Actions, ctx: Context, resource: Resource) -> Response:
    """One change, or a list of them, the newest first."""
    history = actions.verbs.history
    assert history is not None
    try:
        if ctx.info.verb == "watch":
            return await _watch(actions, history, ctx, resource)
        return await (_one if ctx.info.name else _list)(actions, history, ctx, resource)
    except interface.StorageError as err:
        raise errors.internal(str(err)) from err


async def _one(actions: Actions, history: History, ctx: Context, resource: Resource) -> Response:
    name = ctx.info.name
    changes = Changes(actions.verbs.catalog, history.place_of)
    choice = Choice(ctx, changes, namespaced=resource.namespaced)
    found = await history.reader.change(id_of(name))
    missing = errors.not_found(resource.group, resource.plural, name)
    if found is None or not await Rights(actions, ctx).may_see(changes.place_of(found), found.revision):
        raise missing  # the right comes first, so that no selector tells of a hidden change
    if not choice.fits(found):
        raise missing
    after = await after_of(history, found)
    ctx.work = work = Work(actions.verbs.offload, ctx.user.name)
    await work.enter(len(found.value) + len(after or b""))
    obj = await work.run(changes.shown, found, after)
    return actions.verbs.responder.object(ctx, resource, obj)


async def _list(actions: Actions, history: History, ctx: Context, resource: Resource) -> Response:
    params = list_params(ctx.query)
    changes = Changes(actions.verbs.catalog, history.place_of)
    choice, rights = Choice(ctx, changes, namespaced=resource.namespaced), Rights(actions, ctx)
    for text in (history.recorder.condition, *history.recorder.gaps(*choice.times)):
        if text:
            ctx.warn(text)
    limit = params.limit if params.limit > 0 else MOST
    before = id_of(params.token) if params.token else NEVER
    if not before:
        raise errors.BadRequest("invalid continue token: continue key is not valid")
    span = _span(actions, choice)
    within = f"/{choice.namespace}/" if choice.namespace else ""
    ctx.work = work = Work(actions.verbs.offload, ctx.user.name)
    revision = actions.verbs.store.cacher.revision  # a watch from there on misses nothing
    shown: list[Object] = []
    size, steps, oldest = 0, 0, await choice.first_after(history)
    token = ""
    while before and not token:
        if steps >= MOST_STEPS:
            token = name_of_id(before)
            break
        chunk, last = await history.reader.chunk(
            *span, within=within, before=before, after=oldest, fits=choice.fits
        )
        seen = [one for one in chunk if await rights.may_see(changes.place_of(one), one.revision)]
        pairs = [(change, await after_of(history, change)) for change in seen]
        size += sum(len(change.value) + len(after or b"") for change, after in pairs)
        await work.enter(size)
        shown += await work.run(_all_shown, changes, choice, pairs)
        if len(shown) > limit or (size > MOST_BYTES and last):
            shown = shown[:limit]
            token = shown[-1]["metadata"]["name"] if len(shown) == limit else name_of_id(last)
        before, steps = last, steps + 1
    return actions.verbs.responder.objects(ctx, resource, shown, list_metadata(revision, token, None))


def _all_shown(
    changes: Changes, choice: Choice, pairs: list[tuple[KeptChange, bytes | None]]
) -> list[Object]:
    found = (_shown(changes, choice, change, after) for change, after in pairs)
    return [obj for obj in found if obj is not None]


def _shown(changes: Changes, choice: Choice, change: KeptChange, after: bytes | None) -> Object | None:
    """A change as an object; None when it has not changed the field that is asked for."""
    obj = changes.shown(change, after)
    return obj if choice.has_path(obj) else None


async def _watch(actions: Actions, history: History, ctx: Context, resource: Resource) -> Response:
    """A watch from a resourceVersion on; without one, it begins with the latest changes."""
    params, verbs = list_params(ctx.query), actions.verbs
    check_list(params)
    changes = Changes(verbs.catalog, history.place_of)
    choice = Choice(ctx, changes, namespaced=resource.namespaced)
    after = last_of(resource_version(params.resource_version))
    if params.resource_version in ("", "0"):
        latest = await history.reader.changes(ROOT, ROOT + LAST, limit=MOST)
        after = latest[-1].id - 1 if latest else 0
    seconds = max(params.timeout, 0) if params.timeout else verbs.watch_timeout * (1 + random.random())

    async def show(change: KeptChange) -> Object | None:
        rights = Rights(actions, ctx)  # they may be others by now
        if not choice.fits(change) or not await rights.may_see(changes.place_of(change), change.revision):
            return None
        then = await after_of(history, change)
        work = Work(verbs.offload, ctx.user.name)
        try:
            await work.enter(len(change.value) + len(then or b""))
            return await work.run(_shown, changes, choice, change, then)
        finally:
            work.leave()

    session = ChangeWatch(
        history,
        show,
        encoder_of(verbs, ctx, resource),
        keys=_span(actions, choice),
        within=f"/{choice.namespace}/" if choice.namespace else "",
        after=after,
        seconds=seconds,
    )

    def begin(stream: Stream) -> None:
        if ctx.flow is not None:
            ctx.flow.release()
        session.begin(stream)

    return Response(200, content_type=ctx.media.content_type, start=begin)


def _span(actions: Actions, choice: Choice) -> tuple[str, str]:
    """The keys among which changes are looked for: one, those of a resource, or all."""
    name, resource = choice.equal("object.name"), choice.equal("object.resource")
    record = actions.verbs.catalog.by_group_resource(resource) if resource else None
    if record is None:
        return ROOT, ROOT + LAST
    stored = record.storage or record
    if name and (choice.namespace or not record.namespaced):
        key = key_of(stored, choice.namespace, name)
        return key, key + "\0"
    prefix = stored.key_prefix + (f"{choice.namespace}/" if choice.namespace and record.namespaced else "")
    return prefix, prefix + LAST


async def after_of(history: History, change: KeptChange) -> bytes | None:
    """The object after a change of which the whole object before it is kept."""
    if not change.is_whole:
        return None
    found = await history.reader.get(change.key, change.revision)
    return None if found is None else found.value


async def answer_blame(actions: Actions, scope: RequestScope, body: Object) -> Response:
    """The review of who has set which field of an object."""
    history, verbs, ctx = actions.verbs.history, actions.verbs, scope.ctx
    assert history is not None
    spec = body["spec"]
    record = verbs.catalog.by_group_resource(spec["resource"])
    if record is None or record.virtual:
        raise errors.BadRequest(
            f'spec.resource: Invalid value: "{spec["resource"]}": there is no such resource'
        )
    place = Place(spec["resource"], spec.get("namespace", "") if record.namespaced else "", spec["name"])
    rights, now = Rights(actions, ctx), verbs.store.cacher.revision
    if not await rights.may_see(place, now):
        raise forbidden(rights.attributes(place), "a blame shows the object")
    created = rights.tenancy.created_at(place.namespace) if place.namespace else None
    oldest = 0 if created is None or await rights.may_see(place, 0) else last_of(created - 1)
    entry = verbs.store.find(record, place.namespace, place.name)
    size = len(entry.value)
    await ctx.work.enter(size)
    search = Blame(await ctx.work.run(orjson.loads, entry.value))
    before, steps, goes_on = last_of(entry.rev) + 1, 0, True
    try:
        while before and goes_on and steps < MOST_STEPS:
            chunk, before = await history.reader.chunk(
                entry.key, entry.key + "\0", before=before, after=oldest
            )
            size, steps = size + sum(len(change.value) for change in chunk), steps + 1
            await ctx.work.enter(size)
            goes_on = await ctx.work.run(search.follow, chunk)
    except interface.StorageError as err:
        raise errors.internal(str(err)) from err
    body["status"] = {
        "resourceVersion": str(entry.rev),
        "fields": [
            {
                "path": shown(one.path),
                "value": one.value,
                **(authorship(one.change) if one.change is not None else {}),
            }
            for one in search.fields()
        ],
    }
    return verbs.responder.object(ctx, scope.resource, body, 201)
