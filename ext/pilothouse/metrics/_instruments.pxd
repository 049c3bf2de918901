"""The declarations that other compiled modules may cimport."""


cdef class Distribution:
    cdef readonly tuple bounds
    cdef readonly double sum
    cdef double *edges
    cdef long long *counts
    cdef Py_ssize_t size

    cpdef void observe(self, double value) noexcept


cdef class Recent(Distribution):
    cdef double *values
    cdef long long seen

    cdef void remember(self, double value) noexcept
