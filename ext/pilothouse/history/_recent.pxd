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
