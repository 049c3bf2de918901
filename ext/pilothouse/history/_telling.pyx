"""Makes what is kept of a change whose values can be read (telling.py)."""

from cpython.bytes cimport PyBytes_GET_SIZE

from pilothouse.history._author import parts
from pilothouse.history._delta import difference
from pilothouse.history.file import ChangeKind, RecordedChange

cdef object CREATED = ChangeKind.CREATED
cdef object CHANGED = ChangeKind.CHANGED
cdef object REPLACED = ChangeKind.REPLACED
cdef object DELETED = ChangeKind.DELETED
cdef object new_tuple = tuple.__new__


def told(change, bytes stored, double share, to_json, clock):
    """The RecordedChange of a StoredChange that starts from a stored value, None without one.

    share: of the object's bytes, which the difference may have; else the whole object is kept. The errors of
    to_json. ValueError: it has no author that can be read.
    """
    cdef tuple row = <tuple>change    # PERF: of a class of its own, it would be gone over as any object
    cdef bytes old, value
    id, key, prev, written, new, _ = row
    at, audit_id, who = parts(written) if written else (0, "", b"")
    if stored is None:
        kind, value = CREATED, b""
    else:
        old = to_json(key, stored)
        if new is None:
            kind, value = DELETED, old
        else:
            value = difference(old, to_json(key, new), <Py_ssize_t>(PyBytes_GET_SIZE(old) * share))
            kind = CHANGED
            if value is None:
                kind, value = REPLACED, old
    return new_tuple(
        RecordedChange, (id, key, kind, at or int(clock() * 1000), who, audit_id, value, prev)
    )
