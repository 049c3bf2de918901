"""Makes the rows of the history's file (file.py) of changes."""

from cpython.bytearray cimport PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from pilothouse.history._packing cimport raw
from pilothouse.history._recent cimport RecentChange

from pilothouse.history._author import packed_id
from pilothouse.history._packing import pack

cdef enum:
    FEW = 2048                        # bytes of a value that is held in memory as it is


cdef inline object copied(bytes value):
    # PERF: sqlite3 looks for adapters of bytes each time, but not of bytearray.
    return PyByteArray_FromStringAndSize(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))


cdef inline object id_of(dict known, object value, object add):
    cdef PyObject* found = PyDict_GetItemWithError(known, value)
    return <object>found if found != NULL else add(value)


def rows_of(changes, dict objects not None, dict authors not None, add_object, add_author, seal):
    """The values of the rows of some RecordedChanges, one row after another; how often each author is in
    them; and each as a RecentChange.

    objects, authors: ids that are known. add_object, add_author: the id of a key or an author that is not
    among them. seal: encrypts what is kept under a key, None where nothing is encrypted.
    """
    cdef list values = []
    cdef list recent = []
    cdef dict uses = {}
    cdef object kept, author
    cdef bytes packed
    cdef RecentChange one
    for change in changes:
        id, key, kind, time_ms, who, audit_id, value, prev = <tuple>change
        kept = author = packed = None
        if value:
            packed = pack(value)
            kept = copied(packed if seal is None else seal(key, packed))
        values.append(id)
        values.append(id_of(objects, key, add_object))
        values.append(int(kind))
        values.append(time_ms)
        if who:
            author = id_of(authors, who, add_author)
            uses[author] = uses.get(author, 0) + 1
        values.append(author)
        values.append(packed_id(audit_id))
        values.append(kept)
        if value and PyBytes_GET_SIZE(value) <= FEW:
            packed = raw(value)       # PERF: to unpack it takes a quarter of the time in which it is undone
        one = RecentChange.__new__(RecentChange)
        one.id, one.prev, one.time_ms, one.kind, one.key, one.value = id, prev, time_ms, kind, key, packed
        recent.append(one)
    return values, uses, recent
