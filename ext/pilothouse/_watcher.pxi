cdef class Initial:
    """Objects still to be sent as ADDED."""

    cdef list entries
    cdef Py_ssize_t at


cdef class Watcher:
    """One watch: what it selects and what waits to be written to its sink.

    Live events go straight to the sink while it takes them. When it is full they wait here as references to shared
    changes; when too much waits, the watch ends cleanly, so that the client resumes from what it has got.
    """

    cdef ResourceCache cache
    cdef readonly str scope, name
    cdef Selector selector
    cdef bint plain, exact, reads_fields, full, rechecking
    cdef readonly bint stopped
    cdef readonly long long since
    cdef readonly long long revision
    cdef object encoder, sink, write, buffered, queue
    cdef Distribution sizes
    cdef dict buckets
    cdef object place
    cdef Py_ssize_t queued
    cdef public int slot

    def __init__(self, ResourceCache cache, str scope, str name, Selector selector, long long since, encoder, sink,
                 Distribution sizes):
        self.cache = cache
        self.scope = scope
        self.name = name
        self.selector = None if selector is None or selector.empty else selector
        self.plain = self.selector is None or only_key_fields(selector)
        self.since = self.revision = since
        self.encoder = encoder
        self.sink = sink
        self.write = sink.write
        self.buffered = sink.buffered
        self.queue = deque()
        self.sizes = sizes
        self.slot = -1

    cdef push(self, Change change, int kind):
        """Take a live event."""
        if self.stopped:
            return
        if self.queue or self.full:
            self.enqueue(change, kind)
            self.queued += weight(change)
            if self.queued > MAX_QUEUED or len(self.queue) > MAX_EVENTS and self.queued > HIGH:
                self.cache.terminated += 1
                self.end()
            return
        try:
            self.emit(self.cache.frame_of(change, kind, self.encoder))
            self.revision = change.rev
            self.look()
        except Exception:
            log.exception("A watch ends, an event could not be sent", prefix=self.scope)
            self.end()

    cdef enqueue(self, Change change, int kind):
        """Have a change wait: by itself when it is to this watcher what it is to all, for many may wait for many."""
        self.queue.append(change if kind == natural(change) else (kind, change))

    cdef look(self):
        """See whether the sink is full."""
        if not self.stopped and self.buffered() > HIGH:
            self.full = True
            if not self.rechecking:
                self.rechecking = True
                self.cache.owner.loop.call_soon(self.recheck)

    def recheck(self):
        """Go on in the next turn if the socket took everything at once: then no drain is ever called back."""
        self.rechecking = False
        if self.full and self.buffered() <= HIGH:
            self.resume()

    def resume(self):
        """Write what waits, as far as the sink takes it."""
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

    cdef emit(self, bytes data):
        """Write an event to the sink and count it."""
        if self.sizes is not None:
            self.sizes.observe(PyBytes_GET_SIZE(data))
        self.write(data)

    cdef bytes next_frame(self):
        """The next frame that waits, None when there is none in this step."""
        cdef Initial initial
        cdef Entry entry
        cdef Change change
        cdef int kind
        item = self.queue[0]
        if type(item) is Initial:
            initial = <Initial>item
            if initial.at == PyList_GET_SIZE(initial.entries):
                self.queue.popleft()
                return None
            entry = <Entry>PyList_GET_ITEM(initial.entries, initial.at)
            initial.at += 1
            if type(self.encoder) is JsonEncoder:
                return frame(KIND_BYTES[ADDED], entry.value)
            return self.encoder.encode("ADDED", entry.value, entry)
        self.queue.popleft()
        if type(item) is bytes:
            return item
        if type(item) is Change:
            change = <Change>item
            kind = natural(change)
        else:
            kind, change = item
        self.queued = max(0, self.queued - weight(change))
        self.revision = max(self.revision, change.rev)
        return self.cache.frame_of(change, kind, self.encoder)

    def initial(self, list entries not None):
        """Send the objects of a list as ADDED events, before what comes later."""
        cdef Initial initial = Initial()
        initial.entries = entries
        self.cache.initial_events += PyList_GET_SIZE(entries)
        if not self.stopped:
            self.queue.append(initial)
            if not self.full:
                self.resume()

    def bookmark(self, long long revision, annotations=None):
        """Send a BOOKMARK behind what waits."""
        self.send(self.encoder.bookmark(revision, annotations))
        self.revision = max(self.revision, revision)

    def send(self, bytes data not None):
        """Send a ready frame behind what waits (an ERROR event)."""
        if self.stopped:
            return
        if self.queue or self.full:
            self.queue.append(data)
        else:
            self.emit(data)

    def stop(self):
        """Take no more events and drop what waits; the sink is left as it is."""
        if not self.stopped:
            self.stopped = True
            self.queue.clear()
            self.cache.leave(self)

    def end(self):
        """Stop and end the body cleanly."""
        if not self.stopped:
            self.stop()
            self.sink.close()
