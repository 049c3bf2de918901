"""Versions of objects and the changes between them: what the watch cache holds.
Neither changes once it is made."""

import logging

cimport cython

import orjson

from pilothouse._json cimport frame, read_labels, revised, splice_at

from pilothouse._json import JsonEncoder

log = logging.getLogger("pilothouse.storage.watchcache")

cdef tuple KINDS = ("ADDED", "MODIFIED", "DELETED")
cdef const char** KIND_BYTES = [b"ADDED", b"MODIFIED", b"DELETED"]


@cython.no_gc
cdef class Entry(Encoded):
    """One version of an object: its key, its served bytes and its revisions."""

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

    cdef dict get_labels(self):
        if self._labels is None:
            self._labels = read_labels(self.value, self.head)
        return self._labels

    cdef dict get_fields(self, extract):
        if self._fields is None:
            self._fields = extracted(extract, self)
        return self._fields

    def __repr__(self):
        return f"<Entry {self.key} {self.rev}>"


cdef class Change:
    """One event of the ring: what an object was before and what it is after `rev`."""

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


cdef bytes added(Entry entry, object encoder):
    """The frame that shows an object as ADDED."""
    if type(encoder) is JsonEncoder:
        return frame(KIND_BYTES[ADDED], entry.value)
    return encoder.encode("ADDED", entry.value, entry)


cdef dict extracted(extract, Entry entry):
    """The selectable fields; none of an object that the extractor can not read."""
    try:
        return extract(orjson.loads(entry.value))
    except Exception:
        log.exception("the fields of %s cannot be read", entry.key)
        return {}


cdef dict labels_of(Entry entry):
    """The labels of an entry, not remembered: an index needs them once."""
    return entry._labels if entry._labels is not None else read_labels(entry.value, entry.head)


def rev_of(Change change not None):
    """The revision of a change: what the ring is sorted by."""
    return change.rev


def key_of(Entry entry not None):
    """The key of an entry: what lists are sorted by."""
    return entry.key
