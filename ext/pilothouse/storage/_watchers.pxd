from pilothouse.api.values._selectors cimport Selector
from pilothouse.metrics._instruments cimport Distribution
from pilothouse.storage._entry cimport Change
from pilothouse.storage._objects cimport Objects

cdef class Frames:
    cdef object framed                # changes whose frames are kept, oldest first
    cdef Py_ssize_t size              # bytes of these frames
    cdef Change change                # what was asked for last, and its frame
    cdef object encoder
    cdef int kind
    cdef bytes frame

    cdef bytes of(self, Change change, int kind, object encoder)

cdef class Watcher:
    cdef Watchers watchers
    cdef readonly str scope, name
    cdef Selector selector
    cdef bint plain, exact, reads_fields, full, rechecking
    cdef readonly bint stopped
    cdef readonly long long since
    cdef readonly long long revision
    cdef object encoder, sink, queue
    cdef Distribution sizes           # of the events that were written, None when nobody counts them
    cdef dict buckets
    cdef object place
    cdef double began                 # when it was made; earlier changes are no news
    cdef readonly Py_ssize_t queued   # bytes of the changes in the queue
    cdef Py_ssize_t allowed           # and how many there may be
    cdef Py_ssize_t unlooked          # bytes of live events since the sink was last checked, CHECK at first
    cdef readonly bint bookmarks      # whether the client takes BOOKMARK events
    cdef public int slot

    cdef push(self, Change change, int kind)
    cdef enqueue(self, Change change, int kind)
    cdef line_up(self, item)
    cdef replay(self, list missed)
    cpdef give_up(self)
    cdef cover(self)
    cdef look(self)
    cdef write_waiting(self)
    cdef emit(self, bytes data)
    cdef bytes next_frame(self)

cdef class PermittedWatcher(Watcher):
    cdef frozenset namespaces         # whose objects it is sent
    cdef bint held

    cdef bint permits(self, Change change) except -1

cdef class Watchers:
    cdef Objects objects
    cdef Frames frames
    cdef dict by_scope, by_name, by_field, by_label
    cdef Py_ssize_t field_readers     # watchers that read fields without an index
    cdef long long initial_events     # events that told watchers what was there, or what they had missed
    cdef Distribution delays          # seconds from a change to the sinks of its watchers
    cdef bint sent                    # whether a sink took the change that is offered at once
    cdef long long terminated         # watches that were ended because their clients were too slow

    cdef Py_ssize_t count(self) except -1
    cdef Py_ssize_t at_scope(self, str scope) except -1
    cdef Py_ssize_t at_name(self, str name) except -1
    cdef enter(self, Watcher watcher)
    cdef leave(self, Watcher watcher)
    cdef end(self)
    cdef dispatch(self, Change change, list touched)
    cdef offer(self, bucket, Change change)
    cdef offer_exact(self, bucket, Change change, bint before, bint after)
    cdef int kind_for(self, Watcher watcher, Change change) except -2
