from pilothouse._entry cimport Change
from pilothouse._objects cimport Objects
from pilothouse._selectors cimport Selector

cdef class Frames:
    cdef object framed                # changes whose frames are kept, oldest first
    cdef Py_ssize_t size              # bytes of these frames

    cdef bytes of(self, Change change, int kind, object encoder)

cdef class Watcher:
    cdef Watchers watchers
    cdef readonly str scope, name
    cdef Selector selector
    cdef bint plain, exact, reads_fields, full, rechecking
    cdef readonly bint stopped
    cdef readonly long long since
    cdef readonly long long revision
    cdef object encoder, sink, write, buffered, queue
    cdef dict buckets
    cdef object place
    cdef Py_ssize_t queued
    cdef public int slot

    cdef push(self, Change change, int kind)
    cdef enqueue(self, Change change, int kind)
    cdef look(self)
    cdef write_waiting(self)
    cdef bytes next_frame(self)

cdef class Watchers:
    cdef Objects objects
    cdef Frames frames
    cdef dict by_scope, by_name, by_field, by_label
    cdef Py_ssize_t field_readers     # watchers that use fields without an index

    cdef Py_ssize_t count(self) except -1
    cdef enter(self, Watcher watcher)
    cdef leave(self, Watcher watcher)
    cdef end(self)
    cdef dispatch(self, Change change, list touched)
    cdef offer(self, dict bucket, Change change)
    cdef offer_exact(self, dict bucket, Change change, bint before, bint after)
    cdef int kind_for(self, Watcher watcher, Change change) except -2
