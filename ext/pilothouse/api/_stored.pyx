"""Reads and writes stored objects, with the field sets of managed fields read once.

Most objects of a kind are written by the same few managers, so they have the same field sets, which are a
large part of a small object. A set is never changed once it is made (changes/_fieldset.pyx), so objects with
the same text share one, and where it is written again its text is taken.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcpy

from os import urandom

import orjson

from pilothouse.api._json cimport seek, skip_value

cdef object _loads = orjson.loads
cdef object _dumps = orjson.dumps
cdef object _fragment = orjson.Fragment

cdef const char* MANAGED = b'"managedFields":[{'
cdef const char* FIELDS = b'"fieldsV1":{'
DEF MANAGED_LEN = 18
DEF FIELDS_LEN = 12
DEF SMALL = 1536        # bytes of an object from which on sets are looked for
DEF SHORTEST = 64       # bytes of a set from which on it is remembered
DEF LONGEST = 8192      # and up to which
DEF REMEMBERED = 262144  # bytes of texts in a generation; their sets take some eight times as much
DEF MOST = 16           # sets of one object that are looked for

# Stands in the place of a set while the rest of an object is read. It is random, so no text has it by itself.
cdef long long PLACE = int.from_bytes(urandom(6), "big") | 1 << 48
cdef bytes PLACE_TEXT = b"%d" % PLACE


cdef class FieldSet:
    """A set that is remembered: its text, its dict, and the type that it is known to fit (reconcile)."""


cdef class Generation:
    """Sets by their texts, and by the identities of their dicts, which live as long as they are here."""
    cdef dict by_text
    cdef dict by_identity
    cdef Py_ssize_t size

    def __cinit__(self):
        self.by_text, self.by_identity = {}, {}
        self.size = 0

    cdef void keep(self, FieldSet one):
        self.by_text[one.text] = one
        self.by_identity[<size_t><PyObject*>one.fields] = one
        self.size += PyBytes_GET_SIZE(one.text)


cdef Generation young = Generation()
cdef Generation old = Generation()


cdef void keep(FieldSet one):
    """Remember a set; the generation before last is forgotten when there are too many."""
    global young, old
    if young.size >= REMEMBERED:
        old, young = young, Generation()
    young.keep(one)


cdef FieldSet shared_set(object fields):
    """A remembered set by its dict; None for another."""
    cdef size_t identity = <size_t><PyObject*>fields
    cdef PyObject *found = PyDict_GetItem(young.by_identity, identity)
    if found is NULL:
        found = PyDict_GetItem(old.by_identity, identity)
    return <FieldSet>found if found is not NULL else None


cdef FieldSet read(bytes text):
    """The set with a text, remembered from now on."""
    cdef PyObject *found = PyDict_GetItem(young.by_text, text)
    cdef FieldSet one
    if found is not NULL:
        return <FieldSet>found
    found = PyDict_GetItem(old.by_text, text)
    if found is not NULL:
        one = <FieldSet>found
    else:
        one = FieldSet()
        one.text, one.fields = text, _loads(text)
    keep(one)
    return one


def loads(bytes value not None):
    """The object in stored or served bytes; orjson.JSONDecodeError."""
    cdef const char* s = PyBytes_AS_STRING(value)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t starts[MOST]
    cdef Py_ssize_t ends[MOST]
    cdef Py_ssize_t count, at, end
    cdef const char* found
    if n < SMALL:
        return _loads(value)
    found = seek(s, n, MANAGED, MANAGED_LEN, MANAGED_LEN - 2)
    if found is NULL:
        return _loads(value)
    count = 0
    at = found - s + MANAGED_LEN
    while count < MOST:
        found = seek(s + at, n - at, FIELDS, FIELDS_LEN, 7)
        if found is NULL:
            break
        at = found - s + FIELDS_LEN - 1
        end = skip_value(s, at, n)
        if end < 0:
            return _loads(value)
        if SHORTEST <= end - at <= LONGEST:
            starts[count], ends[count] = at, end
            count += 1
        at = end
    if count == 0:
        return _loads(value)
    obj = _loads(without(value, starts, ends, count))
    return obj if put(obj, s, starts, ends, count) else _loads(value)


def changed():
    """The texts of remembered sets that somebody has changed since they were read: there must be none."""
    cdef list kept = list(young.by_text.values()) + list(old.by_text.values())
    return [(<FieldSet>one).text for one in kept if _loads((<FieldSet>one).text) != (<FieldSet>one).fields]


cdef bytes without(bytes value, Py_ssize_t* starts, Py_ssize_t* ends, Py_ssize_t count):
    """The value with PLACE in the place of each set."""
    cdef const char* s = PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef Py_ssize_t i, at = 0, width = PyBytes_GET_SIZE(PLACE_TEXT)
    cdef bytes out
    cdef char* o
    for i in range(count):
        size += width - (ends[i] - starts[i])
    out = PyBytes_FromStringAndSize(NULL, size)
    o = PyBytes_AS_STRING(out)
    for i in range(count):
        memcpy(o, s + at, starts[i] - at)
        o += starts[i] - at
        memcpy(o, PyBytes_AS_STRING(PLACE_TEXT), width)
        o += width
        at = ends[i]
    memcpy(o, s + at, PyBytes_GET_SIZE(value) - at)
    return out


cdef bint put(object obj, const char* s, Py_ssize_t* starts, Py_ssize_t* ends, Py_ssize_t count) except -1:
    """Give the managed fields of an object their sets; False if not every set has its place there."""
    cdef Py_ssize_t i, given = 0
    cdef PyObject *fields
    cdef list entries = listed(obj)
    if entries is None:
        return False
    for i in range(PyList_GET_SIZE(entries)):
        entry = <object>PyList_GET_ITEM(entries, i)
        fields = PyDict_GetItem(entry, "fieldsV1") if type(entry) is dict else NULL
        if fields is NULL or type(<object>fields) is not int or <object>fields != PLACE:
            continue
        (<dict>entry)["fieldsV1"] = read(s[starts[given]:ends[given]]).fields
        given += 1
    return given == count


cdef list listed(object obj):
    """The managed fields of an object; None if it has none."""
    cdef PyObject *found
    if type(obj) is not dict:
        return None
    found = PyDict_GetItem(obj, "metadata")
    if found is NULL or type(<object>found) is not dict:
        return None
    found = PyDict_GetItem(<object>found, "managedFields")
    return <list>found if found is not NULL and type(<object>found) is list else None


def dumps(dict obj not None):
    """Compact JSON of an object; orjson.JSONEncodeError for what orjson does not write."""
    cdef list entries = listed(obj)
    cdef list written = None
    cdef Py_ssize_t i
    cdef PyObject *fields
    cdef FieldSet one
    cdef dict metadata, changed
    if entries is not None:
        for i in range(PyList_GET_SIZE(entries)):
            entry = <object>PyList_GET_ITEM(entries, i)
            fields = PyDict_GetItem(entry, "fieldsV1") if type(entry) is dict else NULL
            one = shared_set(<object>fields) if fields is not NULL else None
            if one is None:
                continue
            if written is None:
                written = list(entries)
            changed = dict(<dict>entry)
            changed["fieldsV1"] = _fragment(one.text)
            written[i] = changed
    if written is not None:
        metadata = dict(<dict>obj["metadata"])
        metadata["managedFields"] = written
        obj = dict(obj)
        obj["metadata"] = metadata
    return _dumps(obj)
