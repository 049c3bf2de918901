"""Objects of one resource in memory: key order, indexes, the ring of recent changes, and who watches what.

Everything runs on the loop's thread. Entries never change once made, so a snapshot is a list of references.
"""

import time
from collections import deque

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.unicode cimport PyUnicode_Compare

import orjson

from pilothouse._instruments cimport Distribution
from pilothouse._json cimport Encoded, frame, read_labels, read_text, revised, splice_at
from pilothouse._selectors cimport Selector

from pilothouse.logs import Logger
from pilothouse.storage.interface import Compacted, FutureRevision
from pilothouse._json import JsonEncoder

log = Logger("pilothouse.storage.watchcache", "_watchcache.pyx")

cdef enum:
    ADDED
    MODIFIED
    DELETED

cdef tuple KINDS = ("ADDED", "MODIFIED", "DELETED")
cdef const char** KIND_BYTES = [b"ADDED", b"MODIFIED", b"DELETED"]

cdef enum:                      # no products: Cython fails on them when overflow is checked
    HIGH = 1_048_576            # bytes in a sink above which frames wait in the watcher's queue
    CHECK = 65_536              # bytes written between two looks at the sink
    MAX_QUEUED = 8_388_608
    MAX_EVENTS = 10_000         # live events that may wait for a slow watcher
    RING_COUNT = 10_000
    RING_BYTES = 16_777_216
    LARGE = 65_536              # bytes of a change that is not kept once there are RING_LARGE bytes
    RING_LARGE = 6_291_456      # so that few objects that are written again and again do not fill memory
    RING_SMALL = 1000           # up to so many changes are kept however old they are
    RING_SECONDS = 300
    FRAMED_BYTES = 2_097_152
    MAX_LABEL_INDEXES = 8
    MANY = 1000                 # objects from which on an index is not left to the first who asks: it would take long

CAPACITY = RING_COUNT
"""Changes that a resource's ring holds at most."""

LAST = "\U0010ffff"
JSON_KEY = JsonEncoder.key


@cython.no_gc
cdef class Entry(Encoded):
    """One version of an object: its key, its served bytes and its revisions."""

    cdef readonly str key
    cdef readonly long long rev
    cdef readonly long long create_rev
    cdef dict _labels
    cdef dict _fields

    def __init__(self, str key not None, bytes value not None, long long rev, long long create_rev=0):
        """`value` is the stored form; ValueError when it is no JSON object."""
        self.key = key
        self.value = splice_at(value, rev, &self.head)
        self.rev = rev
        self.create_rev = create_rev

    @property
    def labels(self):
        """metadata.labels; shared, not to be changed."""
        return self.get_labels()

    def fields(self, extract):
        """The values of the selectable fields; shared, not to be changed."""
        return self.get_fields(extract)

    cdef inline dict get_labels(self):
        if self._labels is None:
            self._labels = read_labels(self.value, self.head)
        return self._labels

    cdef inline dict get_fields(self, extract):
        if self._fields is None:
            self._fields = extracted(extract, self)
        return self._fields

    def __repr__(self):
        return f"<Entry {self.key} {self.rev}>"


cdef class Change:
    """One event of the ring: what an object was before and what it is after `rev`."""

    cdef readonly str key
    cdef readonly long long rev
    cdef readonly Entry cur, prev
    cdef bytes gone
    cdef dict frames
    cdef Py_ssize_t framed    # bytes of the frames
    cdef double at

    cdef bytes last(self):
        """The previous object's bytes with the revision of the change: what a DELETED event shows."""
        if self.gone is None:
            self.gone = revised(self.prev.value, self.prev.head, self.rev)
        return self.gone

    cdef bytes build(self, int kind, object encoder):
        """The frame in the encoder's format."""
        value = self.last() if kind == DELETED else self.cur.value
        if type(encoder) is JsonEncoder:
            return frame(KIND_BYTES[kind], value)
        return encoder.encode(KINDS[kind], value, self.prev if kind == DELETED else self.cur)


