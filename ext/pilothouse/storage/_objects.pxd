from pilothouse.api.values._selectors cimport Selector
from pilothouse.storage._entry cimport Entry

cdef enum:
    MANY = 1000                       # from so many objects on, indexes are built before their first use

cdef class Index:
    cdef dict groups                  # value -> {key: Entry}
    cdef dict values                  # key -> value

    cdef void put(self, Entry entry, str value)

cdef class Listing:
    cdef readonly list entries
    cdef readonly long long revision
    cdef readonly bint more
    cdef readonly Py_ssize_t remaining
    cdef readonly Py_ssize_t fetched  # objects that were looked at
    cdef readonly str index           # by which they were found, "" for none

cdef class Objects:
    cdef readonly str prefix
    cdef readonly tuple indexed_fields
    cdef dict field_paths             # of the indexed fields, whose names are their paths
    cdef readonly long long last_change
    cdef readonly long long oldest
    cdef readonly long long stored_bytes    # of the objects, as they are served
    cdef object owner, extract, ring
    cdef dict by_key
    cdef list entries
    cdef dict label_indexes, field_indexes
    cdef str used                     # the index that the last list with a selector used

    cdef join(self, list entries)
    cdef reset_indexes(self)
    cdef index_fields(self)
    cdef bint changed_since(self, long long at) except -1
    cdef dict by_scope(self, dict undone)
    cdef Py_ssize_t size(self, str scope, dict undone) except -1
    cdef Py_ssize_t upper(self, str scope)
    cdef Listing page(self, str prefix_key, Selector selector, str after, Py_ssize_t limit,
                      long long revision, dict undone)
    cdef Listing select(self, str prefix, Selector selector, str after, Py_ssize_t limit, long long revision,
                        dict undone, Py_ssize_t low, Py_ssize_t high)
    cdef bint settled(self, Selector selector) except -1
    cdef list candidates(self, str prefix, Selector selector, str after, Py_ssize_t low, Py_ssize_t high)
    cdef bint is_leaf(self, str prefix)
    cdef bint selects(self, Selector selector, bint plain, Entry entry) except -1
    cdef dict key_fields(self, str key)
    cdef Py_ssize_t lower(self, str key)
    cdef dict undo(self, long long at, str prefix, str after)
    cdef list merged(self, dict undone, Py_ssize_t low, Py_ssize_t high)
    cdef Index field_index(self, str field)
    cdef Index label_index(self, str key)
    cdef str field_of(self, Entry entry, str field)

cdef bint only_key_fields(Selector selector)
