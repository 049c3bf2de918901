from pilothouse.metrics._instruments cimport Distribution


cdef class Cell:
    cdef readonly Distribution seconds
    cdef readonly Distribution sli
    cdef readonly Distribution sizes
    cdef readonly bint deprecated
    cdef bint written


cdef class Cells:
    cdef readonly dict cells
    cdef object body_sizes    # an instruments.Histogram
    cdef object validated     # one of the seconds of writes, by fieldValidation

    cpdef observe(self, info, resource, status, double seconds, Py_ssize_t received, Py_ssize_t sent,
                  dict headers, query, double waited)


cdef class Authenticated:
    cdef Distribution seconds
    cdef public Distribution filter     # counts the duration too, unless it is None
    cdef object users         # user name -> a list whose only item is the count

    cdef count(self, double seconds, str name)


cdef class Authorized:
    cdef Distribution allowed, denied, no_opinion
    cdef public Distribution filter     # counts the duration too, unless it is None

    cdef void count(self, double seconds) noexcept
