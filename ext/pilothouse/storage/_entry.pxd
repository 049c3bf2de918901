from cpython.bytes cimport PyBytes_GET_SIZE

from pilothouse.api._json cimport Encoded
from pilothouse.storage._pairs cimport KeyValue

cdef enum:                            # type of a change for a watcher
    ADDED
    MODIFIED
    DELETED

cdef enum Member:                     # whether an object's bytes have a member
    UNKNOWN
    ABSENT
    PRESENT

cdef class Entry(Encoded):
    cdef readonly str key
    cdef readonly long long rev
    cdef readonly long long create_rev
    cdef public unsigned int message_size     # bytes of its protobuf message, 0 while nobody has made it
    cdef public unsigned int message_form     # and a number for the version in which it has them
    cdef dict _labels
    cdef tuple _fields                        # the extractor, and what it has found
    cdef unsigned char _owners                # a Member, as the next one
    cdef unsigned char _deletion

    cdef dict get_labels(self)
    cdef dict get_fields(self, extract)
    cdef bint is_owned(self) noexcept
    cdef bint is_deleting(self) noexcept

cdef class Change:
    cdef readonly str key
    cdef readonly long long rev
    cdef readonly Entry cur, prev
    cdef bytes gone
    cdef dict frames
    cdef Py_ssize_t framed            # bytes of the frames
    cdef double at

    cdef bytes last(self)
    cdef bytes build(self, int kind, object encoder)

cdef Entry stored(KeyValue kv, bytes value)
cdef bytes added(Entry entry, object encoder)
cdef dict extracted(extract, Entry entry)
cdef dict labels_of(Entry entry)

cdef inline int kind_of(bint before, bint after) noexcept:
    """The change's type for a watcher that selects the object before, and after it; -1 for none."""
    if after:
        return MODIFIED if before else ADDED
    return DELETED if before else -1

cdef inline int natural(Change change) noexcept:
    """The change's type for watchers that select every object."""
    return kind_of(change.prev is not None, change.cur is not None)

cdef inline Py_ssize_t weight(Change change) noexcept:
    """Bytes of memory that a change occupies."""
    cdef Encoded entry = change.prev if change.prev is not None else change.cur
    return PyBytes_GET_SIZE(entry.value) + 400

cdef inline bint tied(Entry entry):
    """Whether an object has owners or a time of deletion."""
    return entry.is_deleting() or entry.is_owned()
