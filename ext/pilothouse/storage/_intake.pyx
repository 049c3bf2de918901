"""The way of the store's changes into the caches of their resources (storage/watchcache.py)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from pilothouse.storage._entry cimport Entry, stored, tied
from pilothouse.storage._objects cimport Objects
from pilothouse.storage._pairs cimport KeyValue, StorageEvent

from pilothouse.metrics._instruments import Distribution
from pilothouse.storage._prefixes import longest
from pilothouse.storage._watchers import DELAYS
from pilothouse.storage.interface import StorageError, UnreadableError
from pilothouse.storage.keys import ROOT

cdef str OBJECTS = ROOT


cdef class Intake:
    """Takes in the changes of the store. The subclass has hide(error), which is told what cannot be read.

    `delays` are the seconds from changes until the sinks of watchers had them. `shared` (key -> Entry) has
    entries of values that many stores have in common, of revisions up to `shared_to`. They are made once;
    None where nothing is shared. With `plain` objects that are stored as they are served are taken in without
    `transform`: JSON that begins with `{` and ends with `}`, of objects that are not being deleted.
    """

    cdef public long long revision    # the newest that all caches have taken in
    cdef public dict by_prefix        # prefix -> ResourceCache
    cdef public object unclaimed      # the cache of objects that belong to none of these
    cdef public dict unreadable       # key -> UnreadableError
    cdef readonly object delays
    cdef readonly list ties           # listeners to what is tied to other objects, which all caches tell
    cdef object transform
    cdef bint plain
    cdef dict shared
    cdef long long shared_to

    def __init__(self, transform, dict shared=None, long long shared_to=0, bint plain=False):
        self.transform = transform
        self.plain = plain
        self.delays = Distribution(DELAYS)
        self.shared = shared
        self.shared_to = shared_to
        self.by_prefix = {}
        self.unreadable = {}
        self.ties = []

    def find(self, str key not None):
        """The cache of the resource with the longest prefix of a key (`/registry/example.com/widgets/`)."""
        return longest(self.by_prefix, key, self.unclaimed)

    def subscribe_tied(self, listener):
        """Call back with (new, old) Entry, None for none: at once for each object that has owners or a time
        of deletion, then at every delete and at changes of objects that have these, or have had."""
        cdef Objects cache
        cdef Entry entry
        for cache in (self.unclaimed, *self.by_prefix.values()):
            for entry in tuple(cache.entries):
                if tied(entry):
                    listener(entry, None)
        self.ties.append(listener)

    cpdef Entry entry(self, KeyValue kv):
        """The cache entry of a stored pair. Raises UnreadableError when it cannot be read."""
        if kv.mod <= self.shared_to:
            return self.in_common(kv)
        return self.own(kv)

    cdef Entry in_common(self, KeyValue kv):
        cdef Entry entry = self.shared.get(kv.key)
        if entry is None:
            entry = self.shared[kv.key] = self.own(kv)
        return entry

    cdef Entry own(self, KeyValue kv):
        cdef Entry entry = None
        cdef bytes value
        try:
            if self.plain and is_object(kv.value):
                entry = stored(kv, kv.value)
                if not entry.is_deleting():
                    return entry
            value = kv.value if self.transform is None else self.transform(kv.key, kv.value)
            return stored(kv, value) if entry is None or value is not kv.value else entry
        except StorageError as error:
            raise UnreadableError(kv, str(error)) from None
        except Exception as error:
            raise UnreadableError(kv, f"{kv.key} can not be decoded: {error}") from error

    cpdef take(self, KeyValue kv, bint deleted=False):
        """Apply a change to the cache of its resource."""
        cdef Entry entry = None
        if not deleted:
            try:
                entry = self.entry(kv)
            except UnreadableError as error:
                self.hide(error)
                return
        cache = longest(self.by_prefix, kv.key, self.unclaimed)
        cache.apply(kv.key, entry, kv.mod)
        if self.unreadable and self.unreadable.pop(kv.key, None) is not None:
            cache.forget_history(kv.mod)

    def take_all(self, list events not None):
        """Apply those of the store's changes that are about objects."""
        cdef StorageEvent event
        for event in events:
            self.revision = event.kv.mod
            if event.kv.key.startswith(OBJECTS):
                self.take(event.kv, event.deleted)


cdef bint is_object(bytes value) noexcept:
    """Whether a value begins and ends as the JSON of an object that this server writes."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef const char* s = PyBytes_AS_STRING(value)
    return size > 1 and s[0] == b"{" and s[size - 1] == b"}"
