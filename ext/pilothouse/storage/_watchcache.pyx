"""The watch cache of one resource: its objects, the ring of recent changes, and its watchers.

All of it runs on the event loop's thread.
"""

import time
from collections import deque

from cpython.list cimport PyList_GET_SIZE

from pilothouse.api.values._selectors cimport Selector
from pilothouse.metrics._instruments cimport Distribution
from pilothouse.storage._entry cimport Change, Entry, tied, weight
from pilothouse.storage._objects cimport MANY, Index, Listing, Objects
from pilothouse.storage._watchers cimport PermittedWatcher, Watcher, Watchers

from pilothouse.logs import Logger
from pilothouse.storage._entry import bytes_of, rev_of
from pilothouse.storage.interface import Compacted

log = Logger("pilothouse.storage.watchcache", "_watchcache.pyx")

cdef enum:                      # no products: Cython fails on them when overflow is checked
    RING_COUNT = 10_000
    RING_BYTES = 16_777_216
    LARGE = 65_536              # bytes; larger changes are not kept while the ring exceeds RING_LARGE bytes
    RING_LARGE = 6_291_456      # so that few objects that change often do not fill the memory
    RING_SMALL = 1000           # this many changes are kept whatever their age
    RING_SECONDS = 300

CAPACITY = RING_COUNT
"""The most changes that the ring of a resource holds."""