@cython.final
cdef class Listing:
    """A page of a list. `remaining` = how many of the range follow, -1 when a selector makes that unknown."""

    cdef readonly list entries
    cdef readonly long long revision
    cdef readonly bint more
    cdef readonly Py_ssize_t remaining

    def __init__(self, list entries, long long revision, bint more, Py_ssize_t remaining):
        self.entries = entries
        self.revision = revision
        self.more = more
        self.remaining = remaining


include "_objects.pxi"


cdef class ResourceCache(Objects):
    """The objects under one prefix, as `/registry/pods/`, their recent changes, and who watches them."""

    cdef object framed
    cdef Py_ssize_t ring_bytes, framed_bytes
    cdef dict by_scope, by_name, by_field, by_label
    cdef Py_ssize_t field_readers
    cdef list listeners
    cdef readonly long long received         # changes that were taken in and offered to the watchers
    cdef readonly long long initial_events   # events that told watchers what was there, or what they had missed
    cdef readonly long long terminated       # watches that were ended because their clients were too slow

    def __init__(self, owner, str prefix, extract, tuple indexed_fields, long long oldest):
        Objects.__init__(self, owner, prefix, extract, indexed_fields, oldest)
        self.framed = deque()
        self.by_scope = {}
        self.by_name = {}
        self.by_field = {}
        self.by_label = {}
        self.listeners = []

    # --- changes

    def move(self, str prefix not None, ResourceCache other not None):
        """Hand the objects under a prefix, and what the ring knows of them, to another cache; no event tells of it."""
        cdef list kept = [e for e in self.entries if not e.key.startswith(prefix)]
        other.load([e for e in self.entries if e.key.startswith(prefix)])
        other.oldest = max(other.oldest, self.oldest)
        other.set_ring(list(other.ring) + [c for c in self.ring if c.key.startswith(prefix)])
        self.set_ring([c for c in self.ring if not c.key.startswith(prefix)])
        self.by_key.clear()
        self.load(kept)

    cdef set_ring(self, list changes):
        cdef Change change
        changes.sort(key=rev_of)
        self.ring = deque(changes)
        self.ring_bytes = 0
        self.last_change = self.oldest
        for change in changes:
            self.ring_bytes += weight(change)
            self.last_change = max(self.last_change, change.rev)

    def forget_history(self, long long revision):
        """Start the ring anew: changes up to `revision` may have been missed."""
        self.oldest = self.last_change = revision
        self.set_ring([])

    def apply(self, str key not None, Entry cur, long long rev):
        """Take in a change, cur None for a delete, and tell those who watch."""
        cdef Entry prev = self.by_key.get(key)
        cdef Py_ssize_t at
        cdef Change change
        cdef list touched = None
        if prev is None and cur is None or prev is not None and prev.rev >= rev:
            return
        self.received += 1
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
        self.dispatch(change, touched)
        if prev is not None:
            prev._fields = None
        for listener in self.listeners:
            try:
                listener(cur, prev)
            except Exception:
                log.exception("A listener failed on a change", key=key)

    cdef list reindex_fields(self, Change change):
        """Bring the field indexes up to date; answers with (field, old value, new value) of those that are watched."""
        cdef Entry subject = change.cur if change.cur is not None else change.prev
        cdef Index index
        cdef list touched = []
        cdef str old, new
        if change.cur is not None and self.field_readers:
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
        """Keep a change in the ring, and no more of them than count, bytes and age allow."""
        cdef Change old
        change.at = time.monotonic()
        self.ring.append(change)
        self.ring_bytes += weight(change)
        while len(self.ring) > 1:
            old = self.ring[0]
            if not (len(self.ring) > RING_COUNT or self.ring_bytes > RING_BYTES
                    or self.ring_bytes > RING_LARGE and weight(old) > LARGE
                    or len(self.ring) > RING_SMALL and change.at - old.at > RING_SECONDS):
                break
            self.ring.popleft()
            self.ring_bytes -= weight(old)
            self.oldest = old.rev

    cdef bytes frame_of(self, Change change, int kind, object encoder):
        """The frame of a change, built once; those of the newest changes are kept for who replays them."""
        cdef Change old
        cdef tuple which = (encoder.key, kind)
        cdef bytes out
        if change.frames is None:
            change.frames = {}
            self.framed.append(change)
        out = change.frames.get(which)
        if out is None:
            out = change.frames[which] = change.build(kind, encoder)
            change.framed += PyBytes_GET_SIZE(out)
            self.framed_bytes += PyBytes_GET_SIZE(out)
            while self.framed_bytes > FRAMED_BYTES and len(self.framed) > 1:
                old = self.framed.popleft()
                self.framed_bytes -= old.framed
                old.framed = 0
                old.frames = None
        return out

    def subscribe(self, listener):
        """Call back with (new, old) Entry, None for none, at every change; the answer ends it."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    # --- watching

    @property
    def watchers(self):
        """How many watch."""
        maps = (self.by_scope, self.by_name, self.by_field, self.by_label)
        return sum([len(bucket) for buckets in maps for bucket in buckets.values()])

    def check(self, long long since):
        """Raise Compacted when a watch can not start after this revision any more."""
        if since < self.oldest:
            raise Compacted(self.oldest)

    def watch(self, str prefix_key not None, str name, Selector selector, since, encoder, sink, *,
              bint bookmarks=False, Distribution sizes=None):
        """Send every change after `since` (None = from now on) of what is selected to `sink`, until it closes.

        The bytes of each event are counted in `sizes`. Raises Compacted when the ring does not reach back to `since`.
        """
        cdef long long start = self.owner.revision if since is None else since
        cdef Watcher watcher
        cdef Change change
        cdef list replay = []
        if start < self.oldest:
            raise Compacted(self.oldest)
        if start < self.last_change:
            for change in reversed(self.ring):
                if change.rev <= start:
                    break
                replay.append(change)
        watcher = Watcher(self, prefix_key, name or "", selector, start, encoder, sink, sizes)
        self.enter(watcher)
        self.owner.joined(watcher, bookmarks)
        for change in reversed(replay):
            kind = self.kind_for(watcher, change)
            if kind >= 0:
                watcher.enqueue(change, kind)
                self.initial_events += 1
        watcher.resume()
        sink.on_drain(watcher.resume)
        sink.on_close(watcher.stop)
        return watcher

    cdef enter(self, Watcher watcher):
        """File a watcher under the one thing that every event it may want has."""
        cdef Selector selector = watcher.selector
        cdef dict buckets = self.by_scope
        cdef object place = watcher.scope
        if watcher.name:
            buckets, place = self.by_name, watcher.name
        elif selector is not None:
            field = None
            for name in self.indexed_fields:
                if name in selector.field_equalities:
                    field = name
                    break
            if field is not None:
                self.field_index(field)
                watcher.exact = len(selector.fields) == 1 and not selector.labels and not selector.nothing
                buckets, place = self.by_field, (field, selector.field_equalities[field])
            elif "metadata.name" in selector.field_equalities:
                buckets, place = self.by_name, selector.field_equalities["metadata.name"]
            elif selector.equalities:
                buckets, place = self.by_label, selector.equalities[0]
            if selector.fields and not watcher.plain and not watcher.exact:
                self.field_readers += 1
                watcher.reads_fields = True
        bucket = buckets.get(place)
        if bucket is None:
            buckets[place] = bucket = {}
        bucket[watcher] = None
        watcher.buckets = buckets
        watcher.place = place

    cdef leave(self, Watcher watcher):
        bucket = watcher.buckets[watcher.place]
        bucket.pop(watcher, None)
        if not bucket:
            del watcher.buckets[watcher.place]
        if watcher.reads_fields:
            self.field_readers -= 1
        self.owner.left(watcher)

    def end_watches(self):
        """End every watch cleanly: the resource is served no longer."""
        for buckets in (self.by_scope, self.by_name, self.by_field, self.by_label):
            for bucket in list(buckets.values()):
                for watcher in list(bucket):
                    (<Watcher>watcher).end()

    cdef dispatch(self, Change change, list touched):
        """Offer a change to the watchers that may want it; nobody else is looked at."""
        cdef str key = change.key
        cdef Py_ssize_t cut = key.rfind("/") + 1
        cdef str old, new
        if self.by_scope:
            self.offer(self.by_scope.get(self.prefix), change)
            if cut != len(self.prefix):
                self.offer(self.by_scope.get(key[:cut]), change)
        if self.by_name:
            self.offer(self.by_name.get(key[cut:]), change)
        if self.by_field:
            for field, old, new in touched:
                if old is not None and new is not None and old == new:
                    self.offer_exact(self.by_field.get((field, new)), change, True, True)
                else:
                    if old is not None:
                        self.offer_exact(self.by_field.get((field, old)), change, True, False)
                    if new is not None:
                        self.offer_exact(self.by_field.get((field, new)), change, False, True)
        if self.by_label:
            pairs = set()
            if change.prev is not None:
                pairs.update(change.prev.get_labels().items())
            if change.cur is not None:
                pairs.update(change.cur.get_labels().items())
            for pair in pairs:
                self.offer(self.by_label.get(pair), change)

    cdef offer(self, dict bucket, Change change):
        cdef Watcher watcher
        cdef int kind
        if bucket is not None:
            for watcher in list(bucket):
                kind = self.kind_for(watcher, change)
                if kind >= 0:
                    watcher.push(change, kind)

    cdef offer_exact(self, dict bucket, Change change, bint before, bint after):
        """The same where an index has said what the change means for those who select one value."""
        cdef Watcher watcher
        cdef int kind
        if bucket is not None:
            for watcher in list(bucket):
                if watcher.exact:
                    kind = -1
                    if change.rev > watcher.since and change.key.startswith(watcher.scope):
                        kind = kind_of(before, after)
                else:
                    kind = self.kind_for(watcher, change)
                if kind >= 0:
                    watcher.push(change, kind)

    cdef int kind_for(self, Watcher watcher, Change change) except -2:
        """What a change is to a watcher: ADDED, MODIFIED, DELETED, or -1 for nothing."""
        cdef bint before, after
        if change.rev <= watcher.since or not change.key.startswith(watcher.scope):
            return -1
        if watcher.name and change.key[change.key.rfind("/") + 1:] != watcher.name:
            return -1
        before = change.prev is not None
        after = change.cur is not None
        if watcher.selector is not None:
            before = before and self.selects(watcher.selector, watcher.plain, change.prev)
            after = after and self.selects(watcher.selector, watcher.plain, change.cur)
        return kind_of(before, after)


cdef dict extracted(extract, Entry entry):
    """The selectable fields; none of an object that the extractor can not read."""
    try:
        return extract(orjson.loads(entry.value))
    except Exception:
        log.exception("The fields of an object cannot be read", key=entry.key)
        return {}


cdef inline int kind_of(bint before, bint after) noexcept:
    if after:
        return MODIFIED if before else ADDED
    return DELETED if before else -1


cdef inline int natural(Change change) noexcept:
    """What a change is to those who select every object."""
    return kind_of(change.prev is not None, change.cur is not None)


cdef inline Py_ssize_t weight(Change change) noexcept:
    """What a change keeps in memory, in bytes."""
    cdef Encoded entry = change.prev if change.prev is not None else change.cur
    return PyBytes_GET_SIZE(entry.value) + 400


cdef inline dict labels_of(Entry entry):
    """The labels of an entry, not remembered: an index needs them once."""
    return entry._labels if entry._labels is not None else read_labels(entry.value, entry.head)


cdef bint only_key_fields(Selector selector):
    """True when the field selector asks for nothing that the key does not tell."""
    for requirement in selector.fields:
        if requirement[0] != "metadata.name" and requirement[0] != "metadata.namespace":
            return False
    return True


def rev_of(Change change not None):
    """The revision of a change: what the ring is sorted by."""
    return change.rev


def key_of(Entry entry not None):
    """The key of an entry: what lists are sorted by."""
    return entry.key


include "_watcher.pxi"
