from libc.stdint cimport uint8_t

cdef Py_ssize_t unpacked_size(const uint8_t* packed, Py_ssize_t size) noexcept nogil
cdef bint expand(const uint8_t* packed, Py_ssize_t size, uint8_t* out, Py_ssize_t room) noexcept nogil
