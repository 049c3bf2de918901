"""Watchers of the objects under one prefix: what each selects, and the events queued for its sink."""

from collections import deque

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE

from pilothouse._clock cimport now
from pilothouse.api.values._selectors cimport Selector
from pilothouse.metrics._instruments cimport Distribution
from pilothouse.storage._entry cimport Change, Entry, added, kind_of, natural, weight
from pilothouse.storage._objects cimport Objects, only_key_fields

from pilothouse.logs import Logger

log = Logger("pilothouse.storage.watchcache", "_watchers.pyx")

cdef enum:                      # no products: Cython fails on them when overflow is checked
    HIGH = 262_144              # bytes in a sink above which frames wait in the watcher's queue
    CHECK = 65_536              # bytes written between two checks of the sink
    # Bytes of live events that may be queued for a slow watcher: less than the ring keeps of large objects,
    # so that the client can resume.
    MAX_QUEUED = 4_194_304
    FRAMED_BYTES = 2_097_152    # bytes of frames that are kept


cdef tuple NONE = ()            # the queue of a watcher for which nothing waits

cdef tuple SECONDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)

DELAYS = SECONDS
"""The bounds of the seconds in which changes are delivered."""


cdef class Frames:
    """The frames of changes: each is built once; those of the newest changes are kept for later watches."""

    cdef bytes of(self, Change change, int kind, object encoder):
        """The frame of a change, built once and kept while the change is among the newest."""
        cdef Change old
        cdef tuple which
        cdef bytes out
        # PERF: most watchers of a change
        if change is self.change and encoder is self.encoder and kind == self.kind:
            return self.frame
        which = (encoder.key, kind)
        if change.frames is None:
            change.frames = {}
            if self.framed is None:
                self.framed = deque()
            self.framed.append(change)
        out = change.frames.get(which)
        if out is None:
            out = change.frames[which] = change.build(kind, encoder)
            change.framed += PyBytes_GET_SIZE(out)
            self.size += PyBytes_GET_SIZE(out)
            while self.size > FRAMED_BYTES and len(self.framed) > 1:
                old = self.framed.popleft()
                self.size -= old.framed
                old.framed = 0
                old.frames = None
        self.change, self.encoder, self.kind, self.frame = change, encoder, kind, out
        return out


cdef class Initial:
    """Objects still to be sent as ADDED; `sent` is called when they have been handed to the sink."""

    cdef list entries
    cdef Py_ssize_t at
    cdef object sent


cdef bint shows_nothing(item) noexcept:
    """Whether a queued item is a bookmark, or a list of objects that have all been sent."""
    return type(item) is bytes or (
        type(item) is Initial and (<Initial>item).at == PyList_GET_SIZE((<Initial>item).entries)
    )


