"""Reads of the past: `at` names a time, and resourceVersionMatch=Exact a revision (docs/history.md)."""

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pilothouse import errors
from pilothouse.api.values.duration import go_duration
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.objects.selection import Selection
from pilothouse.endpoints.objects.tenancy import Tenancy
from pilothouse.endpoints.request.attributes import attributes_of
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import ListParams, Query, first, resource_version
from pilothouse.endpoints.request.permitted import TURN
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import storage_error, too_large
from pilothouse.registry.store import key_of
from pilothouse.storage import interface

if TYPE_CHECKING:
    from pilothouse.history.history import History

TOO_OLD = "The provided resource version or time is too old: the history of the object begins later."


def milliseconds(text: str, clock: float, name: str = "at") -> int:
    """The time that a parameter names, in milliseconds since 1970: RFC 3339, or how long ago as `1h30m`.

    clock: now, in seconds since 1970. BadRequest for other texts, and for the future.
    """
    try:
        at = clock - go_duration(text) / 1e9
    except ValueError:
        try:
            when = datetime.fromisoformat(text)
            at = when.timestamp() if when.tzinfo is not None else -1.0
        except (ValueError, OverflowError):
            at = -1.0
    if at < 0:
        raise errors.BadRequest(
            f'{name}: Invalid value: "{text}": must be a time as in RFC 3339, or how long ago as a duration'
        )
    if at > clock:
        raise errors.BadRequest(f'{name}: Invalid value: "{text}": must not be in the future')
    return int(at * 1000)


async def revision_at(history: "History", text: str) -> int:
    """The revision that was the newest one at the time that `at` names. Expired when that is too long ago."""
    return await _revision_of(history, milliseconds(text, time.time()))


async def _revision_of(history: "History", time_ms: int) -> int:
    try:
        return await history.revision_at(time_ms)
    except interface.Compacted:
        raise errors.Expired(TOO_OLD) from None
    except interface.StorageError as err:
        raise errors.internal(str(err)) from err


async def set_place(history: "History", query: Query, params: ListParams) -> None:
    """Have a list that asks for a time read the revision of it; its next pages are of the same revision."""
    at = first(query, "at")
    if not at or params.token:
        return
    if params.resource_version or params.watch:
        other = "watch" if params.watch else "resourceVersion"
        raise errors.BadRequest(f"at: must not be given together with {other}")
    params.resource_version, params.match = str(await revision_at(history, at)), "Exact"


async def check_list(verbs: Verbs, ctx: Context, query: Selection) -> None:
    """Judge a list of the past, or a watch from a moment in it, in a namespace.

    Forbidden for a state that is older than the namespace. Expired for a page and a watch that began before
    it: clients list anew then.
    """
    watched = resource_version(query.params.resource_version) if query.params.watch else 0
    revision = watched or query.at
    if revision <= 0:
        return
    tenancy = Tenancy(verbs.catalog, verbs.store, verbs.authorizer)
    await tenancy.refresh()
    if ctx.permitted is not None:  # rights in these namespaces are all that the user has
        for number, name in enumerate(ctx.permitted.namespaces.ordered, 1):
            if not _reaches(tenancy, query, name, revision):
                raise errors.Expired(TOO_OLD)
            if number % TURN == 0:
                await asyncio.sleep(0)
        return
    if _reaches(tenancy, query, ctx.info.namespace, revision):
        return
    attributes = attributes_of(ctx)
    if await tenancy.may_read_all(attributes):
        return
    if watched or query.params.token:
        raise errors.Expired(TOO_OLD)
    raise tenancy.refusal(attributes)


def _reaches(tenancy: Tenancy, query: Selection, namespace: str, revision: int) -> bool:
    """Whether rights in a namespace reach back to where a list or a watch begins.

    A watch of a namespace that is not there goes on: it would be refused at each attempt, after each list.
    """
    if query.params.watch and namespace and tenancy.created_at(namespace) is None:
        return True
    return tenancy.covers(namespace, revision)


class Moment(NamedTuple):
    """A moment in the past: a revision, or a time in milliseconds since 1970. The other one is 0."""

    revision: int
    at_ms: int


async def asked_moment(verbs: Verbs, ctx: Context, resource: Resource) -> Moment | None:
    """The moment of which a GET of one object asks for its state; None: now."""
    history, query = verbs.history, ctx.query
    if history is None:
        return None
    at, exact = first(query, "at"), first(query, "resourceVersionMatch") == "Exact"
    revision = resource_version(first(query, "resourceVersion")) if exact else 0
    if at and revision:
        raise errors.BadRequest("at: must not be given together with resourceVersion")
    if at and history.keeps(resource, ctx.info.namespace):
        return Moment(0, milliseconds(at, time.time()))
    if at:
        revision = await revision_at(history, at)
    if revision > verbs.store.cacher.revision:
        raise too_large(revision, verbs.store.cacher.revision)
    return Moment(revision, 0) if revision else None


async def _judged_moment(verbs: Verbs, ctx: Context, history: "History", moment: Moment) -> Moment:
    """The moment at which a user may read an object of a namespace; Forbidden where it is older than that.

    A time is judged, and read, by its revision, unless the user has the right in all namespaces.
    """
    namespace, attributes = ctx.info.namespace, attributes_of(ctx)
    tenancy = Tenancy(verbs.catalog, verbs.store, verbs.authorizer)
    await tenancy.refresh()
    if tenancy.covers(namespace, moment.revision) or await tenancy.may_read_all(attributes):
        return moment
    if moment.at_ms:
        moment = Moment(await _revision_of(history, moment.at_ms), 0)
        if tenancy.covers(namespace, moment.revision):
            return moment
    raise tenancy.refusal(attributes)


async def value_at(verbs: Verbs, ctx: Context, resource: Resource, moment: Moment) -> bytes:
    """The bytes of the request's object as it was at a moment, as they are served."""
    history, info = verbs.history, ctx.info
    assert history is not None
    stored = resource.storage or resource
    if info.namespace:
        moment = await _judged_moment(verbs, ctx, history, moment)
    if 0 < moment.revision < verbs.store.storage.compacted and not history.keeps(resource, info.namespace):
        raise errors.Expired(TOO_OLD)
    key = key_of(stored, info.namespace, info.name)
    latest, latest_at = verbs.store.get(stored, key), verbs.store.cacher.revision
    try:
        entry = await history.entry(key, moment.revision, latest, latest_at, at_ms=moment.at_ms)
    except interface.Compacted:
        raise errors.Expired(TOO_OLD) from None
    except interface.StorageError as err:
        raise storage_error(resource, info.name, err) from err
    if entry is None:
        raise errors.not_found(resource.group, resource.plural, info.name)
    return entry.value
