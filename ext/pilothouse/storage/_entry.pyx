"""Entries (object versions) and changes between them, as the watch cache holds them.

Both are immutable, but for what an entry remembers of its own value.
"""

cimport cython
from cpython.bytes cimport PyBytes_GET_SIZE

import orjson

from pilothouse.api._json cimport contains, frame, read_labels, revised, splice_at
from pilothouse.storage._pairs cimport KeyValue

from pilothouse.api._json import JsonEncoder
from pilothouse.logs import Logger

log = Logger("pilothouse.storage.watchcache", "_entry.pyx")

cdef tuple KINDS = ("ADDED", "MODIFIED", "DELETED")
cdef const char** KIND_BYTES = [b"ADDED", b"MODIFIED", b"DELETED"]

cdef bytes OWNERS = b'"ownerReferences"'
cdef bytes DELETION = b'"deletionTimestamp"'


@cython.no_gc
cdef class Entry(Encoded):
    """One version of an object: its key, its served bytes and its revisions."""

    def __init__(self, str key not None, bytes value not None, long long rev, long long create_rev=0):
        """`value` is the stored form; raises ValueError if it is not a JSON object."""
        self.key = key
        self.value = splice_at(value, rev, &self.head)
        self.rev = rev
        self.create_rev = create_rev

    @property
    def labels(self):
        """metadata.labels; shared, must not be changed."""
        return self.get_labels()

    def fields(self, extract):
        """The values of the selectable fields; shared, must not be changed."""
        return self.get_fields(extract)

    @property
    def owned(self):
        """Whether the object may have owners. Another member of that name makes no difference."""
        return self.is_owned()

    @property
    def deleting(self):
        """Whether the object may have a time of deletion."""
        return self.is_deleting()

    cdef bint is_owned(self) noexcept:
        if self._owners == UNKNOWN:
            self._owners = sought(self.value, OWNERS)
        return self._owners == PRESENT

    cdef bint is_deleting(self) noexcept:
        if self._deletion == UNKNOWN:
            self._deletion = sought(self.value, DELETION)
        return self._deletion == PRESENT

    cdef dict get_labels(self):
        if self._labels is None:
            self._labels = read_labels(self.value, self.head)
        return self._labels

    cdef dict get_fields(self, extract):
        cdef tuple known = self._fields
        if known is None or known[0] is not extract:    # another definition has other fields
            known = self._fields = extract, extracted(extract, self)
        return <dict>known[1]

    def __repr__(self):
        return f"<Entry {self.key} {self.rev}>"


cdef class Change:
    """An event in the ring: the object before and after the revision `rev`."""

    cdef bytes last(self):
        """The previous object's bytes with the revision of the change, as a DELETED event shows them."""
        if self.gone is None:
            self.gone = revised(self.prev.value, self.prev.head, self.rev)
        return self.gone

    cdef bytes build(self, int kind, object encoder):
        """Build the frame in the encoder's format."""
        value = self.last() if kind == DELETED else self.cur.value
        if type(encoder) is JsonEncoder:
            return frame(KIND_BYTES[kind], value)
        return encoder.encode(KINDS[kind], value, self.prev if kind == DELETED else self.cur)


cdef Entry stored(KeyValue kv, bytes value):
    """The entry of a stored pair; `value` is its value as JSON."""
    cdef Entry entry = Entry.__new__(Entry)
    entry.key = kv.key
    entry.value = splice_at(value, kv.mod, &entry.head)
    entry.rev = kv.mod
    entry.create_rev = kv.create
    return entry


cdef inline unsigned char sought(bytes value, bytes name) noexcept:
    """The Member that says whether a name stands in an object's bytes."""
    return PRESENT if contains(value, name) else ABSENT


cdef bytes added(Entry entry, object encoder):
    """The frame of an ADDED event for an object."""
    if type(encoder) is JsonEncoder:
        return frame(KIND_BYTES[ADDED], entry.value)
    return encoder.encode("ADDED", entry.value, entry)


cdef dict extracted(extract, Entry entry):
    """The selectable fields; {} if the extractor cannot read the object."""
    try:
        return extract(orjson.loads(entry.value))
    except Exception:
        log.exception("The fields of an object cannot be read", key=entry.key)
        return {}


cdef dict labels_of(Entry entry):
    """The labels of an entry, not cached, because an index needs them only once."""
    return entry._labels if entry._labels is not None else read_labels(entry.value, entry.head)


def bytes_of(entries not None):
    """The bytes of the values of entries."""
    cdef Entry entry
    cdef Py_ssize_t size = 0
    for entry in entries:
        size += PyBytes_GET_SIZE(entry.value)
    return size


def rev_of(Change change not None):
    """The revision of a change, by which the ring is sorted."""
    return change.rev


def key_of(Entry entry not None):
    """The key of an entry, by which lists are sorted."""
    return entry.key