cdef class Watcher:
    """One watch: its selector, and the events queued for its sink.

    Live events go directly to the sink while it accepts them. Then they are queued as references to shared
    changes. If the queue becomes too long, the watch ends cleanly, so that the client resumes after the last
    event it got, or after the bookmark that says what it has been sent.
    """

    def __init__(self, Watchers watchers, str scope, str name, Selector selector, long long since, encoder,
                 sink, Distribution sizes, bint bookmarks):
        self.watchers = watchers
        self.scope = scope
        self.name = name
        self.selector = None if selector is None or selector.empty else selector
        self.plain = self.selector is None or only_key_fields(selector)
        self.since = self.revision = since
        self.encoder = encoder
        self.sink = sink
        self.queue = NONE
        self.allowed = MAX_QUEUED
        self.unlooked = CHECK
        self.sizes = sizes
        self.began = now(None)
        self.bookmarks = bookmarks
        self.slot = -1

    cdef push(self, Change change, int kind):
        """Take a live event."""
        cdef bytes data
        if self.stopped:
            return
        try:
            if self.queue or self.full:
                self.enqueue(change, kind)
                if self.queued > self.allowed:
                    self.give_up()
            else:
                data = self.watchers.frames.of(change, kind, self.encoder)
                self.emit(data)
                self.revision = change.rev
                self.watchers.sent = True
                self.unlooked += PyBytes_GET_SIZE(data)
                if self.unlooked >= CHECK:
                    self.unlooked = 0
                    self.look()
        except Exception:
            log.exception("A watch ends, an event could not be sent", prefix=self.scope)
            self.end()

    cdef enqueue(self, Change change, int kind):
        """Queue a change; only the change itself if its type is the usual one,
        which saves memory with many watchers."""
        self.line_up(change if kind == natural(change) else (kind, change))
        self.queued += weight(change)

    cdef replay(self, list missed):
        """Queue what the client has missed, as (type, change). This does not make the watch a slow one."""
        for kind, change in missed:
            self.enqueue(change, kind)
        self.allowed += self.queued

    cpdef give_up(self):
        """End the watch of a client that is too slow.

        A bookmark, if the client takes them, tells the revision up to which it has been sent everything, so
        that it resumes from there and does not list anew (kubernetes#116903).
        """
        if self.stopped:
            return
        self.watchers.terminated += 1
        if self.bookmarks:
            self.cover()
        self.end()

    cdef cover(self):
        """Send the bookmark before the first queued change, unless initial events are still to be sent."""
        cdef Change change
        cdef bytes data
        while self.queue and shows_nothing(self.queue[0]):
            data = self.next_frame()
            if data is not None:
                self.emit(data)
        item = self.queue[0] if self.queue else None
        if item is not None and type(item) is not Initial:
            change = item if type(item) is Change else item[1]
            self.emit(self.encoder.bookmark(change.rev - 1, None))

    cdef line_up(self, item):
        """Queue something; there is no queue while nothing waits."""
        if self.queue is NONE:
            self.queue = deque()
        self.queue.append(item)

    cdef look(self):
        """Check whether the sink is full."""
        if not self.stopped and self.sink.buffered() > HIGH:
            self.full = True
            if not self.rechecking:
                self.rechecking = True
                self.watchers.objects.owner.loop.call_soon(self.recheck)

    def recheck(self):
        """Continue in the next turn if the socket took everything at once,
        because then no drain callback follows."""
        self.rechecking = False
        if self.full and self.sink.buffered() <= HIGH:
            self.resume()

    def resume(self):
        """Write queued events, as far as the sink accepts them."""
        self.full = False
        try:
            self.write_waiting()
        except Exception:
            log.exception("A watch ends, an event could not be sent", prefix=self.scope)
            self.end()

    cdef write_waiting(self):
        cdef Py_ssize_t written = CHECK
        cdef bytes data
        while self.queue and not self.stopped:
            if written >= CHECK:
                self.look()
                if self.full:
                    return
                written = 0
            data = self.next_frame()
            if data is not None:
                written += PyBytes_GET_SIZE(data)
                self.emit(data)
        if not self.queue:
            self.queued = 0
            self.allowed = MAX_QUEUED
            self.queue = NONE

    cdef emit(self, bytes data):
        """Write an event to the sink and count it; what the encoder leaves out is nothing."""
        if not data:
            return
        if self.sizes is not None:
            self.sizes.observe(PyBytes_GET_SIZE(data))
        self.sink.write(data)

    cdef bytes next_frame(self):
        """The next queued frame, None if there is none in this step."""
        cdef Initial initial
        cdef Entry entry
        cdef Change change
        cdef int kind
        item = self.queue[0]
        if type(item) is Initial:
            initial = <Initial>item
            if initial.at == PyList_GET_SIZE(initial.entries):
                self.queue.popleft()
                if initial.sent is not None:
                    initial.sent()
                return None
            entry = <Entry>PyList_GET_ITEM(initial.entries, initial.at)
            initial.at += 1
            return added(entry, self.encoder)
        self.queue.popleft()
        if type(item) is bytes:
            return item
        if type(item) is Change:
            change = <Change>item
            kind = natural(change)
        else:
            kind, change = item
        self.queued -= weight(change)
        self.revision = max(self.revision, change.rev)
        if change.at >= self.began:
            self.watchers.delays.observe(now(None) - change.at)
        return self.watchers.frames.of(change, kind, self.encoder)

    def initial(self, list entries not None, sent=None):
        """Send the objects of a list as ADDED events, before later ones; then call `sent`."""
        cdef Initial initial = Initial()
        initial.entries = entries
        initial.sent = sent
        self.watchers.initial_events += PyList_GET_SIZE(entries)
        if not self.stopped:
            self.line_up(initial)
            if not self.full:
                self.resume()

    def bookmark(self, long long revision, annotations=None):
        """Send a BOOKMARK after the queued events."""
        self.send(self.encoder.bookmark(revision, annotations))
        self.revision = max(self.revision, revision)

    def send(self, bytes data not None):
        """Send an encoded frame (an ERROR event) after the queued events."""
        if self.stopped:
            return
        if self.queue or self.full:
            self.line_up(data)
        else:
            self.emit(data)

    def stop(self):
        """Take no more events and drop queued ones; leaves the sink as it is."""
        if not self.stopped:
            self.stopped = True
            self.queue = NONE
            self.watchers.leave(self)

    def end(self):
        """Stop, and end the body cleanly."""
        if not self.stopped:
            self.stop()
            self.sink.close()

    def fail(self, bytes status not None):
        """Drop queued events, tell the client why by an ERROR event with this Status, and end the body."""
        if not self.stopped:
            self.stop()
            self.emit(self.encoder.encode("ERROR", status, None))
            self.sink.close()


cdef class PermittedWatcher(Watcher):
    """A watch across the namespaces in which its client may watch.

    It can be held while it is not known whether the client still may: then events wait as they do for a slow
    client.
    """

    def __init__(self, *args, frozenset namespaces not None):
        Watcher.__init__(self, *args)
        self.namespaces = namespaces

    cdef bint permits(self, Change change) except -1:
        """Whether a change is in one of the namespaces."""
        cdef Py_ssize_t start = len(self.watchers.objects.prefix)
        cdef Py_ssize_t cut = change.key.rfind("/")
        # What is in no namespace is a Namespace, which counts as being in itself.
        return (change.key[start:cut] if cut > start else change.key[start:]) in self.namespaces

    def hold(self):
        """Send nothing until release()."""
        self.held = self.full = True

    def release(self):
        """Send what waits, and go on."""
        if self.held:
            self.held = False
            self.resume()

    def resume(self):
        """Write queued events, unless the watch is held."""
        if not self.held:
            Watcher.resume(self)


