"""Estimates how many seats a request needs (apiserver flowcontrol/request).

A list needs seats by the bytes that it returns, where upstream stops counting at 1 MB of a cached list
(kubernetes#130482): the bytes of all that is there are known, and what a selector selects is learned from
what the last list with it returned. A watch that begins with what is there is a list until that has been
sent. A write with many watchers keeps seats for a moment, for the events that it causes.
"""

from collections.abc import Sequence
from math import ceil

from pilothouse.api.values.identity import RequestInfo, User
from pilothouse.caches import Cache, CacheBudget, short, weight
from pilothouse.process.patterns import pattern
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource
from pilothouse.registry.store import Store
from pilothouse.storage._entry import Entry, bytes_of
from pilothouse.storage._watchcache import ResourceCache

BYTES = 100_000
"""Bytes of a list for one seat."""
WIDEST_LIST, WIDEST_WRITE = 100, 10
"""The most seats of a list and of a write, where its level allows as many."""
WATCHERS = 10
"""Watchers for one seat after a write; with fewer there is none."""
EVENT = 0.005
"""Seconds that such a seat is kept."""

WRITES = frozenset(("create", "update", "patch", "delete"))
RULES_REVIEWS = "selfsubjectrulesreviews"
NO_SEATS: tuple[int, float] = (0, 0.0)

Query = dict[str, list[str]]

_RULES_REVIEW = "rules review"
_VALUE = pattern(r"(=|!=|==)[^,()]*|\([^()]*\)")
_NAMED = pattern(r"(^|,)metadata\.name==?[^=,]")


class Widths:
    """Estimates how many seats requests need."""

    def __init__(self, catalog: Catalog, store: Store, budget: CacheBudget | None = None) -> None:
        self._catalog, self._store = catalog, store
        self._learned: Cache[tuple[str | bytes, ...], int] = Cache(
            "list_sizes", budget or CacheBudget(), share=1 / 32, weigh=lambda key, size: weight(key) + 32
        )

    def resource(self, info: RequestInfo) -> Resource | None:
        """The resource of a request, None if this server does not know it."""
        return self._catalog.get(info.group, info.version, info.resource) if info.is_resource else None

    def expected(self, info: RequestInfo, query: Query) -> float:
        """The bytes that a list, a watch's initial events or a deletecollection will probably have,
        at most."""
        resource = self.resource(info)
        if resource is None or not resource.key_prefix or info.subresource:
            return 0.0
        if info.verb == "watch" and not _sends_state(query):
            return 0.0
        cache = self._store.cache(resource)
        if cache.stored_bytes <= BYTES:  # PERF: most lists
            return float(cache.stored_bytes)
        return self._bytes(cache, resource, info, query)

    def _bytes(self, cache: ResourceCache, resource: Resource, info: RequestInfo, query: Query) -> float:
        """The bytes that a list will probably have."""
        prefix = _prefix(resource, info.namespace)
        objects, of_all = cache.within(prefix), cache.count
        if not objects:
            return 0.0
        average = cache.stored_bytes / of_all
        if query and info.verb == "list":
            limit = _limit(query)
            objects = min(objects, limit) if limit else objects
        most = objects * average
        if not query and not info.name:
            return most
        labels, fields = _first(query, "labelSelector"), _first(query, "fieldSelector")
        if info.name or _NAMED.search(fields):
            return average
        if not labels and not fields:
            return most
        known = self._learned[(resource.key_prefix, info.namespace, short(labels), short(fields))]
        if known is None:
            known = self._learned[_shape(resource, labels, fields)]
        return most if known is None else min(known, most)

    def learn(self, resource: Resource, namespace: str, query: Query, entries: Sequence[Entry]) -> None:
        """Take note of what a list with selectors returned,
        for this one and for others that differ in values only."""
        labels, fields = _first(query, "labelSelector"), _first(query, "fieldSelector")
        if not labels and not fields:
            return
        size = bytes_of(entries) + 1  # a cache keeps no 0
        key = (resource.key_prefix, namespace, short(labels), short(fields))
        if self._learned[key] != size:
            self._learned.put(key, size)
            self._learned.put(_shape(resource, labels, fields), size)

    def review_bytes(self, user: User) -> int:
        """The bytes that a user's next SelfSubjectRulesReview will probably have; 0 before the first one."""
        return self._learned[_RULES_REVIEW, short(user.name)] or 0

    def learn_review(self, user: User, size: int) -> None:
        """Take note of how long the answer to a SelfSubjectRulesReview is."""
        if size > BYTES or self.review_bytes(user) > BYTES:  # PERF: nearly all take one seat
            self._learned.put((_RULES_REVIEW, short(user.name)), size + 1)

    def watchers(self, info: RequestInfo) -> int | None:
        """How many watchers are told of a write, None if it causes no event."""
        if info.subresource == "token":
            return None
        resource = self.resource(info)
        if resource is None or not resource.key_prefix:
            return 0
        return self._store.cache(resource).interested(_prefix(resource, info.namespace), info.name)


def list_seats(expected: float, widest: int) -> int:
    """The seats of a list, or of a watch, with so many expected bytes; a request may take `widest`."""
    return max(1, min(ceil(expected / BYTES), widest, WIDEST_LIST))


def after_write(watchers: int, widest: int) -> tuple[int, float]:
    """The seats that are kept after a write, and for how many seconds; fewer are kept for longer."""
    if watchers < WATCHERS:
        return NO_SEATS
    seats = ceil(watchers / WATCHERS)
    kept = min(seats, widest, WIDEST_WRITE)
    return kept, EVENT * seats / kept


def _prefix(resource: Resource, namespace: str) -> str:
    prefix = (resource.storage or resource).key_prefix
    return f"{prefix}{namespace}/" if namespace and resource.namespaced else prefix


def _first(query: Query, name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def _limit(query: Query) -> int:
    """The page that is asked for; 0: everything, as with resourceVersion=0, which knows no pages."""
    text = _first(query, "limit")
    if not text.isascii() or not text.isdigit() or len(text) > 18 or _first(query, "resourceVersion") == "0":
        return 0
    return int(text)


def _sends_state(query: Query) -> bool:
    """Whether a watch begins with the objects that are there."""
    asked = _first(query, "sendInitialEvents").lower()
    return asked not in ("", "false", "0") or _first(query, "resourceVersion") in ("", "0")


def _shape(resource: Resource, labels: str, fields: str) -> tuple[str | bytes, ...]:
    """The common part of lists whose selectors differ in values only:
    of kubelets' lists for the pods of their node."""
    if len(labels) + len(fields) > 4096:
        return (resource.key_prefix, "long")
    return (resource.key_prefix, short(_VALUE.sub("", labels)), short(_VALUE.sub("", fields)))
