cdef class KeyValue:
    cdef readonly str key
    cdef readonly bytes value
    cdef readonly long long mod
    cdef readonly long long create
    cdef readonly long long lease

    cdef tuple fields(self)

cdef class StorageEvent:
    cdef readonly bint deleted
    cdef readonly KeyValue kv, prev

    cdef tuple fields(self)

cdef class Op:
    cdef readonly str key
    cdef readonly bytes value
    cdef readonly object expect       # an int or None
    cdef readonly object ttl          # a number
    cdef readonly bytes author

cdef inline KeyValue pair(str key, bytes value, long long mod, long long create, long long lease):
    """Makes a KeyValue without a call into Python."""
    cdef KeyValue made = KeyValue.__new__(KeyValue)
    made.key = key
    made.value = value
    made.mod = mod
    made.create = create
    made.lease = lease
    return made

cdef inline StorageEvent event(bint deleted, KeyValue kv, KeyValue prev):
    """Makes a StorageEvent without a call into Python."""
    cdef StorageEvent made = StorageEvent.__new__(StorageEvent)
    made.deleted = deleted
    made.kv = kv
    made.prev = prev
    return made
