cdef class Since:
    cdef long long before, before_ms, first, first_ms
    cdef int kind
    cdef readonly list values

    cdef void add(self, long long id, int kind, long long time_ms, value)


cdef class RecentChange:
    cdef long long id, prev, time_ms
    cdef int kind
    cdef str key
    cdef bytes value                  # as it is kept, None where nothing is
    cdef RecentChange before          # the change of the same key before, None where that is not here


cdef class RecentChanges:
    cdef readonly long long after, since_ms
    cdef readonly Py_ssize_t size
    cdef public Py_ssize_t most
    cdef int changed
    cdef dict newest                  # by key
    cdef list changes                 # in the order of ids
    cdef Py_ssize_t head              # of them, those that are dropped

    cdef void drop(self, Py_ssize_t most)
    cdef list latest(self)
    cdef bint gather(self, Since since, RecentChange one, list values, long long after, long long upto)
