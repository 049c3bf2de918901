"""The values that pass between stores and those who use them (storage/interface.py). None can be changed."""

cimport cython


@cython.no_gc
@cython.freelist(64)
cdef class KeyValue:
    """A key as it was written last: `mod` is the revision of that write, `create` of the key's first one."""

    def __init__(
        self, str key not None, bytes value not None, long long mod, long long create=0, long long lease=0
    ):
        self.key = key
        self.value = value
        self.mod = mod
        self.create = create
        self.lease = lease

    cdef tuple fields(self):
        return self.key, self.value, self.mod, self.create, self.lease

    def __eq__(self, other):
        if type(other) is not KeyValue:
            return NotImplemented
        return self.fields() == (<KeyValue>other).fields()

    def __hash__(self):
        return hash(self.fields())

    def __repr__(self):
        key, value, mod, create, lease = self.fields()
        return f"KeyValue({key=}, {value=}, {mod=}, {create=}, {lease=})"


@cython.no_gc
@cython.freelist(64)
cdef class StorageEvent:
    """One change. `kv` is the new state (of a delete: the key, the last value, `mod` = its revision); `prev`
    is the state before, None when the key was created."""

    def __init__(self, bint deleted, KeyValue kv not None, KeyValue prev):
        self.deleted = deleted
        self.kv = kv
        self.prev = prev

    cdef tuple fields(self):
        return self.deleted, self.kv, self.prev

    def __eq__(self, other):
        if type(other) is not StorageEvent:
            return NotImplemented
        return self.fields() == (<StorageEvent>other).fields()

    def __hash__(self):
        return hash(self.fields())

    def __repr__(self):
        deleted, kv, prev = self.fields()
        return f"StorageEvent({deleted=}, {kv=}, {prev=})"


@cython.freelist(64)
cdef class Op:
    """One write of a transaction. `expect` is the key's mod revision the write demands: 0 = must not exist,
    None = whatever is there. `value` None deletes. `ttl` in seconds, 0 = none. `author` tells who writes, for
    stores that keep it."""

    def __init__(self, str key not None, bytes value, expect=None, ttl=0, bytes author not None=b""):
        self.key = key
        self.value = value
        self.expect = expect
        self.ttl = ttl
        self.author = author

    def __repr__(self):
        key, value, expect, ttl = self.key, self.value, self.expect, self.ttl
        return f"Op({key=}, {value=}, {expect=}, {ttl=})"