cdef class ResourceCache(Objects):
    """The objects under one prefix such as `/registry/pods/`, their recent changes, and their watchers."""

    cdef Py_ssize_t ring_size               # bytes
    cdef Watchers watching                   # None before the first watcher
    cdef list listeners
    cdef list ties                           # the owner's listeners to what is tied to others
    cdef readonly long long received         # changes that were taken in and offered to the watchers
    cdef public long long undecoded          # stored values that could not be read
    cdef dict lists                          # index -> [lists, objects that were looked at, those returned]
    cdef readonly tuple from_store           # lists of the store, objects read, tested and returned

    def __init__(self, owner, str prefix, extract, tuple indexed_fields, long long oldest):
        Objects.__init__(self, owner, prefix, extract, indexed_fields, oldest)
        self.listeners = []
        self.ties = owner.ties
        self.from_store = (0, 0, 0, 0)

    # --- what is counted

    @property
    def ring_bytes(self):
        """Bytes of the changes in the ring, roughly."""
        return self.ring_size

    @property
    def delays(self):
        """The seconds between changes that were taken in and when watchers' sinks had them."""
        return self.owner.delays

    @property
    def listed(self):
        """Index ("" for none) -> how many lists were made by it, objects looked at, objects returned."""
        return {index: tuple(counts) for index, counts in (self.lists or {}).items()}

    def count_list(self, Listing listing not None):
        """Count a list that was answered from here."""
        cdef list counts
        if self.lists is None:
            self.lists = {}
        counts = self.lists.get(listing.index)
        if counts is None:
            counts = self.lists[listing.index] = [0, 0, 0]
        counts[0] += 1
        counts[1] += listing.fetched
        counts[2] += PyList_GET_SIZE(listing.entries)

    def count_store(self, Py_ssize_t fetched, Py_ssize_t returned):
        """Count a list that was read from the store; every object that was read was tested."""
        lists, read, tested, told = self.from_store
        self.from_store = (lists + 1, read + fetched, tested + fetched, told + returned)

    # --- changes

    def move(self, str prefix not None, ResourceCache other not None):
        """Move the objects under a prefix, and their changes in the ring, to another
        cache, without events."""
        cdef Py_ssize_t low = self.lower(prefix), high = self.upper(prefix)
        cdef list moved = self.entries[low:high]
        cdef Entry entry
        other.oldest = max(other.oldest, self.oldest)
        if moved:  # PERF: at a start this is called for every resource, with all objects in one cache
            other.join(moved)
            del self.entries[low:high]
            if len(moved) > PyList_GET_SIZE(self.entries):
                self.by_key = {entry.key: entry for entry in self.entries}
            else:
                for entry in moved:
                    del self.by_key[entry.key]
            self.stored_bytes -= bytes_of(moved)
            self.reset_indexes()
        if self.ring:
            other.set_ring(list(other.ring) + [c for c in self.ring if c.key.startswith(prefix)])
            self.set_ring([c for c in self.ring if not c.key.startswith(prefix)])

    cdef set_ring(self, list changes):
        cdef Change change
        changes.sort(key=rev_of)
        self.ring = deque(changes) if changes else ()
        self.ring_size = 0
        self.last_change = self.oldest
        for change in changes:
            self.ring_size += weight(change)
            self.last_change = max(self.last_change, change.rev)

    def forget_history(self, long long revision):
        """Clear the ring, because changes up to `revision` may have been missed."""
        self.oldest = self.last_change = revision
        self.set_ring([])

    def apply(self, str key not None, Entry cur, long long rev):
        """Apply a change (`cur` None for a delete) and notify watchers and listeners."""
        cdef Entry prev = self.by_key.get(key)
        cdef Py_ssize_t at
        cdef Change change
        cdef list touched = None
        if prev is None and cur is None or prev is not None and prev.rev >= rev:
            return
        self.received += 1
        self.stored_bytes += (0 if cur is None else len(cur.value)) - (0 if prev is None else len(prev.value))
        at = self.lower(key)
        if cur is None:
            del self.by_key[key]
            del self.entries[at]
        else:
            self.by_key[key] = cur
            if prev is None:
                if PyList_GET_SIZE(self.entries) == MANY:
                    self.index_fields()
                self.entries.insert(at, cur)
            else:
                self.entries[at] = cur
        change = Change()
        change.key = key
        change.rev = self.last_change = rev
        change.cur = cur
        change.prev = prev
        if self.field_indexes:
            touched = self.reindex_fields(change)
        if self.label_indexes:
            self.reindex_labels(change)
        self.remember(change)
        if self.watching is not None:
            self.watching.dispatch(change, touched)
        if prev is not None:
            prev._fields = None
        if self.listeners:
            self.tell(self.listeners, cur, prev)
        if self.ties and (cur is None or tied(cur) or prev is not None and tied(prev)):
            self.tell(self.ties, cur, prev)

    cdef tell(self, list listeners, Entry cur, Entry prev):
        for listener in listeners:
            try:
                listener(cur, prev)
            except Exception:
                log.exception("A listener failed on a change", key=(prev if cur is None else cur).key)

    cdef list reindex_fields(self, Change change):
        """Update the field indexes; returns (field, old value, new value) for those with watchers."""
        cdef Entry subject = change.cur if change.cur is not None else change.prev
        cdef Index index
        cdef list touched = []
        cdef str old, new
        if change.cur is not None and self.watching is not None and self.watching.field_readers:
            change.cur.get_fields(self.extract)
        for field, index in self.field_indexes.items():
            old = index.values.get(change.key)
            new = self.field_of(change.cur, field) if change.cur is not None else None
            index.put(subject, new)
            touched.append((field, old, new))
        return touched

    cdef reindex_labels(self, Change change):
        cdef dict labels = change.cur.get_labels() if change.cur is not None else {}
        cdef Entry subject = change.cur if change.cur is not None else change.prev
        cdef Index index
        for key, index in self.label_indexes.items():
            index.put(subject, labels.get(key))

    cdef remember(self, Change change):
        """Add a change to the ring, and drop old ones by number, bytes and age."""
        cdef Change old
        change.at = time.monotonic()
        if not self.ring:
            self.ring = deque()
        self.ring.append(change)
        self.ring_size += weight(change)
        while len(self.ring) > 1:
            old = self.ring[0]
            if not (len(self.ring) > RING_COUNT or self.ring_size > RING_BYTES
                    or self.ring_size > RING_LARGE and weight(old) > LARGE
                    or len(self.ring) > RING_SMALL and change.at - old.at > RING_SECONDS):
                break
            self.ring.popleft()
            self.ring_size -= weight(old)
            self.oldest = old.rev

    def subscribe(self, listener):
        """Call back with (new, old) Entry, None for none, at every change; call the result to unsubscribe."""
        cdef list listeners = self.listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    # --- watching

    @property
    def watchers(self):
        """The number of watchers."""
        return 0 if self.watching is None else self.watching.count()

    def interested(self, str prefix not None, str name not None):
        """The number of watchers that a change of the object `name`, or of one that has no name yet
        (""), under the resource's or a namespace's prefix is offered to. Those that an index finds by
        a field or a label are left out.
        """
        cdef Py_ssize_t found
        if self.watching is None:
            return 0
        found = self.watching.at_scope(self.prefix)
        if prefix != self.prefix:
            found += self.watching.at_scope(prefix)
        return found + self.watching.at_name(name) if name else found

    @property
    def initial_events(self):
        """Events that told watchers what was there when they started, or what they had missed."""
        return 0 if self.watching is None else self.watching.initial_events

    @property
    def terminated(self):
        """Watches that were ended because their clients were too slow."""
        return 0 if self.watching is None else self.watching.terminated

    def check(self, long long since):
        """Raise Compacted if a watch can no longer start after this revision."""
        if since < self.oldest:
            raise Compacted(self.oldest)

    def watch(self, str prefix_key not None, str name, Selector selector, since, encoder, sink, *,
              bint bookmarks=False, Distribution sizes=None, frozenset namespaces=None):
        """Send every change after `since` (None = from now on) of what is selected to
        `sink`, until it closes.

        The bytes of each event are counted in `sizes`. With `namespaces` only what is in one of these is
        selected, and the watcher is a PermittedWatcher.
        Raises Compacted when the ring does not reach back to `since`.
        """
        cdef long long start = self.owner.revision if since is None else since
        cdef Watcher watcher
        cdef Change change
        cdef list changes = [], missed = []
        cdef int kind
        if start < self.oldest:
            raise Compacted(self.oldest)
        if start < self.last_change:
            for change in reversed(self.ring):
                if change.rev <= start:
                    break
                changes.append(change)
        if self.watching is None:
            self.watching = Watchers(self)
        if namespaces is None:
            watcher = Watcher(
                self.watching, prefix_key, name or "", selector, start, encoder, sink, sizes, bookmarks
            )
        else:
            watcher = PermittedWatcher(
                self.watching, prefix_key, name or "", selector, start, encoder, sink, sizes, bookmarks,
                namespaces=namespaces
            )
        self.watching.enter(watcher)
        self.owner.joined(watcher)
        for change in reversed(changes):
            kind = self.watching.kind_for(watcher, change)
            if kind >= 0:
                missed.append((kind, change))
        watcher.replay(missed)
        self.watching.initial_events += len(missed)
        watcher.resume()
        sink.on_drain(watcher.resume)
        sink.on_close(watcher.stop)
        return watcher

    def end_watches(self):
        """End every watch cleanly, because the resource is no longer served."""
        if self.watching is not None:
            self.watching.end()