cdef bint concerns(Watcher watcher, Change change) except -1:
    """Whether a change is later than a watch's start, under its prefix, and in a namespace that it shows."""
    if change.rev <= watcher.since or not change.key.startswith(watcher.scope):
        return False
    return type(watcher) is Watcher or (<PermittedWatcher>watcher).permits(change)


cdef list watchers_in(bucket):
    """The watchers of a bucket: a dict of them, or the only one, which needs none."""
    return list(bucket) if type(bucket) is dict else [bucket]


cdef class Watchers:
    """The watchers of the objects under one prefix. A change is offered only to those that may select it."""

    def __init__(self, Objects objects):
        self.objects = objects
        self.frames = Frames()
        self.by_scope = {}
        self.by_name = {}
        self.by_field = {}
        self.by_label = {}
        self.delays = objects.owner.delays

    cdef Py_ssize_t count(self) except -1:
        """The number of watchers."""
        maps = (self.by_scope, self.by_name, self.by_field, self.by_label)
        return sum([len(watchers_in(bucket)) for buckets in maps for bucket in buckets.values()])

    cdef Py_ssize_t at_scope(self, str scope) except -1:
        """The number of watchers of all objects under a prefix."""
        bucket = self.by_scope.get(scope)
        return 0 if bucket is None else len(<dict>bucket) if type(bucket) is dict else 1

    cdef Py_ssize_t at_name(self, str name) except -1:
        """The number of watchers of objects with a name, in whatever namespace."""
        bucket = self.by_name.get(name)
        return 0 if bucket is None else len(<dict>bucket) if type(bucket) is dict else 1

    cdef end(self):
        """End every watch cleanly, because the resource is no longer served."""
        for buckets in (self.by_scope, self.by_name, self.by_field, self.by_label):
            for bucket in list(buckets.values()):
                for watcher in watchers_in(bucket):
                    (<Watcher>watcher).end()

    cdef enter(self, Watcher watcher):
        """Index a watcher by the one property that every event it may select has."""
        cdef Selector selector = watcher.selector
        cdef dict buckets = self.by_scope
        cdef object place = watcher.scope
        if watcher.name:
            buckets, place = self.by_name, watcher.name
        elif selector is not None:
            field = None
            for name in self.objects.indexed_fields:
                if name in selector.field_equalities:
                    field = name
                    break
            if field is not None:
                self.objects.field_index(field)
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
            buckets[place] = watcher
        elif type(bucket) is dict:
            bucket[watcher] = None
        else:
            buckets[place] = {bucket: None, watcher: None}
        watcher.buckets = buckets
        watcher.place = place

    cdef leave(self, Watcher watcher):
        bucket = watcher.buckets[watcher.place]
        if bucket is watcher:
            del watcher.buckets[watcher.place]
        else:
            bucket.pop(watcher, None)
            if not bucket:
                del watcher.buckets[watcher.place]
        if watcher.reads_fields:
            self.field_readers -= 1
        self.objects.owner.left(watcher)

    cdef dispatch(self, Change change, list touched):
        """Offer a change to the watchers that may select it; others cost nothing."""
        cdef str key = change.key
        cdef Py_ssize_t cut = key.rfind("/") + 1
        cdef str old, new
        self.sent = False
        if self.by_scope:
            self.offer(self.by_scope.get(self.objects.prefix), change)
            if cut != len(self.objects.prefix):
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
        if self.sent:  # PERF: once for all that took it at once
            self.delays.observe(now(None) - change.at)

    cdef offer(self, bucket, Change change):
        cdef Watcher watcher
        cdef int kind
        if bucket is not None:
            for watcher in watchers_in(bucket):
                kind = self.kind_for(watcher, change)
                if kind >= 0:
                    watcher.push(change, kind)

    cdef offer_exact(self, bucket, Change change, bint before, bint after):
        """Offer a change to watchers of one value of an indexed field; the index knows its type for them."""
        cdef Watcher watcher
        cdef int kind
        if bucket is not None:
            for watcher in watchers_in(bucket):
                if watcher.exact:
                    kind = kind_of(before, after) if concerns(watcher, change) else -1
                else:
                    kind = self.kind_for(watcher, change)
                if kind >= 0:
                    watcher.push(change, kind)

    cdef int kind_for(self, Watcher watcher, Change change) except -2:
        """The change's type for a watcher: ADDED, MODIFIED, DELETED, or -1 for none."""
        cdef bint before, after
        if not concerns(watcher, change):
            return -1
        if watcher.name and change.key[change.key.rfind("/") + 1:] != watcher.name:
            return -1
        before = change.prev is not None
        after = change.cur is not None
        if watcher.selector is not None:
            before = before and self.objects.selects(watcher.selector, watcher.plain, change.prev)
            after = after and self.objects.selects(watcher.selector, watcher.plain, change.cur)
        return kind_of(before, after)
