"""Decodes the selection of a list, watch or deletecollection: selectors, pages and resourceVersion rules."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import orjson

from pilothouse import errors
from pilothouse.api.values import names, selectors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import Selector
from pilothouse.endpoints.answers import readable
from pilothouse.endpoints.answers.list_stream import SlicePace, slices
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.request.context import Context
from pilothouse.endpoints.request.params import ListParams, check_list, list_params, resource_version
from pilothouse.endpoints.request.permitted import Namespaces
from pilothouse.gotext import quote
from pilothouse.process.record import record
from pilothouse.registry.conversion import converted
from pilothouse.registry.fields import extractor, stored_label
from pilothouse.registry.resource import Resource
from pilothouse.registry.storage_errors import storage_error, too_large, unavailable
from pilothouse.registry.store import Store
from pilothouse.storage import interface, keys
from pilothouse.storage._entry import Entry
from pilothouse.storage.sqlite.file import LAST
from pilothouse.storage.watchcache import Listing, ResourceCache, UnreadableError

if TYPE_CHECKING:
    from pilothouse.history.history import History

TOKEN_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list"
    " without the continue parameter, or use the continue token in this response to retrieve the remainder of"
    " the results. Continuing with the provided token results in an inconsistent list - objects that were"
    " created, modified, or deleted between the time the first chunk was returned and now may show up in the"
    " list."
)
VERSION_EXPIRED = "The resourceVersion for the provided list is too old."
COPIES = 2
"""How often the bytes of an object are in memory when it was read from the store:
as they were read, and as an entry."""
RIGHTS_CHANGED = (
    "The namespaces that you may list have changed since the provided continue token was made: start a new"
    " list."
)


@record(eq=False)
class Selection:
    """A checked list request: its keys, its selectors, and the revision at which it reads."""

    store: Store
    resource: Resource
    params: ListParams
    prefix: str
    selector: Selector
    after: str = ""
    limit: int = 0
    at: int = 0
    """The revision of the snapshot, 0 = now."""
    behind: bool = False
    """The cache may be stale and the list may not."""
    late: Selector | None = None
    """Fields that are read from objects which have to be converted first; `selector` is the rest."""
    among: Namespaces | None = None
    """The namespaces to look in, None = what `prefix` says."""
    scopes: tuple[str, ...] = ()
    """The prefixes of keys that `among` stands for, in the order of keys."""
    history: "History | None" = None
    """Objects as they were before what the store still has; None where no history is kept of them."""
    charge: Callable[[int], Awaitable[None]] | None = None
    """A function that has the request wait for so many bytes of memory; None where nothing counts them."""

    def cache(self) -> ResourceCache:
        """The watch cache; InternalError when something that is asked for cannot be read."""
        if self.among is None:
            return self.store.readable(self.resource, self.prefix)
        for scope in self.scopes:
            self.store.readable(self.resource, scope)
        return self.store.cache(self.resource)

    def now(self, cache: ResourceCache) -> Listing:
        """The objects that the cache has now."""
        if self.among is not None:
            return cache.list_among(self.scopes, self.selector)
        return cache.list(self.prefix, self.selector)

    def token(self, last_key: str, revision: int) -> str:
        """The continue token of what follows a key."""
        among = self.among.digest if self.among is not None else ""
        return keys.encode_continue(last_key, self.prefix, revision, among)

    def rest(self, listing: Listing) -> tuple[str, int | None]:
        """The continue token of the next page, "" without one, and how many objects remain, None where
        that is unknown."""
        if not listing.more:
            return "", None
        token = self.token(listing.entries[-1].key, self.at or listing.revision)
        return token, listing.remaining if listing.remaining >= 0 else None

    async def read(self) -> Listing:
        """The page; from the store when the cache does not reach back that far, or is behind.

        What the store has compacted is gone, even where the cache still knows it: a token must not live
        longer for a resource that changes less.
        """
        if 0 < self.at < self.store.storage.compacted and self.history is None:
            raise self._expired()
        if self.late is None:
            return await self._page()
        limit, self.limit = self.limit, 0
        listing = await self._page()
        kept: list[Entry] = []
        for group in slices(listing.entries, SlicePace()):
            kept += await self._selected(group)
            if limit and len(kept) > limit:
                break
            await asyncio.sleep(0)
        more = bool(limit) and len(kept) > limit
        return Listing(kept[:limit] if more else kept, listing.revision, more, -1)

    async def _selected(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries whose converted objects the fields select; they are converted in one batch."""
        resource = self.resource
        assert resource.conversion is not None and resource.conversion.converter is not None
        conversion = resource.conversion
        stored = conversion.completed([readable.decode_stored(entry.value) for entry in entries])
        objects = await converted(resource.conversion.converter, stored, conversion.served)
        return [entry for entry, obj in zip(entries, objects, strict=True) if self.chooses(obj)]

    def chooses(self, obj: Object) -> bool:
        """Whether the fields select an object that has been converted."""
        if self.late is None:
            return True
        read = self.resource.converted_fields
        return self.late.matches_fields({label: read[label](obj) for label, _, _ in self.late.fields})

    async def _page(self) -> Listing:
        """Like read(), for what can be told from stored objects."""
        if 0 < self.at < self.store.storage.compacted:
            return await self._from_history()
        if self.behind and (self.at or self.params.token or not self.params.resource_version):
            return await self._from_store()
        cache = self.cache()
        if self.at > self.store.cacher.revision:
            raise too_large(self.at, self.store.cacher.revision)
        after, limit, at = self.after, self.limit, self.at
        try:
            if self.among is not None:
                found = cache.list_among(self.scopes, self.selector, after=after, limit=limit, at=at)
            else:
                found = cache.list(self.prefix, self.selector, after=after, limit=limit, at=at)
        except interface.Compacted:
            return await self._from_store()
        cache.count_list(found)
        return found

    async def _from_store(self) -> Listing:
        """Read the page of a snapshot, or of what is there now, from the store itself."""
        unfiltered = self.selector.empty
        if self.charge is not None:
            await self.charge(COPIES * self._stored_bytes(self.limit if unfiltered else 0))
        try:
            page = await self._range(self.limit if unfiltered else 0)
        except interface.Compacted:
            raise self._expired() from None
        except interface.FutureRevision as err:
            raise too_large(self.at, err.current) from None
        except interface.StorageError as err:
            raise storage_error(self.resource, "", err) from err
        try:
            kept = self._chosen([self.store.cacher.entry(kv) for kv in page.items])
        except UnreadableError as err:
            raise unavailable(err.in_list()) from err
        self.store.cache(self.resource).count_store(len(page.items), len(kept[: self.limit or None]))
        if unfiltered:
            remaining = page.count - len(page.items) if self.among is None else -1
            return Listing(kept, page.revision, page.more, remaining)
        limit = self.limit or len(kept)
        return Listing(kept[:limit], page.revision, len(kept) > limit, -1)

    def _chosen(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that the selectors choose."""
        if self.selector.empty:
            return list(entries)
        read = extractor(self.resource.storage or self.resource)
        kept: list[Entry] = []
        for entry in entries:
            obj = orjson.loads(entry.value)
            if not self.selector.matches_labels(obj["metadata"].get("labels")):
                continue
            if self.selector.fields and not self.selector.matches_fields(read(obj)):
                continue
            kept.append(entry)
        return kept

    async def _from_history(self) -> Listing:
        """Read the page of a snapshot that the store has compacted."""
        history = self.history
        assert history is not None
        if self.charge is not None:
            await self.charge(COPIES * self._stored_bytes(self.limit))
        found: list[Entry] = []
        try:
            for scope in self.scopes if self.among is not None else (self.prefix,):
                start = max(self.after and self.after + "\0", scope)
                while start and not 0 < self.limit < len(found):
                    entries, start = await self._past(history, scope, start)
                    found += self._chosen(entries)
        except interface.Compacted:
            raise self._expired() from None
        except interface.StorageError as err:
            raise storage_error(self.resource, "", err) from err
        limit = self.limit or len(found)
        return Listing(found[:limit], self.at, len(found) > limit, -1)

    async def _past(self, history: "History", scope: str, start: str) -> tuple[Sequence[Entry], str]:
        """Some objects below a prefix as they were, from a key on, and the key from which others follow, ""
        for none. They are put together from what the cache has, where it has enough."""
        recorded = history.reader.undoable(self.at, self.store.cacher.revision)
        if recorded and scope.endswith("/") and not self.store.cacher.unreadable:
            after, limit = start.removesuffix("\0"), self.limit and self.limit + 1
            with contextlib.suppress(interface.Compacted):
                latest = self.store.cache(self.resource).list(scope, after=after, limit=limit, at=recorded)
                end = latest.entries[-1].key + "\0" if latest.more else scope + LAST
                found = await history.before(latest.entries, (start, end), self.at, recorded)
                return found, end if latest.more else ""
        entries, more = await history.entries(scope, start, self.limit, self.at)
        return entries, entries[-1].key + "\0" if more else ""

    def _stored_bytes(self, limit: int) -> int:
        """About how many bytes the store has under the prefix, of `limit` objects; 0 for all."""
        cache = self.store.cache(self.resource)
        objects = cache.within(self.prefix)
        return cache.stored_bytes * min(objects, limit or objects) // max(cache.count, 1)

    async def _range(self, limit: int) -> interface.Page:
        """The stored pairs; all of them are of one revision."""
        start = self.after and self.after + "\0"
        read = self.store.storage.range
        if self.among is None:
            return await read(self.prefix, start=start, limit=limit, revision=self.at)
        items: list[interface.KeyValue] = []
        revision, more = self.at, False
        for scope in self.scopes:
            if limit and len(items) > limit:
                break
            if start > scope + "\U0010ffff":
                continue
            after = start if start > scope else ""
            page = await read(scope, start=after, limit=limit and limit + 1, revision=revision)
            revision = page.revision
            items += page.items if scope.endswith("/") else [kv for kv in page.items if kv.key == scope]
        if limit and len(items) > limit:
            more, items = True, items[:limit]
        return interface.Page(items, revision, more, -1)

    def _expired(self) -> errors.Expired:
        if not self.params.token:
            return errors.Expired(VERSION_EXPIRED)
        err = errors.Expired(TOKEN_EXPIRED)
        err.continue_token = self.token(self.after, -1)
        return err


def select(verbs: Verbs, ctx: Context, resource: Resource) -> Selection:
    """Check the options of a list, a watch or a deletecollection."""
    return selection(verbs, ctx, resource, list_params(ctx.query))


def selection(verbs: Verbs, ctx: Context, resource: Resource, params: ListParams) -> Selection:
    """Like select(), with the options decoded already."""
    selector = (
        selectors.parse(params.label_selector, params.field_selector) if ctx.query else selectors.EVERYTHING
    )
    check_list(params)
    selector = _known_fields(resource, selector)
    stored = resource.storage or resource
    prefix, namespace = stored.key_prefix, ctx.info.namespace
    fields = selector.field_equalities
    if resource.namespaced:
        if (
            not namespace
            and "metadata.namespace" in fields
            and not names.dns_label(fields["metadata.namespace"])
        ):
            namespace = fields["metadata.namespace"]
        if namespace:
            prefix = f"{prefix}{namespace}/"
    charge = partial(ctx.charge, ctx) if ctx.charge is not None else None
    out = Selection(verbs.store, resource, params, prefix, selector, behind=ctx.behind, charge=charge)
    if ctx.permitted is not None:
        out.among = ctx.permitted.namespaces
        out.scopes = out.among.scopes(stored.key_prefix, own=resource.names_namespace)
    history = verbs.history
    if history is not None and history.keeps(stored, namespace):
        out.history = history
    late = [term for term in selector.fields if term[0] in resource.converted_fields]
    if late:
        out.late = Selector((), late)
        soon = [term for term in selector.fields if term[0] not in resource.converted_fields]
        out.selector = Selector(selector.labels, soon, selector.nothing)
    if not params.watch:
        _place(out)
    return out


def _known_fields(resource: Resource, selector: Selector) -> Selector:
    """Refuse labels that the resource does not have; translate those that its stored form calls otherwise."""
    if not selector.fields:
        return selector
    terms = []
    for label, op, value in selector.fields:
        stored = stored_label(resource, label)
        if stored is None:
            text = resource.field_error.replace('"{label}"', quote(label)).replace("{label}", label)
            raise errors.BadRequest(text)
        terms.append((stored, op, value))
    return selector if tuple(terms) == selector.fields else Selector(selector.labels, terms)


def _place(s: Selection) -> None:
    """Set the place in the collection and the time: limit, continue, resourceVersion and its match."""
    p = s.params
    s.limit = (
        0 if p.resource_version == "0" or "metadata.name" in s.selector.field_equalities else max(p.limit, 0)
    )
    if p.token:
        try:
            key, at, among = keys.decode_continue(p.token, s.prefix)
        except ValueError as err:
            raise errors.BadRequest(f"invalid continue token: {err}") from None
        if among != (s.among.digest if s.among is not None else ""):
            raise errors.Expired(RIGHTS_CHANGED)
        if p.resource_version and p.resource_version != "0":
            raise errors.BadRequest("specifying resource version is not allowed when using continue")
        s.after, s.at = key.removesuffix("\0"), max(at, 0)
        return
    revision = resource_version(p.resource_version)
    if not revision:
        return
    if p.match == "Exact" or (not p.match and s.limit):
        s.at = revision
    elif revision > s.store.cacher.revision:
        raise too_large(revision, s.store.cacher.revision)
